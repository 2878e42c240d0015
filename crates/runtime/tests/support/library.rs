//! Patch libraries by hand: one is assembled for each list of functions, and patches are made from
//! it by changing its manifest and its value.

use std::path::Path;
use std::process::Command;

use hotpatch_protocol::frame::{self, PatchHeader};
use hotpatch_protocol::manifest::{
    Binding, BindingKind, Entry, MAGIC, Manifest, binding_rel_offset, entry_rel_offset,
};
use hotpatch_protocol::message::Hello;

const VALUE: u64 = 0x1122_3344_5566_7788;

/// Adds 1 to what the word at `slot` leads to.
#[cfg(target_arch = "x86_64")]
const COUNT: &str = "  mov slot(%rip), %rax\n  lock incq (%rax)\n";
#[cfg(target_arch = "aarch64")]
const COUNT: &str = "  adrp x1, slot\n  ldr x1, [x1, :lo12:slot]\n1: ldaxr x0, [x1]\n  add x0, x0, 1\n  \
    stlxr w2, x0, [x1]\n  cbnz w2, 1b\n";
/// Returns the word at `value`.
#[cfg(target_arch = "x86_64")]
const RETURN_VALUE: &str = "  mov value(%rip), %rax\n  ret\n";
#[cfg(target_arch = "aarch64")]
const RETURN_VALUE: &str = "  adrp x0, value\n  ldr x0, [x0, :lo12:value]\n  ret\n";

/// A library whose functions return one value, and add 1 to a static of the program where it has
/// one.
#[derive(Clone)]
pub struct Template {
    library: Vec<u8>,
    pub manifest: Manifest,
}

impl Template {
    /// A library that replaces the functions at these addresses of the program.
    pub fn new(directory: &Path, hello: &Hello, functions: &[u64], counter: Option<u64>) -> Self {
        let entry = |address: &u64| Entry {
            old_image: 0,
            new_rel: 0,
            old_offset: address - hello.load_address,
            old_size: 16,
            new_size: 0,
            function: 0,
        };
        let binding = |address: u64| Binding {
            place_rel: 0,
            kind: BindingKind::Address,
            image: 0,
            value: address - hello.load_address,
        };
        let build_id = hello.build_id.as_bytes().chunks(2);
        let manifest = Manifest {
            patch: 1,
            build_id: build_id
                .map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap())
                .collect(),
            canary: hello.canary.clone(),
            entries: functions.iter().map(entry).collect(),
            bindings: counter.into_iter().map(binding).collect(),
        };
        let library = assemble(directory, &manifest, "");
        Template { library, manifest }
    }

    /// A frame of patch 1 whose library needs a symbol that nobody has.
    pub fn with_undefined_symbol(&self, directory: &Path) -> Vec<u8> {
        let library = assemble(directory, &self.manifest, ".quad nowhere_to_be_found\n");
        frame_of(&self.manifest, &library)
    }

    /// A frame of patch 1 whose new function lies where `rel` says.
    pub fn with_new_function_at(&self, rel: i32) -> Vec<u8> {
        let mut library = self.library.clone();
        let at = library.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap();
        let at = at + entry_rel_offset(0);
        library[at..at + 4].copy_from_slice(&rel.to_le_bytes());
        frame_of(&self.manifest, &library)
    }

    /// The same for the first place that is bound.
    pub fn with_place_at(&self, rel: i32) -> Vec<u8> {
        let mut library = self.library.clone();
        let at = library.windows(MAGIC.len()).position(|window| window == MAGIC).unwrap();
        let at = at + binding_rel_offset(self.manifest.entries.len(), 0);
        library[at..at + 4].copy_from_slice(&rel.to_le_bytes());
        frame_of(&self.manifest, &library)
    }

    /// The library of a patch; its functions return `value`.
    pub fn library(&self, manifest: &Manifest, value: u64) -> Vec<u8> {
        let mut library = self.library.clone();
        let find = |what: &[u8]| {
            self.library.windows(what.len()).position(|window| window == what).unwrap()
        };
        let at = find(&MAGIC);
        let rels = rels(&self.manifest);
        for (n, byte) in manifest.encode().into_iter().enumerate() {
            if !rels.iter().any(|rel| (*rel..rel + 4).contains(&n)) {
                library[at + n] = byte;
            }
        }
        let at = find(&VALUE.to_le_bytes());
        library[at..at + 8].copy_from_slice(&value.to_le_bytes());
        library
    }

    /// The frame of a patch that replaces the functions at these addresses instead, as many as the
    /// template has.
    pub fn frame_for(&self, patch: u32, value: u64, hello: &Hello, functions: &[u64]) -> Vec<u8> {
        let mut manifest = Manifest { patch, ..self.manifest.clone() };
        for (entry, address) in manifest.entries.iter_mut().zip(functions) {
            entry.old_offset = address - hello.load_address;
        }
        frame_of(&manifest, &self.library(&manifest, value))
    }

    /// The frame of patch `patch`.
    pub fn frame(&self, patch: u32, value: u64) -> Vec<u8> {
        let manifest = Manifest { patch, ..self.manifest.clone() };
        frame_of(&manifest, &self.library(&manifest, value))
    }
}

/// A frame around any bytes.
pub fn frame_of(manifest: &Manifest, library: &[u8]) -> Vec<u8> {
    let sum = library.iter().fold(0xcbf2_9ce4_8422_2325u64, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let header = PatchHeader {
        patch: manifest.patch,
        build_id: manifest.build_id.iter().map(|b| format!("{b:02x}")).collect(),
        content_hash: format!("{sum:016x}"),
        functions: vec!["victim::value".into()],
        carried: vec![],
    };
    frame::encode(&header, library).unwrap()
}

fn rels(manifest: &Manifest) -> Vec<usize> {
    let entries = (0..manifest.entries.len()).map(entry_rel_offset);
    let bindings =
        (0..manifest.bindings.len()).map(|n| binding_rel_offset(manifest.entries.len(), n));
    entries.chain(bindings).collect()
}

fn assemble(directory: &Path, manifest: &Manifest, more: &str) -> Vec<u8> {
    let mut source = String::from(".text\n.balign 4\nreplaced:\n");
    if !manifest.bindings.is_empty() {
        source += COUNT;
    }
    source += RETURN_VALUE;
    source += ".data\n.balign 8\n.globl __hotpatch_manifest\n__hotpatch_manifest:\n";
    let rels = rels(manifest);
    let bytes = manifest.encode();
    let mut at = 0;
    while at < bytes.len() {
        if let Some(n) = rels.iter().position(|rel| *rel == at) {
            let target = if n < manifest.entries.len() { "replaced" } else { "slot" };
            source += &format!("  .long {target} - __hotpatch_manifest\n");
            at += 4;
        } else {
            source += &format!("  .byte {}\n", bytes[at]);
            at += 1;
        }
    }
    source += &format!(".balign 8\nslot: .quad 0\nvalue: .quad {VALUE}\n");
    source += more;
    source += ".section .note.GNU-stack,\"\",@progbits\n";
    let from = directory.join("template.s");
    let to = directory.join("template.so");
    std::fs::write(&from, source).unwrap();
    let output = Command::new(super::COMPILER)
        .args(["-shared", "-nostdlib", "-o"])
        .args([&to, &from])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(&to).unwrap()
}

//! Looking into a patch library before it is handed to the dynamic loader, which takes what it
//! gets for granted: a file that is cut short would end the program.

use std::ops::Range;

use hotpatch_protocol::manifest::{Manifest, SYMBOL};

use super::arch::ELF_MACHINE;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const SHT_DYNSYM: u32 = 11;
const ET_DYN: u16 = 3;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const SYMBOL_SIZE: usize = 24;

/// What a patch library says about itself.
#[derive(Debug)]
pub struct Library {
    /// The table that came with it.
    pub manifest: Manifest,
    /// The static address of that table.
    pub manifest_address: u64,
}

struct Load {
    addresses: Range<u64>,
    offset: u64,
}

/// Checks that the bytes are a whole library for this processor, and reads its manifest.
///
/// # Errors
/// A text that says what is wrong with them.
pub fn read(bytes: &[u8]) -> Result<Library, String> {
    check_header(bytes)?;
    let loads = loads(bytes)?;
    let manifest_address = symbol(bytes, SYMBOL.as_bytes())
        .ok_or_else(|| format!("the patch library does not export `{SYMBOL}`"))?;
    let at = loads
        .iter()
        .find(|load| load.addresses.contains(&manifest_address))
        .and_then(|load| load.offset.checked_add(manifest_address - load.addresses.start))
        .and_then(|at| usize::try_from(at).ok())
        .and_then(|at| bytes.get(at..))
        .ok_or("the patch's manifest lies outside of the file")?;
    Ok(Library { manifest: Manifest::decode(at)?, manifest_address })
}

fn check_header(bytes: &[u8]) -> Result<(), String> {
    if bytes.get(..7) != Some(b"\x7fELF\x02\x01\x01") {
        return Err("the patch is not a 64-bit little-endian ELF library".into());
    }
    if u16_at(bytes, 16) != Some(ET_DYN) || u16_at(bytes, 18) != Some(ELF_MACHINE) {
        return Err("the patch is not a shared library for this processor".into());
    }
    Ok(())
}

fn loads(bytes: &[u8]) -> Result<Vec<Load>, String> {
    let cut = || "the patch library is cut short".to_string();
    let start = u64_at(bytes, 32).and_then(|n| usize::try_from(n).ok()).ok_or_else(cut)?;
    let count = usize::from(u16_at(bytes, 56).ok_or_else(cut)?);
    let mut loads = Vec::new();
    let mut dynamic = false;
    for n in 0..count {
        let header = start
            .checked_add(n * PROGRAM_HEADER)
            .and_then(|at| bytes.get(at..at.checked_add(PROGRAM_HEADER)?))
            .ok_or_else(cut)?;
        let kind = u32_at(header, 0).ok_or_else(cut)?;
        let mut words = [8, 16, 32, 40].into_iter().filter_map(|at| u64_at(header, at));
        let (Some(offset), Some(address), Some(size), Some(memory)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(cut());
        };
        let end = offset.checked_add(size).ok_or_else(cut)?;
        if !matches!(kind, PT_LOAD | PT_DYNAMIC | PT_GNU_RELRO) {
            continue;
        }
        if kind != PT_GNU_RELRO && (end > bytes.len() as u64 || size > memory) {
            return Err(cut());
        }
        dynamic |= kind == PT_DYNAMIC;
        if kind == PT_LOAD {
            let addresses = address..address.checked_add(size).ok_or_else(cut)?;
            loads.push(Load { addresses, offset });
        }
    }
    if loads.is_empty() || !dynamic {
        return Err("the patch library has nothing that could be loaded".into());
    }
    Ok(loads)
}

/// The static address of an exported symbol.
fn symbol(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let start = usize::try_from(u64_at(bytes, 40)?).ok()?;
    let count = usize::from(u16_at(bytes, 60)?);
    let section = |n: usize| {
        let at = start.checked_add(n.checked_mul(SECTION_HEADER)?)?;
        bytes.get(at..at.checked_add(SECTION_HEADER)?)
    };
    let content = |header: &[u8]| {
        let from = usize::try_from(u64_at(header, 24)?).ok()?;
        let length = usize::try_from(u64_at(header, 32)?).ok()?;
        bytes.get(from..from.checked_add(length)?)
    };
    // All section headers are read, since they are the last thing in the file: one that is cut
    // short anywhere is noticed here.
    let headers: Vec<&[u8]> = (0..count).map(section).collect::<Option<_>>()?;
    let table = headers.iter().find(|h| u32_at(h, 4) == Some(SHT_DYNSYM))?;
    let names = content(headers.get(u32_at(table, 40)? as usize)?)?;
    content(table)?.chunks_exact(SYMBOL_SIZE).find_map(|symbol| {
        let found = names.get(u32_at(symbol, 0)? as usize..)?.split(|&b| b == 0).next()?;
        let defined = u16_at(symbol, 6)? != 0;
        (found == name && defined).then(|| u64_at(symbol, 8))?
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_named_as_such() {
        assert!(read(b"").unwrap_err().contains("ELF"));
        assert!(read(&[0x5a; 4096]).unwrap_err().contains("ELF"));
        let mut header = vec![0; 64];
        header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        assert!(read(&header).unwrap_err().contains("processor"));
        header[16] = 3;
        header[18] = ELF_MACHINE as u8;
        assert!(read(&header).unwrap_err().contains("loaded"));
        header[56] = 2;
        assert!(read(&header).unwrap_err().contains("cut short"));
    }
}

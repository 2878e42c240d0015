//! The functions of a package, and the statement that leaves a mark.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A function that can be edited.
#[derive(Debug, Clone)]
pub struct Function {
    /// The file that has it.
    pub file: PathBuf,
    /// Its name, after that of its type or module where there is one.
    pub name: String,
    /// Where its body begins, after the brace: line from 1, column in characters.
    at: (usize, usize),
}

impl Function {
    /// The text of its file with the statement in it.
    pub fn marked(&self, text: &str, marks: &Path, n: usize) -> String {
        let (line, column) = self.at;
        let before: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let within: usize = text[before..].chars().take(column).map(char::len_utf8).sum();
        let statement = format!(
            " let _ = ::std::fs::OpenOptions::new().append(true).create(true).open({marks:?})\
             .and_then(|mut f| ::std::io::Write::write_all(&mut f, b\"{n}\\n\"));"
        );
        let (head, tail) = text.split_at(before + within);
        format!("{head}{statement}{tail}")
    }
}

/// All functions with a body in the files that the program was made of, as cargo's dep-info beside
/// it tells; without tests and without `const fn`, which cannot leave marks.
///
/// # Errors
/// Where a file cannot be read.
pub fn find(source: &Path, program: &Path) -> anyhow::Result<Vec<Function>> {
    let dep_info = program.with_extension("d");
    let text = fs::read_to_string(&dep_info).with_context(|| dep_info.display().to_string())?;
    let inputs = text.split_whitespace().skip(1).map(PathBuf::from);
    let mut files: Vec<_> = inputs
        .filter(|f| f.starts_with(source.join("src")) || f.starts_with(source.join("examples")))
        .filter(|f| f.extension().is_some_and(|e| e == "rs"))
        .collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let Ok(parsed) = syn::parse_file(&text) else { continue };
        let mut finder = Finder { file, within: Vec::new(), found: &mut found };
        finder.visit_file(&parsed);
    }
    Ok(found)
}

/// `count` of them, the same for the same seed (xorshift64*, Vigna 2014).
pub fn choose(all: &[Function], seed: u64, count: usize) -> Vec<Function> {
    let mut left = all.to_vec();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut chosen = Vec::new();
    while chosen.len() < count && !left.is_empty() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        chosen.push(left.swap_remove(random as usize % left.len()));
    }
    chosen
}

struct Finder<'a> {
    file: PathBuf,
    within: Vec<String>,
    found: &'a mut Vec<Function>,
}

impl Finder<'_> {
    fn add(
        &mut self,
        attributes: &[syn::Attribute],
        signature: &syn::Signature,
        body: &syn::Block,
    ) {
        let own = attributes.iter().any(|a| matches!(a.style, syn::AttrStyle::Inner(_)));
        if signature.constness.is_some() || own || for_tests(attributes) {
            return;
        }
        let end = body.brace_token.span.open().end();
        let mut name = self.within.join("::");
        if !name.is_empty() {
            name.push_str("::");
        }
        name.push_str(&signature.ident.to_string());
        self.found.push(Function { file: self.file.clone(), name, at: (end.line, end.column) });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if item.sig.ident != "main" {
            self.add(&item.attrs, &item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(&item.attrs, &item.sig, body);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = item.self_ty.span().source_text().unwrap_or_default();
        self.within.push(of);
        visit::visit_item_impl(self, item);
        self.within.pop();
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !for_tests(&item.attrs) {
            self.within.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.within.pop();
        }
    }
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("test")
            || (a.path().is_ident("cfg")
                && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
    })
}

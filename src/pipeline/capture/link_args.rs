//! The file that `rustc --print link-args=FILE` writes: the linker's command line as Rust's
//! standard library prints a `Command`, with its strings escaped as in Rust source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::Chars;

use super::record::LinkCapture;

/// Reads the linker call that was made in the folder `cwd`. A file can have several, one for
/// each linked crate type; the last counts.
///
/// # Errors
/// A text that says what is not understood.
pub fn parse(text: &str, cwd: &Path) -> Result<LinkCapture, String> {
    let line = text.lines().rfind(|l| !l.trim().is_empty()).ok_or("it is empty")?;
    let mut link = LinkCapture {
        program: String::new(),
        args: Vec::new(),
        env: BTreeMap::new(),
        env_removed: Vec::new(),
        cwd: cwd.to_path_buf(),
    };
    let mut words = words(line)?.into_iter().peekable();
    if words.next_if_eq(&Word::bare("cd")).is_some() {
        link.cwd = words.next().map(|w| PathBuf::from(w.text)).ok_or("`cd` without a folder")?;
        words.next_if_eq(&Word::bare("&&")).ok_or("`cd` without `&&`")?;
    }
    if words.next_if_eq(&Word::bare("env")).is_some() {
        while words.next_if_eq(&Word::bare("-u")).is_some() {
            link.env_removed.push(words.next().ok_or("`-u` without a name")?.text);
        }
        words.next_if_eq(&Word::bare("-i"));
    }
    while let Some(word) = words.next_if(|w| w.key.is_some()) {
        link.env.insert(word.key.unwrap_or_default(), word.text);
    }
    let mut rest = words.filter(|w| !w.bracketed).map(|w| w.text);
    link.program = rest.next().ok_or("it names no program")?;
    link.args = rest.collect();
    Ok(link)
}

/// One word: `text`, `"text"`, `KEY="text"` or `["text"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Word {
    key: Option<String>,
    text: String,
    quoted: bool,
    bracketed: bool,
}

impl Word {
    fn bare(text: &str) -> Word {
        Word { text: text.into(), ..Word::default() }
    }
}

fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut chars = line.chars();
    while let Some(first) = chars.next() {
        match first {
            c if c.is_whitespace() => {}
            '"' => words.push(Word { text: quoted(&mut chars)?, quoted: true, ..Word::default() }),
            '[' => match chars.next() {
                Some('"') => {
                    let text = quoted(&mut chars)?;
                    chars.next();
                    words.push(Word { text, quoted: true, bracketed: true, key: None });
                }
                _ => return Err("`[` without a string".into()),
            },
            c => words.push(unquoted(c, &mut chars)?),
        }
    }
    Ok(words)
}

/// A word without quotes, or a variable's name with its quoted value.
fn unquoted(first: char, chars: &mut Chars) -> Result<Word, String> {
    let mut text = String::from(first);
    loop {
        match chars.next() {
            Some('=') if chars.as_str().starts_with('"') => {
                chars.next();
                let value = quoted(chars)?;
                return Ok(Word { key: Some(text), text: value, quoted: true, bracketed: false });
            }
            Some(c) if !c.is_whitespace() => text.push(c),
            _ => return Ok(Word::bare(&text)),
        }
    }
}

/// The rest of a string whose opening quote was read, up to its closing quote.
fn quoted(chars: &mut Chars) -> Result<String, String> {
    let mut bytes = Vec::new();
    loop {
        let c = chars.next().ok_or("a string without end")?;
        match c {
            '"' => break,
            '\\' => escape(chars, &mut bytes)?,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    String::from_utf8(bytes).map_err(|_| "a string that is not UTF-8".into())
}

fn escape(chars: &mut Chars, bytes: &mut Vec<u8>) -> Result<(), String> {
    let c = chars.next().ok_or("an escape without end")?;
    match c {
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        '0' => bytes.push(0),
        '"' | '\'' | '\\' => bytes.push(c as u8),
        'x' => {
            let digits: String = chars.take(2).collect();
            bytes.push(u8::from_str_radix(&digits, 16).map_err(|e| format!("\\x{digits}: {e}"))?);
        }
        'u' => {
            let rest = chars.as_str();
            let (digits, after) = rest
                .strip_prefix('{')
                .and_then(|r| r.split_once('}'))
                .ok_or("an unknown escape `\\u`")?;
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            let c = c.ok_or_else(|| format!("an unknown character `\\u{{{digits}}}`"))?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            *chars = after.chars();
        }
        other => return Err(format!("an unknown escape `\\{other}`")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_the_standard_library_prints_is_read_back() {
        let args = [
            "-m64",
            "-Wl,--as-needed",
            "a b/c.o",
            "quote\"d",
            "it's",
            "back\\slash",
            "ünïcödé/日本",
            "cafe\u{301}",
            "tab\tnew\nline\r",
            "",
            "[x]",
            "K=\"v\"",
            "@file",
        ];
        let mut command = Command::new("/opt/my cc");
        command.args(args).env("LC_ALL", "C").env("PATH", "/a b:/c\"d");
        let link = parse(&format!("{command:?}\n"), Path::new("/here")).unwrap();
        assert_eq!(link.program, "/opt/my cc");
        assert_eq!(link.args, args);
        assert_eq!(link.env["LC_ALL"], "C");
        assert_eq!(link.env["PATH"], "/a b:/c\"d");
        assert_eq!(link.cwd, Path::new("/here"));
    }

    #[test]
    fn removed_variables_and_folders_are_read() {
        let mut command = Command::new("cc");
        command.arg("x").env_remove("SDKROOT").env_remove("B").env("A", "1").current_dir("/w d");
        let link = parse(&format!("{command:?}"), Path::new("/here")).unwrap();
        assert_eq!(link.cwd, Path::new("/w d"));
        assert_eq!(link.env_removed, ["B", "SDKROOT"]);
        assert_eq!((link.program.as_str(), link.args), ("cc", vec!["x".to_string()]));
    }

    #[test]
    fn the_last_of_several_lines_counts() {
        let link = parse("\"cc\" \"a\"\n\"ld\" \"b\"\n\n", Path::new("/")).unwrap();
        assert_eq!((link.program.as_str(), link.args), ("ld", vec!["b".to_string()]));
    }

    #[test]
    fn a_program_whose_name_is_not_its_first_argument_is_read() {
        let link = parse("A=\"1\" [\"/bin/cc\"] \"cc\" \"x\"", Path::new("/")).unwrap();
        assert_eq!((link.program.as_str(), link.args), ("cc", vec!["x".to_string()]));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in ["", "\n", "\"cc", "\"cc\" \"\\q\"", "A=\"1\"", "\"\\u{110000}\"", "[cc]"] {
            assert!(parse(text, Path::new("/")).is_err(), "{text}");
        }
    }
}

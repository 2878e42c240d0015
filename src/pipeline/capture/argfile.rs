//! Command lines that are too long for the operating system: `rustc @FILE` reads one argument a
//! line, and cargo uses it as a last resort.

use std::io;
use std::path::Path;

use crate::error::Failure;

/// What surely fits, together with an environment of usual size.
const LIMIT: usize = 128 * 1024;

/// Puts the lines of each `@FILE` in its place.
///
/// # Errors
/// Where a file cannot be read.
pub fn expand(args: Vec<String>) -> io::Result<Vec<String>> {
    let mut out = Vec::with_capacity(args.len());
    for arg in args {
        match arg.strip_prefix('@') {
            Some(file) => {
                out.extend(std::fs::read_to_string(file)?.lines().map(String::from));
            }
            None => out.push(arg),
        }
    }
    Ok(out)
}

/// Leaves a short command line as it is; writes a long one to `file` and names that instead.
///
/// # Errors
/// Where the file cannot be written.
pub fn shorten(args: Vec<String>, file: &Path) -> Result<Vec<String>, Failure> {
    if args.iter().map(|a| a.len() + 1).sum::<usize>() < LIMIT {
        return Ok(args);
    }
    std::fs::write(file, args.join("\n")).map_err(|e| Failure::io("write", file, &e))?;
    Ok(vec![format!("@{}", file.display())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_line_comes_back_from_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("args");
        let args: Vec<String> = (0..30_000).map(|n| format!("--cfg=feature ü {n}")).collect();
        let short = shorten(args.clone(), &file).unwrap();
        assert_eq!(short, [format!("@{}", file.display())]);
        assert_eq!(expand(short).unwrap(), args);
    }

    #[test]
    fn a_short_command_line_stays() {
        let args = vec!["a".to_string(), "b c".to_string()];
        assert_eq!(shorten(args.clone(), Path::new("/no/such/folder")).unwrap(), args);
    }
}

//! `name=value` pairs of a program's line.

use std::collections::BTreeMap;

/// What a line says, by name; the words before the first pair are under the empty name.
pub type Values = BTreeMap<String, String>;

/// Reads `tick 7 count=7 sorted=[1, 2]`: a value goes on up to the next ` name=`.
pub fn values(line: &str) -> Values {
    let mut found = Values::new();
    let mut name = String::new();
    for word in line.split(' ') {
        let pair = word.split_once('=').filter(|(n, _)| {
            !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        });
        match pair {
            Some((n, value)) => {
                name = n.to_string();
                found.insert(name.clone(), value.to_string());
            }
            None => {
                let value = found.entry(name.clone()).or_default();
                if !value.is_empty() {
                    value.push(' ');
                }
                value.push_str(word);
            }
        }
    }
    found
}

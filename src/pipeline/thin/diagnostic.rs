//! rustc's diagnostics, shown as cargo would show them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::pipeline::capture::Unit;
use crate::report::Event;

/// The text for people, or nothing for the summaries that cargo leaves out. rustc renders with
/// colors; without them on the user's terminal they are removed.
pub fn rendered(diagnostic: &Value, color: bool) -> Option<String> {
    let message = diagnostic["message"].as_str().unwrap_or_default();
    let summary = message.starts_with("aborting due to")
        || message.ends_with("warning emitted")
        || message.ends_with("warnings emitted");
    let text = diagnostic["rendered"].as_str().filter(|_| !summary)?;
    Some(if color { text.to_string() } else { anstream::adapter::strip_str(text).to_string() })
}

/// The event for scripts, in cargo's shape and without colors.
pub fn event(unit: &Unit, mut diagnostic: Value) -> Event {
    if let Some(text) = diagnostic["rendered"].as_str() {
        diagnostic["rendered"] = anstream::adapter::strip_str(text).to_string().into();
    }
    Event::CompilerMessage {
        package_id: unit.package_id.clone(),
        manifest_path: unit.manifest_dir.join("Cargo.toml"),
        target: unit.target.clone(),
        message: diagnostic,
    }
}

/// The files that a diagnostic points to, absolute.
pub fn files(diagnostic: &Value, cwd: &Path) -> Vec<PathBuf> {
    let spans = diagnostic["spans"].as_array().into_iter().flatten();
    let names = spans.filter_map(|s| s["file_name"].as_str());
    names.map(|name| cwd.join(name)).filter(|file| file.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn colors_are_kept_or_removed() {
        let diagnostic = json!({"message": "x", "rendered": "\u{1b}[31merror\u{1b}[0m: x\n"});
        assert_eq!(rendered(&diagnostic, false).unwrap(), "error: x\n");
        assert_eq!(rendered(&diagnostic, true).unwrap(), "\u{1b}[31merror\u{1b}[0m: x\n");
    }

    #[test]
    fn summaries_are_left_out() {
        for message in
            ["aborting due to 1 previous error", "1 warning emitted", "3 warnings emitted"]
        {
            assert_eq!(rendered(&json!({"message": message, "rendered": "x"}), false), None);
        }
    }
}

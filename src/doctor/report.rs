//! Printing what the checks found.

use super::{Check, Status};

/// One line a check, and the fix on a line of its own below it.
pub fn human(checks: &[Check]) -> String {
    let width = checks.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let status = match check.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        text.push_str(&format!("{status:<4}  {:<width$}  {}\n", check.name, check.detail));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("      {:<width$}  fix: {fix}\n", ""));
        }
    }
    text
}

/// One object with all checks.
pub fn json(checks: &[Check]) -> String {
    #[derive(serde::Serialize)]
    struct Report<'a> {
        checks: &'a [Check],
    }
    serde_json::to_string(&Report { checks }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_a_fix_stands_below_its_check() {
        let checks = [
            Check::ok("a", "fine"),
            Check::warn("long-name", "two\n lines\n", "do this"),
            Check::fail("b", "broken", "do that"),
        ];
        let wanted = "\
ok    a          fine
warn  long-name  two; lines
                 fix: do this
fail  b          broken
                 fix: do that
";
        assert_eq!(human(&checks), wanted);
    }

    #[test]
    fn an_absent_fix_is_null() {
        let text = json(&[Check::ok("a", "fine")]);
        let wanted = r#"{"checks":[{"name":"a","status":"ok","detail":"fine","fix":null}]}"#;
        assert_eq!(text, wanted);
    }
}

//! What happened, as it is shown in the README: the tool's lines, the edits, and what the program
//! showed.

use super::load::Requests;
use super::watched::Watched;

/// How much of a long line is shown, on each side of what matters.
const WIDTH: usize = 100;

/// A transcript.
#[derive(Debug)]
pub struct Story {
    text: String,
}

impl Story {
    /// Begins with the command and what the tool has said until now.
    ///
    /// # Errors
    /// Where its lines cannot be read.
    pub fn new(watched: &Watched) -> anyhow::Result<Story> {
        let mut story = Story { text: format!("$ {}\n", watched.command) };
        story.said(&watched.lines()?);
        Ok(story)
    }

    /// Lines of the tool; what rustc says of the program's code is left out.
    pub fn said(&mut self, lines: &[String]) {
        for line in lines.iter().filter(|line| is_status(line)) {
            self.text += &format!("{line}\n");
        }
    }

    /// What the program showed.
    pub fn showed(&mut self, words: &str, lines: &str) {
        self.text += &format!("# {words}\n");
        for line in lines.lines() {
            self.text += &format!("  {line}\n");
        }
    }

    /// An edit: the lines that are different.
    pub fn edited(&mut self, file: &str, old: &str, new: &str) {
        let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
        let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
        let head = old.iter().zip(&new).take_while(same).count();
        let (old, new) = (&old[head..], &new[head..]);
        let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
        self.text += &format!("# {file}, line {}\n", head + 1);
        let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
        let pair = (old.first().unwrap_or(&""), new.first().unwrap_or(&""));
        let alike = |(a, b): &(char, char)| a == b;
        let begin = pair.0.chars().zip(pair.1.chars()).take_while(alike).count();
        for (sign, lines) in [('-', old), ('+', new)] {
            for line in lines {
                self.text += &format!("{sign}{}\n", cut(line, begin));
            }
        }
    }

    /// What came of patches under load.
    pub fn loaded(&mut self, patches: usize, requests: &Requests) {
        let Requests { answered, failed, .. } = requests;
        self.text += &format!(
            "# after {patches} more patches under load: {answered} requests answered, {failed} failed\n"
        );
    }

    /// The whole of it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A verb at the right of twelve columns, then what.
fn is_status(line: &str) -> bool {
    let Some((verb, rest)) = line.split_at_checked(12) else { return false };
    rest.starts_with(' ') && verb.trim_start().starts_with(|c: char| c.is_ascii_uppercase())
}

/// The first line that has `part`, without colours, and cut on both sides where it is long.
pub fn excerpt(text: &str, part: &str) -> String {
    let found = text.lines().map(|line| line.trim_end()).find(|line| line.contains(part));
    let line = found.unwrap_or(part);
    let at = line.find(part).unwrap_or(0);
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    cut(&plain(line), plain(&line[..at]).chars().count())
}

/// A line, cut on both sides of this character where it is long.
fn cut(line: &str, at: usize) -> String {
    let length = line.chars().count();
    if length <= WIDTH + WIDTH / 2 {
        return line.to_owned();
    }
    let from = at.saturating_sub(WIDTH / 2);
    let to = (at + WIDTH).min(length);
    let shown: String = line.chars().take(to).skip(from).collect();
    let start = if from > 0 { "…" } else { "" };
    let end = if to < length { "…" } else { "" };
    format!("{start}{shown}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_is_shown_by_its_lines_alone() {
        let mut story = Story { text: String::new() };
        story.edited("src/a.rs", "one\ntwo\nthree\n", "one\n2\n2.5\nthree\n");
        assert_eq!(story.text(), "# src/a.rs, line 2\n-two\n+2\n+2.5\n");
    }

    #[test]
    fn only_the_lines_of_the_tool_are_shown() {
        let mut story = Story { text: String::new() };
        let lines =
            ["warning: unused", "   |     ^^^^ Here", "     Patched a.rs", "   Connected 7"];
        story.said(&lines.map(String::from));
        assert_eq!(story.text(), "     Patched a.rs\n   Connected 7\n");
    }

    #[test]
    fn a_long_line_is_cut_around_what_matters() {
        let line = format!("first\n{}here{}\n", "a".repeat(300), "b".repeat(300));
        let shown = excerpt(&line, "here");
        assert!(shown.starts_with("…aaa") && shown.ends_with("bbb…") && shown.contains("ahereb"));
        assert_eq!(excerpt("x\n \u{1b}short \n", "short"), " short");
    }
}

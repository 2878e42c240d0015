//! The programs, what their users do, and the edits.

use super::program::{Edit, How, Kept, Program};
use super::users::Kind;
use crate::published;

/// A program with this name.
pub fn named(name: &str) -> Option<&'static Program> {
    ALL.iter().find(|p| p.package.name == name)
}

/// All of them.
pub const ALL: &[Program] = &[
    Program {
        package: published::SIMPLE_HTTP_SERVER,
        args: &["--index", "--ip", "127.0.0.1", "--port", "{port}", "{dir}"],
        kind: Kind::Http,
        first: &[],
        kept: Kept {
            what: "keep-alive connections",
            ask: "/table.csv",
            part: |answer| Some(answer.split_once("\r\n\r\n")?.1.to_owned()),
            how: How::Same,
        },
        own: Edit {
            file: "src/handlers.rs",
            from: "<div>{breadcrumb}</div>",
            to: "<div>{breadcrumb} (edit #N)</div>",
            ask: "/",
            was: "[Root]</strong></a></div>",
            shows: "(edit #N)</div>",
        },
        dependency: ("httpdate", "1.0.3"),
        theirs: Edit {
            file: "src/date.rs",
            from: "00:00:00 GMT\"",
            to: "00:00:00 UTC\"",
            ask: "/table.csv",
            was: "GMT",
            shows: "UTC",
        },
        load: true,
    },
    Program {
        package: published::MINI_REDIS,
        args: &["--port", "{port}"],
        kind: Kind::Redis,
        first: &["set greeting hello"],
        kept: Kept {
            what: "connections, keys and values",
            ask: "get greeting",
            part: |answer| Some(answer.to_owned()),
            how: How::Same,
        },
        own: Edit {
            file: "src/cmd/unknown.rs",
            from: "\"ERR unknown command '{}'\"",
            to: "\"ERR unknown command '{}' (edit #N)\"",
            ask: "ping",
            was: "ERR unknown command 'ping'",
            shows: "ERR unknown command 'ping' (edit #N)",
        },
        dependency: ("atoi", "0.3.3"),
        theirs: Edit {
            file: "src/lib.rs",
            from: "        b'9' => Some(nth(9)),\n        _ => None,\n    }\n}\n\nimpl<I> FromRadix10 for",
            to: "        b'9' => Some(nth(9)),\n        b'O' => Some(nth(0)),\n        _ => None,\n    }\n}\n\nimpl<I> FromRadix10 for",
            ask: "set soon gone ex O9",
            was: "closed",
            shows: "+OK",
        },
        load: true,
    },
    Program {
        package: published::BORE,
        args: &["server", "--bind-addr", "127.0.0.1"],
        kind: Kind::Tunnel,
        first: &[],
        kept: Kept {
            what: "tunnels and what goes through them",
            ask: "echo",
            part: |answer| Some(answer.to_owned()),
            how: How::Same,
        },
        own: Edit {
            file: "src/server.rs",
            from: "\"forwarding connection\"",
            to: "\"forwarding connection, edit #N\"",
            ask: "open",
            was: "forwarding connection",
            shows: "forwarding connection, edit #N",
        },
        dependency: ("tokio-util", "0.7.8"),
        theirs: Edit {
            file: "src/codec/any_delimiter_codec.rs",
            from: "        buf.put(chunk.as_bytes());\n",
            to: "        buf.put(chunk.as_bytes());\n        buf.put(&b\"    \"[..]);\n",
            ask: "hello",
            was: "\"Heartbeat\"",
            shows: "\"Heartbeat\"    ",
        },
        load: true,
    },
    Program {
        package: published::CSVLENS,
        args: &["{dir}/table.csv"],
        kind: Kind::Screen("[Row 1/"),
        first: &["300 G"],
        kept: Kept {
            what: "the row it stands at",
            ask: "Escape",
            part: |screen| word_before(screen, "/500"),
            how: How::Same,
        },
        own: Edit {
            file: "src/ui.rs",
            from: "\" [Row {}/{}, Col {}/{}]\"",
            to: "\" [Line {}/{}, Col {}/{}]\"",
            ask: "j k",
            was: "[Row 300/500",
            shows: "[Line 300/500",
        },
        dependency: ("tui-input", "0.13.0"),
        theirs: Edit {
            file: "src/input.rs",
            from: "            InsertChar(c) => {\n",
            to: "            InsertChar(c) => {\n                let c = c.to_ascii_uppercase();\n",
            ask: "Escape / name",
            was: "Find: name",
            shows: "Find: NAME",
        },
        load: false,
    },
    Program {
        package: published::RHAI,
        args: &[],
        kind: Kind::Screen("repl>"),
        first: &["let Space x Space = Space 42 Enter"],
        kept: Kept {
            what: "variables of the session",
            ask: "C-l x Enter",
            part: |screen| after(screen, "=> ", "\n"),
            how: How::Same,
        },
        own: Edit {
            file: "src/bin/rhai-repl.rs",
            from: "if i > 0 { \"| \" } else { \"^ \" }",
            to: "if i > 0 { \"| \" } else { \"^--- \" }",
            ask: "C-l y Enter",
            was: "^ Variable not found",
            shows: "^--- Variable not found",
        },
        dependency: ("rust_decimal", "1.43.0"),
        theirs: Edit {
            file: "src/decimal.rs",
            from: "f.pad_integral(self.is_sign_positive(), \"\", rep.as_str())",
            to: "f.pad_integral(self.is_sign_positive(), \"\", &rep.as_str().replace('.', \",\"))",
            ask: "C-l parse_decimal(\"1.5\") Enter",
            was: "=> 1.5",
            shows: "=> 1,5",
        },
        load: false,
    },
    Program {
        package: published::TET_RIS,
        args: &["--tick", "40"],
        kind: Kind::Screen("Next:"),
        first: &[],
        kept: Kept {
            what: "the game's clock goes on",
            ask: "",
            part: |screen| after(&screen.to_lowercase(), "time: ", "\n"),
            how: How::Grows,
        },
        own: Edit {
            file: "src/tetlib.rs",
            from: "\"Score: {}\"",
            to: "\"Points: {}\"",
            ask: "Left Right",
            was: "Score: 0",
            shows: "Points: 0",
        },
        dependency: ("crossterm", "0.26.1"),
        theirs: Edit {
            file: "src/style.rs",
            from: "write!(f, \"{}\", self.0)",
            to: "write!(f, \"{}\", self.0.to_string().to_uppercase())",
            ask: "Left Right",
            was: "Level: 0",
            shows: "LEVEL: 0",
        },
        load: false,
    },
    Program {
        package: published::RUSTY_RAIN,
        args: &[],
        kind: Kind::Screen("1"),
        first: &[],
        kept: Kept {
            what: "the loop that it never leaves",
            ask: "",
            part: |screen| Some((!screen.trim().is_empty()).to_string()),
            how: How::Same,
        },
        own: Edit {
            file: "src/main.rs",
            from: "    fn new(char: char) -> Self {\n",
            to: "    fn new(char: char) -> Self {\n        let char = if char == '1' { 'I' } else { char };\n",
            ask: "",
            was: "1",
            shows: "I",
        },
        dependency: ("ezemoji", "2.0.0"),
        theirs: Edit {
            file: "src/lib.rs",
            from: "char::from_u32(range.start + offset)",
            to: "char::from_u32(range.start + 7 + offset)",
            // It makes its characters when the size of the terminal changes.
            ask: "resize",
            was: "0",
            shows: "7",
        },
        load: false,
    },
    Program {
        package: published::CARGO_WATCH,
        args: &["watch", "-C", "{dir}", "--no-vcs-ignores", "-w", "touched", "-s", "echo again"],
        kind: Kind::Touch("touched"),
        first: &[],
        kept: Kept {
            what: "the watch on the folder",
            ask: "",
            part: |output| after(output, "[Finished running. ", "]"),
            how: How::Same,
        },
        own: Edit {
            file: "src/watch.rs",
            from: "\"[Running '{}']\"",
            to: "\"[Running '{}' (edit #N)]\"",
            ask: "",
            was: "[Running 'echo again']",
            shows: "[Running 'echo again' (edit #N)]",
        },
        dependency: ("watchexec", "1.17.2"),
        theirs: Edit {
            file: "src/run.rs",
            from: "        let mut child = self.child_process.lock()?;\n",
            to: "        println!(\"[{} changed]\", ops.len());\n        let mut child = self.child_process.lock()?;\n",
            ask: "",
            was: "[Running ",
            shows: " changed]",
        },
        load: false,
    },
    Program {
        package: published::HECS,
        args: &[],
        kind: Kind::Lines,
        first: &[""],
        kept: Kept {
            what: "every entity and its components",
            ask: "?",
            part: |output| Some(output.split_once("Entity stats:")?.1.to_owned()),
            how: How::UntilUsed,
        },
        own: Edit {
            file: "examples/ffa_simulation.rs",
            from: "\"Unit {id:?} moved to {pos:?}\"",
            to: "\"Unit {id:?} walked to {pos:?}\"",
            ask: "",
            was: " moved to ",
            shows: " walked to ",
        },
        dependency: ("rand", "0.10.2"),
        theirs: Edit {
            file: "src/rng.rs",
            from: "        assert!(!range.is_empty(), \"cannot sample empty range\");\n        range.sample_single(self).unwrap()\n",
            to: "        assert!(!range.is_empty(), \"cannot sample empty range\");\n        std::println!(\"a number is drawn\");\n        range.sample_single(self).unwrap()\n",
            ask: "",
            was: " walked to ",
            shows: "a number is drawn",
        },
        load: false,
    },
    Program {
        package: published::JUST_LSP,
        args: &[],
        kind: Kind::Lsp,
        first: &["open"],
        kept: Kept {
            what: "the documents that are open",
            ask: "hover 5 6",
            part: |answer| after(answer, "\"value\":", "\"}"),
            how: How::Same,
        },
        own: Edit {
            file: "src/resolver.rs",
            from: "            value: variable.into_inner().content,\n",
            to: "            value: format!(\"{} (edit #N)\", variable.into_inner().content),\n",
            ask: "hover 3 10",
            was: "greeting := 'hello'",
            shows: "(edit #N)",
        },
        dependency: ("tower-lsp", "0.20.0"),
        theirs: Edit {
            file: "src/jsonrpc/error.rs",
            from: "=> \"Method not found\"",
            to: "=> \"No such method here\"",
            ask: "no/such/method",
            was: "\"Method not found\"",
            shows: "\"No such method here\"",
        },
        load: false,
    },
    // Both edits are of code that the pool's threads run, for each line anew.
    Program {
        package: published::SKIM,
        args: &["--multi", "--cmd", "cat {dir}/table.csv"],
        kind: Kind::Screen("501/501"),
        first: &["17,name Tab"],
        kept: Kept {
            what: "the line that is selected",
            ask: "C-u",
            part: |screen| after(screen, "501/501 [", "]"),
            how: How::Same,
        },
        own: Edit {
            file: "src/engine/fuzzy.rs",
            from: "self.matcher.fuzzy_indices(choice, pattern)",
            to: "self.matcher.fuzzy_indices(&choice.replace(\"name\", \"mane\"), pattern)",
            ask: "C-u mane",
            was: " 0/501",
            shows: "501/501",
        },
        dependency: ("fuzzy-matcher", "0.3.7"),
        theirs: Edit {
            file: "src/skim.rs",
            from: "self.fuzzy(choice, pattern, true)",
            to: "self.fuzzy(&choice.replace(',', \";\"), pattern, true)",
            ask: "C-u 7;mane",
            was: " 0/501",
            shows: "95/501",
        },
        load: false,
    },
];

/// What stands between the last `start` and the next `end`.
fn after(text: &str, start: &str, end: &str) -> Option<String> {
    let rest = &text[text.rfind(start)? + start.len()..];
    Some(rest.split_once(end)?.0.to_owned())
}

/// The word in front of this text.
fn word_before(text: &str, end: &str) -> Option<String> {
    let (before, _) = text.split_once(end)?;
    before.split_whitespace().next_back().map(str::to_owned)
}

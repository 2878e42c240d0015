//! One program that lives through many edits.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Event, Fixture, PATIENCE, Save, Values, Watch, values};
use crate::table::{Row, Then, Value};

/// A tick that shows something else than expected may have begun before the switch; after this
/// many nothing of the kind is left.
const TICKS: usize = 25;

/// Events that say what became of an edit.
const OUTCOMES: [&str; 6] = [
    "patch-applied",
    "patch-refused",
    "patch-failed",
    "nothing-changed",
    "restart-required",
    "program-exited",
];

/// What is said with each patch of a program without debug information.
const WITHOUT_TYPES: &str = "types were not compared";

/// A watched program; a new one where an edit has broken it.
pub struct Run {
    name: &'static str,
    prepare: fn(&Fixture),
    live: Option<Live>,
}

struct Live {
    fixture: Fixture,
    watch: Watch,
    /// What the program prints without an edit.
    base: Values,
    event: usize,
    line: usize,
}

/// Why a row came out otherwise than expected.
pub type Wrong = String;

impl Run {
    /// A run of the fixture as `prepare` leaves it.
    pub fn new(name: &'static str, prepare: fn(&Fixture)) -> Run {
        Run { name, prepare, live: None }
    }

    /// Makes the edit, looks at what becomes of it, and takes it back.
    pub fn row(&mut self, row: &Row) -> Result<(), Wrong> {
        let prepare = self.prepare;
        let live = self.live.get_or_insert_with(|| Live::start(prepare));
        let result = live.there_and_back(row);
        if let Err(why) = &result {
            crate::summary::say(&format!("WRONG [{}] {}: {why}\n", self.name, row.name));
            // Whatever it left behind is not the next row's business.
            self.live = None;
        }
        result
    }

    /// Ends the program.
    pub fn stop(self) {
        if let Some(live) = self.live {
            live.watch.stop();
        }
    }
}

impl Live {
    fn start(prepare: fn(&Fixture)) -> Live {
        let fixture = Fixture::copy("matrix");
        prepare(&fixture);
        let args = ["-p", "app", "--restart", "never"];
        let watch = Watch::start_with(&fixture, &args);
        let mut live = Live { fixture, watch, base: Values::new(), event: 0, line: 0 };
        live.base = live.tick().unwrap_or_else(|e| panic!("the program prints nothing: {e}"));
        live
    }

    fn there_and_back(&mut self, row: &Row) -> Result<(), Wrong> {
        let files: BTreeSet<_> = row.edits.iter().map(|(file, ..)| *file).collect();
        let before: Vec<_> = files.into_iter().map(|file| (file, self.text(file))).collect();
        self.forget();
        self.save(
            edited(row, &before).into_iter().map(|(file, text)| (file, Some(text))).collect(),
        );
        self.becomes(row.then)?;
        self.forget();
        self.save(before.into_iter().map(|(file, text)| (file.to_owned(), text)).collect());
        for (name, value) in row.lasting {
            self.base.insert((*name).into(), (*value).into());
        }
        let outcome = self.outcome()?;
        let back = match row.then {
            Then::Prints(_) | Then::Warns(..) => &["patch-applied", "nothing-changed"][..],
            Then::Restart(_) => &["restart-required"],
            _ => &["nothing-changed"],
        };
        let reason = outcome.reason();
        if !back.contains(&reason) {
            return Err(format!("taking it back came to {}", outcome.0));
        }
        self.shows(&[]).map_err(|e| format!("after it was taken back: {e}"))
    }

    /// Gives the files these texts, or removes them, in one save.
    fn save(&self, files: Vec<(String, Option<String>)>) {
        self.watch.save_at_once(|| {
            for (file, text) in files {
                let path = self.fixture.path(&file);
                match text {
                    Some(text) => {
                        let folder = path.parent().unwrap_or(&path);
                        fs::create_dir_all(folder).expect("a folder");
                        self.fixture.write(&file, &text, Save::Rename);
                    }
                    None => fs::remove_file(path).expect("a file that was made before"),
                }
            }
        });
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.fixture.path(file)).ok()
    }

    /// What was said so far is of no interest.
    fn forget(&mut self) {
        (self.event, self.line) = self.watch.log().so_far();
    }

    fn becomes(&mut self, then: Then) -> Result<(), Wrong> {
        let first = self.event;
        let outcome = self.outcome()?;
        let is = |reason: &str| match outcome.reason() == reason {
            true => Ok(()),
            false => Err(format!("{reason} was expected, this came: {}", outcome.0)),
        };
        let has = |text: &str, part: &str| match text.contains(part) {
            true => Ok(()),
            false => Err(format!("{part:?} is not in: {}", outcome.0)),
        };
        match then {
            Then::Prints(_) | Then::Warns(..) => is("patch-applied")?,
            Then::Nothing | Then::Only(_) => is("nothing-changed")?,
            Then::Refused(item, why) => {
                is("patch-refused")?;
                has(&outcome.list("items").join(" "), item)?;
                has(outcome.text("detail"), why)?;
                self.outcome_of("restart-required")?;
            }
            Then::Restart(cause) => {
                is("restart-required")?;
                has(outcome.text("cause"), cause)?;
            }
            Then::Rejected(code) => {
                is("compiler-message")?;
                has(&outcome.0["message"]["code"]["code"].to_string(), code)?;
            }
        }
        self.warned(first, then)?;
        match then {
            Then::Prints(values) | Then::Warns(values, _) => self.shows(values),
            _ => self.shows(&[]),
        }
    }

    fn warned(&self, since: usize, then: Then) -> Result<(), Wrong> {
        let said = self.watch.log().events().split_off(since);
        let said: Vec<_> = said.iter().filter(|e| e.reason() == "warning").collect();
        let said = said.iter().map(|e| e.text("message"));
        let said: BTreeSet<_> = said.filter(|m| !m.starts_with(WITHOUT_TYPES)).collect();
        match then {
            Then::Warns(_, text) | Then::Only(text) if !said.iter().any(|s| s.contains(text)) => {
                Err(format!("no warning says {text:?}: {said:?}"))
            }
            Then::Prints(_) | Then::Nothing if !said.is_empty() => {
                Err(format!("there was nothing to warn of: {said:?}"))
            }
            _ => Ok(()),
        }
    }

    /// What became of a save.
    fn outcome(&mut self) -> Result<Event, Wrong> {
        let told = |e: &Event| OUTCOMES.contains(&e.reason()) || e.is_compile_error();
        self.watch.log().event(PATIENCE, &mut self.event, told, |_| false)
    }

    fn outcome_of(&mut self, reason: &str) -> Result<Event, Wrong> {
        let log = self.watch.log();
        log.event(PATIENCE, &mut self.event, |e| e.reason() == reason, |_| false)
    }

    /// The program prints these values, and for all other names what it printed before.
    fn shows(&mut self, changed: &[Value]) -> Result<(), Wrong> {
        let mut expected = self.base.clone();
        expected.extend(changed.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        let mut shown = Values::new();
        self.line = self.watch.log().so_far().1;
        for _ in 0..TICKS {
            shown = self.tick()?;
            if shown == expected {
                return Ok(());
            }
        }
        let names: BTreeSet<_> = expected.keys().chain(shown.keys()).collect();
        let differs = names.into_iter().filter(|name| expected.get(*name) != shown.get(*name));
        let text = |name: &String| {
            let (wanted, got) = (expected.get(name), shown.get(name));
            format!("{name} is {got:?} instead of {wanted:?}")
        };
        Err(differs.map(text).collect::<Vec<_>>().join(", "))
    }

    /// All values of the next whole tick; the counters must be right.
    fn tick(&mut self) -> Result<Values, Wrong> {
        let log = self.watch.log();
        let number = |said: &Values, name: &str| said.get(name).cloned().unwrap_or_default();
        let head = log.line(PATIENCE, &mut self.line, |l| l.starts_with("tick "))?;
        let head = values(&head);
        let count = head[""].trim_start_matches("tick ").to_owned();
        if number(&head, "kept") != count || number(&head, "boxed") != count {
            return Err(format!("the program lost its count: {head:?}"));
        }
        let mut shown = Values::new();
        loop {
            let line = log.line(PATIENCE, &mut self.line, |_| true)?;
            if line.starts_with("end") {
                shown.remove("");
                return Ok(shown);
            }
            for (name, value) in values(&line) {
                if shown.insert(name.clone(), value).is_some() && !name.is_empty() {
                    return Err(format!("two values are called {name}"));
                }
            }
        }
    }
}

/// The texts of the files after the edits.
fn edited(row: &Row, before: &[(&str, Option<String>)]) -> Vec<(String, String)> {
    let text = |(file, text): &(&str, Option<String>)| {
        ((*file).to_owned(), text.clone().unwrap_or_default())
    };
    let mut texts: Vec<(String, String)> = before.iter().map(text).collect();
    for (file, from, to) in row.edits {
        let found = texts.iter_mut().find(|(name, _)| name == file);
        let (_, text) = found.expect("the text of each file");
        match from.is_empty() {
            true if text.is_empty() => *text = (*to).into(),
            false if text.matches(from).count() == 1 => *text = text.replacen(from, to, 1),
            _ => panic!("{}: {file} does not say {from:?} once", row.name),
        }
    }
    texts
}

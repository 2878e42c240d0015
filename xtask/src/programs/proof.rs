//! One program: started once, edited in its own code and in its dependency's, and under load.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::load::{Load, Requests};
use super::program::{Edit, How, Kept, Program};
use super::story::{Story, excerpt};
use super::users::{self, ANSWER_WITHIN, User};
use super::watched::{Place, Watched};

/// Each so many patches under load, one is of the dependency.
const OF_THE_DEPENDENCY: usize = 10;
/// How often a user asks again until a new answer is there.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What was seen.
#[derive(Debug)]
pub struct Proof {
    /// What the tool said and the program showed.
    pub story: Story,
    /// What came of the requests, and how many patches came meanwhile.
    pub load: Option<(usize, Requests)>,
}

/// Proves it.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn prove(program: &Program, dir: &Path, tool: &Path, patches: usize) -> anyhow::Result<Proof> {
    let place = Place::prepare(program, dir)?;
    let watched = Watched::start(program, &place, tool)?;
    let user = users::open(program.kind, &place, &watched)?;
    let story = Story::new(&watched)?;
    let mut run = Run { program, watched, user, story };
    for ask in program.first {
        run.user.ask(ask)?;
    }
    let mut own = File::open(&place.source, &program.own)?;
    let mut theirs = File::open(&place.dependency, &program.theirs)?;
    run.edit(&mut own).context("the edit of its own code")?;
    run.edit(&mut theirs).context("the edit of the dependency")?;
    let load = match program.load {
        true => {
            let load = Load::start(program.kind, place.port);
            let patched = run.again_and_again(&mut own, &mut theirs, patches);
            let requests = load.end();
            patched.with_context(|| format!("under load ({})", requests.told.join("; ")))?;
            run.story.loaded(patches, &requests);
            Some((patches, requests))
        }
        false => None,
    };
    run.watched.is_the_same()?;
    Ok(Proof { story: run.story, load })
}

/// A file that is edited.
struct File<'a> {
    path: PathBuf,
    original: String,
    edit: &'a Edit,
    edited: bool,
}

impl<'a> File<'a> {
    fn open(package: &Path, edit: &'a Edit) -> anyhow::Result<File<'a>> {
        let path = package.join(edit.file);
        let original = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let times = original.matches(edit.from).count();
        ensure!(times == 1, "{} has {times} times {:?}", path.display(), edit.from);
        Ok(File { path, original, edit, edited: false })
    }

    fn text(&self, n: usize) -> String {
        self.original.replacen(self.edit.from, &numbered(self.edit.to, n), 1)
    }
}

fn numbered(text: &str, n: usize) -> String {
    text.replace("#N", &n.to_string())
}

/// A program that runs.
struct Run<'a> {
    program: &'a Program,
    watched: Watched,
    user: Box<dyn User>,
    story: Story,
}

impl Run<'_> {
    /// The first edit of a file, told as it goes.
    fn edit(&mut self, file: &mut File) -> anyhow::Result<()> {
        let edit = file.edit;
        let before = self.shows(edit.ask, edit.was)?;
        let words = self.user.words(edit.ask);
        self.story.showed(&words, &excerpt(&before, edit.was));
        let kept = self.kept()?;
        let text = file.text(1);
        let lines = self.watched.save(&file.path, &text)?;
        file.edited = true;
        self.story.edited(edit.file, &file.original, &text);
        self.story.said(&lines);
        self.still(&kept)?;
        let shows = numbered(edit.shows, 1);
        let after = self.shows(edit.ask, &shows)?;
        self.story.showed(&words, &excerpt(&after, &shows));
        self.still_when_used(&kept)?;
        let kept = match self.program.kept.how {
            How::Grows => self.kept()?,
            How::Same | How::UntilUsed => kept,
        };
        let first = kept.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        self.story.showed(&format!("kept: {}", self.program.kept.what), &excerpt(first, first));
        Ok(())
    }

    /// Patch after patch, each seen by the user, with the state looked at after each.
    fn again_and_again(
        &mut self,
        own: &mut File,
        theirs: &mut File,
        patches: usize,
    ) -> anyhow::Result<()> {
        for n in 1..=patches {
            let kept = self.kept()?;
            if n % OF_THE_DEPENDENCY == 0 {
                let text = if theirs.edited { theirs.original.clone() } else { theirs.text(n) };
                theirs.edited = !theirs.edited;
                self.watched.save(&theirs.path, &text).with_context(|| format!("patch {n}"))?;
            } else {
                // The first edit had number 1.
                let text = own.text(n + 1);
                self.watched.save(&own.path, &text).with_context(|| format!("patch {n}"))?;
                self.shows(own.edit.ask, &numbered(own.edit.shows, n + 1))?;
            }
            self.still_when_used(&kept)?;
        }
        Ok(())
    }

    /// What the program shows, as soon as this is in it.
    fn shows(&mut self, ask: &str, wanted: &str) -> anyhow::Result<String> {
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            let shown = self.user.ask(ask)?;
            if shown.contains(wanted) {
                return Ok(shown);
            }
            self.watched.is_the_same()?;
            ensure!(Instant::now() < until, "{wanted:?} does not show in {shown:?}");
            std::thread::sleep(ASK_EVERY);
        }
    }

    fn kept(&mut self) -> anyhow::Result<String> {
        let Kept { ask, part, what, .. } = &self.program.kept;
        let until = Instant::now() + ANSWER_WITHIN;
        loop {
            let shown = self.user.ask(ask)?;
            if let Some(kept) = part(&shown) {
                return Ok(kept);
            }
            self.watched.is_the_same()?;
            ensure!(Instant::now() < until, "{what} does not show in {shown:?}");
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The same after the new code has run.
    fn still_when_used(&mut self, before: &str) -> anyhow::Result<()> {
        match self.program.kept.how {
            How::UntilUsed => self.watched.is_the_same(),
            How::Same | How::Grows => self.still(before),
        }
    }

    /// That what was kept is as it was, or has gone on.
    fn still(&mut self, before: &str) -> anyhow::Result<()> {
        let now = self.kept()?;
        let kept = match self.program.kept.how {
            How::Grows => counted(&now) >= counted(before),
            How::Same | How::UntilUsed => now == before,
        };
        if !kept {
            bail!("{} was {before:?} and is {now:?}", self.program.kept.what);
        }
        self.watched.is_the_same()
    }
}

fn counted(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

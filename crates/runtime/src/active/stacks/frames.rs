//! Telling, some time after a patch, which of the functions that it changed still run in old code.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bodies::{Bodies, Body};
use super::look::Look;
use crate::active::images::Redirect;

/// What is on a stack for longer than this does not just happen to be there.
const LATER: Duration = Duration::from_secs(2);

/// All versions of all functions, and what is to be looked at.
#[derive(Debug, Default)]
pub struct Frames {
    bodies: Bodies,
    suspects: Vec<Suspect>,
}

#[derive(Debug)]
struct Suspect {
    patch: u32,
    body: Body,
    due: Instant,
}

impl Frames {
    /// A patch runs, which has changed the functions with these names.
    pub fn changed(&mut self, patch: u32, names: &[String], redirects: &[Redirect]) {
        let due = Instant::now() + LATER;
        for redirect in redirects {
            let (old, new) = (redirect.old, redirect.new);
            let size = usize::try_from(redirect.size).unwrap_or(0);
            self.bodies.replaced(old..old.saturating_add(size), new..new + redirect.new_size);
            // Of a function that is changed twice in this time, only the last change is told.
            self.suspects.retain(|suspect| suspect.body.entry != old);
            let name = name_of(names, redirect);
            let old = self.bodies.old(old, &name);
            self.suspects.extend(old.map(|body| Suspect { patch, body, due }));
        }
    }

    /// All versions of the functions that are about to change, and the new ones.
    pub fn versions(&self, names: &[String], redirects: &[Redirect]) -> (Vec<Body>, Vec<Body>) {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for redirect in redirects {
            let entry = redirect.old;
            let name = name_of(names, redirect);
            let first = entry..entry.saturating_add(usize::try_from(redirect.size).unwrap_or(0));
            old.extend(self.bodies.all(first, &name));
            let code = redirect.new..redirect.new + redirect.new_size;
            new.push(Body { entry, name, code });
        }
        (old, new)
    }

    /// When the next look is due.
    pub fn due(&self) -> Option<Instant> {
        self.suspects.iter().map(|suspect| suspect.due).min()
    }

    /// Looks at what is due: the functions that still run in old code, each once, with the patch
    /// that has changed them.
    pub fn look(&mut self) -> Vec<(u32, Vec<String>)> {
        let now = Instant::now();
        let (due, rest) =
            std::mem::take(&mut self.suspects).into_iter().partition(|suspect| suspect.due <= now);
        self.suspects = rest;
        let due: Vec<Suspect> = due;
        let bodies: Vec<Body> = due.iter().map(|suspect| suspect.body.clone()).collect();
        let mut told: Vec<(u32, Vec<String>)> = Vec::new();
        for suspect in Look::at(&bodies).found.into_iter().filter_map(|n| due.get(n)) {
            let name = suspect.body.name.to_string();
            match told.iter_mut().find(|(patch, _)| *patch == suspect.patch) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => told.push((suspect.patch, vec![name])),
            }
        }
        told
    }
}

fn name_of(names: &[String], redirect: &Redirect) -> Arc<str> {
    match names.get(redirect.function) {
        Some(name) => name.as_str().into(),
        None => format!("the function at {:#x}", redirect.old).into(),
    }
}

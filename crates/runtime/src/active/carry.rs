//! Carrying values over to a new layout of their type, by functions of the program: the old code
//! saves, and the new code loads.

use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Load, Save};

/// How values of one type are carried over.
#[derive(Clone, Copy)]
struct Carrier {
    name: &'static str,
    save: Save,
    load: Load,
}

static CARRIERS: Mutex<Vec<Carrier>> = Mutex::new(Vec::new());

fn carriers() -> MutexGuard<'static, Vec<Carrier>> {
    CARRIERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a type, or changes how it is carried over.
pub fn carry_over(name: &'static str, save: Save, load: Load) {
    let mut carriers = carriers();
    carriers.retain(|carrier| carrier.name != name);
    carriers.push(Carrier { name, save, load });
    drop(carriers);
    tell();
}

/// The types that can be carried over.
pub fn types() -> Vec<String> {
    carriers().iter().map(|carrier| carrier.name.to_string()).collect()
}

/// Tells the server of them, where it is there.
#[cfg(hotpatch_detours)]
fn tell() {
    use std::fmt::Write;

    use hotpatch_protocol::message::ClientMessage;

    let text = serde_json::to_string(&ClientMessage::CarriesOver { types: types() });
    let mut message = super::wire::Text::new();
    if text.is_ok_and(|text| message.write_str(&text).is_ok()) {
        message.send();
    }
}

#[cfg(not(hotpatch_detours))]
fn tell() {}

/// One of these types that the program does not carry over.
pub fn missing(types: &[String]) -> Option<&String> {
    let carriers = carriers();
    types.iter().find(|wanted| carriers.iter().all(|carrier| carrier.name != **wanted))
}

/// What the old code has saved.
pub struct Saved(Vec<(Carrier, Vec<u8>)>);

impl Saved {
    /// Lets the program save the values of these types.
    ///
    /// # Errors
    /// Where one of them cannot be saved; those that were saved already are loaded again.
    pub fn take(types: &[String]) -> Result<Saved, String> {
        let mut saved = Saved(Vec::new());
        let wanted: Vec<Carrier> = carriers()
            .iter()
            .filter(|c| types.iter().any(|name| name == c.name))
            .copied()
            .collect();
        for carrier in wanted {
            let bytes = catch_unwind(carrier.save).unwrap_or_else(|_| Err("it panicked".into()));
            match bytes {
                Ok(bytes) => saved.0.push((carrier, bytes)),
                Err(error) => {
                    let error = format!("`{}` could not be saved: {error}", carrier.name);
                    return Err(match saved.load() {
                        Ok(()) => error,
                        Err(lost) => format!("{error}; then {lost}"),
                    });
                }
            }
        }
        Ok(saved)
    }

    /// Lets the program load them, with the code that it runs now.
    ///
    /// # Errors
    /// Where one of them cannot be loaded; the others are loaded all the same.
    pub fn load(&self) -> Result<(), String> {
        let mut outcome = Ok(());
        for (carrier, bytes) in &self.0 {
            let loaded = catch_unwind(|| (carrier.load)(bytes));
            if let Err(error) = loaded.unwrap_or_else(|_| Err("it panicked".into())) {
                outcome = Err(format!("`{}` could not be loaded: {error}", carrier.name));
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static VALUE: Mutex<u8> = Mutex::new(7);

    fn save() -> Result<Vec<u8>, String> {
        Ok(vec![std::mem::take(&mut *VALUE.lock().unwrap())])
    }

    fn load(bytes: &[u8]) -> Result<(), String> {
        *VALUE.lock().unwrap() = bytes[0];
        Ok(())
    }

    #[test]
    fn what_was_saved_is_loaded_again_where_another_type_cannot_be_saved() {
        carry_over("x::Good", save, load);
        carry_over("x::Bad", || Err("no".into()), load);
        carry_over("x::Worse", || Ok(vec![]), |_| unreachable!());
        let wanted = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(missing(&wanted(&["x::Good", "x::Other"])), Some(&"x::Other".to_string()));
        let error = Saved::take(&wanted(&["x::Good", "x::Bad"])).err().unwrap();
        assert_eq!(error, "`x::Bad` could not be saved: no");
        assert_eq!(*VALUE.lock().unwrap(), 7);
        let saved = Saved::take(&wanted(&["x::Good", "x::Worse"])).ok().unwrap();
        assert_eq!(*VALUE.lock().unwrap(), 0);
        assert_eq!(saved.load().unwrap_err(), "`x::Worse` could not be loaded: it panicked");
        assert_eq!(*VALUE.lock().unwrap(), 7);
    }
}

//! Rules beyond shape: conditions on a document that its schema cannot express.
//!
//! Every rule is a pure function of one document, the place it stands at, and the list of faults it may add to. The
//! document macro calls it wherever such a document occurs.

pub(crate) mod id;
pub mod names;
pub(crate) mod privileges;
pub(crate) mod process;
pub(crate) mod system;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    documents::Signal,
    fault::{Faults, Path, quote},
};

/// A type that can be checked against the rules, with everything in it.
pub trait Checked {
    /// Notes every broken rule; `path` is where `self` stands.
    fn check_at(&self, _path: &Path<'_>, _faults: &mut Faults) {}
}

macro_rules! free_of_rules {
    ($($type:ty),*) => { $(impl Checked for $type {})* };
}

free_of_rules!(
    bool, f64, u8, u16, u32, u64, i32, i64, String, Value, Signal
);

impl<T: Checked> Checked for Option<T> {
    fn check_at(&self, path: &Path<'_>, faults: &mut Faults) {
        if let Some(inner) = self {
            inner.check_at(path, faults);
        }
    }
}

impl<T: Checked> Checked for Vec<T> {
    fn check_at(&self, path: &Path<'_>, faults: &mut Faults) {
        for (index, item) in self.iter().enumerate() {
            item.check_at(&path.index(index), faults);
        }
    }
}

impl<T: Checked> Checked for BTreeMap<String, T> {
    fn check_at(&self, path: &Path<'_>, faults: &mut Faults) {
        for (key, value) in self {
            value.check_at(&path.key(key), faults);
        }
    }
}

/// A string that the kernel will take: it has no NUL character.
fn no_nul(text: &str, path: &Path<'_>, faults: &mut Faults) {
    if text.contains('\0') {
        let message = format!("{} holds a NUL character", quote(text));
        faults.rule(path, message, "a string without NUL characters");
    }
}

/// A string that must be there and hold something the kernel will take.
fn required(text: Option<&str>, name: &str, path: &Path<'_>, faults: &mut Faults) {
    match text {
        Some("") => faults.rule(
            &path.key(name),
            "it is empty",
            "a string of at least one character",
        ),
        Some(text) => no_nul(text, &path.key(name), faults),
        None => faults.missing(path, name),
    }
}

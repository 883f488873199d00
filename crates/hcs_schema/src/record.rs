//! The part of a failure that may be recorded: it has no text of a client.

use std::{borrow::Cow, collections::HashSet, sync::OnceLock};

use crate::documents;

/// The text that is recorded in place of a message, or nothing.
///
/// Boxed, as every result that may be a failure has room for it. It belongs to the message and says no more than that,
/// so two failures with the same message are the same.
#[derive(Clone, Debug, Default)]
pub struct Record(Option<Box<Cow<'static, str>>>);

impl Record {
    /// A text without any text of a client.
    #[must_use]
    pub fn of(text: impl Into<Cow<'static, str>>) -> Self {
        Self(Some(Box::new(text.into())))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref().map(|text| &**text)
    }
}

impl PartialEq for Record {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Record {}

/// A JSON pointer with `*` in place of each step that is neither a property of the schema nor an index: the keys of a
/// map are a client's own.
pub(crate) fn pointer(pointer: &str) -> String {
    /// Steps after which nothing more is told; documents are not as deep.
    const MOST: usize = 64;
    static NAMES: OnceLock<HashSet<&str>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let types = documents::types();
        let properties = types.iter().flat_map(|document| document.shape.properties);
        properties.map(|property| property.name).collect()
    });
    let known = |step: &str| {
        names.contains(step)
            || step.len() <= 9 && !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit())
    };
    let steps = pointer.split('/').skip(1).take(MOST);
    steps.fold(String::new(), |text, step| {
        text + "/" + if known(step) { step } else { "*" }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_maps_are_not_told() {
        assert_eq!(pointer(""), "");
        assert_eq!(pointer("/Environment/PASSWORD"), "/Environment/*");
        assert_eq!(
            pointer("/Container/a~1b/Storage/0/"),
            "/Container/*/Storage/0/*"
        );
    }
}

//! The effect of each property here: supported, accepted without effect, or refused, each with its reason.
//!
//! A [`Table`] has one entry per property of the documents that clients send, and one per value of the enumerations in
//! them. A property that is not supported speaks for everything below it. From a table come the refusals that a client
//! gets ([`Table::check`]) and the coverage document ([`Table::rows`]), so the two cannot disagree.
//!
//! Each engine has a table of its own, which says what it makes of documents about its systems; [`SERVICE`] is about
//! what the service itself answers, [`STORAGE`] about the functions for layers, which need no service. The tables are
//! here and not beside the engines because programs that have no engine read them: `hcs validate` refuses what the
//! service would.

mod container;
mod refuse;
mod resources;
mod roots;
mod rows;
mod service;
mod storage;
mod virtual_machine;

pub use container::CONTAINER;
pub use resources::Resource;
pub use roots::ROOTS;
pub use rows::Row;
pub use service::SERVICE;
pub use storage::STORAGE;
pub use virtual_machine::VIRTUAL_MACHINE;

use crate::shape::Shape;

/// The effect of a property, or a value, here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It has the effect that the schema describes.
    Supported,
    /// It is accepted and changes nothing, for this reason. Only where this harms no client and no guest.
    WithoutEffect(&'static str),
    /// It is refused, for this reason: to ignore it would weaken isolation, lose data or break a promise.
    Refused(&'static str),
}

impl Coverage {
    /// The reason, where there is one.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Supported => None,
            Self::WithoutEffect(reason) | Self::Refused(reason) => Some(reason),
        }
    }
}

/// A call of the API and the document that it reads.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// The function.
    pub call: &'static str,
    /// Its document.
    pub shape: fn() -> &'static Shape,
}

/// The effects of the properties of one document, or of the values of one enumeration.
pub type Entries = &'static [(&'static str, Coverage)];

/// The effects of the properties of documents on one kind of system, or on the service.
#[derive(Debug)]
pub struct Table {
    /// Noun of what it is about, for messages: "a Linux container".
    pub about: &'static str,
    /// By the name of the document or enumeration. The first of several entries counts, so a table that differs from
    /// another in some documents has those before the other's.
    pub entries: &'static [&'static [(&'static str, Entries)]],
    /// What of a running system can be modified.
    pub resources: &'static [Resource],
}

impl Table {
    fn entries_of(&self, document: &str) -> Option<Entries> {
        let mut all = self.entries.iter().copied().flatten();
        all.find(|(of, _)| *of == document)
            .map(|(_, entries)| *entries)
    }

    /// Whether it is about this document.
    fn has(&self, document: &str) -> bool {
        self.entries_of(document).is_some()
    }

    /// Returns the effect of the property (or value) `name` of the schema's `document` (or enumeration). `None` when
    /// the table does not need it, because no client sends it or a property above it speaks for it.
    #[must_use]
    pub fn coverage(&self, document: &str, name: &str) -> Option<Coverage> {
        let entries = self.entries_of(document)?;
        let (_, coverage) = entries.iter().find(|(known, _)| *known == name)?;
        Some(*coverage)
    }
}

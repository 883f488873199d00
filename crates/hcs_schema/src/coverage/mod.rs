//! The effect of each property here: supported, accepted without effect, or refused, each with its reason.
//!
//! The table (`table.rs`) has one entry per property of the documents that clients send, and one per value of the
//! enumerations in them. A property that is not supported speaks for everything below it. From the table come the
//! refusals that a client gets ([`check`]) and the coverage document ([`rows()`]), so the two cannot disagree.
//!
//! The entries are those of Linux containers, the only systems there are so far.

mod refuse;
mod resources;
mod rows;
mod table;

pub use refuse::{check, check_value};
pub use resources::{RESOURCES, Resource, refuse_resource};
pub use rows::{Row, rows};

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

pub use table::{ROOTS, coverage};

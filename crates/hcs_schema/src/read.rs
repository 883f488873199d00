//! From a JSON value to a Rust value, one small function per type.
//!
//! There are some 250 documents. Serde's derived readers for them cost minutes of building, since each is made anew for
//! each of its fields' names and for each source of JSON; these read from a [`Value`] only and share their code per
//! type of property. Texts are read into values first anyway, to be checked against their shape.

use std::{collections::BTreeMap, fmt};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The reason why a type cannot read a value: the path to the value, innermost step first, and the fault.
#[derive(Debug)]
pub struct Misfit {
    steps: Vec<String>,
    fault: String,
}

impl Misfit {
    /// A fault right here.
    pub fn new(fault: impl Into<String>) -> Self {
        Self {
            steps: Vec::new(),
            fault: fault.into(),
        }
    }

    /// The same fault, seen from one step further out.
    fn inside(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.steps.iter().rev() {
            write!(f, "/{step}")?;
        }
        write!(f, ": {}", self.fault)
    }
}

/// A type that can be read from a JSON value.
pub trait Read: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// The value is of another type.
    fn read(value: Value) -> Result<Self, Misfit>;
}

/// Reads a value by serde: for strings, numbers, enumerations and other leaves.
pub fn leaf<T: DeserializeOwned>(value: Value) -> Result<T, Misfit> {
    serde_json::from_value(value).map_err(|error| Misfit::new(error.to_string()))
}

/// The members of a document.
pub fn object(value: Value) -> Result<Map<String, Value>, Misfit> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Misfit::new("an object is expected")),
    }
}

/// One property of a document: `None` when it is absent or null.
pub fn take<T: Read>(members: &mut Map<String, Value>, name: &str) -> Result<Option<T>, Misfit> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => T::read(value)
            .map(Some)
            .map_err(|misfit| misfit.inside(name)),
    }
}

macro_rules! leaves {
    ($($type:ty),+) => {
        $(
            impl Read for $type {
                fn read(value: Value) -> Result<Self, Misfit> {
                    leaf(value)
                }
            }
        )+
    };
}

leaves!(
    String, bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, Value
);

impl<T: Read> Read for Vec<T> {
    fn read(value: Value) -> Result<Self, Misfit> {
        let Value::Array(items) = value else {
            return Err(Misfit::new("an array is expected"));
        };
        let items = items.into_iter().enumerate();
        items
            .map(|(at, item)| T::read(item).map_err(|misfit| misfit.inside(at.to_string())))
            .collect()
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    fn read(value: Value) -> Result<Self, Misfit> {
        let members = object(value)?.into_iter();
        members
            .map(|(name, member)| match T::read(member) {
                Ok(member) => Ok((name, member)),
                Err(misfit) => Err(misfit.inside(name)),
            })
            .collect()
    }
}

//! Shapes: the allowed content of a document, as data.
//!
//! The macros of `macros.rs` make one static [`Shape`] per document and one [`Enumeration`] per enumeration from the
//! same lines that make the Rust type, so the two cannot disagree. Validation, coverage and the documentation of the
//! program walk these tables.

use std::collections::BTreeMap;

use serde_json::Value;

/// The schema version that brought a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    /// A schema version, major and minor. Versions above 2.6 are not published; clients send them.
    Version(u8, u8),
    /// No schema has it: clients for Linux guests, or this project, added it.
    Extension,
}

impl Since {
    /// The newest published schema.
    pub const PUBLISHED: Self = Self::Version(2, 6);

    /// Reads `2.6` and `2.10`; anything else is an extension. For the macros.
    #[must_use]
    pub const fn read(text: &str) -> Self {
        match text.as_bytes() {
            [major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
                Self::Version(*major - b'0', *minor - b'0')
            }
            [
                major @ b'0'..=b'9',
                b'.',
                tens @ b'1'..=b'9',
                ones @ b'0'..=b'9',
            ] => Self::Version(*major - b'0', (*tens - b'0') * 10 + (*ones - b'0')),
            _ => Self::Extension,
        }
    }

    /// Whether the published schemas do not have it.
    #[must_use]
    pub fn is_beyond_published(self) -> bool {
        self > Self::PUBLISHED
    }
}

/// A document: its name in the schema and its properties.
#[derive(Debug)]
pub struct Shape {
    /// Name in the schema, for example `Container_Memory`.
    pub name: &'static str,
    /// Its purpose, in Markdown.
    pub doc: &'static str,
    /// Its properties in the schema's order.
    pub properties: &'static [Property],
}

impl Shape {
    /// The property called `name`; names are case sensitive.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties.iter().find(|p| p.name == name)
    }
}

/// One property of a document.
#[derive(Debug)]
pub struct Property {
    /// Its JSON name.
    pub name: &'static str,
    /// Its meaning, in Markdown.
    pub doc: &'static str,
    /// The values that it allows.
    pub kind: Kind,
    /// When it came.
    pub since: Since,
    /// The last schema version that has it, where a later one dropped it.
    pub until: Option<Since>,
}

/// An enumeration: its name in the schema and its values.
#[derive(Debug)]
pub struct Enumeration {
    /// Name in the schema.
    pub name: &'static str,
    /// Its purpose, in Markdown.
    pub doc: &'static str,
    /// Its values in the schema's order.
    pub values: &'static [EnumValue],
    /// Whether a number stands for the value at that place, too.
    pub numbered: bool,
}

impl Enumeration {
    /// The place of the value that a number stands for.
    #[must_use]
    pub fn at(&self, value: &Value) -> Option<usize> {
        let number = value.as_u64().filter(|_| self.numbered)?;
        let at = usize::try_from(number).ok()?;
        (at < self.values.len()).then_some(at)
    }
}

/// One value of an enumeration.
#[derive(Debug)]
pub struct EnumValue {
    /// Its JSON name.
    pub name: &'static str,
    /// Its meaning, in Markdown.
    pub doc: &'static str,
    /// When it came.
    pub since: Since,
    /// The last schema version that has it, where a later one dropped it.
    pub until: Option<Since>,
}

/// The kind of a value. `null` is always allowed for a property and means that it is absent.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number within the limits of its format.
    Integer(Integer),
    /// Any number.
    Number,
    /// A string of some format.
    String(Text),
    /// Any JSON value: another property decides its type.
    Any,
    /// A list.
    Array(&'static Kind),
    /// An object with free keys.
    Map(&'static Kind),
    /// Another document. A function, because documents may contain themselves.
    Document(fn() -> &'static Shape),
    /// A name from a list.
    Enumeration(fn() -> &'static Enumeration),
    /// A signal: a name of [`crate::documents::ProcessSignal`], or a Linux signal's number or name (our extension).
    Signal,
}

/// Formats of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// The schema's name of the format, for example `uint16`.
    pub format: &'static str,
    /// Smallest value.
    pub min: i128,
    /// Largest value.
    pub max: i128,
}

/// Formats of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Any string.
    Plain,
    /// 8-4-4-4-12 hexadecimal digits, without braces.
    Guid,
    /// The same, with or without braces.
    LooseGuid,
    /// RFC 3339.
    DateTime,
    /// Base64; the schema calls it `byte`.
    Base64,
    /// Octets as a string; the schema calls it `binary` and says no more.
    Binary,
    /// Six pairs of hexadecimal digits.
    MacAddress,
}

/// Types whose values have a [`Kind`].
pub trait Shaped {
    /// The kind.
    const KIND: Kind;
}

macro_rules! shaped {
    ($($type:ty => $kind:expr;)*) => { $(impl Shaped for $type { const KIND: Kind = $kind; })* };
}

macro_rules! integers {
    ($($type:ident $format:literal;)*) => {
        $(impl Shaped for $type {
            const KIND: Kind = Kind::Integer(Integer {
                format: $format,
                min: $type::MIN as i128,
                max: $type::MAX as i128,
            });
        })*
    };
}

shaped! {
    bool => Kind::Boolean;
    f64 => Kind::Number;
    String => Kind::String(Text::Plain);
    Value => Kind::Any;
    format::Guid => Kind::String(Text::Guid);
    format::LooseGuid => Kind::String(Text::LooseGuid);
    format::DateTime => Kind::String(Text::DateTime);
    format::Base64 => Kind::String(Text::Base64);
    format::Binary => Kind::String(Text::Binary);
    format::MacAddress => Kind::String(Text::MacAddress);
}

integers! {
    u8 "uint8";
    u16 "uint16";
    u32 "uint32";
    u64 "uint64";
    i32 "int32";
    i64 "int64";
}

impl<T: Shaped> Shaped for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);
}

impl<T: Shaped> Shaped for BTreeMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);
}

/// Formats of strings as types, for `as` in the document macro. They have no values.
pub mod format {
    /// [`super::Text::Guid`].
    #[derive(Debug)]
    pub enum Guid {}
    /// [`super::Text::LooseGuid`].
    #[derive(Debug)]
    pub enum LooseGuid {}
    /// [`super::Text::DateTime`].
    #[derive(Debug)]
    pub enum DateTime {}
    /// [`super::Text::Base64`].
    #[derive(Debug)]
    pub enum Base64 {}
    /// [`super::Text::Binary`].
    #[derive(Debug)]
    pub enum Binary {}
    /// [`super::Text::MacAddress`].
    #[derive(Debug)]
    pub enum MacAddress {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_up_to_two_digits_behind_the_point() {
        for (text, since) in [
            ("2.6", Since::Version(2, 6)),
            ("2.10", Since::Version(2, 10)),
            ("2.16", Since::Version(2, 16)),
            ("2.06", Since::Extension),
            ("2.100", Since::Extension),
            ("\"extension\"", Since::Extension),
        ] {
            assert_eq!(Since::read(text), since, "{text}");
        }
        assert!(Since::Version(2, 10) > Since::Version(2, 9));
    }
}

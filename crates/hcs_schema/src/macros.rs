//! The two macros that turn a few lines per document into its type and its table.
//!
//! ```text
//! document! {
//!     /// What it is for.
//!     RustName = "Schema_Name", checked by path::to::rule {
//!         /// What the property means.
//!         field: Type as Format = "JsonName", 2.1 until 2.4;
//!     }
//! }
//! ```
//! `= "Schema_Name"` (where it differs), `checked by`, `as` and `until` may be left out. `as` gives a string its format
//! ([`crate::shape`]'s `format` module). A version that is no number, as in `"extension"`, marks a name that no schema
//! has.
//!
//! Other APIs of the same family (networks, in `hcn`) make their documents with these macros, too. So limits, faults
//! and pointers are the same everywhere.

/// One document: a struct whose fields are all optional, its [`crate::shape::Shape`] and its [`crate::Document`].
#[macro_export]
macro_rules! document {
    (
        $(#[doc = $doc:literal])+
        $name:ident $(= $schema:literal)? $(, checked by $rule:path)? {
            $(
                $(#[doc = $field_doc:literal])+
                $field:ident: $type:ty $(as $format:ty)? = $json:literal, $since:literal $(until $until:literal)?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, ::serde::Serialize)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])+
                #[doc = concat!("\n\nJSON `", $json, "`, ", stringify!($since), ".")]
                #[serde(rename = $json, skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }

        impl $crate::read::Read for $name {
            #[allow(unused_mut, unused_variables, clippy::allow_attributes, reason = "a document may be empty")]
            fn read(value: ::serde_json::Value) -> Result<Self, $crate::read::Misfit> {
                let mut members = $crate::read::object(value)?;
                Ok(Self {
                    $($field: $crate::read::take(&mut members, $json)?,)*
                })
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = ::serde_json::Value::deserialize(deserializer)?;
                $crate::read::Read::read(value).map_err(::serde::de::Error::custom)
            }
        }

        impl $crate::shape::Shaped for $name {
            const KIND: $crate::shape::Kind = $crate::shape::Kind::Document(<$name as $crate::Document>::shape);
        }

        impl $crate::rules::Checked for $name {
            #[allow(unused_variables, clippy::allow_attributes, reason = "a document may be empty and free of rules")]
            fn check_at(&self, path: &$crate::fault::Path<'_>, faults: &mut $crate::fault::Faults) {
                $($rule(self, path, faults);)?
                $($crate::rules::Checked::check_at(&self.$field, &path.key($json), faults);)*
            }
        }

        impl $crate::Document for $name {
            fn shape() -> &'static $crate::shape::Shape {
                static SHAPE: $crate::shape::Shape = $crate::shape::Shape {
                    name: $crate::document_schema_name!($name $($schema)?),
                    doc: concat!($($doc, "\n"),+),
                    properties: &[
                        $($crate::shape::Property {
                            name: $json,
                            doc: concat!($($field_doc, "\n"),+),
                            kind: $crate::document_kind!($type $(, $format)?),
                            since: $crate::shape::Since::read(stringify!($since)),
                            until: $crate::document_until!($($until)?),
                        },)*
                    ],
                };
                &SHAPE
            }
        }
    };
}

/// One enumeration: a Rust enum that reads and writes exactly the schema's names, and its table. With `, numbered true`
/// behind its name it reads numbers as well, which count the values from 0.
#[macro_export]
macro_rules! schema_enum {
    (
        $(#[doc = $doc:literal])+
        $name:ident $(= $schema:literal)? $(, numbered $numbered:literal)? {
            $(
                $(#[doc = $value_doc:literal])+
                $variant:ident = $json:literal, $since:literal $(until $until:literal)?;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name {
            $(
                $(#[doc = $value_doc])+
                #[doc = concat!("\n\nJSON `", $json, "`, ", stringify!($since), ".")]
                #[serde(rename = $json)]
                $variant,
            )+
        }

        impl $name {
            /// Every value, in the schema's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $json,)+
                }
            }

            /// The table behind this type.
            #[must_use]
            pub fn enumeration() -> &'static $crate::shape::Enumeration {
                static TABLE: $crate::shape::Enumeration = $crate::shape::Enumeration {
                    name: $crate::document_schema_name!($name $($schema)?),
                    doc: concat!($($doc, "\n"),+),
                    values: &[
                        $($crate::shape::EnumValue {
                            name: $json,
                            doc: concat!($($value_doc, "\n"),+),
                            since: $crate::shape::Since::read(stringify!($since)),
                            until: $crate::document_until!($($until)?),
                        },)+
                    ],
                    numbered: $crate::document_numbered!($($numbered)?),
                };
                &TABLE
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::read::Read for $name {
            fn read(value: ::serde_json::Value) -> Result<Self, $crate::read::Misfit> {
                let found = value.as_str();
                let name = Self::ALL.iter().copied().find(|one| Some(one.name()) == found);
                let number = Self::enumeration().at(&value).and_then(|at| Self::ALL.get(at).copied());
                name.or(number).ok_or_else(|| $crate::read::Misfit::new(format!("{value} is no value of the enumeration")))
            }
        }

        impl $crate::shape::Shaped for $name {
            const KIND: $crate::shape::Kind = $crate::shape::Kind::Enumeration(<$name>::enumeration);
        }

        impl $crate::rules::Checked for $name {}
    };
}

/// The schema's name of a type: given, or the Rust name.
#[doc(hidden)]
#[macro_export]
macro_rules! document_schema_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $schema:literal) => {
        $schema
    };
}

/// The kind of a property: that of its format where one is given.
#[doc(hidden)]
#[macro_export]
macro_rules! document_kind {
    ($type:ty) => {
        <$type as $crate::shape::Shaped>::KIND
    };
    ($type:ty, $format:ty) => {
        <$format as $crate::shape::Shaped>::KIND
    };
}

/// The last version that has a name, where it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! document_until {
    () => {
        None
    };
    ($until:literal) => {
        Some($crate::shape::Since::read(stringify!($until)))
    };
}

/// Whether an enumeration reads numbers, where that is given.
#[doc(hidden)]
#[macro_export]
macro_rules! document_numbered {
    () => {
        false
    };
    ($numbered:literal) => {
        $numbered
    };
}

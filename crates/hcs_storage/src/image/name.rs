//! Names of images.

use std::{fmt, str::FromStr};

use crate::{Refusal, error::shown};

/// A name and a tag, as `debian:12` or `registry.example:5000/team/tool:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// The longest name.
const LONGEST: usize = 255;

impl Name {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Refusal;

    /// A name without a tag gets `:latest`.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadName {
            name: shown(text.as_bytes()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
        if text.len() > LONGEST || !text.chars().all(allowed) {
            return Err(bad());
        }
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !text.split('/').all(begins) {
            return Err(bad());
        }
        let last = text.rsplit('/').next().unwrap_or_default();
        match last.split_once(':') {
            None => Ok(Self(format!("{text}:latest"))),
            Some((_, tag)) if begins(tag) && !tag.contains(':') => Ok(Self(text.to_owned())),
            Some(_) => Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_tag() {
        for (text, name) in [
            ("debian", "debian:latest"),
            ("debian:12", "debian:12"),
            ("host:5000/a/b", "host:5000/a/b:latest"),
            ("host:5000/a/b:c-d_e.f", "host:5000/a/b:c-d_e.f"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_texts_are_no_names() {
        let long = "x".repeat(256);
        for text in [
            "", "/a", "a/", "a//b", "-a", "../a", "a b", "a:", "a:b:c", "a@b", "\u{1b}", &long,
        ] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
    }
}

//! Names of images.

use std::{fmt, str::FromStr};

use crate::{Refusal, error::shown};

/// A name and a tag, as `debian:12` or `registry.example:5000/team/tool:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// Digits of a digest.
const DIGEST_DIGITS: usize = 64;

/// The registry of names without one.
const HUB: &str = "docker.io";
/// The longest name.
const LONGEST: usize = 255;

impl Name {
    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The registry, the repository in it, and the tag: `docker.io`, `library/debian` and `12` of `debian:12`.
    #[must_use]
    pub fn parts(&self) -> (String, String, String) {
        let full = self.in_full();
        let (registry, rest) = full.split_once('/').unwrap_or((HUB, &full));
        let (repository, tag) = rest.rsplit_once(':').unwrap_or((rest, "latest"));
        (registry.to_owned(), repository.to_owned(), tag.to_owned())
    }

    /// Whether both mean the same image of a registry: `debian:12`, `library/debian:12` and
    /// `docker.io/library/debian:12` do.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        self.in_full() == other.in_full()
    }

    /// The name with its registry, and with the folder that names without one are in.
    fn in_full(&self) -> String {
        let first = self.0.split_once('/').map(|(first, _)| first);
        let registry = first.filter(|first| first.contains(['.', ':']) || *first == "localhost");
        let (registry, path) = match registry {
            Some(registry) => (registry, &self.0[registry.len() + 1..]),
            None => (HUB, &*self.0),
        };
        let hub = matches!(registry, HUB | "index.docker.io" | "registry-1.docker.io");
        match (hub, path.contains('/')) {
            (true, false) => format!("{HUB}/library/{path}"),
            (true, true) => format!("{HUB}/{path}"),
            (false, _) => format!("{registry}/{path}"),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Refusal;

    /// A name without a tag gets `:latest`. What reads as a digest is no name: names are looked for
    /// first, so an image of that name would be had in place of the one that the digest stands for.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadName {
            name: shown(text.as_bytes()),
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
        let last = text.rsplit('/').next().unwrap_or_default();
        let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
        // The name as it is kept is what is checked: it is read again.
        let text = match last.split_once(':') {
            None => format!("{text}:latest"),
            Some((_, tag)) if begins(tag) && !tag.contains(':') => text.to_owned(),
            Some(_) => return Err(bad()),
        };
        if text.len() > LONGEST || !text.chars().all(allowed) {
            return Err(bad());
        }
        if !text.split('/').all(begins) {
            return Err(bad());
        }
        let hexadecimal = |part: &str| part.bytes().all(|digit| digit.is_ascii_hexdigit());
        let whole = text.split(':').next().unwrap_or_default();
        if text.starts_with("sha256:") || whole.len() == DIGEST_DIGITS && hexadecimal(whole) {
            return Err(bad());
        }
        Ok(Self(text))
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
    fn a_name_is_read_again_with_its_tag() {
        let longest = "a".repeat(LONGEST - ":latest".len());
        let name: Name = longest.parse().unwrap();
        assert_eq!(name.as_str().parse::<Name>().unwrap(), name);
        for refused in ["sha256", &format!("{longest}a")] {
            assert!(refused.parse::<Name>().is_err(), "{refused}");
        }
    }

    #[test]
    fn names_with_and_without_a_registry_mean_the_same() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let debian = [
            "debian:12",
            "library/debian:12",
            "docker.io/debian:12",
            "docker.io/library/debian:12",
        ];
        for one in debian {
            for other in debian {
                assert!(name(one).means(&name(other)), "{one} {other}");
            }
        }
        assert!(name("index.docker.io/me/tool").means(&name("me/tool:latest")));
        for (one, other) in [
            ("debian:12", "debian:11"),
            ("debian:12", "quay.io/debian:12"),
            ("debian:12", "localhost/debian:12"),
            ("debian:12", "host:5000/debian:12"),
            ("me/debian:12", "debian:12"),
            ("host:5000/debian", "host:5000/library/debian"),
        ] {
            assert!(!name(one).means(&name(other)), "{one} {other}");
        }
    }

    #[test]
    fn a_name_has_a_registry_a_repository_and_a_tag() {
        for (text, parts) in [
            ("debian", ("docker.io", "library/debian", "latest")),
            ("me/tool:1", ("docker.io", "me/tool", "1")),
            ("localhost/tool", ("localhost", "tool", "latest")),
            ("host:5000/a/b:c", ("host:5000", "a/b", "c")),
        ] {
            let (registry, repository, tag) = text.parse::<Name>().unwrap().parts();
            assert_eq!((&*registry, &*repository, &*tag), parts);
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

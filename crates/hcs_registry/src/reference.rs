//! Which image of which registry.

use std::{fmt, str::FromStr};

use hcs_storage::{Digest, image::Name};

use crate::error::{RegistryError, shown};

/// An image of a registry, as `debian:12`, `host:5000/team/tool` or `debian@sha256:...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry's name: `docker.io` where none was given.
    pub(crate) registry: String,
    /// The path in it.
    pub(crate) repository: String,
    pub(crate) tag: String,
    /// What the tag has to be, or in place of it.
    pub(crate) digest: Option<Digest>,
    /// The name that the image gets; none for one that was asked for by its digest alone.
    name: Option<Name>,
}

impl Reference {
    /// The name that the image gets in the store.
    #[must_use]
    pub const fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// What stands for tag or digest in a request.
    pub(crate) fn version(&self) -> String {
        self.digest
            .map_or_else(|| self.tag.clone(), |digest| digest.to_string())
    }

    /// Registry and repository.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.digest.is_some() { '@' } else { ':' };
        write!(f, "{}{separator}{}", self.path(), self.version())
    }
}

impl FromStr for Reference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let bad = || RegistryError::BadReference { text: shown(text) };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let parsed: Name = name.parse().map_err(|_| bad())?;
        let (registry, repository, tag) = parsed.parts();
        let named = digest.is_none() || parsed.as_str() == name;
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
            name: named.then_some(parsed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_may_have_a_digest() {
        let digest = Digest::of(b"");
        let read = |text: &str| text.parse::<Reference>().unwrap();
        let plain = read("debian:12");
        assert_eq!(plain.path(), "docker.io/library/debian");
        assert_eq!(
            (plain.version(), plain.name().unwrap().as_str()),
            ("12".to_owned(), "debian:12")
        );
        assert_eq!(plain.to_string(), "docker.io/library/debian:12");
        let both = read(&format!("h:1/a:2@{digest}"));
        assert_eq!(
            (both.version(), both.name().unwrap().as_str()),
            (digest.to_string(), "h:1/a:2")
        );
        assert_eq!(read(&format!("h:1/a@{digest}")).name(), None);
        for text in ["", "a@", "a@sha256:0", "@x", "a b", "a@md5:00"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}

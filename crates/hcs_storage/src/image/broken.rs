//! Entries of the index whose images are damaged: they are named, they hide no other image, and they can be removed.
//!
//! A disk may lose what it had, and other programs write into the layout. What a damaged entry needs is not known, so
//! nothing is removed that it may need.

use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Image, Store,
    document::{Descriptor, Index, Manifest, REF_NAME, parse},
    name::Name,
};
use crate::{Digest, Refusal, StorageError, error::shown};

/// An entry of the index whose image cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its names.
    pub names: Vec<Name>,
    /// The digest that its entry has, safe to show; empty where it has none.
    pub digest: String,
    /// What is wrong with it.
    pub why: String,
}

impl Broken {
    /// What it is called: a name, else its digest.
    #[must_use]
    pub fn called(&self) -> &str {
        self.names.first().map_or(&self.digest, Name::as_str)
    }
}

/// All that the index of a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The images, in the order of their names; those without one come last.
    pub images: Vec<Image>,
    /// The entries whose images cannot be read.
    pub broken: Vec<Broken>,
}

/// What a name or an id stands for.
pub(super) enum Found {
    Image(Box<Image>),
    Broken(Broken),
}

/// Why a document of the store is not what was expected.
pub(super) enum Unread {
    /// It is whole, and something else: other programs keep what is no image in the same form.
    Other,
    /// It is missing, or damaged.
    Damaged(String),
}

impl Store {
    /// All images, and what is damaged beside them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn survey(&self) -> Result<Survey, StorageError> {
        let _use = self.using()?;
        let mut survey = Survey::default();
        let index = self.index()?;
        for descriptor in index.manifests {
            self.add_to(&mut survey, descriptor);
        }
        survey.broken.extend(index.odd.iter().map(of_odd));
        for image in &mut survey.images {
            image.names.sort();
        }
        survey
            .images
            .sort_by_cached_key(|image| (image.names.is_empty(), image.names.clone(), image.id()));
        Ok(survey)
    }

    fn add_to(&self, survey: &mut Survey, descriptor: Descriptor) {
        let name = descriptor.name().and_then(|name| name.parse().ok());
        let digest = descriptor.digest;
        let same = |image: &&mut Image| image.descriptor.digest == digest;
        if let Some(image) = survey.images.iter_mut().find(same) {
            image.names.extend(name);
            return;
        }
        let text = digest.to_string();
        if let Some(broken) = survey.broken.iter_mut().find(|one| one.digest == text) {
            broken.names.extend(name);
            return;
        }
        let read = match descriptor.is_index() {
            true => self.list_at(digest).map(|_| None),
            false if descriptor.is_manifest() => self.read(descriptor, name.clone()).map(Some),
            false => Ok(None),
        };
        match read {
            Ok(image) => survey.images.extend(image),
            Err(Unread::Other) => {}
            Err(Unread::Damaged(why)) => survey.broken.push(Broken {
                names: name.into_iter().collect(),
                digest: text,
                why,
            }),
        }
    }

    /// The document of `digest`, which is called `what` in messages.
    pub(super) fn whole<T: DeserializeOwned>(
        &self,
        what: &str,
        digest: Digest,
    ) -> Result<T, Unread> {
        let damaged = |how: &str| Unread::Damaged(format!("its {what} {digest} {how}"));
        let text = self.blobs.document(digest).map_err(|error| match error {
            StorageError::Step { errno, .. } if errno == Errno::NOENT => damaged("is missing"),
            StorageError::Step { errno, .. } => damaged(&format!("cannot be read: {errno}")),
            error => damaged(&format!("cannot be read: {error}")),
        })?;
        // Its digest is asked for only where it reads as something else, so that a list of many images stays fast.
        parse(&text, what).map_err(|_| match Digest::of(&text) == digest {
            true => Unread::Other,
            false => damaged("is damaged: it has other bytes"),
        })
    }

    /// The manifest of `digest`. One that cannot be read here, as it names contents with digests of another kind, may
    /// need anything.
    pub(super) fn manifest_at(&self, digest: Digest) -> Result<Manifest, Unread> {
        let read = self.whole("manifest", digest);
        read.map_err(|unread| unread.of_needs("manifest", digest))
    }

    /// The list of images of `digest`, as [`Store::manifest_at`] answers; each of its entries can be read.
    pub(super) fn list_at(&self, digest: Digest) -> Result<Index, Unread> {
        let what = "list of images";
        match self.whole::<Index>(what, digest) {
            Ok(index) if index.odd.is_empty() => Ok(index),
            Ok(_) => Err(Unread::Other.of_needs(what, digest)),
            Err(unread) => Err(unread.of_needs(what, digest)),
        }
    }

    /// Removes the entries of `broken`: the name `wanted` alone, if it is one of several; by digest, all. Returns the
    /// names.
    pub(super) fn remove_broken(
        &self,
        wanted: &str,
        broken: &Broken,
    ) -> Result<Vec<Name>, StorageError> {
        let (name, pinned) = wanted
            .split_once('@')
            .map_or((wanted, false), |(name, _)| (name, true));
        let one = broken.named(name).cloned();
        if pinned && one.is_none() && !broken.names.is_empty() {
            return Err(StorageError::refused(wanted.as_bytes(), Refusal::NoImage));
        }
        let goes = |digest: &str, found: Option<&str>| {
            let named = match (&one, found) {
                (Some(one), Some(found)) => found == one.as_str(),
                // Entries without a digest have nothing in common. By digest also names go that are none here.
                _ => !digest.is_empty(),
            };
            digest == broken.digest && named
        };
        self.change_index_if(|index| {
            index
                .manifests
                .retain(|entry| !goes(&entry.digest.to_string(), entry.name()));
            index
                .odd
                .retain(|entry| !goes(&digest_in(entry), name_in(entry)));
            let digest = broken.digest.parse::<Digest>().ok();
            let left = |digest| index.manifests.iter().any(|entry| entry.digest == digest);
            match digest.filter(|digest| !left(*digest)) {
                Some(digest) => self.unused(wanted, digest),
                None => Ok(()),
            }
        })?;
        self.clean()?;
        Ok(one.map_or_else(|| broken.names.clone(), |name| vec![name]))
    }
}

impl Survey {
    /// What `wanted` stands for, which no image is called: a name, a digest, or the first digits of one.
    pub(super) fn broken_called(&self, wanted: &str, least: usize) -> Result<&Broken, Refusal> {
        let has = |one: &Broken, digest: &str| !digest.is_empty() && one.digest == digest;
        let exact = |one: &&Broken| one.named(wanted).is_some() || has(one, wanted);
        let pinned = wanted.split_once('@').map(|(_, digest)| digest);
        let of_digest = |one: &&Broken| pinned.is_some_and(|digest| has(one, digest));
        let mut all = self.broken.iter();
        if let Some(found) = all.clone().find(exact).or_else(|| all.find(of_digest)) {
            return Ok(found);
        }
        let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
        let begins = |one: &&Broken| {
            let hex = one.digest.strip_prefix("sha256:");
            digits.len() >= least && hex.is_some_and(|hex| hex.starts_with(digits))
        };
        let found: Vec<&Broken> = self.broken.iter().filter(begins).collect();
        match &*found {
            [] => Err(Refusal::NoImage),
            [one] => Ok(one),
            [one, other, ..] => Err(Refusal::AmbiguousId {
                ids: format!("{}, {}", one.digest, other.digest),
            }),
        }
    }
}

impl Unread {
    /// What it is for a document that says what else is needed: whole or not, that is not known.
    fn of_needs(self, what: &str, digest: Digest) -> Self {
        match self {
            Self::Other => Self::Damaged(format!(
                "its {what} {digest} cannot be read here; expected digests of sha256"
            )),
            damaged @ Self::Damaged(_) => damaged,
        }
    }
}

impl Broken {
    /// Which of its names `wanted` is.
    fn named(&self, wanted: &str) -> Option<&Name> {
        let wanted: Name = wanted.parse().ok()?;
        let plain = self.names.iter().find(|name| **name == wanted);
        plain.or_else(|| self.names.iter().find(|name| name.means(&wanted)))
    }
}

/// An entry that is no descriptor of a content with a digest that is used here.
pub(super) fn of_odd(entry: &Value) -> Broken {
    let why =
        "its entry in the index cannot be read; expected mediaType, size and a digest of sha256";
    let name = name_in(entry).and_then(|name| name.parse().ok());
    Broken {
        names: name.into_iter().collect(),
        digest: digest_in(entry),
        why: why.to_owned(),
    }
}

/// Whether such an entry has a name, and can be removed by that or by its digest.
pub(super) fn is_named(entry: &Value) -> bool {
    name_in(entry).is_some() && !of_odd(entry).called().is_empty()
}

fn digest_in(entry: &Value) -> String {
    let digest = entry.get("digest").and_then(Value::as_str);
    digest.map_or_else(String::new, |digest| shown(digest.as_bytes()))
}

/// The name that such an entry gives its image.
fn name_in(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

/// Takes `names` from entries that cannot be read, as from any other that has them.
pub(super) fn take_names(odd: &mut [Value], names: &[Name]) {
    let taken = |entry: &Value| {
        name_in(entry).is_some_and(|name| names.iter().any(|one| one.as_str() == name))
    };
    for entry in odd.iter_mut().filter(|entry| taken(entry)) {
        let annotations = entry.get_mut("annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove(REF_NAME);
        }
    }
}

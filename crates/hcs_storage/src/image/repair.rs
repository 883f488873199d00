//! The index of a store, made again where a disk or another program has garbled it.
//!
//! While it cannot be read, nothing is removed from the store. Its images are still there as contents; their names are
//! in a copy of the index, which has all but what other programs have changed since.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

use super::{
    Name, Store,
    blobs::failed,
    document::{self, Config, Descriptor, Index, LARGEST, MANIFEST, Manifest, parse},
};
use crate::{Digest, Refusal, StorageError};

/// A copy of an index that is longer is none of this program's.
const LARGEST_COPY: u64 = 64 << 20;

/// The text of the copy. Another program may have put anything in its place, which must neither hold this one up nor
/// fill its memory.
fn read_copy(path: &Path) -> Option<Vec<u8>> {
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let file: File = file.ok()?;
    let told = file.metadata().ok()?;
    if !told.is_file() || told.len() > LARGEST_COPY {
        return None;
    }
    let mut text = Vec::new();
    file.take(LARGEST_COPY).read_to_end(&mut text).ok()?;
    Some(text)
}

/// What an index was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Whether there was something to be made again.
    pub was_damaged: bool,
    /// Names of images, and of what is damaged, as the copy has them.
    pub names: Vec<Name>,
    /// Images that the copy does not have, by the digests of their manifests: they have no name now.
    pub nameless: Vec<Digest>,
}

impl Store {
    /// Makes the index again, if it cannot be read. One that can be read stays as it is.
    ///
    /// # Errors
    /// The contents cannot be read, or the index cannot be written.
    pub fn repair(&self) -> Result<Repaired, StorageError> {
        let _use = self.using()?;
        let _alone = self.index_alone()?;
        match self.index() {
            Ok(_) => return Ok(Repaired::default()),
            Err(error) if matches!(error.refusal(), Some(Refusal::BrokenIndex { .. })) => {}
            Err(error) => return Err(error),
        }
        let copy = read_copy(&self.index_copy()?);
        let copy = copy.and_then(|text| parse::<Index>(&text, "index.copy.json").ok());
        let mut index = copy.unwrap_or_else(Index::empty);
        // What was removed since the copy was written is gone.
        index
            .manifests
            .retain(|entry| self.blobs.path(entry.digest).exists());
        let names = index
            .manifests
            .iter()
            .filter_map(|entry| entry.name()?.parse().ok());
        let mut repaired = Repaired {
            was_damaged: true,
            names: names.collect(),
            nameless: Vec::new(),
        };
        let known: BTreeSet<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
        for found in self.manifests()? {
            if !known.contains(&found.digest) {
                repaired.nameless.push(found.digest);
                index.manifests.push(found);
            }
        }
        self.write_index(&index)?;
        Ok(repaired)
    }

    /// The contents that are manifests of images which are whole.
    fn manifests(&self) -> Result<Vec<Descriptor>, StorageError> {
        let folder = self.blobs.folder();
        let read = |error| failed("reading", folder, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else {
                continue;
            };
            let size = entry.metadata().map_err(read)?.len();
            if size < LARGEST
                && let Some(manifest) = self.image_manifest(digest)
            {
                let kind = manifest.media_type.as_deref().unwrap_or(MANIFEST);
                found.push(Descriptor::new(kind, digest, size));
            }
        }
        found.sort_by_key(|descriptor| descriptor.digest);
        Ok(found)
    }

    /// The manifest with that digest, if the content is one and its image is whole.
    fn image_manifest(&self, digest: Digest) -> Option<Manifest> {
        let text = self.blobs.document(digest).ok()?;
        let manifest: Manifest = parse(&text, "manifest").ok()?;
        let is_sound = Digest::of(&text) == digest && manifest.other_kind().is_none();
        let config: Config = self.whole("configuration", manifest.config.digest).ok()?;
        let layers = manifest.layers.iter();
        let is_whole = layers
            .map(|layer| self.blobs.path(layer.digest))
            .all(|path| path.exists());
        (is_sound && is_whole && document::check(&manifest, &config).is_ok()).then_some(manifest)
    }
}

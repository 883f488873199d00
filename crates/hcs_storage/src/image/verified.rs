//! Contents of layers that are unpacked already, by another image say. Nothing is unpacked of them, so they are read to
//! see that they are what the configuration says: `save` hands them on, and another program would unpack them.

use std::{
    collections::HashSet,
    io,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{
    Store,
    document::{Config, Descriptor, Manifest, chain_ids},
    load::check_compression,
};
use crate::{
    Digest, Refusal, StorageError, compression, few::with_few, limits::Budget, measure::Measured,
};

/// Which contents are which layers, by what the images in the index say: they were checked when they came. Read when it
/// is first asked for. And those that were checked since.
#[derive(Debug, Default)]
pub(super) struct Known {
    of_images: OnceLock<HashSet<(Digest, Digest)>>,
    checked: Mutex<HashSet<(Digest, Digest)>>,
}

impl Known {
    /// The content was found to be that layer.
    pub(super) fn note(&self, content: Digest, diff_id: Digest) {
        self.checked().insert((content, diff_id));
    }

    /// Whether that was found.
    pub(super) fn is_noted(&self, content: Digest, diff_id: Digest) -> bool {
        self.checked().contains(&(content, diff_id))
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<(Digest, Digest)>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, store: &Store, content: Digest, diff_id: Digest) -> Result<bool, StorageError> {
        if self.is_noted(content, diff_id) {
            return Ok(true);
        }
        if self.of_images.get().is_none() {
            let images = store.images()?;
            let layers = images.iter().flat_map(|image| {
                let contents = image.manifest.layers.iter().map(|layer| layer.digest);
                contents.zip(image.config.rootfs.diff_ids.iter().copied())
            });
            let _read_just_now = self.of_images.set(layers.collect());
        }
        let known = self.of_images.get();
        Ok(known.is_some_and(|known| known.contains(&(content, diff_id))))
    }
}

impl Store {
    /// Checks the contents of those layers of an image that are unpacked already.
    ///
    /// # Errors
    /// As of [`Store::verify`].
    pub(super) fn verify_unpacked(
        &self,
        manifest: &Manifest,
        config: &Config,
        known: &Known,
        budget: &mut Budget,
    ) -> Result<(), StorageError> {
        let diff_ids = &config.rootfs.diff_ids;
        let layers = manifest.layers.iter().zip(diff_ids);
        for ((layer, diff_id), chain_id) in layers.zip(chain_ids(diff_ids)) {
            // One that is missing is told by what unpacks the others.
            if self.layer(chain_id)?.exists() && self.blobs.path(layer.digest).exists() {
                self.verify(layer.digest, (*diff_id, Some(layer)), known, budget)?;
            }
        }
        Ok(())
    }

    /// Checks that the content of that digest is the layer `diff_id`. Where there is a manifest, it is compressed as
    /// that says.
    ///
    /// # Errors
    /// It is not, it has more bytes than the limits say, or it cannot be read in time.
    pub(super) fn verify(
        &self,
        content: Digest,
        (diff_id, descriptor): (Digest, Option<&Descriptor>),
        known: &Known,
        budget: &mut Budget,
    ) -> Result<(), StorageError> {
        if known.has(self, content, diff_id)? {
            // Another image may have named it by another type.
            return match descriptor {
                Some(layer) => check_compression(layer, self.compression(content)?),
                None => Ok(()),
            };
        }
        let file = self.blobs.open(content)?;
        let (limit, deadline, spent) = (budget.limits.bytes, budget.deadline, budget.plain);
        let what = content.to_string();
        let verified = with_few(self.options.rights, || {
            let read = compression::plain(file).and_then(|(plain, compression)| {
                let mut plain = Measured::new(plain, limit, deadline).beyond(spent);
                io::copy(&mut plain, &mut io::sink())?;
                Ok((plain.content(), compression))
            });
            read.map_err(|error| StorageError::stream("reading a content", &what, error))
        });
        let verified = verified.and_then(|(plain, compression)| {
            budget.plain = spent.saturating_add(plain.size);
            if let Some(layer) = descriptor {
                check_compression(layer, compression)?;
            }
            if plain.digest == diff_id {
                known.note(content, diff_id);
                return Ok(());
            }
            let (expected, found) = (diff_id.to_string(), plain.digest.to_string());
            let refusal = Refusal::WrongDigest { expected, found };
            Err(StorageError::refused(what.as_bytes(), refusal))
        });
        // What is damaged here is had again then.
        verified.inspect_err(|_| self.blobs.drop_damaged(content))
    }
}

//! An image comes into the store content by content, as from a registry.
//!
//! Contents are checked while they are written, several at a time; the image is there when all of them are. What was
//! received for one that does not get there is removed again.

use std::{
    io::Read,
    sync::{Mutex, PoisonError},
};

use super::{
    Hold, Loaded, Name, Store,
    document::{self, Config, Descriptor, LARGEST, Manifest, parse},
    load::Taken,
    verified::Known,
};
use crate::{
    Digest, Refusal, StorageError,
    limits::{Budget, Deadline},
    measure::Content,
};

/// An image that is being received. Any number of threads may keep contents of it.
#[derive(Debug)]
pub struct Incoming<'a> {
    store: &'a Store,
    deadline: Deadline,
    /// There until the end.
    hold: Option<Hold>,
    /// The image whose layers stay for a while, where it does not come to its end.
    later: Mutex<Option<Manifest>>,
}

impl Store {
    /// Begins an image, for which the time of the store's limits begins as well.
    ///
    /// # Errors
    /// The store cannot be locked.
    pub fn receive(&self) -> Result<Incoming<'_>, StorageError> {
        Ok(Incoming {
            store: self,
            deadline: Deadline::after(self.options.limits.time),
            hold: Some(self.hold()?),
            later: Mutex::new(None),
        })
    }
}

impl Incoming<'_> {
    /// Whether the content is in the store already.
    #[must_use]
    pub fn has(&self, content: Content) -> bool {
        self.store.blobs.has(content)
    }

    /// Keeps a content, which has to be what `expected` says. Of a longer `source` no more is read than shows that.
    ///
    /// # Errors
    /// It is something else, larger than the store's limits, or comes too late; or it cannot be read or written.
    pub fn keep(&self, expected: Content, source: impl Read) -> Result<(), StorageError> {
        let limit = self.store.options.limits.bytes;
        let blobs = &self.store.blobs;
        let kept = blobs.keep(source, limit, self.deadline, Some(expected));
        kept.map(drop)
    }

    /// Refuses an image that has too many layers, or whose contents have more bytes than the store's limits say, before
    /// any of them is fetched.
    ///
    /// # Errors
    /// It is such an image.
    pub fn admit(&self, manifest: &Manifest) -> Result<(), StorageError> {
        check_document("the configuration", manifest.config.size)?;
        let limit = self.store.options.limits.bytes;
        let checked = document::check_layers(manifest, limit);
        checked.map_err(|refusal| StorageError::refused(b"the manifest", refusal))
    }

    /// Keeps for a while those layers of `manifest` that are whole, as the rest may come with the next try.
    pub fn leave_for_later(&self, manifest: &Manifest) {
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        *later = Some(manifest.clone());
    }

    /// Notes the layers that stay.
    fn note_layers(&mut self) -> Result<(), StorageError> {
        let later = self.later.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(manifest) = later.take() else {
            return Ok(());
        };
        let layers = manifest.layers.iter().map(|layer| Content {
            digest: layer.digest,
            size: layer.size,
        });
        let whole = layers.filter(|layer| self.store.blobs.has(*layer));
        let whole: Vec<Digest> = whole.map(|layer| layer.digest).collect();
        match whole.is_empty() {
            true => Ok(()),
            false => self.store.keep_unfinished(manifest.config.digest, whole),
        }
    }

    /// Checks that the configuration, which was kept, and the manifest are of one image for Linux, and for the machine
    /// that was asked for; layers that belong to none need not be fetched.
    ///
    /// # Errors
    /// They are not, or the configuration is not there.
    pub fn check(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let what = manifest.config.digest.to_string();
        self.config(manifest, &what).map(drop)
    }

    fn config(&self, manifest: &Manifest, what: &str) -> Result<Config, StorageError> {
        let text = self.store.blobs.document(manifest.config.digest)?;
        let config = parse(&text, what)?;
        let checked = document::check(manifest, &config);
        let checked = checked.and_then(|()| self.store.check_platform(&config));
        checked.map_err(|refusal| StorageError::refused(what.as_bytes(), refusal))?;
        Ok(config)
    }

    /// Unpacks the image of the manifest in `text`, whose contents were all kept, and gives it `names`. It is found by
    /// the digests of the `lists` that it was found in, too.
    ///
    /// # Errors
    /// It is no image for Linux, a content is not there, or a layer is refused.
    pub fn finish(
        mut self,
        media_type: &str,
        text: &[u8],
        names: &[Name],
        lists: &[Digest],
    ) -> Result<Loaded, StorageError> {
        let store = self.store;
        let kept = store.blobs.keep_document(text)?;
        let what = kept.digest.to_string();
        let manifest: Manifest = parse(text, &what)?;
        let config = self.config(&manifest, &what)?;
        // All contents are there. What an earlier pull has noted must not keep those of an image that is refused now.
        store.end_unfinished(manifest.config.digest);
        let mut budget = Budget::until(&store.options.limits, self.deadline);
        let known = Known::default();
        store.verify_unpacked(&manifest, &config, &known, &mut budget)?;
        let omitted = store.unpack(&manifest, &config, Some(&known), &mut budget)?;
        let image = Descriptor::new(media_type, kept.digest, kept.size);
        let loaded = store.finish(Taken {
            image,
            names: names.to_vec(),
            lists: lists.to_vec(),
            omitted,
            passed_over: Vec::new(),
        })?;
        // Nothing is to be cleaned.
        self.hold = None;
        Ok(loaded)
    }
}

/// Refuses a document of more bytes than are read of one.
///
/// # Errors
/// It has more.
pub fn check_document(what: &str, size: u64) -> Result<(), StorageError> {
    match size {
        0..=LARGEST => Ok(()),
        _ => Err(StorageError::refused(
            what.as_bytes(),
            Refusal::TooManyBytes { limit: LARGEST },
        )),
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            // Without a note they are fetched again.
            let _unnoted = self.note_layers();
            drop(hold);
            // What is left is tried again when the store is opened.
            let _left = self.store.clean();
        }
    }
}

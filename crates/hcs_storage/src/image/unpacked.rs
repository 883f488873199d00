//! Layers of images whose contents are in the store: those that are not there yet are unpacked.

use rustix::io::Errno;

use super::{
    Hold, Image, Store,
    document::{self, Config, Manifest, chain_ids},
    load::{check_compression, refused},
    verified::Known,
};
use crate::{
    Refusal, StorageError,
    few::with_few,
    layer::{Expected, Omitted, import_within},
    limits::Budget,
};

impl Store {
    /// Unpacks the layers of `image` that are not there, as those of an image that another program has put into the
    /// store.
    ///
    /// # Errors
    /// The image is none for Linux, or a layer is refused.
    pub fn ready(&self, image: &Image) -> Result<Omitted, StorageError> {
        let hold = self.hold()?;
        self.ready_held(image, &hold)
    }

    /// The same, while `_hold` of this store is there.
    ///
    /// # Errors
    /// As of [`Store::ready`].
    pub fn ready_held(&self, image: &Image, _hold: &Hold) -> Result<Omitted, StorageError> {
        let checked = document::check(&image.manifest, &image.config);
        checked.map_err(|refusal| refused(&image.descriptor.digest.to_string(), refusal))?;
        let mut budget = Budget::of(&self.options.limits);
        self.unpack(&image.manifest, &image.config, None, &mut budget)
    }

    /// Unpacks the layers of an image that are not there yet, with what is left of `budget` for all of them. With
    /// `known` its contents have come from elsewhere: one whose layer is there by now, which another process has
    /// unpacked, is checked like that of a layer that was there before.
    pub(super) fn unpack(
        &self,
        manifest: &Manifest,
        config: &Config,
        known: Option<&Known>,
        budget: &mut Budget,
    ) -> Result<Omitted, StorageError> {
        let mut omitted = Omitted::default();
        let diff_ids = &config.rootfs.diff_ids;
        for ((layer, diff_id), chain_id) in manifest
            .layers
            .iter()
            .zip(diff_ids)
            .zip(chain_ids(diff_ids))
        {
            let there = |budget: &mut Budget| match known {
                Some(known) => self.verify(layer.digest, (*diff_id, Some(layer)), known, budget),
                None => Ok(()),
            };
            if self.has_layer(chain_id) {
                there(budget)?;
                continue;
            }
            let target = self.layer(chain_id)?;
            if !self.blobs.path(layer.digest).exists() {
                let (what, why) = (layer.digest.to_string(), "this layer is missing".to_owned());
                return Err(refused(&what, Refusal::Broken { why }));
            }
            check_compression(layer, self.compression(layer.digest)?)?;
            let expected = Expected {
                digest: Some(layer.digest),
                size: Some(layer.size),
                diff_id: Some(*diff_id),
            };
            let content = self.blobs.open(layer.digest)?;
            let rights = self.options.rights;
            let unpacked = with_few(rights, || {
                import_within(content, &target, rights, &expected, budget)
            });
            match unpacked {
                Ok(imported) => omitted += imported.omitted,
                // Another process was first.
                Err(StorageError::Step { errno, .. }) if errno == Errno::EXIST => {
                    there(budget)?;
                }
                Err(error) => {
                    // What is damaged here is had again then, rather than taken for what is there already.
                    self.blobs.drop_damaged(layer.digest);
                    return Err(error);
                }
            }
        }
        Ok(omitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits,
        image::Name,
        layer::{Options, Rights},
    };

    /// A layer that is there when its turn comes was not there when its content came: another process has unpacked it.
    #[test]
    fn a_content_whose_layer_another_process_has_unpacked_has_to_be_that_layer() {
        let place = tempfile::tempdir().unwrap();
        let options = Options {
            limits: Limits::default(),
            rights: Rights::Content,
        };
        let store = Store::open(&place.path().join("store"), options).unwrap();
        let name: Name = "first:1".parse().unwrap();
        // Two blocks of zeros end an archive.
        store.import(&[0; 1024][..], &name).unwrap();
        let image = store.images().unwrap().remove(0);
        let mut budget = Budget::of(&Limits::default());
        let mut unpack = |manifest: &Manifest, known: &Known| {
            store.unpack(manifest, &image.config, Some(known), &mut budget)
        };
        unpack(&image.manifest, &Known::default()).unwrap();
        // With more zeros it is the same archive, and another content.
        let other = store.blobs.keep_document(&[0; 2048]).unwrap();
        let mut manifest = image.manifest.clone();
        (manifest.layers[0].digest, manifest.layers[0].size) = (other.digest, other.size);
        let refused = unpack(&manifest, &Known::default()).unwrap_err();
        let StorageError::Refused { refusal, .. } = refused else {
            panic!("{refused:?}")
        };
        assert!(matches!(refusal, Refusal::WrongDigest { .. }), "{refusal}");
        // One that was checked a moment ago is not read again.
        let (known, first) = (Known::default(), &image.manifest.layers[0]);
        known.note(first.digest, image.config.rootfs.diff_ids[0]);
        assert!(known.is_noted(first.digest, image.config.rootfs.diff_ids[0]));
        unpack(&image.manifest, &known).unwrap();
    }
}

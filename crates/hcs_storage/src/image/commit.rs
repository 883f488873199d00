//! An image becomes another one, by what a container has written above it.

use std::path::Path;

use super::{
    Image, Loaded, Name, Store,
    document::{self, History, layer_type},
};
use crate::{
    StorageError,
    compression::Compression,
    image::{document::Descriptor, store::Hold},
    layer::{Marks, Omitted, export},
    limits::Budget,
};

impl Store {
    /// Makes the image `name`: `image`, and above it a layer with exactly what is in `upper`, the upper directory of an
    /// overlay of its layers that was mounted with `marks`. `by` says in the history how it was made. Returns what the
    /// layer does not have of the directory as well. `hold` was taken before `image` was found, and ends here.
    ///
    /// # Errors
    /// The directory changes meanwhile, costs more than the store's limits, or has what no layer can have. No image is
    /// added then, and nothing is left in the store unless another process uses it.
    pub fn commit(
        &self,
        hold: Hold,
        image: &Image,
        upper: &Path,
        marks: Marks,
        name: &Name,
        by: &str,
    ) -> Result<(Loaded, Omitted), StorageError> {
        self.held_or_clean(hold, || {
            let mut omitted = Omitted::default();
            let content = self.blobs.keep_written(|file| {
                let exported = export(upper, marks, &self.options.limits, file)?;
                omitted = exported.omitted;
                Ok(exported.content)
            })?;
            let mut config = image.config.clone();
            config.rootfs.diff_ids.push(content.digest);
            let step = History {
                created_by: Some(by.to_owned()),
                ..History::default()
            };
            config.history.get_or_insert_default().push(step);
            let kind = layer_type(Compression::None);
            let mut layers = image.manifest.layers.clone();
            layers.push(Descriptor::new(kind, content.digest, content.size));
            let text = document::text(&config)?;
            let mut budget = Budget::of(&self.options.limits);
            let mut taken = self.assemble(&text, &config, layers, None, &mut budget)?;
            taken.names = vec![name.clone()];
            Ok((self.finish(taken)?, omitted))
        })
    }
}

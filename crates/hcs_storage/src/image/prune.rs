//! Removal of what no image and no container needs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Store,
    blobs::{PARTIAL, failed},
    document::{Config, Descriptor, Index, MANIFEST, Manifest, chain_ids, parse},
    lease::Lease,
};
use crate::{Digest, Refusal, StorageError, layer};

/// Lists within lists, at most.
const DEEPEST: usize = 4;

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images without a name, by the digests of their manifests.
    pub images: Vec<Digest>,
    /// Layers.
    pub layers: u64,
    /// Bytes of contents; what layers had besides is not counted.
    pub bytes: u64,
}

/// What the images of a store need.
#[derive(Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
    /// What was followed: by digest, depth, and as a list or not. A list may name another one as often as it likes.
    followed: BTreeSet<(Digest, usize, bool)>,
}

impl Store {
    /// Removes images without a name, and all that no image needs, but nothing that a container uses.
    ///
    /// # Errors
    /// Another process uses the store, or something cannot be removed. Then nothing else is changed.
    pub fn prune(&self) -> Result<Pruned, StorageError> {
        let Some(_alone) = self.alone()? else {
            return Err(StorageError::refused(b"pruning", Refusal::InUse));
        };
        let (leases, dead) = self.leases()?;
        let mut images = Vec::new();
        self.change_index(|index| {
            index.manifests.retain(|entry| {
                let used = leases.iter().any(|lease| lease.manifest == entry.digest);
                let keep = entry.name().is_some() || used;
                if !keep {
                    images.push(entry.digest);
                }
                keep
            });
        })?;
        let pruned = self.clean_alone(&leases, &dead)?;
        Ok(Pruned { images, ..pruned })
    }

    /// Removes what no image of the index and no container needs, and what killed processes left; none where another
    /// process uses the store.
    pub(super) fn clean(&self) -> Result<Option<Pruned>, StorageError> {
        let Some(_alone) = self.alone()? else {
            return Ok(None);
        };
        let (leases, dead) = self.leases()?;
        self.clean_alone(&leases, &dead).map(Some)
    }

    /// The same, with the store locked. `leases` hold, and the files in `dead` do not.
    fn clean_alone(&self, leases: &[Lease], dead: &[PathBuf]) -> Result<Pruned, StorageError> {
        let mut needed = Needed::default();
        for descriptor in &self.index()?.manifests {
            self.reach(descriptor, 0, &mut needed)?;
        }
        for lease in leases {
            needed.layers.extend(lease.layers.iter().cloned());
            // The layers are what the container has. The rest goes with its name in the index, where it cannot be read.
            let image = Descriptor::new(MANIFEST, lease.manifest, 0);
            let _unreadable = self.reach(&image, 0, &mut needed);
        }
        for path in dead {
            layer::remove(path)?;
        }
        let mut pruned = Pruned::default();
        for (path, name) in names(self.blobs.folder())? {
            if !needed.blobs.contains(&name) {
                pruned.bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
                fs::remove_file(&path).map_err(|error| failed("removing", &path, &error))?;
            }
        }
        for (path, name) in names(&self.layers_folder())? {
            if !needed.layers.contains(&name) {
                layer::remove(&path)?;
                pruned.layers += 1;
            }
        }
        for (path, _) in names(&self.incoming())? {
            layer::remove(&path)?;
        }
        self.clean_beside_index()?;
        Ok(pruned)
    }

    /// Removes what processes left that were killed while they wrote the index, or the mark of the layout. Other
    /// programs keep files beside it, too.
    fn clean_beside_index(&self) -> Result<(), StorageError> {
        let left = names(&self.oci())?;
        let left = left.iter().filter(|(_, name)| name.starts_with(PARTIAL));
        let left: Vec<_> = left.map(|(path, _)| path).collect();
        if left.is_empty() {
            return Ok(());
        }
        // A file of a process that writes the index now is gone by then, and no other is made.
        let _alone = self.index_alone()?;
        left.into_iter().try_for_each(|path| layer::remove(path))
    }

    /// Notes all that `descriptor` leads to, in lists of other programs as well.
    fn reach(
        &self,
        descriptor: &Descriptor,
        depth: usize,
        needed: &mut Needed,
    ) -> Result<(), StorageError> {
        needed.blobs.insert(descriptor.digest.hex());
        let step = (descriptor.digest, depth, descriptor.is_index());
        if !(descriptor.is_index() || descriptor.is_manifest()) || !needed.followed.insert(step) {
            return Ok(());
        }
        let what = descriptor.digest.to_string();
        if descriptor.is_index() && depth < DEEPEST {
            let index: Index = parse(&self.blobs.document(descriptor.digest)?, &what)?;
            for next in &index.manifests {
                // Lists may name what was never copied.
                if self.blobs.path(next.digest).exists() {
                    self.reach(next, depth + 1, needed)?;
                }
            }
        }
        if !descriptor.is_manifest() {
            return Ok(());
        }
        let manifest: Manifest = parse(&self.blobs.document(descriptor.digest)?, &what)?;
        needed.blobs.insert(manifest.config.digest.hex());
        needed
            .blobs
            .extend(manifest.layers.iter().map(|layer| layer.digest.hex()));
        // Other programs keep what is no image in the same form; it has no layers here.
        let config = parse::<Config>(&self.blobs.document(manifest.config.digest)?, &what);
        let diff_ids = config.map_or_else(|_| Vec::new(), |config| config.rootfs.diff_ids);
        needed
            .layers
            .extend(chain_ids(&diff_ids).iter().map(|id| id.hex()));
        Ok(())
    }
}

/// What is in `folder`: paths and names.
fn names(folder: &Path) -> Result<Vec<(PathBuf, String)>, StorageError> {
    let read = |error| failed("reading", folder, &error);
    let entries = fs::read_dir(folder).map_err(read)?;
    entries
        .map(|entry| {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((entry.path(), name))
        })
        .collect()
}

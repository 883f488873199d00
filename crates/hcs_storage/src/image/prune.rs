//! Removal of what no image and no container needs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Store,
    blobs::{PARTIAL, failed},
    broken::{Broken, Unread, is_named, of_odd},
    document::{Config, Descriptor, MANIFEST, chain_ids},
    folders::Folder,
    lease::Lease,
    spool,
};
use crate::{Digest, StorageError, layer};

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
    /// Entries of which it is not known what they need. So of contents or layers that no image needs, none was removed
    /// that they may need.
    pub broken: Vec<Broken>,
}

/// What the images of a store need.
#[derive(Default)]
struct Needed {
    blobs: BTreeSet<String>,
    layers: BTreeSet<String>,
    /// What was followed: by digest, depth, and as a list or not. A list may name another one as often as it likes.
    followed: BTreeSet<(Digest, usize, bool)>,
    /// Whether something may need any content, or any layer, as it cannot be read.
    all_blobs: bool,
    all_layers: bool,
    /// Why.
    damage: Vec<String>,
}

impl Needed {
    /// Notes that what needs further contents, or only further layers, cannot be read.
    fn lose(&mut self, unread: Unread, blobs: bool) {
        // What is whole and no configuration needs no layers.
        if let Unread::Damaged(why) = unread {
            self.all_blobs |= blobs;
            self.all_layers = true;
            self.damage.push(why);
        }
    }

    fn keeps_blob(&self, name: &str) -> bool {
        self.blobs.contains(name) || self.all_blobs && is_digest(name)
    }

    fn keeps_layer(&self, name: &str) -> bool {
        self.layers.contains(name) || self.all_layers && is_digest(name)
    }
}

impl Store {
    /// Removes images without a name, and all that no image needs, layers of broken pulls among them, but nothing that
    /// a container uses.
    ///
    /// # Errors
    /// Another process uses the store, or something cannot be removed. Then nothing else is changed.
    pub fn prune(&self) -> Result<Pruned, StorageError> {
        let Some(_alone) = self.alone()? else {
            return Err(self.in_use("use.lock"));
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
            index.odd.retain(is_named);
        })?;
        self.unfinished(true)?;
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
        let (mut needed, mut pruned) = (Needed::default(), Pruned::default());
        let index = self.index()?;
        for descriptor in &index.manifests {
            self.reach(descriptor, 0, &mut needed);
            let names = descriptor.name().and_then(|name| name.parse().ok());
            let broken = needed.damage.drain(..).map(|why| Broken {
                names: names.iter().cloned().collect(),
                digest: descriptor.digest.to_string(),
                why,
            });
            pruned.broken.extend(broken);
        }
        for entry in &index.odd {
            pruned.broken.push(of_odd(entry));
            (needed.all_blobs, needed.all_layers) = (true, true);
        }
        for lease in leases {
            needed.layers.extend(lease.layers.iter().cloned());
            // The layers are what the container has. The rest goes with its name in the index, where it cannot be read.
            let image = Descriptor::new(MANIFEST, lease.manifest, 0);
            let mut of_lease = Needed::default();
            self.reach(&image, 0, &mut of_lease);
            needed.blobs.extend(of_lease.blobs);
            needed.layers.extend(of_lease.layers);
        }
        let unfinished = self.unfinished(false)?;
        needed.blobs.extend(unfinished.iter().map(Digest::hex));
        for path in dead {
            layer::remove(path)?;
        }
        for (path, name) in names(self.blobs.folder())? {
            if !needed.keeps_blob(&name) {
                pruned.bytes += fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
                fs::remove_file(&path).map_err(|error| failed("removing", &path, &error))?;
            }
        }
        for (path, name) in names(&self.folders.path(Folder::Layers)?)? {
            if !needed.keeps_layer(&name) {
                layer::remove(&path)?;
                pruned.layers += 1;
            }
        }
        for (path, _) in names(&self.folders.path(Folder::Incoming)?)? {
            if spool::is_free(&path) {
                layer::remove(&path)?;
            }
        }
        self.clean_beside_index()?;
        Ok(pruned)
    }

    /// Removes what processes left that were killed while they wrote the index, or the mark of the layout. Other
    /// programs keep files beside it, too.
    fn clean_beside_index(&self) -> Result<(), StorageError> {
        let left = names(&self.oci()?)?;
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
    fn reach(&self, descriptor: &Descriptor, depth: usize, needed: &mut Needed) {
        needed.blobs.insert(descriptor.digest.hex());
        let step = (descriptor.digest, depth, descriptor.is_index());
        if !(descriptor.is_index() || descriptor.is_manifest()) || !needed.followed.insert(step) {
            return;
        }
        if descriptor.is_index() && depth < DEEPEST {
            match self.list_at(descriptor.digest) {
                Ok(index) => {
                    // Lists may name what was never copied.
                    let copied = |next: &&Descriptor| self.blobs.path(next.digest).exists();
                    for next in index.manifests.iter().filter(copied) {
                        self.reach(next, depth + 1, needed);
                    }
                }
                Err(unread) => needed.lose(unread, true),
            }
        }
        if !descriptor.is_manifest() {
            return;
        }
        let manifest = match self.manifest_at(descriptor.digest) {
            Ok(manifest) => manifest,
            Err(unread) => return needed.lose(unread, true),
        };
        needed.blobs.insert(manifest.config.digest.hex());
        let layers = manifest.layers.iter();
        needed.blobs.extend(layers.map(|layer| layer.digest.hex()));
        match self.whole::<Config>("configuration", manifest.config.digest) {
            Ok(config) => {
                let chain = chain_ids(&config.rootfs.diff_ids);
                needed.layers.extend(chain.iter().map(Digest::hex));
            }
            // Other programs keep what is no image in the same form; it has no layers here.
            Err(unread) => needed.lose(unread, false),
        }
    }
}

/// Whether `name` is that of a whole content or layer: others are what killed processes left.
fn is_digest(name: &str) -> bool {
    format!("sha256:{name}").parse::<Digest>().is_ok()
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

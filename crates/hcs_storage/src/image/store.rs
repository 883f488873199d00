//! The place of images on disk, its locks and its index.
//!
//! ```text
//! oci/               an OCI image layout, which other programs read: oci-layout, index.json, blobs/sha256/; and
//!                    index.copy.json, see [`super::repair`]
//! layers/CHAIN_ID/   each layer unpacked once, whatever number of images and containers use it
//! incoming/          archives that are being read, see [`super::spool`]
//! unfinished/        notes of layers that a broken pull has brought, see [`super::unfinished`]
//! leases/            what containers use, see [`super::lease`]
//! use.lock           shared by all that add or read contents; alone for all that remove some
//! index.lock         alone for a change of the index and of what is beside it, which takes no longer than writing a
//! file; shared to write a lease
//! ```
//!
//! Contents come first and the index last, which is replaced as a whole. So an image of the index is whole, whatever
//! was killed; what no image of it needs goes when no other process uses the store.

use std::{
    fs::File,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hcs_wire::{
    environment::{is_root, variable},
    holds::Kind,
    trust::{Reason, Trusted},
};
use rustix::{fs::fstat, io::Errno, process::geteuid};

use super::{
    blobs::{Blobs, Partial, failed, sync_folder},
    broken::{Broken, Found, Unread, take_names},
    document::{Config, Descriptor, Index, Manifest, Platform, REF_NAME, chain_ids, parse, text},
    folders::{Folder, Folders, read_whole},
    name::Name,
};
use crate::{Digest, Refusal, StorageError, layer::Options, lock};

/// Digits of an id that stand for an image, at least.
const SHORTEST_ID: usize = 6;
/// Ids that the failure of an ambiguous one names.
const SHOWN_IDS: usize = 5;
/// How long the index is asked for before a lease gives up.
const INDEX_PATIENCE: Duration = Duration::from_secs(1);
/// The index, in the layout.
const INDEX: &str = "index.json";
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// A store of images. Any number of processes and threads may use one at the same time.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    pub(super) folders: Arc<Folders>,
    pub(super) blobs: Blobs,
    pub(super) options: Options,
    /// The machine that images which come in are to be for; none for any, and of lists for this one.
    pub(super) platform: Option<Platform>,
}

/// Keeps everything in a store for as long as it lives: what is chosen meanwhile is there when it is used.
#[derive(Debug)]
pub struct Hold {
    _lock: File,
}

/// An image of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its names; none where they were given to other images.
    pub names: Vec<Name>,
    /// Its manifest.
    pub descriptor: Descriptor,
    /// What the manifest says.
    pub manifest: Manifest,
    /// What the configuration says.
    pub config: Config,
}

impl Image {
    /// The digest of its configuration, which is what other programs call the id of an image.
    #[must_use]
    pub const fn id(&self) -> Digest {
        self.manifest.config.digest
    }

    /// Which of its names `wanted` is, as it is or with the registry docker.io.
    #[must_use]
    pub fn called(&self, wanted: &Name) -> Option<&Name> {
        let plain = self.names.iter().find(|name| *name == wanted);
        plain.or_else(|| self.names.iter().find(|name| name.means(wanted)))
    }

    /// Whether it was pulled as one of a list, which may have others for other machines.
    #[must_use]
    pub fn is_of_list(&self) -> bool {
        self.descriptor.lists().next().is_some()
    }

    /// Bytes of its contents as they are stored, compressed or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        let sizes = self.manifest.layers.iter().map(|layer| layer.size);
        let documents = self
            .descriptor
            .size
            .saturating_add(self.manifest.config.size);
        sizes.fold(documents, u64::saturating_add)
    }
}

impl Store {
    /// Opens the store at `root`, and makes it where nothing is. What killed processes left is removed, unless another
    /// one uses the store.
    ///
    /// # Errors
    /// It cannot be made or read, another user could change it, or its index is damaged: what came in could get no
    /// name.
    pub fn open(root: &Path, options: Options) -> Result<Self, StorageError> {
        let folders = Arc::new(Folders::new(own(root)?, root));
        for folder in [Folder::Layers, Folder::Incoming, Folder::Leases] {
            folders.made(folder)?;
        }
        let store = Self {
            root: root.to_owned(),
            blobs: Blobs::of_store(Arc::clone(&folders), folders.made(Folder::Contents)?),
            folders,
            options,
            platform: None,
        };
        let layout = store.oci()?.join("oci-layout");
        let is_there = layout.try_exists();
        if !is_there.map_err(|error| failed("looking at", &layout, &error))? {
            let _alone = store.index_alone()?;
            let mut file = Partial::new(&store.oci()?)?;
            file.write(LAYOUT.as_bytes())?;
            file.commit(&layout)?;
        }
        // Where it cannot read all, it keeps what that may need: a document of another program must not close the
        // store.
        let _left = store.clean();
        store.index()?;
        Ok(store)
    }

    /// Opens the store at `root`, where one is: nothing is made, and nothing is removed. None where nothing is.
    ///
    /// # Errors
    /// Another user could change it, or it cannot be looked at.
    pub fn existing(root: &Path, options: Options) -> Result<Option<Self>, StorageError> {
        let layout = root.join("oci/oci-layout");
        match layout.try_exists() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(failed("looking at", &layout, &error)),
        }
        let folders = Arc::new(Folders::new(own(root)?, root));
        Ok(Some(Self {
            root: root.to_owned(),
            blobs: Blobs::of_store(Arc::clone(&folders), folders.path(Folder::Contents)?),
            folders,
            options,
            platform: None,
        }))
    }

    /// The same store, into which images for this kind of machine come only; with none, all.
    #[must_use]
    pub fn for_platform(self, platform: Option<Platform>) -> Self {
        Self { platform, ..self }
    }

    /// The kind of machine that is taken from lists of images.
    pub(super) fn machine(&self) -> Platform {
        self.platform.clone().unwrap_or_else(Platform::host)
    }

    /// Refuses an image that is not for the machine that was asked for.
    pub(super) fn check_platform(&self, config: &Config) -> Result<(), Refusal> {
        match &self.platform {
            Some(wanted) if !wanted.fits_image(config) => Err(Refusal::NoPlatform {
                wanted: wanted.to_string(),
                found: config.platform().to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// Keeps other processes from removing anything for as long as the answer lives.
    ///
    /// # Errors
    /// The store cannot be locked.
    pub fn hold(&self) -> Result<Hold, StorageError> {
        let lock = self.using()?;
        Ok(Hold { _lock: lock })
    }

    /// Where the store is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the store of this user is unless a caller says otherwise: `/var/lib/hcs/storage` for root, else
    /// `$XDG_DATA_HOME/hcs/storage`, else `~/.local/share/hcs/storage`; none without a home.
    #[must_use]
    pub fn default_place() -> Option<PathBuf> {
        if is_root() {
            return Some("/var/lib/hcs/storage".into());
        }
        let absolute = |name| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let data = absolute("XDG_DATA_HOME");
        let data = data.or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("hcs/storage"))
    }

    /// All images, in the order of their names; those without one come last. [`Store::survey`] has what is damaged,
    /// too.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images(&self) -> Result<Vec<Image>, StorageError> {
        Ok(self.survey()?.images)
    }

    /// The image called `wanted`: a name, with or without the registry where that is docker.io, or the first digits of
    /// its id or of its manifest's digest. `NAME@sha256:DIGITS` is the image with that digest, or that was pulled by
    /// that digest of a list, whatever its names are.
    ///
    /// # Errors
    /// There is none, or more than one, or it is damaged.
    pub fn image(&self, wanted: &str) -> Result<Image, StorageError> {
        whole(wanted, self.find(wanted)?)
    }

    /// The same, and what keeps it there.
    ///
    /// # Errors
    /// As of [`Store::image`].
    pub fn held(&self, wanted: &str) -> Result<(Image, Hold), StorageError> {
        let hold = self.hold()?;
        let found = self.find_held(wanted, &hold)?;
        Ok((whole(wanted, found)?, hold))
    }

    /// What is called `wanted`; what is damaged is asked last.
    fn find(&self, wanted: &str) -> Result<Found, StorageError> {
        let hold = self.hold()?;
        self.find_held(wanted, &hold)
    }

    /// The same, while `_hold` is there.
    fn find_held(&self, wanted: &str, _hold: &Hold) -> Result<Found, StorageError> {
        if let Some(image) = self.named(wanted)? {
            return Ok(Found::Image(Box::new(image)));
        }
        let survey = self.survey()?;
        let refused = |refusal| StorageError::refused(wanted.as_bytes(), refusal);
        match sound(&survey.images, wanted) {
            Ok(image) => Ok(Found::Image(Box::new(image))),
            Err(refusal @ (Refusal::NoImage | Refusal::BadName { .. })) => {
                match survey.broken_called(wanted, SHORTEST_ID) {
                    Ok(broken) => Ok(Found::Broken(broken.clone())),
                    Err(Refusal::NoImage) => Err(refused(refusal)),
                    Err(refusal) => Err(refused(refusal)),
                }
            }
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// The image with exactly that name, where it can be read: no other one is looked at for it. The caller keeps other
    /// processes from removing it meanwhile.
    fn named(&self, wanted: &str) -> Result<Option<Image>, StorageError> {
        let Ok(name) = wanted.parse::<Name>() else {
            return Ok(None);
        };
        let index = self.index()?;
        let has = |entry: &&Descriptor| entry.name() == Some(name.as_str());
        let Some(entry) = index.manifests.iter().find(has) else {
            return Ok(None);
        };
        if !entry.is_manifest() {
            return Ok(None);
        }
        let Ok(mut image) = self.read(entry.clone(), None) else {
            return Ok(None);
        };
        let same = index.manifests.iter();
        let same = same.filter(|other| other.digest == entry.digest);
        let names = same.filter_map(|other| other.name()?.parse().ok());
        image.names = names.collect();
        image.names.sort();
        Ok(Some(image))
    }

    /// The directories of the layers of `image`, topmost first, as an overlay is mounted from them.
    #[must_use]
    pub fn layers(&self, image: &Image) -> Vec<PathBuf> {
        let chain = chain_ids(&image.config.rootfs.diff_ids);
        let folder = self.layers_path();
        let of_chain = chain.into_iter().rev();
        of_chain.map(|id| folder.join(id.hex())).collect()
    }

    /// Gives `image` another name, which is taken from the image that has it.
    ///
    /// # Errors
    /// The index cannot be written, or the image is gone.
    pub fn tag(&self, image: &Image, name: &Name) -> Result<(), StorageError> {
        let _use = self.using()?;
        if !self.blobs.path(image.descriptor.digest).exists() {
            let what = image.descriptor.digest.to_string();
            return Err(StorageError::refused(what.as_bytes(), Refusal::NoImage));
        }
        self.add(&image.descriptor, std::slice::from_ref(name), &[])
    }

    /// Removes the name `wanted`; or by id, all names of the image. `NAME@sha256:DIGITS` is the name, if it is of the
    /// image with that digest. An image without names is removed, and its contents with it, unless another process uses
    /// the store: the next [`Store::prune`] has them then. Returns the names.
    ///
    /// # Errors
    /// There is no such image, a container uses one that would have no name then, or the index cannot be written.
    pub fn remove(&self, wanted: &str) -> Result<Vec<Name>, StorageError> {
        let image = match self.find(wanted)? {
            Found::Image(image) => image,
            Found::Broken(broken) => return self.remove_broken(wanted, &broken),
        };
        let (name, pinned) = wanted
            .split_once('@')
            .map_or((wanted, false), |(name, _)| (name, true));
        let name = name.parse::<Name>();
        let called = name.ok().and_then(|name| image.called(&name).cloned());
        if pinned && called.is_none() && !image.names.is_empty() {
            return Err(StorageError::refused(wanted.as_bytes(), Refusal::NoImage));
        }
        let removed = called
            .as_ref()
            .map_or_else(|| image.names.clone(), |name| vec![name.clone()]);
        self.change_index_if(|index| {
            let is_of_image = |entry: &Descriptor| entry.digest == image.descriptor.digest;
            index.manifests.retain(|entry| {
                // By id all go, also those with names that other programs gave and that are none here.
                let named = called.as_ref().is_none_or(|one| {
                    let found = entry.name();
                    found.is_none_or(|found| found == one.as_str())
                });
                !is_of_image(entry) || !named
            });
            if index.manifests.iter().any(is_of_image) {
                return Ok(());
            }
            self.unused(wanted, image.descriptor.digest)
        })?;
        self.clean()?;
        Ok(removed)
    }

    /// Refuses to let the last entry of an image go that containers use. No lease is written while the index is locked,
    /// so what is not there now comes too late.
    pub(super) fn unused(&self, wanted: &str, manifest: Digest) -> Result<(), StorageError> {
        match &*self.users_of(manifest)? {
            [] => Ok(()),
            users => {
                let systems = users.join(", ");
                let refusal = Refusal::Used { systems };
                Err(StorageError::refused(wanted.as_bytes(), refusal))
            }
        }
    }

    /// Puts the image of `descriptor` into the index, with these names, which no other image has then, and with the
    /// digests of `lists` besides those that are known.
    pub(super) fn add(
        &self,
        descriptor: &Descriptor,
        names: &[Name],
        lists: &[Digest],
    ) -> Result<(), StorageError> {
        let mut plain = Descriptor {
            platform: descriptor.platform.clone(),
            ..Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size)
        };
        self.change_index(|index| {
            // Each entry of an image has the lists that any of them has.
            let same = |entry: &&Descriptor| entry.digest == descriptor.digest;
            for entry in index.manifests.iter().filter(same) {
                plain.add_lists(&entry.lists().collect::<Vec<_>>());
            }
            plain.add_lists(lists);
            for entry in &mut index.manifests {
                if entry.digest == descriptor.digest {
                    entry.add_lists(&plain.lists().collect::<Vec<_>>());
                }
            }
            let taken =
                |entry: &Descriptor| names.iter().any(|name| entry.name() == Some(name.as_str()));
            for entry in index.manifests.iter_mut().filter(|entry| taken(entry)) {
                entry.annotations.remove(REF_NAME);
            }
            take_names(&mut index.odd, names);
            // A name of its own makes an entry without one needless; the last entry of an image stays.
            index
                .manifests
                .retain(|entry| entry.digest != descriptor.digest || entry.name().is_some());
            let known = |index: &Index| {
                index
                    .manifests
                    .iter()
                    .any(|entry| entry.digest == descriptor.digest)
            };
            if names.is_empty() && !known(index) {
                index.manifests.push(plain.clone());
            }
            for name in names {
                let mut entry = plain.clone();
                entry
                    .annotations
                    .insert(REF_NAME.to_owned(), name.to_string());
                index.manifests.push(entry);
            }
            let named: Vec<Digest> = index
                .manifests
                .iter()
                .filter(|entry| entry.name().is_some())
                .map(|entry| entry.digest)
                .collect();
            index
                .manifests
                .retain(|entry| entry.name().is_some() || !named.contains(&entry.digest));
        })
    }

    /// Changes the index, alone.
    pub(super) fn change_index(&self, change: impl FnOnce(&mut Index)) -> Result<(), StorageError> {
        self.change_index_if(|index| {
            change(index);
            Ok(())
        })
    }

    /// The same, with a change that may be refused; the index is as before then.
    pub(super) fn change_index_if(
        &self,
        change: impl FnOnce(&mut Index) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let _alone = self.index_alone()?;
        let mut index = self.index()?;
        change(&mut index)?;
        self.write_index(&index)
    }

    /// Writes the index, and then the copy of it. The index has to be locked.
    pub(super) fn write_index(&self, index: &Index) -> Result<(), StorageError> {
        let text = text(index)?;
        let oci = self.oci()?;
        let replace = |path: PathBuf| {
            let mut file = Partial::new(&oci)?;
            file.write(&text)?;
            file.commit(&path)
        };
        replace(self.index_file()?)?;
        // The change is done. An older copy is what it always is where other programs change the index.
        let _older = replace(self.index_copy()?);
        sync_folder(&oci)
    }

    /// The index as it is now; an empty one in a new store.
    pub(super) fn index(&self) -> Result<Index, StorageError> {
        let path = self.root.join(Folder::Oci.place()).join(INDEX);
        let damaged = |why: String| {
            let refusal = Refusal::BrokenIndex { why };
            StorageError::refused(path.as_os_str().as_encoded_bytes(), refusal)
        };
        let opened = self.folders.open_file(Folder::Oci, INDEX);
        match opened.and_then(|opened| read_whole(opened, u64::MAX)) {
            Ok(text) => parse(&text, "index.json").map_err(|error| damaged(reason(&error))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("reading", &path, &error))
            }
            Err(_) if self.index_copy()?.exists() => Err(damaged("the file is gone".to_owned())),
            Err(_) => Ok(Index::empty()),
        }
    }

    pub(super) fn index_file(&self) -> Result<PathBuf, StorageError> {
        Ok(self.oci()?.join(INDEX))
    }

    /// The index as this program has written it last: a disk may lose one of two files.
    pub(super) fn index_copy(&self) -> Result<PathBuf, StorageError> {
        Ok(self.oci()?.join("index.copy.json"))
    }

    /// The image of `descriptor`.
    pub(super) fn read(&self, descriptor: Descriptor, name: Option<Name>) -> Result<Image, Unread> {
        let manifest = self.manifest_at(descriptor.digest)?;
        let config = self.whole("configuration", manifest.config.digest)?;
        Ok(Image {
            names: name.into_iter().collect(),
            descriptor,
            manifest,
            config,
        })
    }

    /// Keeps others from removing contents for as long as the answer lives.
    pub(super) fn using(&self) -> Result<File, StorageError> {
        self.had("use.lock", Kind::Shared, None)
    }

    /// [`Store::using`] without waiting for a process that removes something.
    pub(super) fn using_at_once(&self) -> Result<File, StorageError> {
        self.had("use.lock", Kind::Shared, Some(Duration::ZERO))
    }

    /// Keeps others from changing the index. A change takes no longer than writing a file, so a process that holds it
    /// for longer was stopped, and a service must not wait for that.
    pub(super) fn index_unchanged(&self) -> Result<File, StorageError> {
        self.had("index.lock", Kind::Shared, Some(INDEX_PATIENCE))
    }

    /// Keeps others from reading or writing what is beside the contents, for as long as the answer lives.
    pub(super) fn index_alone(&self) -> Result<File, StorageError> {
        self.had("index.lock", Kind::Alone, Some(lock::PATIENCE))
    }

    /// Keeps others from using the store; none where one does.
    pub(super) fn alone(&self) -> Result<Option<File>, StorageError> {
        self.locked("use.lock", Kind::Alone, Some(Duration::ZERO))
    }

    /// The refusal of the lock `name`, with the processes that have it.
    pub(super) fn in_use(&self, name: &str) -> StorageError {
        let refusal = lock::refusal(&self.root.join(name));
        StorageError::refused(self.root.as_os_str().as_encoded_bytes(), refusal)
    }

    fn had(
        &self,
        name: &str,
        kind: Kind,
        patience: Option<Duration>,
    ) -> Result<File, StorageError> {
        let file = self.locked(name, kind, patience)?;
        file.ok_or_else(|| self.in_use(name))
    }

    /// The file `name`, locked within `patience` or, without one, whenever that is possible.
    fn locked(
        &self,
        name: &str,
        kind: Kind,
        patience: Option<Duration>,
    ) -> Result<Option<File>, StorageError> {
        let failed = |action: &'static str, errno: Errno| {
            failed(action, &self.root.join(name), &errno.into())
        };
        let file = lock::open(self.folders.root(), name);
        let file = file.map_err(|errno| failed("opening", errno))?;
        let locked = lock::lock(&file, kind, patience);
        let locked = locked.map_err(|errno| failed("locking", errno))?;
        Ok(locked.then_some(file))
    }

    /// Where the layer with that chain id is, or would be.
    pub(super) fn layer(&self, chain_id: Digest) -> Result<PathBuf, StorageError> {
        Ok(self.folders.path(Folder::Layers)?.join(chain_id.hex()))
    }

    /// Whether that is there.
    pub(super) fn has_layer(&self, chain_id: Digest) -> bool {
        self.folders.has(Folder::Layers, &chain_id.hex())
    }

    /// The folder of layers by the name that other processes have for it.
    pub(super) fn layers_path(&self) -> PathBuf {
        self.root.join(Folder::Layers.place())
    }

    pub(super) fn oci(&self) -> Result<PathBuf, StorageError> {
        self.folders.path(Folder::Oci)
    }
}

/// The image that `wanted` was found to be.
fn whole(wanted: &str, found: Found) -> Result<Image, StorageError> {
    match found {
        Found::Image(image) => Ok(*image),
        Found::Broken(Broken { why, .. }) => {
            let refusal = Refusal::Broken { why };
            Err(StorageError::refused(wanted.as_bytes(), refusal))
        }
    }
}

/// What a document that cannot be read has wrong.
fn reason(error: &StorageError) -> String {
    match error.refusal() {
        Some(refusal) => refusal.to_string(),
        None => error.to_string(),
    }
}

/// The digest of a text of the form `NAME@DIGEST`.
fn digest_of(wanted: &str) -> Option<Digest> {
    let (name, digest) = wanted.split_once('@')?;
    let digest = digest.parse().ok()?;
    name.parse::<Name>().is_ok().then_some(digest)
}

/// The image of `images` that is called `wanted`.
fn sound(images: &[Image], wanted: &str) -> Result<Image, Refusal> {
    if let Some(digest) = digest_of(wanted) {
        let is = |image: &&Image| {
            let own = image.descriptor.digest == digest;
            own || image.descriptor.lists().any(|list| list == digest)
        };
        return images.iter().find(is).cloned().ok_or(Refusal::NoImage);
    }
    let name = wanted.parse::<Name>();
    if let Ok(name) = &name {
        let plain = images.iter().find(|image| image.names.contains(name));
        let same = |image: &&Image| image.called(name).is_some();
        if let Some(image) = plain.or_else(|| images.iter().find(same)) {
            return Ok(image.clone());
        }
    }
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let hexadecimal = digits
        .bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if !hexadecimal || digits.is_empty() {
        return Err(name.err().unwrap_or(Refusal::NoImage));
    }
    let is = |digest: Digest| digest.hex().starts_with(digits);
    let found = images.iter();
    let found = found.filter(|image| is(image.id()) || is(image.descriptor.digest));
    only(found.cloned().collect(), digits)
}

/// The one image of `found`, whose ids begin with `digits`.
fn only(mut found: Vec<Image>, digits: &str) -> Result<Image, Refusal> {
    if !found.is_empty() && digits.len() < SHORTEST_ID {
        return Err(Refusal::ShortId { least: SHORTEST_ID });
    }
    if found.len() > 1 {
        let ids = found.iter().take(SHOWN_IDS).map(|image| image.id().hex());
        let ids = ids.collect::<Vec<_>>().join(", ");
        return Err(Refusal::AmbiguousId { ids });
    }
    found.pop().ok_or(Refusal::NoImage)
}

/// Makes the store's directory where nothing is, and checks that no other user can change it or the way there: its
/// files are trusted by their names, and layers may have programs that run as root.
fn own(root: &Path) -> Result<OwnedFd, StorageError> {
    let absolute = std::path::absolute(root);
    let absolute = absolute.map_err(|error| failed("looking at", root, &error))?;
    let refused = |path: &Path| {
        let what = path.display().to_string();
        StorageError::refused(what.as_bytes(), Refusal::OthersPlace)
    };
    let found = Trusted::of_process().directory(&absolute, Some(0o700));
    let found = found.map_err(|untrusted| match untrusted.reason {
        Reason::Io(errno) => failed("making the directory", root, &errno.into()),
        _ => refused(&untrusted.path),
    })?;
    let told = fstat(&found).map_err(|errno| failed("looking at", root, &errno.into()))?;
    if told.st_uid == geteuid().as_raw() && told.st_mode & 0o022 == 0 {
        return Ok(found);
    }
    Err(refused(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_several_ids_are_ambiguous() {
        let image = |digit: &str| -> Image {
            let digest = format!("sha256:abcdef{}", digit.repeat(58));
            let descriptor = serde_json::json!({"mediaType": "x", "digest": digest, "size": 1});
            let manifest =
                serde_json::json!({"schemaVersion": 2, "config": descriptor, "layers": []});
            let config = serde_json::json!({"architecture": "x", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}});
            Image {
                names: Vec::new(),
                descriptor: serde_json::from_value(descriptor).unwrap(),
                manifest: serde_json::from_value(manifest).unwrap(),
                config: serde_json::from_value(config).unwrap(),
            }
        };
        let both = || vec![image("1"), image("2")];
        let told = only(both(), "abcdef").unwrap_err().to_string();
        assert!(
            told.contains("abcdef11") && told.contains("abcdef22"),
            "{told}"
        );
        let least = SHORTEST_ID;
        assert_eq!(only(both(), "abcde"), Err(Refusal::ShortId { least }));
        assert_eq!(only(vec![image("1")], "abcdef"), Ok(image("1")));
        assert_eq!(only(Vec::new(), "abcde"), Err(Refusal::NoImage));
    }
}

//! Images of other programs, and of plain root archives, come into the store.
//!
//! 1. [`Store::load_folder`], [`Store::load_file`], [`Store::load_archive`]: an OCI image layout, or what `docker save`
//!    writes.
//! 2. [`Store::import`]: an image of one layer, out of a tar stream of a root file system.
//!
//! A stream is read to its end first, before the store is in use; folders and files are read where they are. Contents
//! are copied and checked, layers are unpacked on the way, and the index is written last. What fails on the way is
//! removed again, unless another process uses the store: the next one that has it alone does it then.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use rustix::io::Errno;
use serde::Deserialize;

use super::{
    Hold, Store,
    archive::Archive,
    blobs::Blobs,
    document::{
        self, CONFIG, Config, Descriptor, History, Index, MANIFEST, Manifest, Platform, RootFs,
        chain_ids, parse,
    },
    name::Name,
    platform::machines,
    source::{Source, blob},
    verified::Known,
};
use crate::{
    Digest, Refusal, StorageError,
    compression::{self, Compression},
    error::shown,
    few::with_few,
    layer::{Imported, Marks, Omitted, Rights, export, import_metered},
    limits::{Budget, Deadline},
    measure::{Content, Measured},
};

/// Images in one archive, at most.
const MOST_IMAGES: usize = 100;
/// Lists within lists, at most.
const DEEPEST: usize = 4;
/// Lists that are read for one load, at most.
const MOST_LISTS: usize = 1000;

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The names it has got.
    pub names: Vec<Name>,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Its id: the digest of its configuration.
    pub id: Digest,
    /// What its layers do not have of the archives, as far as they were unpacked for it.
    pub omitted: Omitted,
    /// What else the archive had that is no image, as signatures; told with its first image.
    pub passed_over: Vec<String>,
}

/// An image of which all contents are in the store, and none is in the index yet.
pub(super) struct Taken {
    pub(super) image: Descriptor,
    pub(super) names: Vec<Name>,
    /// Digests of the lists that it was found in, as this process has checked them. What a layout says of that does not
    /// count.
    pub(super) lists: Vec<Digest>,
    pub(super) omitted: Omitted,
    /// What was beside it and is no image.
    pub(super) passed_over: Vec<String>,
}

/// The documents of one image.
struct Parts {
    text: Vec<u8>,
    manifest: Manifest,
    config_text: Vec<u8>,
    config: Config,
}

/// A layer of an image that comes.
struct LayerPart<'a> {
    /// What the manifest says of it; none where there is no manifest.
    descriptor: Option<&'a Descriptor>,
    diff_id: Digest,
    chain_id: Digest,
    known: &'a Known,
}

impl LayerPart<'_> {
    /// Checks what its content is after decompression; that before is checked by what keeps it.
    fn check(&self, imported: &Imported) -> Result<(), StorageError> {
        if let Some(layer) = self.descriptor {
            check_compression(layer, imported.compression)?;
        }
        let found = imported.plain.digest;
        if found == self.diff_id {
            return Ok(());
        }
        let (expected, found) = (self.diff_id.to_string(), found.to_string());
        Err(refused(
            "the archive after decompression",
            Refusal::WrongDigest { expected, found },
        ))
    }
}

/// Refuses a layer that is compressed in another way than its media type says.
pub(super) fn check_compression(
    layer: &Descriptor,
    found: Compression,
) -> Result<(), StorageError> {
    let what = layer.digest.to_string();
    let said = document::compression_of(layer).map_err(|refusal| refused(&what, refusal))?;
    if said == found {
        return Ok(());
    }
    let kind = layer.media_type.clone();
    Err(refused(&what, Refusal::OtherCompression { kind }))
}

/// Whether a file can be read in place: it is a regular one, and its start is none of a compression.
fn is_plain(file: &File) -> bool {
    use std::os::unix::fs::FileExt as _;
    let is_regular = file.metadata().is_ok_and(|found| found.is_file());
    let mut start = [0; 8];
    let read = file.read_at(&mut start, 0).unwrap_or_default();
    is_regular && Compression::of(&start[..read]) == Ok(Compression::None)
}

/// One image in `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Store {
    /// Loads the images of the folder at `path`: an OCI image layout, or the files of `docker save`. With `name` the
    /// one image that is there gets that name in place of its own.
    ///
    /// # Errors
    /// The folder cannot be read, or what it has is refused. No image is added then.
    pub fn load_folder(
        &self,
        path: &Path,
        name: Option<&Name>,
    ) -> Result<Vec<Loaded>, StorageError> {
        let mut budget = Budget::of(&self.options.limits);
        self.or_clean(|| self.load(&Source::open(path)?, name, &mut budget))
    }

    /// The same of a tar stream of such a folder, which may be compressed. It is read to its end before the store is in
    /// use.
    ///
    /// # Errors
    /// As of [`Store::load_folder`].
    pub fn load_archive(
        &self,
        stream: impl Read + Send,
        name: Option<&Name>,
    ) -> Result<Vec<Loaded>, StorageError> {
        let mut budget = Budget::of(&self.options.limits);
        let spool = self.spool()?;
        let source = with_few(Rights::Content, || {
            let file = spool.keep_plain(stream, &budget)?;
            Archive::open(file, &mut budget)
        })?;
        self.load_from(&Source::Archive(source), name, budget.deadline)
    }

    /// The same of such an archive in a file, which is read where it is if it is a regular file and not compressed.
    ///
    /// # Errors
    /// As of [`Store::load_folder`].
    pub fn load_file(&self, file: File, name: Option<&Name>) -> Result<Vec<Loaded>, StorageError> {
        if !is_plain(&file) {
            return self.load_archive(file, name);
        }
        let mut budget = Budget::of(&self.options.limits);
        let source = with_few(Rights::Content, || Archive::open(file, &mut budget))?;
        self.load_from(&Source::Archive(source), name, budget.deadline)
    }

    /// Loads what a source has that was looked through. What is unpacked of it is another sum, in the same time.
    fn load_from(
        &self,
        source: &Source,
        name: Option<&Name>,
        deadline: Deadline,
    ) -> Result<Vec<Loaded>, StorageError> {
        let mut rest = Budget::until(&self.options.limits, deadline);
        self.or_clean(|| self.load(source, name, &mut rest))
    }

    fn load(
        &self,
        source: &Source,
        name: Option<&Name>,
        budget: &mut Budget,
    ) -> Result<Vec<Loaded>, StorageError> {
        let mut images = if source.file("oci-layout")?.is_some() {
            self.take_layout(source, budget)?
        } else {
            self.take_docker(source, budget)?
        };
        if let Some(name) = name {
            let [taken] = &mut *images else {
                return Err(refused("the archive", Refusal::ManyImages));
            };
            taken.names = vec![name.clone()];
        }
        images.into_iter().map(|taken| self.finish(taken)).collect()
    }

    /// Makes the image `name` of a tar stream of a root file system, which may be compressed.
    ///
    /// # Errors
    /// The stream cannot be read, or is refused. No image is added then.
    pub fn import(&self, stream: impl Read, name: &Name) -> Result<Loaded, StorageError> {
        let mut budget = Budget::of(&self.options.limits);
        let spool = self.spool()?;
        let spooled = Blobs::new(spool.contents());
        let content = spooled.keep(stream, budget.limits.bytes, budget.deadline, None)?;
        self.or_clean(|| {
            self.blobs.take_over(&spooled, content.digest)?;
            self.of_root(content, name, &mut budget)
        })
    }

    /// The same of a folder with a root file system, which is only read.
    ///
    /// # Errors
    /// The folder cannot be read, changes meanwhile, or is refused. No image is added then.
    pub fn import_folder(&self, folder: &Path, name: &Name) -> Result<Loaded, StorageError> {
        let marks = match self.options.rights {
            Rights::Root => Marks::Trusted,
            Rights::User(_) | Rights::Content => Marks::User,
        };
        self.or_clean(|| {
            let mut omitted = Omitted::default();
            let mut budget = Budget::of(&self.options.limits);
            let content = self.blobs.keep_written(|file| {
                let exported = export(folder, marks, &self.options.limits, file)?;
                omitted = exported.omitted;
                Ok(exported.content)
            })?;
            let mut loaded = self.of_root(content, name, &mut budget)?;
            loaded.omitted += omitted;
            Ok(loaded)
        })
    }

    /// The image `name` of one layer, whose content is in the store.
    fn of_root(
        &self,
        content: Content,
        name: &Name,
        budget: &mut Budget,
    ) -> Result<Loaded, StorageError> {
        let layer = self.layer_descriptor(content)?;
        let machine = self.machine();
        let config = Config {
            created: None,
            architecture: machine.architecture,
            os: machine.os,
            variant: None,
            config: None,
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: vec![self.diff_id(content.digest, budget.deadline)?],
            },
            history: Some(vec![History {
                created_by: Some("hcs image import".to_owned()),
                ..History::default()
            }]),
        };
        let text = document::text(&config)?;
        let mut taken = self.assemble(&text, &config, vec![layer], None, budget)?;
        taken.names = vec![name.clone()];
        self.finish(taken)
    }

    /// Does `work` with the store in use; what it leaves behind when it fails is removed.
    pub(super) fn or_clean<T>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.held_or_clean(self.hold()?, work)
    }

    /// The same, with what keeps the store in use.
    pub(super) fn held_or_clean<T>(
        &self,
        hold: Hold,
        work: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let done = work();
        // Nothing can be removed while the store is in use, by this process as well.
        drop(hold);
        if done.is_err() {
            // The failure itself matters more; what is left is tried again when the store is opened.
            let _left = self.clean();
        }
        done
    }

    /// The images of an OCI image layout, with their names. Their contents are in the store then.
    fn take_layout(
        &self,
        source: &Source,
        budget: &mut Budget,
    ) -> Result<Vec<Taken>, StorageError> {
        let text = source.document("index.json")?;
        let text = text.ok_or_else(|| refused("index.json", Refusal::Missing))?;
        let index: Index = parse(&text, "index.json")?;
        let mut images: Vec<Taken> = Vec::new();
        let machine = self.machine();
        let mut lists = Lists::new(source, budget.deadline, &machine);
        if !index.odd.is_empty() {
            let odd = index.odd.len();
            lists
                .others
                .push(format!("entries that cannot be read: {odd}"));
        }
        for listed in &index.manifests {
            let Some((_, found)) = lists.resolve_fitting(listed, 0)? else {
                continue;
            };
            let name = listed.annotations.get("io.containerd.image.name");
            let name = name.map(String::as_str).or_else(|| listed.name());
            let same = |taken: &&mut Taken| taken.image.digest == found.digest;
            if let Some(taken) = images.iter_mut().find(same) {
                taken.names.extend(name.map(named).transpose()?);
                continue;
            }
            let Some(parts) = self.parts(source, &found, &mut lists)? else {
                continue;
            };
            images.push(Taken {
                names: name.map(named).transpose()?.into_iter().collect(),
                omitted: self.copy(source, &parts, budget)?,
                image: found,
                lists: Vec::new(),
                passed_over: Vec::new(),
            });
            if images.len() > MOST_IMAGES {
                return Err(refused("index.json", Refusal::ManyImages));
            }
        }
        match images.first_mut() {
            Some(first) => first.passed_over = lists.others,
            None => return Err(refused("index.json", lists.no_image())),
        }
        Ok(images)
    }

    /// The documents of the image `found`; none where it is no image, or for another machine than was asked for.
    fn parts(
        &self,
        source: &Source,
        found: &Descriptor,
        lists: &mut Lists<'_>,
    ) -> Result<Option<Parts>, StorageError> {
        let text = source.described(found)?;
        let manifest: Manifest = parse(&text, &found.digest.to_string())?;
        if let Some(kind) = manifest.other_kind() {
            lists.pass_over(found, kind);
            return Ok(None);
        }
        let config_text = source.described(&manifest.config)?;
        let config: Config = parse(&config_text, &manifest.config.digest.to_string())?;
        if self.check_platform(&config).is_err() {
            lists.other_machine(&Descriptor {
                platform: Some(config.platform()),
                ..found.clone()
            });
            return Ok(None);
        }
        Ok(Some(Parts {
            text,
            manifest,
            config_text,
            config,
        }))
    }

    /// Copies the contents of one image.
    fn copy(
        &self,
        source: &Source,
        parts: &Parts,
        budget: &mut Budget,
    ) -> Result<Omitted, StorageError> {
        let Parts {
            text,
            manifest,
            config_text,
            config,
        } = parts;
        let what = Digest::of(text).to_string();
        document::check(manifest, config).map_err(|refusal| refused(&what, refusal))?;
        let diff_ids = &config.rootfs.diff_ids;
        let (mut omitted, known) = (Omitted::default(), Known::default());
        let layers = manifest.layers.iter().zip(diff_ids);
        for ((layer, diff_id), chain_id) in layers.zip(chain_ids(diff_ids)) {
            let stored = budget.store(layer.size);
            stored.map_err(|refusal| refused(&what, refusal))?;
            let (file, _) = source.needed(&blob(layer.digest))?;
            let part = LayerPart {
                descriptor: Some(layer),
                diff_id: *diff_id,
                chain_id,
                known: &known,
            };
            omitted += self.take_layer(file, &part, budget)?.1;
        }
        self.blobs.keep_document(config_text)?;
        self.blobs.keep_document(text)?;
        omitted += self.unpack(manifest, config, Some(&known), budget)?;
        Ok(omitted)
    }

    /// Keeps the content of a layer. Where neither that nor the layer is there yet, it is unpacked on the way; else
    /// [`Store::unpack`] does what is left to do. Returns the content, and what was left out.
    fn take_layer(
        &self,
        source: impl Read + Send,
        part: &LayerPart<'_>,
        budget: &mut Budget,
    ) -> Result<(Content, Omitted), StorageError> {
        let expected = part.descriptor.map(|layer| Content {
            digest: layer.digest,
            size: layer.size,
        });
        let target = self.layer(part.chain_id)?;
        let had = |content: Content, budget: &mut Budget| {
            let layer = (part.diff_id, part.descriptor);
            self.verify(content.digest, layer, part.known, budget)?;
            Ok((content, Omitted::default()))
        };
        if let Some(content) = expected.filter(|content| self.blobs.has(*content)) {
            return match target.exists() {
                true => had(content, budget),
                false => Ok((content, Omitted::default())),
            };
        }
        let (limit, deadline) = (budget.limits.bytes, budget.deadline);
        let mut keeping = self.blobs.begin(source, limit, deadline, expected)?;
        if target.exists() {
            return had(self.blobs.end(keeping)?, budget);
        }
        let rights = self.options.rights;
        let unpacked = with_few(rights, || {
            import_metered(&mut keeping, &target, rights, budget, |imported| {
                part.check(imported)
            })
        });
        // All of it is read, whatever became of the layer: that it has another digest is told before what follows.
        let content = self.blobs.end(keeping)?;
        match unpacked {
            Ok(imported) => {
                part.known.note(content.digest, part.diff_id);
                Ok((content, imported.omitted))
            }
            // Another process was first.
            Err(StorageError::Step { errno, .. }) if errno == Errno::EXIST => had(content, budget),
            Err(error) => Err(error),
        }
    }

    /// The images of `docker save`, with their names. Their contents are in the store then.
    fn take_docker(
        &self,
        source: &Source,
        budget: &mut Budget,
    ) -> Result<Vec<Taken>, StorageError> {
        let text = source.document("manifest.json")?;
        let text = text.ok_or_else(|| refused("the archive", Refusal::NoLayout))?;
        let saved: Vec<Saved> = parse(&text, "manifest.json")?;
        if saved.len() > MOST_IMAGES {
            return Err(refused("manifest.json", Refusal::ManyImages));
        }
        saved
            .iter()
            .map(|saved| self.copy_saved(source, saved, budget))
            .collect()
    }

    fn copy_saved(
        &self,
        source: &Source,
        saved: &Saved,
        budget: &mut Budget,
    ) -> Result<Taken, StorageError> {
        let names = saved.repo_tags.iter().flatten();
        let names = names.map(|name| named(name)).collect::<Result<_, _>>()?;
        let text = source.document(&saved.config)?;
        let text = text.ok_or_else(|| refused(&saved.config, Refusal::Missing))?;
        let config: Config = parse(&text, &saved.config)?;
        let fits = self.check_platform(&config);
        fits.map_err(|refusal| refused(&saved.config, refusal))?;
        if saved.layers.len() != config.rootfs.diff_ids.len() {
            let what = "the number of layers is not that of the configuration".to_owned();
            return Err(refused("manifest.json", Refusal::BadDocument(what)));
        }
        let checked = document::check_config(&config);
        checked.map_err(|refusal| refused(&saved.config, refusal))?;
        let diff_ids = &config.rootfs.diff_ids;
        let (mut layers, mut omitted) = (Vec::new(), Omitted::default());
        let known = Known::default();
        let paths = saved.layers.iter().zip(diff_ids);
        for ((path, diff_id), chain_id) in paths.zip(chain_ids(diff_ids)) {
            let (file, size) = source.needed(path)?;
            let stored = budget.store(size);
            stored.map_err(|refusal| refused(path, refusal))?;
            let part = LayerPart {
                descriptor: None,
                diff_id: *diff_id,
                chain_id,
                known: &known,
            };
            let (content, more) = self.take_layer(file, &part, budget)?;
            omitted += more;
            layers.push(self.layer_descriptor(content)?);
        }
        let mut taken = self.assemble(&text, &config, layers, Some(&known), budget)?;
        taken.omitted += omitted;
        Ok(Taken { names, ..taken })
    }

    /// Keeps the documents of an image whose layers are in the store, and unpacks them. `known` is of contents that
    /// came from elsewhere.
    pub(super) fn assemble(
        &self,
        config_text: &[u8],
        config: &Config,
        layers: Vec<Descriptor>,
        known: Option<&Known>,
        budget: &mut Budget,
    ) -> Result<Taken, StorageError> {
        let kept = self.blobs.keep_document(config_text)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            config: Descriptor::new(CONFIG, kept.digest, kept.size),
            layers,
        };
        let checked = document::check(&manifest, config);
        checked.map_err(|refusal| refused(&kept.digest.to_string(), refusal))?;
        let omitted = self.unpack(&manifest, config, known, budget)?;
        let kept = self.blobs.keep_document(&document::text(&manifest)?)?;
        Ok(Taken {
            image: Descriptor::new(MANIFEST, kept.digest, kept.size),
            names: Vec::new(),
            lists: Vec::new(),
            omitted,
            passed_over: Vec::new(),
        })
    }

    /// Adds an image, all of which is in the store.
    pub(super) fn finish(&self, taken: Taken) -> Result<Loaded, StorageError> {
        let Taken {
            image,
            names,
            lists,
            omitted,
            passed_over,
        } = taken;
        self.add(&image, &names, &lists)?;
        let text = self.blobs.document(image.digest)?;
        let manifest: Manifest = parse(&text, &image.digest.to_string())?;
        Ok(Loaded {
            names,
            manifest: image.digest,
            id: manifest.config.digest,
            omitted,
            passed_over,
        })
    }

    fn layer_descriptor(&self, content: Content) -> Result<Descriptor, StorageError> {
        let kind = document::layer_type(self.compression(content.digest)?);
        Ok(Descriptor::new(kind, content.digest, content.size))
    }

    pub(super) fn compression(&self, digest: Digest) -> Result<Compression, StorageError> {
        let mut start = Vec::new();
        let read = self.blobs.open(digest)?.take(8).read_to_end(&mut start);
        read.map_err(|error| unreadable(digest, error))?;
        Compression::of(&start).map_err(|refusal| refused(&digest.to_string(), refusal))
    }

    /// The digest of a content after decompression.
    fn diff_id(&self, digest: Digest, deadline: Deadline) -> Result<Digest, StorageError> {
        if self.compression(digest)? == Compression::None {
            return Ok(digest);
        }
        let file: File = self.blobs.open(digest)?;
        let copied = compression::plain(file).and_then(|(plain, _)| {
            let mut plain = Measured::new(plain, self.options.limits.bytes, deadline);
            io::copy(&mut plain, &mut io::sink())?;
            Ok(plain.content().digest)
        });
        copied.map_err(|error| unreadable(digest, error))
    }
}

/// Lists of images in a layout, each of which is read once: a list may name another one as often as it likes.
struct Lists<'a> {
    source: &'a Source,
    deadline: Deadline,
    machine: &'a Platform,
    /// What the lists lead to that were read, by digest and size, with how well it fits.
    read: HashMap<(Digest, u64), Option<(u32, Descriptor)>>,
    /// What is for other machines, to be told.
    machines: Vec<Descriptor>,
    /// What is neither an image nor a list of images, as signatures are: each with its kind.
    others: Vec<String>,
}

/// Contents that are no images, as they are told, at most.
const SHOWN_OTHERS: usize = 20;

impl<'a> Lists<'a> {
    fn new(source: &'a Source, deadline: Deadline, machine: &'a Platform) -> Self {
        Self {
            source,
            deadline,
            machine,
            read: HashMap::new(),
            machines: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Notes what is no image.
    fn pass_over(&mut self, content: &Descriptor, kind: &str) {
        if self.others.len() < SHOWN_OTHERS {
            let kind = shown(kind.as_bytes());
            self.others.push(format!("{} ({kind})", content.digest));
        }
    }

    /// Notes what is for another machine.
    fn other_machine(&mut self, content: &Descriptor) {
        if self.machines.len() < MOST_IMAGES {
            self.machines.push(content.clone());
        }
    }

    /// Why there is no image.
    fn no_image(&self) -> Refusal {
        if self.others.is_empty() || !self.machines.is_empty() {
            return Refusal::NoPlatform {
                wanted: self.machine.to_string(),
                found: machines(&self.machines),
            };
        }
        let others = self.others.join(", ");
        Refusal::BadDocument(format!("it has no image, but {others}"))
    }

    /// As [`Lists::resolve`]; none where the entry itself is for another machine.
    fn resolve_fitting(
        &mut self,
        listed: &Descriptor,
        depth: usize,
    ) -> Result<Option<(u32, Descriptor)>, StorageError> {
        if listed.rank(self.machine).is_some() {
            return self.resolve(listed, depth);
        }
        self.other_machine(listed);
        Ok(None)
    }

    /// The image that `listed` leads to and that fits the machine best; none where no list on the way has one for it.
    fn resolve(
        &mut self,
        listed: &Descriptor,
        depth: usize,
    ) -> Result<Option<(u32, Descriptor)>, StorageError> {
        if listed.is_manifest() {
            let rank = listed.rank(self.machine);
            return Ok(rank.map(|rank| (rank, listed.clone())));
        }
        let what = listed.digest.to_string();
        if !listed.is_index() {
            self.pass_over(listed, &listed.media_type);
            return Ok(None);
        }
        if depth >= DEEPEST {
            let text = format!("there are more than {DEEPEST} lists in lists");
            return Err(refused(&what, Refusal::BadDocument(text)));
        }
        let key = (listed.digest, listed.size);
        if let Some(found) = self.read.get(&key) {
            return Ok(found.clone());
        }
        if self.read.len() >= MOST_LISTS {
            let text = format!("it has more than {MOST_LISTS} lists of images");
            return Err(refused("the archive", Refusal::BadDocument(text)));
        }
        let in_time = self.deadline.check();
        in_time.map_err(|refusal| refused(&what, refusal))?;
        // It leads to none until it is read: no list can be in itself, as its digest is of all that it names.
        self.read.insert(key, None);
        let index: Index = parse(&self.source.described(listed)?, &what)?;
        let mut best: Option<(u32, Descriptor)> = None;
        for next in &index.manifests {
            let better = self.resolve_fitting(next, depth + 1)?;
            let better =
                better.filter(|(rank, _)| best.as_ref().is_none_or(|(least, _)| rank < least));
            best = better.or(best);
        }
        self.read.insert(key, best.clone());
        Ok(best)
    }
}

fn named(name: &str) -> Result<Name, StorageError> {
    name.parse()
        .map_err(|refusal| refused("the name of an image", refusal))
}

pub(super) fn refused(what: &str, refusal: Refusal) -> StorageError {
    StorageError::refused(what.as_bytes(), refusal)
}

fn unreadable(digest: Digest, error: io::Error) -> StorageError {
    StorageError::stream("reading a content", &digest.to_string(), error)
}

//! Images leave the store, in forms that other programs read. The same image always makes the same bytes.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use serde::Serialize;

use super::{
    Image, Store,
    blobs::failed,
    document::{self, Descriptor, Index, REF_NAME},
    source::blob,
};
use crate::{
    Digest, StorageError, compression,
    layer::{Entrance, Staging, sweep},
    tar::{Entry, EntryPath, Kind, TarWriter, Timestamp},
};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A form of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A tar stream of an OCI image layout.
    Oci,
    /// As `docker save` writes it, with layers that are not compressed.
    Docker,
}

/// One image in `manifest.json` of `docker save`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Store {
    /// Writes `image` to `target` as an archive.
    ///
    /// # Errors
    /// The image is gone, or `target` cannot be written.
    pub fn save(
        &self,
        image: &Image,
        format: Format,
        target: impl Write,
    ) -> Result<(), StorageError> {
        let _use = self.using()?;
        let mut archive = TarWriter::new(BufWriter::with_capacity(64 << 10, target));
        match format {
            Format::Oci => self.save_oci(image, &mut archive)?,
            Format::Docker => self.save_docker(image, &mut archive)?,
        }
        archive.finish()?;
        Ok(())
    }

    /// Makes an OCI image layout with `image` at `target`, where nothing is yet.
    ///
    /// # Errors
    /// The image is gone, or the folder cannot be made. Nothing is at `target` then.
    pub fn save_folder(&self, image: &Image, target: &Path) -> Result<(), StorageError> {
        let _use = self.using()?;
        if let Some(parent) = target.parent() {
            // What cannot be removed of an earlier call is no reason to fail this one.
            let _left = sweep(beside(parent));
        }
        let staging = Staging::begin(target, Entrance::AsItIs)?;
        let root = staging.path();
        let failed = |error| failed("writing", target, &error);
        let mut folders = DirBuilder::new();
        let folders = folders.recursive(true).mode(0o755);
        folders.create(root.join("blobs/sha256")).map_err(failed)?;
        // Whatever the mask is, no other user can write to what root may load again.
        let new = |name: &str| {
            let mut options = OpenOptions::new();
            let options = options.write(true).create_new(true).mode(0o644);
            options.open(root.join(name))
        };
        for descriptor in contents(image) {
            let mut source = self.blobs.open(descriptor.digest)?;
            let file = new(&blob(descriptor.digest));
            let copied = file.and_then(|mut file| io::copy(&mut source, &mut file));
            copied.map_err(failed)?;
        }
        for (name, text) in [("index.json", &*index(image)?), ("oci-layout", LAYOUT)] {
            let written = new(name).and_then(|mut file| file.write_all(text));
            written.map_err(failed)?;
        }
        staging.commit()
    }

    fn save_oci<W: Write>(
        &self,
        image: &Image,
        archive: &mut TarWriter<W>,
    ) -> Result<(), StorageError> {
        for name in ["blobs", "blobs/sha256"] {
            archive.entry(&entry(name, Kind::Directory)?, &mut io::empty())?;
        }
        for descriptor in contents(image) {
            let size = descriptor.size;
            let entry = entry(&blob(descriptor.digest), Kind::File { size })?;
            archive.entry(&entry, &mut self.blobs.open(descriptor.digest)?)?;
        }
        file(archive, "index.json", &index(image)?)?;
        file(archive, "oci-layout", LAYOUT)
    }

    fn save_docker<W: Write>(
        &self,
        image: &Image,
        archive: &mut TarWriter<W>,
    ) -> Result<(), StorageError> {
        let name = |digest: &Digest| format!("{}.tar", digest.hex());
        let diff_ids = &image.config.rootfs.diff_ids;
        // A layer that an image has twice is there once.
        let layers: BTreeMap<_, _> = diff_ids.iter().zip(&image.manifest.layers).collect();
        for (diff_id, layer) in layers {
            let size = io::copy(&mut self.plain(layer)?, &mut io::sink());
            let size = size.map_err(|error| unreadable(layer, error))?;
            let entry = entry(&name(diff_id), Kind::File { size })?;
            archive.entry(&entry, &mut self.plain(layer)?)?;
        }
        let config = format!("{}.json", image.id().hex());
        file(archive, &config, &self.blobs.document(image.id())?)?;
        let saved = [Saved {
            config,
            repo_tags: image.names.iter().map(ToString::to_string).collect(),
            layers: diff_ids.iter().map(name).collect(),
        }];
        file(archive, "manifest.json", &document::text(&saved)?)
    }

    /// A layer after decompression.
    fn plain(&self, layer: &Descriptor) -> Result<impl Read + use<>, StorageError> {
        let plain = compression::plain(self.blobs.open(layer.digest)?);
        plain
            .map(|(plain, _)| plain)
            .map_err(|error| unreadable(layer, error))
    }
}

/// The directory that a path without one is in.
fn beside(parent: &Path) -> &Path {
    match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    }
}

fn unreadable(layer: &Descriptor, error: io::Error) -> StorageError {
    StorageError::stream("reading a layer", &layer.digest.to_string(), error)
}

/// All contents of an image, in the order of their digests, each once.
fn contents(image: &Image) -> Vec<&Descriptor> {
    let mut contents = vec![&image.descriptor, &image.manifest.config];
    contents.extend(&image.manifest.layers);
    contents.sort_by_key(|content| content.digest);
    contents.dedup_by_key(|content| content.digest);
    contents
}

/// The index of a layout with this image alone, under all its names.
fn index(image: &Image) -> Result<Vec<u8>, StorageError> {
    let plain = Descriptor {
        annotations: BTreeMap::new(),
        ..image.descriptor.clone()
    };
    let mut index = Index::empty();
    for name in &image.names {
        let mut named = plain.clone();
        named
            .annotations
            .insert(REF_NAME.to_owned(), name.to_string());
        index.manifests.push(named);
    }
    if index.manifests.is_empty() {
        index.manifests.push(plain);
    }
    document::text(&index)
}

fn file<W: Write>(
    archive: &mut TarWriter<W>,
    name: &str,
    mut content: &[u8],
) -> Result<(), StorageError> {
    let size = content.len() as u64;
    archive.entry(&entry(name, Kind::File { size })?, &mut content)
}

fn entry(name: &str, kind: Kind) -> Result<Entry, StorageError> {
    let mode = if kind == Kind::Directory {
        0o755
    } else {
        0o644
    };
    let path = EntryPath::parse(name.as_bytes(), 3);
    Ok(Entry {
        path: path.map_err(|refusal| StorageError::refused(name.as_bytes(), refusal))?,
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Timestamp::default(),
        xattrs: BTreeMap::new(),
    })
}

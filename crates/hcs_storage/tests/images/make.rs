//! Images in the forms of other programs.

use std::{collections::BTreeMap, fs, io, path::Path};

use flate2::{Compression, write::GzEncoder};
use hcs_storage::{
    Digest, Limits,
    image::Store,
    layer::{Options, Rights},
    tar::{Entry, EntryPath, Kind, TarWriter, Timestamp},
};
use serde_json::{Value, json};

pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A store with the rights of root, in `directory`.
pub(crate) fn store(directory: &Path) -> Store {
    limited(directory, Limits::default())
}

/// The same with other limits.
pub(crate) fn limited(directory: &Path, limits: Limits) -> Store {
    let rights = Rights::Root;
    let options = Options { limits, rights };
    Store::open(&directory.join("store"), options).unwrap()
}

/// A tar stream of files; a content of `->x` is a symbolic link to `x`.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = TarWriter::new(Vec::new());
    for (path, content) in files {
        let kind = match content.strip_prefix(b"->") {
            Some(target) => Kind::Symlink {
                target: target.to_vec(),
            },
            None => Kind::File {
                size: content.len() as u64,
            },
        };
        let entry = Entry {
            path: EntryPath::parse(path.as_bytes(), 9).unwrap(),
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: BTreeMap::new(),
        };
        archive.entry(&entry, &mut &**content).unwrap();
    }
    archive.finish().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut &*bytes, &mut gzip).unwrap();
    gzip.finish().unwrap()
}

/// The configuration of an image with these layers, which are not compressed.
pub(crate) fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
    json!({
        "architecture": if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" },
        "os": "linux",
        "config": {"Env": ["A=b"], "Cmd": ["sh"], "Labels": {"x": "y"}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created_by": "test"}],
    })
}

/// What `docker save` writes of one image.
pub(crate) fn docker(name: &str, layers: &[&[u8]]) -> Vec<u8> {
    let paths: Vec<_> = (0..layers.len())
        .map(|number| format!("{number}/layer.tar"))
        .collect();
    let manifest =
        json!([{"Config": "config.json", "RepoTags": [name], "Layers": paths}]).to_string();
    let config = config(layers).to_string();
    let mut files = vec![
        ("config.json", config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ];
    files.extend(paths.iter().map(String::as_str).zip(layers.iter().copied()));
    tar(&files)
}

/// An OCI image layout in a folder, of which every part can be made to lie.
pub(crate) struct Layout {
    pub(crate) folder: tempfile::TempDir,
}

impl Layout {
    /// With nothing in it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("blobs/sha256")).unwrap();
        let layout = r#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::write(folder.path().join("oci-layout"), layout).unwrap();
        Self { folder }
    }

    /// Keeps a content; returns its descriptor.
    pub(crate) fn blob(&self, kind: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        let path = self.folder.path().join("blobs/sha256").join(digest.hex());
        fs::write(path, content).unwrap();
        json!({"mediaType": kind, "digest": digest, "size": content.len()})
    }

    /// Writes the index with these manifests.
    pub(crate) fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.folder.path().join("index.json"), index.to_string()).unwrap();
    }

    /// Makes the manifest of an image, which is called `name`; returns its descriptor.
    pub(crate) fn image(&self, name: &str, config: &Value, layers: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.config.v1+json";
        let config = self.blob(kind, config.to_string().as_bytes());
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut manifest = self.blob(kind, manifest.to_string().as_bytes());
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        manifest
    }
}

/// What a store holds: names in its three folders.
pub(crate) fn held(directory: &Path) -> [usize; 3] {
    ["oci/blobs/sha256", "layers", "incoming"].map(|folder| {
        fs::read_dir(directory.join("store").join(folder))
            .unwrap()
            .count()
    })
}

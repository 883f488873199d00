//! The JSON documents of the OCI image specification, as far as they matter here.
//!
//! They may be hostile: their size is bounded before they are parsed, and digests are parsed with them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Digest, Refusal, StorageError, compression::Compression, limits::charge};

/// Bytes of a document, at most.
pub(super) const LARGEST: u64 = 4 << 20;
/// Layers of an image, at most; an overlay takes no more.
const MOST_LAYERS: usize = 500;

/// Media type of a manifest that is written here.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a configuration that is written here.
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media types of configurations; old registries know of none.
const CONFIGS: [&str; 3] = [
    CONFIG,
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
];
/// Media types of manifests and of lists of them, as a registry is asked for them.
pub const MANIFESTS: [&str; 4] = [MANIFEST, DOCKER_MANIFEST, INDEX, DOCKER_INDEX];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The annotation of an index that names its images.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation with the digests of the lists that an image was found in; ours.
const LISTS: &str = "hcs.image.lists";
/// Digests in it, at most: the last ones count.
const MOST_LISTS: usize = 16;

/// A content: its digest, size and kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// The machine it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Notes, the name of an image among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What other programs put there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `linux`, ...
    pub os: String,
    /// The level of the architecture, as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What other programs put there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A list of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenIndex", into = "WrittenIndex")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The images.
    pub manifests: Vec<Descriptor>,
    /// Entries that cannot be read here, as those with digests of another kind; they hide no other entry.
    pub odd: Vec<Value>,
    /// What other programs put there.
    pub other: Map<String, Value>,
}

/// A list of images as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenIndex {
    schema_version: u32,
    manifests: Vec<Entry>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// An entry of a list.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Entry {
    Read(Descriptor),
    Odd(Value),
}

impl From<WrittenIndex> for Index {
    fn from(written: WrittenIndex) -> Self {
        let (mut manifests, mut odd) = (Vec::new(), Vec::new());
        for entry in written.manifests {
            match entry {
                Entry::Read(descriptor) => manifests.push(descriptor),
                // A property that comes twice is read as its last one, as it would be once it is written again.
                Entry::Odd(value) => match Descriptor::deserialize(&value) {
                    Ok(descriptor) => manifests.push(descriptor),
                    Err(_) => odd.push(value),
                },
            }
        }
        Self {
            schema_version: written.schema_version,
            manifests,
            odd,
            other: written.other,
        }
    }
}

impl From<Index> for WrittenIndex {
    fn from(index: Index) -> Self {
        let read = index.manifests.into_iter().map(Entry::Read);
        let odd = index.odd.into_iter().map(Entry::Odd);
        Self {
            schema_version: index.schema_version,
            manifests: read.chain(odd).collect(),
            other: index.other,
        }
    }
}

/// An image: its configuration and layers, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// The configuration of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// When it was made, as RFC 3339 says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `linux`, ...
    pub os: String,
    /// The level of the architecture, as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How its program runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Execution>,
    /// Its layers after decompression.
    pub rootfs: RootFs,
    /// How it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<History>>,
}

/// How the program of an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Execution {
    /// User, with a group after a colon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables, as `NAME=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The arguments after those, unless a caller gives others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The directory it starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The signal that asks it to end, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// What others need: ports, volumes, labels.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The layers of an image after decompression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the layers after decompression, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// One step of making an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When, as RFC 3339 says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Whether it made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// What other programs put there.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Descriptor {
    /// A content of kind `media_type`.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
            other: Map::new(),
        }
    }

    /// Whether it is a list of images.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(&*self.media_type, INDEX | DOCKER_INDEX)
    }

    /// Whether it is an image.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        is_manifest(&self.media_type)
    }

    /// The name of the image, where it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }

    /// Digests of the lists that the image was found in.
    pub(super) fn lists(&self) -> impl Iterator<Item = Digest> + '_ {
        let text = self.annotations.get(LISTS).map_or("", String::as_str);
        text.split(',').filter_map(|digest| digest.parse().ok())
    }

    /// Adds to these.
    pub(super) fn add_lists(&mut self, lists: &[Digest]) {
        let mut all: Vec<Digest> = self.lists().collect();
        for list in lists {
            if !all.contains(list) {
                all.push(*list);
            }
        }
        let last = &all[all.len().saturating_sub(MOST_LISTS)..];
        if !last.is_empty() {
            let texts: Vec<String> = last.iter().map(Digest::to_string).collect();
            self.annotations.insert(LISTS.to_owned(), texts.join(","));
        }
    }
}

impl Manifest {
    /// What it is of, where that is no image: signatures and artifacts have the same form. None for an image.
    #[must_use]
    pub fn other_kind(&self) -> Option<&str> {
        let kind = &*self.config.media_type;
        if !CONFIGS.contains(&kind) {
            return Some(kind);
        }
        let first = self.layers.first()?;
        let is_other = self
            .layers
            .iter()
            .all(|layer| compression_of(layer).is_err());
        is_other.then_some(&*first.media_type)
    }
}

fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, MANIFEST | DOCKER_MANIFEST)
}

impl Index {
    /// Without any image.
    pub(super) fn empty() -> Self {
        Self {
            schema_version: 2,
            manifests: Vec::new(),
            odd: Vec::new(),
            other: Map::new(),
        }
    }
}

/// The document in `text`, which is called `what` in messages.
///
/// # Errors
/// It is none of that kind.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8], what: &str) -> Result<T, StorageError> {
    serde_json::from_slice(text).map_err(|error| StorageError::Refused {
        what: what.to_owned(),
        refusal: Refusal::BadDocument(error.to_string()),
    })
}

/// The text of `document`.
///
/// # Errors
/// It cannot be written, which the types here rule out.
pub(super) fn text<T: Serialize>(document: &T) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(document).map_err(|error| StorageError::Stream {
        action: "writing a document",
        source: error.into(),
    })
}

/// Checks that `manifest` and `config` are of one image that can be run on Linux.
///
/// # Errors
/// They are not; the refusal says what does not fit.
pub(super) fn check(manifest: &Manifest, config: &Config) -> Result<(), Refusal> {
    let bad = |what: String| Err(Refusal::BadDocument(what));
    if manifest.schema_version != 2 {
        return bad(format!(
            "schemaVersion is {}; expected 2",
            manifest.schema_version
        ));
    }
    if let Some(kind) = manifest
        .media_type
        .as_ref()
        .filter(|kind| !is_manifest(kind))
    {
        return bad(format!(
            "mediaType is {kind:?}; expected that of a manifest"
        ));
    }
    check_config(config)?;
    let (layers, diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if layers != diffs {
        return bad(format!(
            "the manifest has {layers} layers, and the configuration {diffs}"
        ));
    }
    check_layers(manifest, u64::MAX)
}

/// Checks what the configuration alone says.
///
/// # Errors
/// It is none of an image for Linux, or has too many layers.
pub(super) fn check_config(config: &Config) -> Result<(), Refusal> {
    let bad = |what: String| Err(Refusal::BadDocument(what));
    let layers = config.rootfs.diff_ids.len();
    if config.rootfs.kind != "layers" {
        let kind = &config.rootfs.kind;
        return bad(format!(
            "the type of rootfs is {kind:?}; expected \"layers\""
        ));
    }
    if config.os != "linux" {
        return bad(format!("os is {:?}; expected \"linux\"", config.os));
    }
    if layers > MOST_LAYERS {
        return bad(format!(
            "there are {layers} layers; expected at most {MOST_LAYERS}"
        ));
    }
    Ok(())
}

/// Checks what the manifest alone says of its layers, whose contents may have `limit` bytes in all.
///
/// # Errors
/// There are too many, they are too large, or one is none.
pub(super) fn check_layers(manifest: &Manifest, limit: u64) -> Result<(), Refusal> {
    let layers = manifest.layers.len();
    if layers > MOST_LAYERS {
        let what = format!("there are {layers} layers; expected at most {MOST_LAYERS}");
        return Err(Refusal::BadDocument(what));
    }
    let mut bytes = 0;
    for layer in &manifest.layers {
        compression_of(layer)?;
        charge(&mut bytes, layer.size, limit, |limit| {
            Refusal::TooManyBytes { limit }
        })?;
    }
    Ok(())
}

/// How the media type of a layer says that it is compressed.
///
/// # Errors
/// It is no layer.
pub(super) fn compression_of(layer: &Descriptor) -> Result<Compression, Refusal> {
    let kind = &*layer.media_type;
    let oci = ["", "nondistributable."].iter().find_map(|way| {
        kind.strip_prefix(&*format!("application/vnd.oci.image.layer.{way}v1.tar"))
    });
    let docker = ["", "foreign."].iter().find_map(|way| {
        kind.strip_prefix(&*format!(
            "application/vnd.docker.image.rootfs.{way}diff.tar"
        ))
    });
    match oci.or(docker) {
        Some("") => Ok(Compression::None),
        Some("+gzip" | ".gzip") => Ok(Compression::Gzip),
        Some("+zstd" | ".zstd") => Ok(Compression::Zstd),
        _ => Err(Refusal::BadDocument(format!(
            "mediaType {kind:?} is none of a layer"
        ))),
    }
}

/// The media type of a layer that is compressed in that way.
pub(super) const fn layer_type(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "application/vnd.oci.image.layer.v1.tar",
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

/// Names of all that lies below: `chain(1)` is the first diff id, and each further one is of the last and the next.
pub(super) fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::new();
    for diff in diff_ids {
        chain.push(match chain.last() {
            None => *diff,
            Some(below) => Digest::of(format!("{below} {diff}").as_bytes()),
        });
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: &str) -> Descriptor {
        Descriptor::new(kind, Digest::of(b""), 0)
    }

    #[test]
    fn layers_are_known_by_their_media_types() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            assert_eq!(
                compression_of(&layer(layer_type(compression))),
                Ok(compression)
            );
        }
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert_eq!(compression_of(&layer(docker)), Ok(Compression::Gzip));
        assert!(
            compression_of(&layer(
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
            ))
            .is_err()
        );
        assert!(
            compression_of(&layer("application/vnd.oci.image.layer.v1.tar+encrypted")).is_err()
        );
    }

    #[test]
    fn what_other_programs_put_into_a_descriptor_stays() {
        let text = format!(
            r#"{{"mediaType":"x","digest":"{}","size":1,"annotations":{{"a":"b"}},"urls":["u"]}}"#,
            Digest::of(b"")
        );
        let descriptor: Descriptor = parse(text.as_bytes(), "test").unwrap();
        assert_eq!(
            String::from_utf8(super::text(&descriptor).unwrap()).unwrap(),
            text
        );
    }

    #[test]
    fn documents_that_lie_are_refused() {
        let digest = Digest::of(b"");
        for text in [
            "",
            "[]",
            r#"{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1}"#,
            r#"{"mediaType":"x","digest":"sha512:00","size":1}"#,
            &format!(r#"{{"mediaType":"x","digest":"{digest}","size":-1}}"#),
            &format!(r#"{{"mediaType":"x","digest":"{digest}","size":1,"size":2}}"#),
        ] {
            assert!(
                parse::<Descriptor>(text.as_bytes(), "test").is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_list_is_the_same_once_it_is_written() {
        let entry = format!(
            r#"{{"mediaType":"x","digest":"{}","size":1,"size":2}}"#,
            Digest::of(b"")
        );
        for (entry, odd) in [
            (&*entry, 0),
            (r#"{"digest":"sha512:0"}"#, 1),
            ("[null]", 1),
            ("7", 1),
        ] {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{entry}],"x":"y"}}"#);
            let index: Index = parse(text.as_bytes(), "test").unwrap();
            assert_eq!(
                (index.odd.len(), index.manifests.len()),
                (odd, 1 - odd),
                "{text}"
            );
            let again: Index = parse(&super::text(&index).unwrap(), "test").unwrap();
            assert_eq!(again, index);
        }
    }

    #[test]
    fn a_chain_id_is_of_all_below() {
        let diffs = [Digest::of(b"a"), Digest::of(b"b")];
        let chain = chain_ids(&diffs);
        assert_eq!(chain[0], diffs[0]);
        let text = format!("{} {}", diffs[0], diffs[1]);
        assert_eq!(chain[1], Digest::of(text.as_bytes()));
    }

    #[test]
    fn the_last_lists_of_an_image_are_known_each_once() {
        let mut image = Descriptor::new(MANIFEST, Digest::of(b""), 0);
        assert_eq!(image.lists().count(), 0);
        image.add_lists(&[]);
        assert!(image.annotations.is_empty());
        let digests: Vec<Digest> = (0..20_u8).map(|it| Digest::of(&[it])).collect();
        image.add_lists(&digests[..18]);
        image.add_lists(&[digests[18], digests[17], digests[19]]);
        let known: Vec<Digest> = image.lists().collect();
        assert_eq!(known, digests[4..]);
        // Another program may have written anything there.
        image
            .annotations
            .insert(LISTS.to_owned(), "x,,sha256:0".to_owned());
        assert_eq!(image.lists().count(), 0);
    }
}

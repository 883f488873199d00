//! The root directory as an OCI image in one tar file, for the peers that only run images. No network is needed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::command::{line, output, run};

/// The image's name in every peer's store.
pub(crate) const NAME: &str = "localhost/hcs-bench:1";

/// Something in the image's `blobs` folder.
struct Blob {
    digest: String,
    size: u64,
}

/// How the layer is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// As it is.
    Plain,
    /// Compressed, as most images of registries are.
    Gzip,
}

/// The image's folder in `folder`, an OCI image layout.
pub(crate) fn layout(folder: &Path) -> PathBuf {
    folder.join("image")
}

/// Writes the image of `root` into `folder`; answers the tar file.
pub(crate) fn make(root: &Path, folder: &Path, kind: Layer) -> Result<PathBuf, String> {
    let image = layout(folder);
    let blobs = image.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(|e| format!("mkdir {}: {e}", blobs.display()))?;
    let layer = image.join("layer.tar");
    archive(root, &layer, &["."])?;
    let diff_id = format!("sha256:{}", hash(&layer)?);
    let (layer, layer_kind) = match kind {
        Layer::Plain => (layer, "layer.v1.tar"),
        Layer::Gzip => {
            run(&line(&["gzip", "-n", &layer.display().to_string()]))?;
            (image.join("layer.tar.gz"), "layer.v1.tar+gzip")
        }
    };
    let layer = store(&layer, &blobs)?;
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
    });
    let config = store(&write(&image, &config)?, &blobs)?;
    let kind = |name| format!("application/vnd.oci.image.{name}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind("manifest.v1+json"),
        "config": descriptor(&kind("config.v1+json"), &config),
        "layers": [descriptor(&kind(layer_kind), &layer)],
    });
    let manifest = store(&write(&image, &manifest)?, &blobs)?;
    let mut entry = descriptor(&kind("manifest.v1+json"), &manifest);
    entry["annotations"] = json!({
        "org.opencontainers.image.ref.name": NAME,
        "io.containerd.image.name": NAME,
    });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    for (name, document) in [
        ("index.json", index),
        ("oci-layout", json!({ "imageLayoutVersion": "1.0.0" })),
    ] {
        fs::write(image.join(name), document.to_string()).map_err(|e| format!("{name}: {e}"))?;
    }
    let file = folder.join("image.tar");
    archive(&image, &file, &["oci-layout", "index.json", "blobs"])?;
    Ok(file)
}

/// What OCI calls the processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn archive(folder: &Path, file: &Path, names: &[&str]) -> Result<(), String> {
    let (folder, file) = (folder.display().to_string(), file.display().to_string());
    let mut command = line(&["tar", "--owner=0", "--group=0", "--numeric-owner"]);
    command.extend(line(&["-C", &folder, "-cf", &file]));
    command.extend(line(names));
    run(&command)
}

fn write(image: &Path, document: &Value) -> Result<PathBuf, String> {
    let path = image.join("document.json");
    fs::write(&path, document.to_string()).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

fn hash(file: &Path) -> Result<String, String> {
    let said = output(&line(&["sha256sum", &file.display().to_string()]))?;
    Ok(said.split(' ').next().unwrap_or_default().to_owned())
}

/// Moves a file among the blobs, under its digest.
fn store(file: &Path, blobs: &Path) -> Result<Blob, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    let size = fs::metadata(file).map_err(failed)?.len();
    let hash = hash(file)?;
    fs::rename(file, blobs.join(&hash)).map_err(failed)?;
    Ok(Blob {
        digest: format!("sha256:{hash}"),
        size,
    })
}

fn descriptor(kind: &str, blob: &Blob) -> Value {
    json!({ "mediaType": kind, "digest": blob.digest, "size": blob.size })
}

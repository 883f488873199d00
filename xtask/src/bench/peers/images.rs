//! The programs that unpack an image of a file: umoci, podman, containerd.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{containerd::Containerd, podman::Podman};
use crate::bench::{
    bundle::Bundles,
    command::{Line, line, require},
    image::{NAME, layout},
};

/// A store of images, or what is one.
pub(crate) trait ImageStore {
    /// Its name in tables.
    fn name(&self) -> &'static str;

    /// Removes what was loaded.
    ///
    /// # Errors
    /// It cannot be removed.
    fn empty(&self) -> Result<(), String>;

    /// The command that loads and unpacks the image.
    fn load(&self) -> Line;

    /// The most memory that a daemon of it had, in kB; 0 without one.
    ///
    /// # Errors
    /// The daemon is gone.
    fn daemon_peak(&self) -> Result<f64, String> {
        Ok(0.0)
    }
}

/// Makes all of them ready for the image in `archive`, whose layout is in `folder`; those that cannot be are their
/// reasons.
pub(crate) fn stores(
    bundles: &Bundles,
    folder: &Path,
    archive: &str,
) -> Vec<Result<Box<dyn ImageStore>, String>> {
    let umoci = require("umoci", "umoci").map(|_| Umoci {
        layout: layout(folder),
        place: folder.join("umoci"),
    });
    vec![
        umoci.map(|store| Box::new(store) as Box<dyn ImageStore>),
        Podman::store(bundles, archive).map(|store| Box::new(store) as Box<dyn ImageStore>),
        Containerd::store(bundles, archive).map(|store| Box::new(store) as Box<dyn ImageStore>),
    ]
}

struct Umoci {
    layout: PathBuf,
    place: PathBuf,
}

impl ImageStore for Umoci {
    fn name(&self) -> &'static str {
        "umoci unpack"
    }

    fn empty(&self) -> Result<(), String> {
        match self.place.exists() {
            true => fs::remove_dir_all(&self.place).map_err(|e| format!("umoci's bundle: {e}")),
            false => Ok(()),
        }
    }

    fn load(&self) -> Line {
        let image = format!("{}:{NAME}", self.layout.display());
        line(&[
            "umoci",
            "unpack",
            "--image",
            &image,
            &self.place.display().to_string(),
        ])
    }
}

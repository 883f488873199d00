//! The root directory, OCI bundles and image that every peer runs the same static busybox from.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{command, image, isolate::Place};

/// What is in the bench's folder.
#[derive(Debug)]
pub(crate) struct Bundles {
    folder: PathBuf,
    cgroup: String,
}

impl Bundles {
    /// Makes the root from the host's static busybox.
    pub(crate) fn make(place: &Place) -> Result<Self, String> {
        let busybox = command::require("busybox", "busybox-static")?;
        let bundles = Self {
            folder: place.folder.clone(),
            cgroup: place.cgroup.clone(),
        };
        let root = bundles.root();
        // systemd-nspawn takes only what has a /usr for a system.
        for name in ["bin", "dev", "proc", "sys", "tmp", "etc", "usr", "run"] {
            fs::create_dir_all(root.join(name)).map_err(|e| format!("mkdir {name}: {e}"))?;
        }
        fs::copy(&busybox, root.join("bin/busybox"))
            .map_err(|e| format!("cannot copy {busybox}: {e}"))?;
        for applet in ["sh", "true", "sleep", "cat", "dd", "echo"] {
            symlink("busybox", root.join("bin").join(applet))
                .map_err(|e| format!("symlink {applet}: {e}"))?;
        }
        Ok(bundles)
    }

    /// The root file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    /// The root file system, for command lines.
    pub(crate) fn root_text(&self) -> String {
        self.root().display().to_string()
    }

    /// A program of the root, for the host: the floor of every subject.
    pub(crate) fn program(&self, name: &str) -> String {
        self.root().join("bin").join(name).display().to_string()
    }

    /// The root as an image, made when it is first asked for.
    pub(crate) fn image(&self) -> Result<String, String> {
        let file = self.folder.join("image.tar");
        if !file.exists() {
            image::make(&self.root(), &self.folder, image::Layer::Plain)?;
        }
        Ok(file.display().to_string())
    }

    /// A folder for a peer's state.
    pub(crate) fn state(&self, peer: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(peer);
        fs::create_dir_all(&path).map_err(|e| format!("mkdir {}: {e}", path.display()))?;
        Ok(path)
    }

    /// The control group `name` of ours, as an absolute path below each hierarchy.
    pub(crate) fn cgroup(&self, name: &str) -> String {
        format!("/{}/{name}", self.cgroup)
    }

    /// An OCI bundle running `arguments`, its control group called `name` as well.
    pub(crate) fn bundle(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let path = self.state(name)?;
        let capabilities = json!(["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID"]);
        let namespaces: Vec<_> = ["pid", "ipc", "uts", "mount", "network"]
            .iter()
            .map(|kind| json!({ "type": kind }))
            .collect();
        let config = json!({
            "ociVersion": "1.0.2",
            "hostname": "bench",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": arguments, "env": ["PATH=/bin"], "cwd": "/",
                "noNewPrivileges": true,
                "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            },
            "root": { "path": self.root(), "readonly": false },
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
            ],
            "linux": { "cgroupsPath": self.cgroup(name), "namespaces": namespaces },
        });
        write(&path.join("config.json"), &config.to_string())?;
        Ok(path.display().to_string())
    }
}

/// Writes a file, or says which one could not be written.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

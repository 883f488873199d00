//! The root directory and OCI bundles that every peer runs the same static busybox from.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::json;

/// A scratch directory with a root file system and whatever bundles are made; removed when dropped.
pub(crate) struct Bundles {
    folder: tempfile::TempDir,
}

impl Bundles {
    /// Makes the root from the host's static busybox.
    pub(crate) fn make() -> Result<Self, String> {
        let busybox =
            super::command::find("busybox").ok_or("no busybox in PATH (package busybox-static)")?;
        let folder = tempfile::Builder::new()
            .prefix("hcs-bench-")
            .tempdir()
            .map_err(|e| format!("tempdir: {e}"))?;
        let root = folder.path().join("rootfs");
        for name in ["bin", "dev", "proc", "sys", "tmp", "etc"] {
            fs::create_dir_all(root.join(name)).map_err(|e| format!("mkdir {name}: {e}"))?;
        }
        fs::copy(&busybox, root.join("bin/busybox"))
            .map_err(|e| format!("cannot copy {busybox}: {e}"))?;
        for applet in ["sh", "true", "sleep", "cat", "dd", "echo"] {
            symlink("busybox", root.join("bin").join(applet))
                .map_err(|e| format!("symlink {applet}: {e}"))?;
        }
        Ok(Self { folder })
    }

    /// The root file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// A folder for a peer's state.
    pub(crate) fn state(&self, peer: &str) -> Result<PathBuf, String> {
        let path = self.folder.path().join(peer);
        fs::create_dir_all(&path).map_err(|e| format!("mkdir {}: {e}", path.display()))?;
        Ok(path)
    }

    /// An OCI bundle running `arguments`, its cgroup at `cgroup` (a path below the hierarchy's root).
    pub(crate) fn bundle(
        &self,
        name: &str,
        arguments: &[&str],
        cgroup: &str,
    ) -> Result<PathBuf, String> {
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
            "linux": { "cgroupsPath": cgroup, "namespaces": namespaces },
        });
        write(&path.join("config.json"), &config.to_string())?;
        Ok(path)
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

//! The release build of the service, on a private endpoint with a cgroup root of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::repository::Repository;

/// Builds the release binaries; answers the folder they are in.
pub(crate) fn build(repository: &Repository) -> crate::Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "hcsd",
            "--package",
            "hcs_cli",
        ])
        .current_dir(&repository.root)
        .status()?;
    if !status.success() {
        return Err("the release build failed".into());
    }
    Ok(repository.target.join("release"))
}

/// A running `hcsd`; ended when dropped.
pub(crate) struct Service {
    child: Child,
}

impl Service {
    /// Starts it on the endpoint that [`super::isolate`] chose.
    pub(crate) fn start(binaries: &Path) -> crate::Result<Self> {
        let endpoint = std::env::var_os("HCS_ENDPOINT")
            .map(PathBuf::from)
            .ok_or("HCS_ENDPOINT is not set")?;
        let config = endpoint.with_extension("toml");
        fs::write(&config, "cgroup_root = \"hcs-test-bench-service\"\n")?;
        let child = Command::new(binaries.join("hcsd"))
            .arg("--endpoint")
            .arg(&endpoint)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let service = Self { child };
        let limit = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(&endpoint).is_err() {
            if Instant::now() > limit {
                return Err("hcsd did not listen within 10 s".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(service)
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // A service that has gone by itself needs no signal.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

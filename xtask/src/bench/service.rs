//! The service as it is installed, at its shipped endpoint with its shipped defaults, in the bench's namespaces.
//!
//! Two settings differ, so that a service of the host is left alone: the control group below which it works, and the
//! directory for what containers write.

use std::{
    fs::{self, File},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{bundle::write, isolate::Place};
use crate::{Repository, install, process};

/// The shipped endpoint; `/run` is the bench's own.
pub(crate) const ENDPOINT: &str = "/run/hcs/hcs.sock";

/// Builds the release and installs it below `prefix`; answers this program's release build, whose client is measured.
///
/// # Errors
/// The build failed, or a file cannot be copied.
pub(crate) fn install(repository: &Repository, prefix: &Path) -> crate::Result<PathBuf> {
    install::build(repository, &["--release"])?;
    let built = repository.target.join("release");
    install::place(repository, &built, prefix, Path::new("/"))?;
    let build = ["build", "--release", "--locked", "--package", "xtask"];
    if !process::succeeds(
        process::cargo()
            .current_dir(&repository.root)
            .args(build)
            .stdout(Stdio::null()),
    )? {
        return Err("the release build of xtask failed".into());
    }
    Ok(repository.target.join("release/xtask"))
}

/// A running `hcsd`; ended when dropped.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it in the host's mount namespace.
    pub(crate) fn start(place: &Place) -> Result<Self, String> {
        let scratch = place.folder.join("scratch");
        fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
        let config = place.folder.join("hcsd.toml");
        let text = format!(
            "cgroup_root = \"{}/service\"\nscratch_root = {scratch:?}\ndefault_network = \"none\"\n",
            place.cgroup
        );
        write(&config, &text)?;
        let log = place.folder.join("hcsd.log");
        let file = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        let child = Command::new("nsenter")
            .arg(format!("--mount={}", place.host))
            .arg(place.prefix.join("bin/hcsd"))
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|e| format!("cannot run nsenter (package util-linux): {e}"))?;
        let mut service = Self { child, log };
        match service.await_socket() {
            Ok(()) => Ok(service),
            Err(error) => Err(service.explain(&error)),
        }
    }

    /// `error`, and what the service last wrote into its log.
    pub(crate) fn explain(&self, error: &str) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        format!("{error}\nthe service's log ends with:\n{last}")
    }

    fn await_socket(&mut self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        while let Err(error) = UnixStream::connect(ENDPOINT) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("hcsd ended with {status}"));
            }
            if Instant::now() > end {
                return Err(format!("hcsd does not listen at {ENDPOINT}: {error}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its pid: nsenter becomes it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // A service that has gone by itself needs no signal.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _status = self.child.wait();
    }
}

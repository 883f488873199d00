//! The programs a user would take instead, each with one container running `sleep` to exec into.
//!
//! Every peer runs the same busybox from the same root. runc and crun get an explicit cgroup path below
//! [`CGROUP`]; crun refuses the hybrid cgroup layout, so the bench runs in a private mount namespace from which
//! cgroup2 is gone where v1 controllers are mounted (see `super::isolate`).

use std::path::PathBuf;

use super::{
    bundle::Bundles,
    command::{find, run, run_bare},
    interleave::Subject,
};

/// The only cgroup that peers may use.
pub(crate) const CGROUP: &str = "/hcs-test-bench";

/// An OCI runtime with crun's command line (crun and runc share it).
pub(crate) struct Runtime {
    name: &'static str,
    state: String,
    running: String,
    once: PathBuf,
}

impl Runtime {
    /// Starts its idle container.
    pub(crate) fn start(name: &'static str, bundles: &Bundles) -> Result<Self, String> {
        find(name).ok_or_else(|| format!("{name} is not installed"))?;
        let state = bundles
            .state(&format!("{name}-state"))?
            .display()
            .to_string();
        let idle = bundles.bundle(
            &format!("{name}-idle"),
            &["/bin/sleep", "100000"],
            &format!("{CGROUP}/{name}-idle"),
        )?;
        let once = bundles.bundle(
            &format!("{name}-once"),
            &["/bin/true"],
            &format!("{CGROUP}/{name}-once"),
        )?;
        let running = format!("{name}-idle");
        let idle = idle.display().to_string();
        run_bare(
            name,
            &["--root", &state, "run", "-d", "-b", &idle, &running],
        )?;
        Ok(Self {
            name,
            state,
            running,
            once,
        })
    }

    /// `exec` of `/bin/true` in the idle container.
    pub(crate) fn exec(&self) -> Subject<'_> {
        Subject::new(format!("{} exec", self.name), || {
            run_bare(
                self.name,
                &["--root", &self.state, "exec", &self.running, "/bin/true"],
            )
        })
    }

    /// A whole container for one `/bin/true`.
    pub(crate) fn run(&self) -> Subject<'_> {
        let bundle = self.once.display().to_string();
        Subject::new(format!("{} run", self.name), move || {
            run_bare(
                self.name,
                &["--root", &self.state, "run", "-b", &bundle, "bench-once"],
            )
        })
    }

    /// Makes and starts an idle container of its own name.
    pub(crate) fn create_idle(&self, bundles: &Bundles, number: usize) -> Result<(), String> {
        let id = format!("{}-{number}", self.name);
        let bundle = bundles.bundle(&id, &["/bin/sleep", "100000"], &format!("{CGROUP}/{id}"))?;
        run_bare(
            self.name,
            &[
                "--root",
                &self.state,
                "run",
                "-d",
                "-b",
                &bundle.display().to_string(),
                &id,
            ],
        )
    }

    /// Removes what [`Self::create_idle`] made.
    pub(crate) fn delete_idle(&self, number: usize) -> Result<(), String> {
        run_bare(
            self.name,
            &[
                "--root",
                &self.state,
                "delete",
                "-f",
                &format!("{}-{number}", self.name),
            ],
        )
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Err(error) = run(
            self.name,
            &["--root", &self.state, "delete", "-f", &self.running],
        ) {
            super::warn(&error);
        }
    }
}

/// bwrap with a new sandbox for one `/bin/true`.
pub(crate) fn bubblewrap(bundles: &Bundles) -> Result<Subject<'static>, String> {
    find("bwrap").ok_or("bwrap is not installed")?;
    let root = bundles.root().display().to_string();
    Ok(Subject::new("bwrap", move || {
        run_bare(
            "bwrap",
            &[
                "--unshare-all",
                "--ro-bind",
                &root,
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "/bin/true",
            ],
        )
    }))
}

/// `podman run` of the root directory.
pub(crate) fn podman_run(bundles: &Bundles) -> Result<Subject<'static>, String> {
    find("podman").ok_or("podman is not installed")?;
    let root = bundles.root().display().to_string();
    let subject = move || {
        let limits = [
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ];
        let fixed = [
            "--network",
            "none",
            "--cgroups",
            "disabled",
            "--rootfs",
            root.as_str(),
            "/bin/true",
        ];
        let arguments: Vec<&str> = ["run", "--rm"]
            .into_iter()
            .chain(limits)
            .chain(fixed)
            .collect();
        run_bare("podman", &arguments)
    };
    subject().map_err(|e| format!("podman does not run here: {e}"))?;
    Ok(Subject::new("podman run", subject))
}

/// Removes the cgroups that runtimes left empty below [`CGROUP`].
pub(crate) fn remove_cgroups() {
    let Ok(hierarchies) = std::fs::read_dir("/sys/fs/cgroup") else {
        return;
    };
    for hierarchy in hierarchies.flatten() {
        let ours = hierarchy.path().join(CGROUP.trim_start_matches('/'));
        for child in std::fs::read_dir(&ours).into_iter().flatten().flatten() {
            if child.path().is_dir() {
                // Busy ones belong to a container that is still there; its own clean-up reports that.
                let _ = std::fs::remove_dir(child.path());
            }
        }
        let _ = std::fs::remove_dir(&ours);
    }
}

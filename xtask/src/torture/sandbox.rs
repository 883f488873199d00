//! Where the torture takes place: a directory with a small file system for the service's state, an endpoint, a cgroup
//! of its own, and a second service that is left alone.
//!
//! ```text
//!   <sandbox>/small/      a tmpfs of a few MiB, to be filled: hcs.sock, hcs.d
//!   <sandbox>/marks/      a file named after each system that was deliberately harmed
//!   <sandbox>/control/    the second service
//! ```

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::Pid,
};

use crate::Result;

/// Size of the small file system.
const SMALL: &str = "size=48m,mode=755";

/// The services' times: a system whose clients are gone is not to stay for long.
const TIMES: &str = "[times]\nidle_seconds = 2\nreconnect_seconds = 20\n";

/// What was done to a system on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Its processes may be killed or lost.
    Harmed,
    /// What is written down of its processes may be lost: how they ended is perhaps not known any more.
    Forgotten,
}

impl Mark {
    /// The file that says so of the system with that runtime id.
    pub(super) fn file(self, marks: &Path, runtime_id: &str) -> PathBuf {
        let end = match self {
            Self::Harmed => "harmed",
            Self::Forgotten => "forgotten",
        };
        marks.join(format!("{runtime_id}.{end}"))
    }
}

/// One of the two services.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its socket.
    pub(super) endpoint: PathBuf,
    /// Its configuration.
    pub(super) config: PathBuf,
    /// Its program.
    pub(super) daemon: PathBuf,
    /// Its cgroup, relative to each hierarchy.
    pub(super) cgroup: String,
}

impl Place {
    fn new(directory: &Path, daemon: &Path, cgroup: &str, slots: usize) -> Result<Self> {
        let config = directory.join("hcsd.toml");
        let text = format!(
            "cgroup_root = \"{cgroup}\"\ndefault_network = \"none\"\nprocesses_per_container = 64\nwarm_slots = {slots}\n{TIMES}"
        );
        fs::write(&config, text)?;
        let endpoint = directory.join("hcs.sock");
        let tag = hcs_wire::endpoint::tag(&endpoint).ok_or("it is the machine's own endpoint")?;
        Ok(Self {
            endpoint,
            config,
            daemon: daemon.to_owned(),
            cgroup: format!("{cgroup}/{tag}"),
        })
    }

    /// Lets `command` find the service.
    pub(super) fn apply(&self, command: &mut Command) {
        command
            .env("HCS_ENDPOINT", &self.endpoint)
            .env("HCS_CONFIG", &self.config)
            .env("HCS_DAEMON", &self.daemon);
    }

    /// The service's state root.
    pub(super) fn state(&self) -> PathBuf {
        self.endpoint.with_extension("d")
    }

    /// The service that listens now.
    pub(super) fn service(&self) -> Option<Pid> {
        let stream = UnixStream::connect(&self.endpoint).ok()?;
        Some(rustix::net::sockopt::socket_peercred(stream).ok()?.pid)
    }

    /// The directories of its systems.
    pub(super) fn systems(&self) -> Vec<PathBuf> {
        let mut systems = entries(&self.state().join("systems"));
        systems.sort();
        systems
    }

    /// Runtime ids of what it keeps ready for systems to come.
    pub(super) fn ready(&self) -> Vec<OsString> {
        let slots = entries(&self.state().join("slots"));
        let names = slots.iter().filter_map(|slot| slot.file_name());
        names.map(OsStr::to_owned).collect()
    }

    /// What of its systems is on the host.
    pub(super) fn leftovers(&self) -> Vec<String> {
        // Before the rest: what becomes a system meanwhile belongs to a client.
        let ready = self.ready();
        let mut left = self.systems();
        left.extend(entries(&self.state().join("scratch")));
        for hierarchy in hierarchies() {
            let below = entries(&hierarchy.join(&self.cgroup));
            left.extend(below.into_iter().filter(|path| path.is_dir()));
        }
        // The group of a service that runs, which has to be in it.
        left.retain(|path| !(path.ends_with("service") && is_home_of(path, self.service())));
        left.retain(|path| {
            let name = path.file_name();
            !ready.iter().any(|ready| Some(ready.as_os_str()) == name)
        });
        left.iter().map(|path| path.display().to_string()).collect()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sandbox {
    root: PathBuf,
    /// The service that is disturbed.
    pub(super) place: Place,
    /// The one that is not.
    pub(super) control: Place,
}

impl Sandbox {
    /// Makes it. The service that is disturbed keeps so many containers ready.
    ///
    /// # Errors
    /// What the host refused; it takes root.
    pub(super) fn new(daemon: &Path, slots: usize) -> Result<Self> {
        let number = std::process::id();
        let root = env::temp_dir().join(format!("hcs-torture-{number}"));
        let small = root.join("small");
        for directory in [&small, &root.join("marks"), &root.join("control")] {
            fs::create_dir_all(directory)?;
        }
        let size = std::ffi::CString::new(SMALL)?;
        mount(
            "tmpfs",
            &small,
            "tmpfs",
            MountFlags::empty(),
            size.as_c_str(),
        )
        .map_err(|e| {
            format!(
                "a small file system cannot be mounted at {}: {e}",
                small.display()
            )
        })?;
        let cgroup = format!("hcs-test-torture-{number}");
        Ok(Self {
            place: Place::new(&small, daemon, &cgroup, slots)?,
            control: Place::new(
                &root.join("control"),
                daemon,
                &format!("{cgroup}-control"),
                0,
            )?,
            root,
        })
    }

    /// The file system that may be filled.
    pub(super) fn small(&self) -> PathBuf {
        self.root.join("small")
    }

    /// Where harmed systems are written down.
    pub(super) fn marks(&self) -> PathBuf {
        self.root.join("marks")
    }

    /// The proxy's socket.
    pub(super) fn proxy(&self) -> PathBuf {
        self.root.join("proxy.sock")
    }

    /// Notes what is about to be done to the system of that directory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn mark(&self, system: &Path, mark: Mark) -> Result<()> {
        if let Some(name) = system.file_name().and_then(|name| name.to_str()) {
            fs::write(mark.file(&self.marks(), name), "")?;
        }
        Ok(())
    }

    /// What is left on the host although no client has a system: systems, and mounts but our own.
    pub(super) fn leftovers(&self) -> Result<Vec<String>> {
        let mut left = self.place.leftovers();
        let own = self.root.display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let point = |line: &str| line.split(' ').nth(4).map(str::to_owned);
        let points = mounts.lines().filter_map(point);
        let small = self.small().display().to_string();
        left.extend(points.filter(|point| point.starts_with(&own) && *point != small));
        Ok(left)
    }

    /// Of the service's log: the lines of the systems that `wrong` names, and the end.
    pub(super) fn log(&self, wrong: &str) -> String {
        let log = fs::read_to_string(self.place.state().join("hcsd.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let ids: Vec<_> = wrong
            .split([' ', ':'])
            .filter(|word| word.starts_with("torture-"))
            .map(|id| format!("id={id} "))
            .collect();
        let (before, end) = lines.split_at(lines.len().saturating_sub(40));
        let named = before.iter().filter(|line| {
            let of = |id: &String| line.contains(id.as_str());
            // What the service says of itself tells when it was killed and came back.
            ids.iter().any(of) || !line.contains("system{")
        });
        named.chain(end).copied().collect::<Vec<_>>().join("\n")
    }

    /// Removes it, and its cgroups.
    ///
    /// # Errors
    /// Something is still used.
    pub(super) fn remove(self) -> Result<()> {
        for hierarchy in hierarchies() {
            for cgroup in [&self.place.cgroup, &self.control.cgroup] {
                for group in Path::new(cgroup).ancestors().take(2) {
                    // Not in every hierarchy.
                    let _gone = fs::remove_dir(hierarchy.join(group));
                }
            }
        }
        unmount(self.small(), UnmountFlags::DETACH)?;
        fs::remove_dir_all(&self.root)?;
        Ok(())
    }
}

/// Our descendants that live, and the path of their program.
pub(super) fn descendants() -> BTreeSet<(i32, String)> {
    let mut found = BTreeSet::new();
    let mut parents = vec![std::process::id().cast_signed()];
    while let Some(parent) = parents.pop() {
        for task in entries(&PathBuf::from(format!("/proc/{parent}/task"))) {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
            {
                parents.push(child);
                // A zombie has no program.
                if let Ok(program) = fs::read_link(format!("/proc/{child}/exe")) {
                    found.insert((child, program.display().to_string()));
                }
            }
        }
    }
    found
}

/// Whether the process is in that control group, perhaps among others.
fn is_home_of(group: &Path, pid: Option<Pid>) -> bool {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let pid = pid.map(|pid| pid.as_raw_nonzero().to_string());
    pid.is_some_and(|pid| members.lines().any(|member| member == pid))
}

fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let mut all: Vec<_> = entries(top)
        .into_iter()
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    all.push(top.to_owned());
    all
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

//! A real service of a test's own, and clients that speak its protocol directly.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses a part of it"
)]

pub(crate) mod client;
pub(crate) mod hanging;
pub(crate) mod log;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use hcsd::endpoint::cgroup_root;
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal},
};
use tempfile::TempDir;

pub(crate) use client::Client;

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// How long something that the service does may take. Longer than it keeps an ended system for clients that may come
/// back, which is 60 seconds by default.
const LIMIT: Duration = Duration::from_secs(120);

/// A service in a directory of its own, with a cgroup of its own. Dropped, it is ended, and whatever it left is a
/// failure of the test.
pub(crate) struct Service {
    /// The program and its first arguments.
    program: Vec<String>,
    directory: TempDir,
    pub(crate) cgroup_root: String,
    child: Option<Child>,
    said: Arc<Mutex<String>>,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with_config("")
    }

    /// With further lines of configuration.
    pub(crate) fn with_config(lines: &str) -> Self {
        Self::of(vec![env!("CARGO_BIN_EXE_hcsd").to_owned()], lines)
    }

    /// A service whose program is `program`.
    pub(crate) fn of(program: Vec<String>, lines: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("hcsd-test-")
            .tempdir()
            .unwrap();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let configured = format!("hcs-test-{}-{number}", std::process::id());
        let config = format!("cgroup_root = \"{configured}\"\n{lines}");
        fs::write(directory.path().join("hcsd.toml"), config).unwrap();
        let cgroup_root = cgroup_root(&directory.path().join("hcs.sock"), Some(&configured));
        let mut service = Self {
            program,
            directory,
            cgroup_root,
            child: None,
            said: Arc::default(),
        };
        service.run();
        service
    }

    pub(crate) fn endpoint(&self) -> PathBuf {
        self.directory.path().join("hcs.sock")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("hcs.d")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .arg("--endpoint")
            .arg(self.endpoint())
            .arg("--config")
            .arg(self.directory.path().join("hcsd.toml"));
        command
    }

    /// Starts it and waits until it says that it serves.
    pub(crate) fn run(&mut self) {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("serving") {
            let before = said.len();
            log.read_line(&mut said).unwrap();
            assert!(said.len() > before, "the service ended: {said}");
        }
        let kept = Arc::clone(&self.said);
        std::thread::spawn(move || {
            for line in log.lines().map_while(Result::ok) {
                eprintln!("  {line}");
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        self.child = Some(child);
    }

    /// Asks it to leave, and gives all that it logged since it served.
    pub(crate) fn log(mut self) -> String {
        self.stop();
        // The thread that reads has its own until the stream ends.
        while Arc::strong_count(&self.said) > 1 {
            std::thread::yield_now();
        }
        std::mem::take(&mut *self.said.lock().unwrap())
    }

    /// Whether it has logged that.
    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.said.lock().unwrap().contains(text)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to leave, and waits.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_child(&child);
            kill_process(pid, Signal::TERM).unwrap();
            assert!(child.wait().unwrap().success());
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.endpoint())
    }

    /// How many descriptors the service has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// Runtime ids of what is kept ready.
    pub(crate) fn ready(&self) -> Vec<String> {
        let directories = below(&self.root().join("slots"));
        let names = directories.iter().filter_map(|path| path.file_name());
        names
            .map(|name| name.to_str().unwrap().to_owned())
            .collect()
    }

    /// Everything on the host that belongs to this service's systems, and nothing of what it keeps ready.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        for hierarchy in hierarchies() {
            let group = hierarchy.join(&self.cgroup_root);
            left.extend(below(&group).into_iter().filter(|path| path.is_dir()));
        }
        for directory in ["systems", "scratch"] {
            left.extend(below(&self.root().join(directory)));
        }
        let ready = self.ready();
        left.retain(|path| !ready.iter().any(|id| path.ends_with(id)));
        let mut left: Vec<_> = left.iter().map(|path| path.display().to_string()).collect();
        let own = self.directory.path().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&own))
                .map(str::to_owned),
        );
        left
    }
}

impl Service {
    /// Kills the service of a failed test and what it left running, and removes its control groups.
    fn clear_away(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        let groups: Vec<_> = hierarchies()
            .iter()
            .flat_map(|hierarchy| below(&hierarchy.join(&self.cgroup_root)))
            .collect();
        for group in &groups {
            let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in processes.lines().filter_map(|pid| pid.parse().ok()) {
                if let Some(pid) = Pid::from_raw(pid) {
                    kill_process(pid, Signal::KILL).ok();
                }
            }
        }
        // Those that are still held by something dying stay, which the failed run then says.
        for group in groups.iter().rev() {
            drop(fs::remove_dir(group));
        }
        self.remove_cgroup_root();
    }

    /// Removes its groups where nothing holds them any more.
    fn remove_cgroup_root(&self) {
        let root = Path::new(&self.cgroup_root);
        for hierarchy in hierarchies() {
            for group in [Some(root), root.parent()].into_iter().flatten() {
                drop(fs::remove_dir(hierarchy.join(group)));
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log has said what is wrong; what is left must still go.
            self.clear_away();
            return;
        }
        // A system that was found dead ends beside what the test waited for.
        let end = Instant::now() + LIMIT;
        let mut left = self.left_behind();
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = self.left_behind();
        }
        if !left.is_empty() {
            self.clear_away();
            panic!("left behind while serving: {left:#?}");
        }
        self.stop();
        let left = [self.left_behind(), self.ready()].concat();
        assert!(left.is_empty(), "left behind: {left:#?}");
        // Its own group holds nothing any more.
        self.remove_cgroup_root();
        assert!(!self.endpoint().exists(), "the socket is left behind");
    }
}

pub(crate) fn hierarchies() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let mut all: Vec<_> = fs::read_dir(top)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && !path.is_symlink())
        .collect();
    all.push(top.to_owned());
    all
}

fn below(directory: &Path) -> Vec<PathBuf> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir() || !directory.starts_with("/sys"))
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// Waits for something that the service does behind its clients' backs.
pub(crate) fn await_that(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < end, "{what}: not after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills a process and waits until it is gone.
pub(crate) fn kill(pid: i32) {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, Signal::KILL).unwrap();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
}

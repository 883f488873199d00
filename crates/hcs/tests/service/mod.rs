//! A real service for one test, at an endpoint of its own, in the foreground so that it ends with the test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::print_stderr,
    reason = "the log of the service explains failures"
)]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::allow_attributes,
    reason = "what is unused differs by test file"
)]

use std::{
    fs::File,
    ops::Deref,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use hcs::{
    ComputeSystem, Endpoint, HResult,
    documents::{self, ProcessParameters},
    raw,
};

/// The service's program: `$HCS_DAEMON`, else where cargo puts it.
///
/// # Panics
/// It is not there: these tests cannot run without it.
pub(crate) fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("HCS_DAEMON") {
        return program.into();
    }
    let executable = std::env::current_exe().unwrap();
    let program = executable.ancestors().nth(2).unwrap().join("hcsd");
    assert!(
        program.is_file(),
        "{} is missing: build it first (cargo build -p hcsd), or name it by $HCS_DAEMON",
        program.display()
    );
    program
}

/// A running service.
pub(crate) struct Service {
    directory: tempfile::TempDir,
    child: Child,
}

impl Service {
    /// Starts it and waits until it has said that it serves.
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    /// One of that configuration.
    pub(crate) fn with(lines: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("hcsd.toml");
        std::fs::write(&configuration, lines).unwrap();
        let mut child = Command::new(program())
            .arg("--endpoint")
            .arg(directory.path().join("hcs.sock"))
            .arg("--config")
            .arg(configuration)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        wait_until_serving(stderr);
        Self { directory, child }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it keeps its state.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("hcs.d")
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.directory.path().join("hcs.sock"))
    }

    /// A started container with nothing special.
    pub(crate) fn system(&self, id: &str) -> Running {
        Running::at(&self.endpoint(), id)
    }
}

/// A started container, ended when dropped.
pub(crate) struct Running(ComputeSystem);

impl Running {
    pub(crate) fn at(endpoint: &Endpoint, id: &str) -> Self {
        Self::of(endpoint, id, &container())
    }

    /// One of that document.
    pub(crate) fn of(endpoint: &Endpoint, id: &str, document: &documents::ComputeSystem) -> Self {
        let operation = raw::Operation::new();
        let document = serde_json::to_string(document).unwrap();
        let system = endpoint.create_system(id, &document, &operation).unwrap();
        operation.wait(None).unwrap();
        let system = ComputeSystem::from(system);
        system.start().wait().unwrap();
        Self(system)
    }
}

impl Deref for Running {
    type Target = ComputeSystem;

    fn deref(&self) -> &ComputeSystem {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(failure) = self.0.terminate().wait() {
            let stopped = HResult::HCS_E_SYSTEM_ALREADY_STOPPED;
            assert_eq!(failure.hresult, stopped, "{failure}");
        }
        self.0.exit().wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// Where a test finds its endpoint when it runs in a process of its own.
const PLACE: &str = "HCS_TEST_PLACE";

/// Runs `test` in a process of its own, where the library starts the service itself, and waits until both have left.
/// In that process it returns the endpoint.
pub(crate) fn on_its_own(test: &str) -> Option<Endpoint> {
    on_its_own_with(test, "[times]\nidle_seconds = 1\nreconnect_seconds = 2\n")
}

/// [`on_its_own`], with that configuration of the service.
pub(crate) fn on_its_own_with(test: &str, lines: &str) -> Option<Endpoint> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(Endpoint::at(Path::new(&place).join("hcs.sock")));
    }
    run_on_its_own(Command::new(std::env::current_exe().unwrap()), test, lines);
    None
}

/// Waits for the service before it ends, as the namespace takes all its processes along.
const FIRST: &str =
    r#""$@"; code=$?; flock --shared "$HCS_TEST_PLACE/hcs.d/hcsd.lock" true; exit $code"#;

/// [`on_its_own_with`], in a network without links and in a pid namespace, whose first process a shell is: the service
/// joins the network of pid 1.
pub(crate) fn in_namespaces_of_its_own(test: &str, lines: &str) -> Option<Endpoint> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(Endpoint::at(Path::new(&place).join("hcs.sock")));
    }
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.args(["sh", "-c", FIRST, "sh"]);
    command.arg(std::env::current_exe().unwrap());
    run_on_its_own(command, test, lines);
    None
}

/// Runs the program of this test for `test` alone, by `command`, and waits until its service has left, too.
fn run_on_its_own(mut command: Command, test: &str, lines: &str) {
    let place = tempfile::tempdir().unwrap();
    let configuration = place.path().join("hcsd.toml");
    std::fs::write(&configuration, lines).unwrap();
    let status = command
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(PLACE, place.path())
        .env("HCS_ENDPOINT", place.path().join("hcs.sock"))
        .env("HCS_CONFIG", configuration)
        .env("HCS_DAEMON", program())
        .status()
        .unwrap();
    let lock = File::open(place.path().join("hcs.d/hcsd.lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).unwrap();
    assert!(status.success());
    assert_nothing_is_left(&place.path().join("hcs.d"));
}

/// Of systems that have ended, nothing may stay in the state root of a service that has left.
fn assert_nothing_is_left(root: &Path) {
    assert!(root.join("systems").is_dir(), "{} had none", root.display());
    for directory in ["systems", "scratch", "slots"] {
        let Ok(entries) = std::fs::read_dir(root.join(directory)) else {
            continue;
        };
        let left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Ends the service there as a crash would.
pub(crate) fn kill(endpoint: &Endpoint) {
    let stream = UnixStream::connect(endpoint.path()).unwrap();
    let peer = rustix::net::sockopt::socket_peercred(&stream).unwrap();
    rustix::process::kill_process(peer.pid, rustix::process::Signal::KILL).unwrap();
}

/// Reads the service's log until it serves, and the rest of it on a thread of its own.
fn wait_until_serving(stderr: impl Into<OwnedFd>) {
    use std::io::{BufRead as _, BufReader};
    let mut lines = BufReader::new(File::from(stderr.into())).lines();
    let mut log = Vec::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("the service ended: {log:?}");
        };
        let serving = line.contains("serving");
        log.push(line);
        if serving {
            break;
        }
    }
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            eprintln!("{line}");
        }
    });
}

/// A container of the host's own files.
pub(crate) fn container() -> documents::ComputeSystem {
    documents::ComputeSystem {
        container: Some(documents::Container::default()),
        should_terminate_on_last_handle_closed: Some(true),
        ..Default::default()
    }
}

/// `sh -c script` with pipes for all streams.
pub(crate) fn shell(script: &str) -> ProcessParameters {
    let args = ["/bin/sh", "-c", script].map(str::to_owned);
    ProcessParameters {
        command_args: Some(args.to_vec()),
        create_std_in_pipe: Some(true),
        create_std_out_pipe: Some(true),
        create_std_err_pipe: Some(true),
        ..Default::default()
    }
}

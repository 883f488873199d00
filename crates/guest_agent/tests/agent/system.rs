//! A system under test: the agent in namespaces of its own.

use std::{
    fs::File,
    io::Read as _,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
};

use hcs_schema::privileges::Privileges;
use hcs_wire::guest::LeftRecord;
use tempfile::TempDir;

use crate::bridge::Bridge;

/// Names the file for what the agent leaves.
const LEFT: &str = "HCS_TEST_LEFT";

/// Serves as the agent on the listening socket that is this process's stdin.
pub fn become_agent() -> ExitCode {
    let listener = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).unwrap();
    let null = File::open("/dev/null").unwrap();
    rustix::stdio::dup2_stdin(null).unwrap();
    let left = std::env::var_os(LEFT).map(|path| File::create(path).unwrap().into());
    let own = guest_agent::Own::at_usual_places();
    let host = guest_agent::Host::IsUser(rustix::process::geteuid().as_raw());
    ExitCode::from(
        u8::try_from(guest_agent::run(
            listener,
            host,
            left,
            own,
            Privileges::default(),
        ))
        .unwrap(),
    )
}

/// A running agent. Dropping it kills everything in it.
pub struct System {
    unshare: Child,
    directory: TempDir,
}

impl System {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_after("true")
    }

    /// Starts one after `preparation`, a shell script inside its mount namespace; `$1` is a directory of its own.
    pub fn start_after(preparation: &str) -> Self {
        Self::start_as(preparation, "--agent")
    }

    /// Starts one that dials the sockets in its directory, [`System::path`].
    pub fn start_dialling() -> Self {
        Self::start_as("true", "--dialling-agent \"$1\"")
    }

    fn start_as(preparation: &str, mode: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("agent.sock")).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let program = std::env::current_exe().unwrap();
        let script = format!("{preparation} && exec \"$0\" {mode}");
        // Should this program be killed, the thread that started the system takes it along.
        let unshare = Command::new("setpriv")
            .args([
                "--pdeathsig=KILL",
                "--",
                "unshare",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "--",
                "sh",
                "-ec",
                &script,
            ])
            .arg(program)
            .arg(directory.path())
            .env(LEFT, directory.path().join("left"))
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { unshare, directory }
    }

    /// A path in a directory of the test's own, the same inside and outside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A raw stream, nothing sent on it.
    pub fn dial(&self) -> UnixStream {
        UnixStream::connect(self.path("agent.sock")).unwrap()
    }

    /// A negotiated stream.
    pub fn connect(&self) -> Bridge {
        let mut bridge = Bridge::new(self.dial());
        bridge.negotiate();
        bridge
    }

    /// What the agent has left for a host that comes after its end.
    pub fn left(&self) -> LeftRecord {
        LeftRecord::read(&std::fs::read(self.path("left")).unwrap())
    }

    /// What the agent wrote to stderr so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        let mut file = File::open(self.path("log")).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits until the agent has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.unshare.wait().unwrap()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        drop(self.unshare.kill());
        drop(self.unshare.wait());
        let log = self.log();
        if !log.is_empty() {
            eprintln!("the agent's stderr:\n{log}");
        }
    }
}

//! containerd and its `ctr`: a containerd of the bench's own, with its own root, state and socket, whose image comes
//! from a file.

use std::{
    fs::File,
    os::unix::net::UnixStream,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{ImageStore, Peer, end};
use crate::bench::{
    bundle::{Bundles, write},
    command::{Line, line, require, run},
    image,
    ours::memory_kb,
};

const IDLE: &str = "bench-idle";

/// A running containerd with an idle container.
#[derive(Debug)]
pub(super) struct Containerd {
    daemon: Child,
    socket: String,
    once_cgroup: String,
    /// Each process that is started in a container has a name of its own.
    next: AtomicU64,
}

impl Containerd {
    /// Starts containerd, imports the image, starts the idle container.
    pub(super) fn start(bundles: &Bundles) -> Result<Self, String> {
        require("runc", "runc")?;
        let containerd = Self::daemon(bundles, "containerd")?;
        run(&containerd.ctr(&["image", "import", &bundles.image()?]))?;
        let cgroup = bundles.cgroup("ctr-idle");
        let idle = ["run", "-d", "--cgroup", &cgroup, image::NAME, IDLE];
        let mut command = containerd.ctr(&idle);
        command.extend(line(&["/bin/sleep", "100000"]));
        run(&command)?;
        Ok(containerd)
    }

    /// Starts containerd alone.
    pub(super) fn store(bundles: &Bundles, archive: &str) -> Result<ContainerdStore, String> {
        let containerd = Self::daemon(bundles, "containerd-images")?;
        let archive = archive.to_owned();
        Ok(ContainerdStore {
            containerd,
            archive,
        })
    }

    /// Starts the daemon, with its state in the folder `name`.
    fn daemon(bundles: &Bundles, name: &str) -> Result<Self, String> {
        let program = require("containerd", "containerd")?;
        require("ctr", "containerd")?;
        let folder = bundles.state(name)?;
        let socket = folder.join("containerd.sock").display().to_string();
        let config = folder.join("config.toml");
        write(&config, &configuration(&folder.display().to_string()))?;
        let log = File::create(folder.join("log")).map_err(|e| format!("containerd's log: {e}"))?;
        let daemon = Command::new(program)
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("cannot run containerd: {e}"))?;
        let containerd = Self {
            daemon,
            socket,
            once_cgroup: bundles.cgroup("ctr-once"),
            next: AtomicU64::new(0),
        };
        containerd.await_socket()?;
        Ok(containerd)
    }

    fn await_socket(&self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        while let Err(error) = UnixStream::connect(&self.socket) {
            if Instant::now() > end {
                return Err(format!("containerd does not listen: {error}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn ctr(&self, words: &[&str]) -> Line {
        let mut command = line(&["ctr", "--address", &self.socket]);
        command.extend(line(words));
        command
    }
}

/// No plugin for Kubernetes: it would listen on the network.
fn configuration(folder: &str) -> String {
    format!(
        "version = 2\nroot = \"{folder}/root\"\nstate = \"{folder}/state\"\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{folder}/containerd.sock\"\n\
         [ttrpc]\naddress = \"{folder}/containerd.sock.ttrpc\"\n"
    )
}

impl Peer for Containerd {
    fn exec(&self, words: &[&str]) -> Option<(&'static str, Line)> {
        let id = format!("exec-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut command = self.ctr(&["task", "exec", "--exec-id", &id, IDLE]);
        command.extend(line(words));
        Some(("ctr task exec", command))
    }

    fn once(&self) -> (&'static str, Line) {
        let options = ["run", "--rm", "--cgroup", &self.once_cgroup];
        let mut command = self.ctr(&options);
        command.extend(line(&[image::NAME, "bench-once", "/bin/true"]));
        ("ctr run", command)
    }
}

/// containerd's store of images alone.
pub(super) struct ContainerdStore {
    containerd: Containerd,
    archive: String,
}

impl ImageStore for ContainerdStore {
    fn name(&self) -> &'static str {
        "ctr image import"
    }

    fn empty(&self) -> Result<(), String> {
        run(&self.containerd.ctr(&["image", "rm", "--sync", image::NAME]))
    }

    fn load(&self) -> Line {
        self.containerd.ctr(&["image", "import", &self.archive])
    }

    fn daemon_peak(&self) -> Result<f64, String> {
        memory_kb(&[self.containerd.daemon.id()], "status", "VmHWM")
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        end(&self.ctr(&["task", "rm", "-f", IDLE]));
        end(&self.ctr(&["container", "rm", IDLE]));
        let pid = rustix::process::Pid::from_child(&self.daemon);
        // A daemon that has gone by itself needs no signal.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _status = self.daemon.wait();
    }
}

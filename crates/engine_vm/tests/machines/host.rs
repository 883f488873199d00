//! A service's part for the tests: an engine, the directories and names of machines, and the ends of their serial
//! ports.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use engine_vm::{EngineConfig, VmEngine};
use hcs_engine::{
    engine::{CreateRequest, Engine as _, Exit, Found, Machine},
    modification::{HostChange, Modification},
};
use hcs_schema::{Failure, coverage::VIRTUAL_MACHINE, documents::StartOptions};
use hcs_wire::access::{self, Holder, READ, WRITE};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::guest;

/// A host with an engine of its own.
pub(crate) struct Host {
    pub(crate) place: TempDir,
    pub(crate) config: EngineConfig,
    pub(crate) engine: VmEngine,
}

impl Host {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        guest::write(&place.path().join("kernel"));
        let config = EngineConfig {
            cgroup_root: format!("hcs-test-vm-{}", uuid::Uuid::new_v4()),
            pipes: place.path().join("pipes"),
            ..EngineConfig::default()
        };
        Self {
            engine: engine(&config),
            place,
            config,
        }
    }

    /// The engine of the next service.
    pub(crate) fn restart(&mut self) {
        self.engine = engine(&self.config);
    }

    /// The document of the guest with COM1 at the pipe `com`, changed by `change`.
    pub(crate) fn document(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut machine = json!({
            "Chipset": {"LinuxKernelDirect": {
                "KernelFilePath": self.place.path().join("kernel"), "KernelCmdLine": "a=1,b",
            }},
            "ComputeTopology": {"Memory": {"SizeInMB": 16}},
            "Devices": {"ComPorts": {"0": {"NamedPipe": r"\\.\pipe\com"}}},
        });
        change(&mut machine);
        json!({"SchemaVersion": {"Major": 2, "Minor": 1}, "VirtualMachine": machine})
    }

    pub(crate) fn request(&self, document: &Value) -> CreateRequest {
        let runtime_id = uuid::Uuid::new_v4().to_string();
        let directory = self.place.path().join(&runtime_id);
        fs::create_dir(&directory).unwrap();
        CreateRequest {
            id: "a machine".to_owned(),
            runtime_id,
            document: hcs_schema::parse(&document.to_string()).unwrap(),
            directory,
            user: 0,
        }
    }

    /// Makes and starts the guest.
    pub(crate) fn start(&self) -> Running<'_> {
        self.start_with(|_| ())
    }

    pub(crate) fn start_with(&self, change: impl FnOnce(&mut Value)) -> Running<'_> {
        self.running(self.request(&self.document(change)))
    }

    /// Starts a machine of its own id.
    pub(crate) fn running(&self, request: CreateRequest) -> Running<'_> {
        let machine = self.engine.create(&request).unwrap();
        machine.start(&StartOptions::default()).unwrap();
        Running {
            host: self,
            request,
            machine,
        }
    }

    /// The user that the machine `id` runs as.
    pub(crate) fn user(&self, id: &str) -> u32 {
        self.engine.identity(id).unwrap().unwrap().user
    }

    /// Grants a file to the machine `id`.
    pub(crate) fn grant(&self, id: &str, path: &Path) {
        access::grant(path, Holder::User(self.user(id)), READ | WRITE).unwrap();
    }

    /// The refusal of a document.
    pub(crate) fn refused(&self, document: &Value) -> Failure {
        let request = self.request(document);
        let failure = self.engine.create(&request).unwrap_err();
        self.nothing_is_left(&request.runtime_id);
        failure
    }

    /// The end of COM1.
    pub(crate) fn com(&self) -> Com {
        Com::at(&self.config.pipes.join("com"))
    }

    /// No control group, process or socket of a machine is there any more.
    #[track_caller]
    pub(crate) fn nothing_is_left(&self, runtime_id: &str) {
        let groups = groups(&self.config.cgroup_root, runtime_id);
        assert_eq!(groups, Vec::<PathBuf>::new());
        assert_eq!(processes(runtime_id), Vec::<i32>::new());
        let pipes = fs::read_dir(&self.config.pipes);
        assert_eq!(pipes.map_or(0, Iterator::count), 0, "sockets are left");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for mount in mounts.lines().filter_map(|line| line.split(' ').nth(4)) {
            let root = Path::new(mount).join(&self.config.cgroup_root);
            let _never_made = fs::remove_dir(&root);
            assert!(
                std::thread::panicking() || !root.exists(),
                "{} is left",
                root.display()
            );
        }
    }
}

fn engine(config: &EngineConfig) -> VmEngine {
    let executable = fs::File::open("/proc/self/exe").unwrap();
    VmEngine::new(executable.into(), config.clone())
}

/// The directories of a machine's control groups.
fn groups(root: &str, runtime_id: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let places = mounts.filter_map(|line| line.split(' ').nth(4));
    let places = places.map(|mount| Path::new(mount).join(root).join(runtime_id));
    places.filter(|place| place.exists()).collect()
}

/// The processes of a machine's QEMU, which has its name on the command line.
pub(crate) fn processes(runtime_id: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_its = |pid: &i32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(runtime_id)
    };
    pids.filter(is_its).collect()
}

/// A machine that was started.
pub(crate) struct Running<'a> {
    pub(crate) host: &'a Host,
    pub(crate) request: CreateRequest,
    pub(crate) machine: Arc<dyn Machine>,
}

impl Running<'_> {
    /// Waits for the end; returns how it was told, and checks that nothing is left.
    #[track_caller]
    pub(crate) fn end(self) -> Exit {
        wait_for_end(&*self.machine);
        let exit = self.machine.exit();
        self.machine.release().unwrap();
        self.machine.release().unwrap();
        self.host.nothing_is_left(&self.request.runtime_id);
        exit
    }

    /// Waits for the end, without a look at what else is left.
    pub(crate) fn wait(&self) {
        wait_for_end(&*self.machine);
        self.machine.release().unwrap();
    }

    /// QEMU's pid.
    pub(crate) fn qemu(&self) -> i32 {
        let found = processes(&self.request.runtime_id);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]
    }

    /// The worker's pid.
    pub(crate) fn worker(&self) -> i32 {
        let record: Value = serde_json::from_str(&self.machine.record()).unwrap();
        i32::try_from(record["Worker"]["Pid"].as_i64().unwrap()).unwrap()
    }
}

pub(crate) fn wait_for_end(machine: &dyn Machine) {
    let descriptor = machine.exit_descriptor();
    poll(
        &mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)],
        None,
    )
    .unwrap();
}

/// Takes a machine over.
pub(crate) fn adopt(host: &Host, request: &CreateRequest, record: &str) -> Found {
    host.engine.adopt(request, record).unwrap()
}

/// The host's end of a serial port.
pub(crate) struct Com(pub(crate) UnixStream);

impl Com {
    pub(crate) fn at(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        // Only so that a failure does not hang.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self(stream)
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads up to `end`; returns what was before it.
    #[track_caller]
    pub(crate) fn read_to(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(end.as_bytes()) {
            match self.0.read(&mut byte) {
                Ok(1) => text.push(byte[0]),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&text)),
            }
        }
        text.truncate(text.len() - end.len());
        String::from_utf8(text).unwrap()
    }

    /// Waits until the guest is there.
    #[track_caller]
    pub(crate) fn booted(&mut self) -> String {
        self.read_to("\n")
    }
}

/// The host's part of a modify request, which has to be a valid one.
pub(crate) fn host_change(request: &Value) -> Result<HostChange, Failure> {
    let request = hcs_schema::parse(&request.to_string()).unwrap();
    let modification = Modification::read(request, &VIRTUAL_MACHINE)?;
    Ok(modification.host.unwrap())
}

//! A place of its own on the host for one case, and the containers in it.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use engine_container::{ContainerEngine, EngineConfig, Launcher};
use hcs_engine::{
    engine::{CreateRequest, Engine, Machine, WarmSlot},
    modification::Modification,
};
use hcs_schema::{
    Failure,
    coverage::CONTAINER,
    documents::{ComputeSystem, ModifySettingRequest, Statistics, SystemPropertyType},
};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{agent::Outcome, mode::Mode};

/// Far more than anything here takes; only ends a hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// An engine with its own control group root, scratch root and directory. Dropping it asserts that nothing is left.
pub(crate) struct Host {
    pub(crate) engine: ContainerEngine,
    warm: bool,
    pub(crate) files: TempDir,
    pub(crate) config: EngineConfig,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// One with another configuration.
    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let files = tempfile::tempdir().unwrap();
        let mut config = EngineConfig {
            cgroup_root: format!("hcs-test-engine-{}-{number}", process::id()),
            scratch_root: files.path().join("scratch"),
            ids_in_use: files.path().join("ids"),
            places: files.path().join("places"),
            ..EngineConfig::default()
        };
        config.user_namespaces.by_default = Mode::get().has_user_namespace();
        change(&mut config);
        let engine = ContainerEngine::new(Launcher::spawn().unwrap(), config.clone());
        Self {
            engine,
            warm: Mode::get().is_warm(),
            files,
            config,
        }
    }

    /// A new directory for a machine.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "literals are read more easily without &"
    )]
    pub(crate) fn request(&self, container: Value) -> CreateRequest {
        let runtime_id = uuid::Uuid::new_v4().to_string();
        let directory = self.files.path().join("systems").join(&runtime_id);
        fs::create_dir_all(&directory).unwrap();
        let document: ComputeSystem =
            serde_json::from_value(json!({ "Container": container })).unwrap();
        CreateRequest {
            id: format!("case {runtime_id}"),
            runtime_id,
            document,
            directory,
            user: 0,
        }
    }

    /// Prepares a container in a directory that is not yet the one of `request`.
    pub(crate) fn prepare(&self, request: &CreateRequest) -> Box<dyn WarmSlot> {
        self.prepare_if_possible(request).unwrap()
    }

    /// The same; `None` for a document that no slot fits.
    pub(crate) fn prepare_if_possible(&self, request: &CreateRequest) -> Option<Box<dyn WarmSlot>> {
        let directory = self.files.path().join("slots").join(&request.runtime_id);
        fs::create_dir_all(&directory).unwrap();
        let prepared = self
            .engine
            .prepare(&request.document, &request.runtime_id, &directory);
        let slot = prepared.unwrap_or_else(|f| panic!("{f:#?}"))?;
        fs::rename(&directory, &request.directory).unwrap();
        Some(slot)
    }

    /// Makes a machine as the service does: from what is ready, if it fits and works, else from scratch.
    pub(crate) fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        if self.warm
            && let Some(slot) = self.prepare_if_possible(request)
        {
            assert!(slot.fits(&request.document));
            if let Ok(machine) = slot.make(request) {
                return Ok(machine);
            }
        }
        self.engine.create(request)
    }

    /// A container whose agent answers.
    pub(crate) fn start(&self, container: Value) -> Container {
        let request = self.request(container);
        let machine = self.create(&request).unwrap_or_else(|f| panic!("{f:#?}"));
        let container = Container::new(machine, request);
        container.wait_ready().unwrap_or_else(|f| panic!("{f:#?}"));
        container
    }

    /// Why a container could not be made or started; it is cleaned up.
    pub(crate) fn failure(&self, container: Value) -> Failure {
        let request = self.request(container);
        match self.create(&request) {
            Err(failure) => failure,
            Ok(machine) => Container::new(machine, request)
                .wait_ready()
                .expect_err("it should have failed"),
        }
    }

    /// This host's directories of the container's control groups that exist.
    pub(crate) fn groups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let mut hierarchies = vec![root.to_owned()];
        hierarchies.extend(entries(root));
        let places = hierarchies
            .iter()
            .map(|hierarchy| hierarchy.join(&self.config.cgroup_root));
        places.filter(|place| place.is_dir()).collect()
    }
}

/// Runs a case again in a process of its own whose mounts are changed by the shell script `setup`; returns whether the
/// caller is that process, where the case is to go on.
pub(crate) fn in_private_mounts(case: &str, setup: &str) -> bool {
    const MARK: &str = "HCS_TEST_PRIVATE_MOUNTS";
    if env::var_os(MARK).is_some() {
        return true;
    }
    let case = format!("{}{case}", Mode::get().prefix());
    let script = format!("{setup} && exec \"$0\" --exact {case} --nocapture");
    let outcome = process::Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
        .arg(env::current_exe().unwrap())
        .env(MARK, case)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        outcome.status.success(),
        "{}{}",
        text(&outcome.stdout),
        text(&outcome.stderr)
    );
    assert!(text(&outcome.stdout).contains("1 passed"), "{outcome:?}");
    false
}

/// Paths of what is in a directory; nothing where there is none.
pub(crate) fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

impl Drop for Host {
    fn drop(&mut self) {
        let mut left = entries(&self.config.scratch_root);
        for group in self.groups() {
            left.extend(entries(&group).into_iter().filter(|path| path.is_dir()));
            let _reported_below = fs::remove_dir(&group);
        }
        if !std::thread::panicking() {
            assert_eq!(left, Vec::<PathBuf>::new(), "something is left behind");
            let place = self.files.path().to_str().unwrap();
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            assert!(!mounts.contains(place), "a mount is left behind: {mounts}");
            assert_eq!(
                self.groups(),
                Vec::<PathBuf>::new(),
                "a control group is left behind"
            );
        }
    }
}

/// A running container. Dropping it kills and releases it.
pub(crate) struct Container {
    pub(crate) machine: Arc<dyn Machine>,
    pub(crate) request: CreateRequest,
}

impl Container {
    pub(crate) fn new(machine: Arc<dyn Machine>, request: CreateRequest) -> Self {
        Self { machine, request }
    }

    /// Waits until its agent answers.
    pub(crate) fn wait_ready(&self) -> Result<(), Failure> {
        self.machine.guest().unwrap().wait_ready(LIMIT)
    }

    /// A connection to its agent.
    pub(crate) fn connect(&self) -> UnixStream {
        let connected = self.machine.guest().unwrap().connect_guest(LIMIT);
        UnixStream::from(connected.unwrap())
    }

    /// Does a `ModifySettingRequest`, which has to be a valid one.
    pub(crate) fn modify(&self, request: &Value) -> Result<(), Failure> {
        let request: ModifySettingRequest = hcs_schema::parse(&request.to_string()).unwrap();
        let modification = Modification::read(request, &CONTAINER)?;
        self.machine.modify(&modification.host.unwrap())
    }

    /// Runs a program inside.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        let mut stream = UnixStream::from(
            self.machine
                .guest()
                .unwrap()
                .connect_guest(LIMIT)
                .unwrap_or_else(|f| panic!("{f:#?}")),
        );
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut request = serde_json::to_vec(arguments).unwrap();
        request.push(b'\n');
        stream.write_all(&request).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }

    /// What a shell command prints, which must succeed.
    pub(crate) fn shell(&self, script: &str) -> String {
        let outcome = self.run(&["/bin/sh", "-c", script]);
        assert_eq!(outcome.code, 0, "{script}: {outcome:?}");
        outcome.stdout
    }

    /// What the recorded machine says under `key`.
    pub(crate) fn recorded(&self, key: &str) -> Value {
        let record: Value = serde_json::from_str(&self.machine.record()).unwrap();
        record[key].clone()
    }

    /// Waits for its end, which must be under way.
    pub(crate) fn wait_gone(&self) {
        wait_readable(&self.machine.exit_descriptor());
    }
}

/// Waits until a descriptor is readable.
pub(crate) fn wait_readable(descriptor: &impl AsFd) {
    let mut events = [PollFd::new(descriptor, PollFlags::IN)];
    let limit = LIMIT.try_into().unwrap();
    assert_eq!(poll(&mut events, Some(&limit)), Ok(1), "nothing happened");
}

impl Drop for Container {
    fn drop(&mut self) {
        let ended = self.machine.kill().map(|()| self.wait_gone());
        let released = ended.and_then(|()| self.machine.release());
        if !std::thread::panicking() {
            released.unwrap_or_else(|f| panic!("{f:#?}"));
        }
    }
}

/// The use of resources of a machine.
pub(crate) fn statistics(machine: &dyn Machine) -> Statistics {
    let properties = machine.property(SystemPropertyType::Statistics).unwrap();
    properties.unwrap().statistics.unwrap()
}

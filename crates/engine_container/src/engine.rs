//! [`ContainerEngine`]: makes, adopts and sweeps containers.

use std::{
    collections::BTreeSet,
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use hcs_lifecycle::engine::{CreateRequest, Engine, Machine};
use hcs_schema::{Failure, HResult, documents::ComputeSystem};
use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
};

use crate::{
    cgroup::{ControlGroups, detect::Hierarchies},
    child::channel,
    config::EngineConfig,
    failure::{Attempt, StepError},
    launcher::{
        Launcher,
        protocol::{Answer, Request},
    },
    machine::{ContainerMachine, agent_socket},
    parts::scratch,
    plan::{self, Plan},
    record::{self, Record},
};

/// The engine for Linux containers.
#[derive(Debug)]
pub struct ContainerEngine {
    launcher: Launcher,
    config: EngineConfig,
}

impl ContainerEngine {
    /// An engine that clones containers from `launcher`.
    #[must_use]
    pub const fn new(launcher: Launcher, config: EngineConfig) -> Self {
        Self { launcher, config }
    }

    fn make(&self, request: &CreateRequest, plan: &Plan) -> Result<ContainerMachine, Failure> {
        let summary = || format!("the container {:?} could not be made", request.id);
        let hierarchies = hierarchies().map_err(|error| error.into_failure(summary()))?;
        let groups =
            ControlGroups::named(&hierarchies, &self.config.cgroup_root, &request.runtime_id);
        let unfinished = Unfinished {
            scratch: (!plan.spec.root.keep).then(|| PathBuf::from(&plan.spec.root.scratch.path)),
            groups,
        };
        let made = self.make_parts(request, plan, &hierarchies, &unfinished);
        made.inspect_err(|_| unfinished.undo(&request.directory))
    }

    /// Makes all that the service makes, then the child. What was made is undone by the caller on failure.
    fn make_parts(
        &self,
        request: &CreateRequest,
        plan: &Plan,
        hierarchies: &Hierarchies,
        unfinished: &Unfinished,
    ) -> Result<ContainerMachine, Failure> {
        let fail = |error: StepError| {
            error.into_failure(format!("the container {:?} could not be made", request.id))
        };
        let groups = &unfinished.groups;
        groups.make(hierarchies).map_err(fail)?;
        groups.apply(&plan.limits)?;
        groups.limit_devices().map_err(fail)?;
        let lock = self.prepare_scratch(plan, unfinished).map_err(fail)?;
        let directory = open_directory(&request.directory).map_err(fail)?;
        let listener = agent_socket::bind_in(directory.as_fd()).map_err(fail)?;
        let (ours, answer) = self.launch(plan, groups, listener.as_fd()).map_err(fail)?;
        let record = Record {
            pid: answer.pid,
            start_time: record::start_time(answer.pid).unwrap_or_default(),
            boot_id: record::boot_id().map_err(fail)?,
            created: record::now(),
            groups: groups.clone(),
            scratch: unfinished.scratch.clone(),
            kept_scratch: plan
                .spec
                .root
                .keep
                .then(|| PathBuf::from(&plan.spec.root.scratch.path)),
        };
        Ok(ContainerMachine::made(
            request,
            record,
            answer.pidfd,
            directory,
            ours,
            lock,
        ))
    }

    /// Makes the scratch, or takes the one that is kept; answers what locks the latter.
    fn prepare_scratch(
        &self,
        plan: &Plan,
        unfinished: &Unfinished,
    ) -> Result<Option<OwnedFd>, StepError> {
        match &unfinished.scratch {
            Some(path) => scratch::make(&self.config.scratch_root, path).map(|()| None),
            None => lock_scratch(Path::new(&plan.spec.root.scratch.path)).map(Some),
        }
    }

    /// Has the child cloned and tells it what to be; answers our end of its channel.
    fn launch(
        &self,
        plan: &Plan,
        groups: &ControlGroups,
        listener: BorrowedFd<'_>,
    ) -> Result<(OwnedFd, Answer), StepError> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .step("making a socket pair for the container")?;
        let entrances = groups.entrances()?;
        let answer = self.launcher.launch(&Request {
            channel: theirs.as_fd(),
            new_network: plan.network.is_none(),
            cgroup: entrances.unified.as_ref().map(AsFd::as_fd),
            tasks: entrances.tasks.iter().map(AsFd::as_fd).collect(),
        })?;
        drop(theirs);
        let mut descriptors = vec![listener];
        descriptors.extend(plan.network.as_ref().map(AsFd::as_fd));
        channel::send_spec(ours.as_fd(), &plan.spec, &descriptors)
            .or_else(|error| {
                // It may have failed before it read all; then its report says more than our broken pipe.
                if error.errno == Errno::PIPE || error.errno == Errno::CONNRESET {
                    Ok(())
                } else {
                    let _gone = rustix::process::pidfd_send_signal(
                        &answer.pidfd,
                        rustix::process::Signal::KILL,
                    );
                    Err(error)
                }
            })
            .map(|()| (ours, answer))
    }
}

/// What exists of a container that is being made.
struct Unfinished {
    scratch: Option<PathBuf>,
    groups: ControlGroups,
}

impl Unfinished {
    /// Removes it. What resists is found by the next sweep; the failure that led here is the one to report.
    fn undo(&self, directory: &Path) {
        let _groups = self.groups.clear();
        let _scratch = self.scratch.as_deref().map(scratch::undo);
        let _socket = fs::remove_file(directory.join(agent_socket::NAME));
    }
}

/// The host's control group hierarchies, as they are now.
fn hierarchies() -> Result<Hierarchies, StepError> {
    let path = "/proc/self/mountinfo";
    let text = fs::read_to_string(path).step_at("reading", path)?;
    Ok(Hierarchies::from_mountinfo(&text))
}

pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).step_at("opening", path.display().to_string())
}

/// Takes a kept scratch for one container: two that write to the same one would ruin it.
pub(crate) fn lock_scratch(path: &Path) -> Result<OwnedFd, StepError> {
    let name = || path.display().to_string();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(path, flags, Mode::empty()).step_at("opening", name())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)
        .map_err(|errno| match errno {
            Errno::WOULDBLOCK => Errno::BUSY,
            errno => errno,
        })
        .step_at(
            "taking the scratch, which another container may use,",
            name(),
        )?;
    Ok(directory)
}

impl Engine for ContainerEngine {
    fn name(&self) -> &'static str {
        "container"
    }

    fn accepts(&self, document: &ComputeSystem) -> bool {
        document.container.is_some() && document.hosting_system_id.is_none()
    }

    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        let made = plan::check(request, &self.config).and_then(|plan| self.make(request, &plan));
        match made {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Arc<dyn Machine>, Failure> {
        let summary = format!("the container {:?} could not be taken over", request.id);
        let record: Record = serde_json::from_str(record).map_err(|error| {
            Failure::new(HResult::E_UNEXPECTED, summary.clone()).because(&error)
        })?;
        match ContainerMachine::adopted(request, record) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(error) => Err(error.into_failure(summary)),
        }
    }

    fn sweep(&self, keep: &[String]) -> Result<(), Failure> {
        let summary = "leftovers of containers could not be removed";
        let hierarchies = hierarchies().map_err(|error| error.into_failure(summary))?;
        let root = self.config.cgroup_root.trim_matches('/');
        let places = hierarchies.mounts().map(|mount| mount.join(root));
        let mut names: BTreeSet<String> = places.flat_map(|place| own_entries(&place)).collect();
        names.extend(own_entries(&self.config.scratch_root));
        names.retain(|name| !keep.contains(name));
        let mut failure: Option<Failure> = None;
        for name in names {
            let groups = ControlGroups::named(&hierarchies, root, &name);
            let scratch = self.config.scratch_root.join(&name);
            for error in [groups.clear(), scratch::undo(&scratch)]
                .into_iter()
                .filter_map(Result::err)
            {
                match &mut failure {
                    Some(failure) => failure.causes.push(error.into_cause()),
                    None => failure = Some(error.into_failure(summary)),
                }
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

/// Names in a directory that are runtime ids. Nothing else there is touched; a missing directory has none.
fn own_entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_guid(name))
        .collect()
}

/// Whether `name` looks like `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn is_guid(name: &str) -> bool {
    let lengths: Vec<usize> = name.split('-').map(str::len).collect();
    let digits = name.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    digits && lengths == [8, 4, 4, 4, 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_guids_are_ours() {
        assert!(is_guid("3f2504e0-4f89-11d3-9a0c-0305e82c3301"));
        for name in [
            "",
            "..",
            "0123456789abcdef",
            "3f2504e0-4f89-11d3-9a0c-0305e82c330",
            "3f2504e0/4f89",
        ] {
            assert!(!is_guid(name), "{name:?}");
        }
    }
}

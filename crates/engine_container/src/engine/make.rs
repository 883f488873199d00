//! Making one container: the service's half of the work, and taking it back when a step fails.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use hcs_lifecycle::engine::CreateRequest;
use hcs_schema::Failure;
use rustix::process::{Signal, pidfd_send_signal};

use super::host::HostGroups;
use crate::{
    cgroup::ControlGroups,
    channel,
    child::spec::{LaunchSpec, UserSpec},
    config::EngineConfig,
    failure::StepError,
    launcher::{
        Launcher,
        protocol::{Answer, Child, Request},
    },
    machine::{Boot, ContainerMachine, agent_socket},
    parts::{handed, scratch},
    plan::Plan,
    record::{self, Record, UserRecord},
    user_namespace::{self, Mapping, Slot},
};

/// A container that is being made.
pub(super) struct Making<'a> {
    request: &'a CreateRequest,
    plan: &'a Plan,
    groups: ControlGroups,
    /// The scratch that goes with the container, unless it is kept.
    scratch: Option<PathBuf>,
    /// Which ids of the host its own are, if it has a user namespace, and which range of the service's that is.
    ids: Option<Mapping>,
    slot: Option<u32>,
}

impl<'a> Making<'a> {
    pub(super) fn new(
        request: &'a CreateRequest,
        plan: &'a Plan,
        host: &HostGroups,
        config: &EngineConfig,
        slot: Option<&Slot>,
    ) -> Self {
        let ids = plan.spec.user.as_ref().map(|_| match slot {
            Some(slot) => Mapping::of_ranges(config.user_namespaces.of_slot(slot.number)),
            None => Mapping::of_user(),
        });
        Self {
            slot: slot.map(|slot| slot.number),
            ids,
            request,
            plan,
            groups: ControlGroups::named(&host.used, &config.cgroup_root, &request.runtime_id),
            scratch: (!plan.spec.root.keep).then(|| PathBuf::from(&plan.spec.root.scratch.path)),
        }
    }

    /// Makes it.
    ///
    /// # Errors
    /// The step that failed; nothing is left then.
    pub(super) fn make(
        &self,
        launcher: &Arc<Launcher>,
        host: &HostGroups,
        config: &EngineConfig,
    ) -> Result<ContainerMachine, Failure> {
        self.prepare_groups(host)
            .and_then(|()| {
                self.make_machine(launcher, config)
                    .map_err(|error| self.fail(error))
            })
            .inspect_err(|_| self.undo())
    }

    fn fail(&self, error: StepError) -> Failure {
        error.into_failure(format!(
            "the container {:?} could not be made",
            self.request.id
        ))
    }

    fn prepare_groups(&self, host: &HostGroups) -> Result<(), Failure> {
        self.groups
            .make(&host.used)
            .map_err(|error| self.fail(error))?;
        self.groups.apply(&self.plan.limits)?;
        self.groups
            .limit_devices(&host.devices)
            .map_err(|error| self.fail(error))
    }

    fn make_machine(
        &self,
        launcher: &Arc<Launcher>,
        config: &EngineConfig,
    ) -> Result<ContainerMachine, StepError> {
        let boot_id = record::boot_id()?;
        let lock = match &self.scratch {
            Some(path) => scratch::make(&config.scratch_root, path).map(|()| None),
            None => scratch::lock(self.scratch_path()).map(Some),
        }?;
        let directory = agent_socket::open_directory(&self.request.directory)?;
        let listener = agent_socket::bind_in(directory.as_fd())?;
        let (channel, child) = self.launch(launcher, listener.as_fd())?;
        let record = Record {
            pid: child.pid,
            // Gone already, if there is none: its report says why.
            start_time: record::start_time(child.pid).unwrap_or_default(),
            boot_id,
            created: record::now(),
            groups: self.groups.clone(),
            scratch: self.scratch.clone(),
            kept_scratch: lock.as_ref().map(|_| self.scratch_path().to_owned()),
            user_namespace: self.user_record(),
        };
        Ok(ContainerMachine {
            id: self.request.id.clone(),
            launcher: Arc::clone(launcher),
            record,
            process: child.pidfd,
            directory,
            boot: Mutex::new(Boot::Pending(channel)),
            scratch: Mutex::new(lock),
            paused: AtomicBool::new(false),
            slot: None,
        })
    }

    fn scratch_path(&self) -> &Path {
        Path::new(&self.plan.spec.root.scratch.path)
    }

    /// Has the child cloned and tells it what to be; answers our end of its channel.
    fn launch(
        &self,
        launcher: &Launcher,
        listener: BorrowedFd<'_>,
    ) -> Result<(OwnedFd, Answer), StepError> {
        let (ours, theirs) = channel::open()?;
        let entrances = self.groups.entrances()?;
        let child = launcher.launch(&Request {
            channel: theirs.as_fd(),
            child: Child::Container {
                new_network: self.plan.network.is_none(),
                new_user: self.ids.is_some(),
                cgroup: entrances.unified.as_ref().map(AsFd::as_fd),
                tasks: entrances.tasks.iter().map(AsFd::as_fd).collect(),
            },
        })?;
        // The child has its own: when it dies, the channel has to end.
        drop(theirs);
        let instructed = match &self.ids {
            None => {
                let mut descriptors = vec![listener];
                descriptors.extend(self.plan.network.as_ref().map(AsFd::as_fd));
                channel::instruct(ours.as_fd(), &self.plan.spec, &descriptors)
            }
            Some(ids) => self.instruct_in_namespace(ours.as_fd(), ids, &child, listener),
        };
        if let Err(error) = instructed {
            let _gone = pidfd_send_signal(&child.pidfd, Signal::KILL);
            return Err(error);
        }
        Ok((ours, child))
    }

    /// Gives the child in its user namespace its ids, and what it cannot open itself; then tells it what to be.
    fn instruct_in_namespace(
        &self,
        channel: BorrowedFd<'_>,
        ids: &Mapping,
        child: &Answer,
        listener: BorrowedFd<'_>,
    ) -> Result<(), StepError> {
        let found = user_namespace::Child::find(child.pid, child.pidfd.as_fd())?;
        let many = found.map(ids)?;
        let (mounts, user) = match (self.slot, ids.root()) {
            (Some(_), Some(root)) => {
                handed::make(&self.plan.spec, found.namespace()?.as_fd(), root)?
            }
            _ => {
                let user = UserSpec {
                    many,
                    ..UserSpec::default()
                };
                (Vec::new(), user)
            }
        };
        let spec = LaunchSpec {
            user: Some(user),
            ..self.plan.spec.clone()
        };
        let mut descriptors = vec![listener];
        descriptors.extend(mounts.iter().map(AsFd::as_fd));
        channel::instruct(channel, &spec, &descriptors)
    }

    fn user_record(&self) -> Option<UserRecord> {
        let (user, group) = self.ids.as_ref()?.root()?;
        Some(UserRecord {
            slot: self.slot,
            user,
            group,
        })
    }

    /// Removes what exists. What resists is found by the next sweep; the failure that led here is the one to report.
    fn undo(&self) {
        let _groups = self.groups.clear();
        let _scratch = self.scratch.as_deref().map(scratch::undo);
        let _socket = fs::remove_file(self.request.directory.join(agent_socket::NAME));
    }
}

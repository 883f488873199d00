//! Making one container: the service's half of the work, and taking it back when a step fails.
//!
//! [`Prepared`] is a container whose child has been cloned and waits at its channel; [`Prepared::finish`] tells it what
//! to be. A container from scratch goes through both at once, a warm slot rests in between.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool},
};

use hcs_engine::engine::CreateRequest;
use hcs_schema::Failure;
use hcs_wire::proof;
use rustix::{
    fs::{AtFlags, unlinkat},
    process::{Pid, Signal, pidfd_send_signal},
};

use super::{Workshop, host::HostGroups, unrecorded};
use crate::{
    cgroup::{ControlGroups, DeviceControl, DeviceRule, Limits, owner},
    channel,
    config::PARTS_OF_A_SYSTEM,
    failure::StepError,
    launcher::protocol::{Child, LauncherAnswer},
    machine::{Boot, ContainerMachine, KeptScratch, agent_socket, left_record},
    outside::Namespaces,
    parts::{
        handed, handing,
        lease::{self, Lease},
        network,
        rootfs::{cover::Shared, overlay},
        scratch::{self, Kept},
        scratch_image, sharing,
    },
    plan::Plan,
    privilege::Privilege,
    record::{self, Record, UserRecord},
    spec::{EarlySpec, LaunchSpec, LeftOut, RootSpec, UserSpec},
    steps::done,
    user_namespace::{self, IdRangeSlot, Mapping},
    waiting::is_readable,
};

/// What is to be prepared.
pub(super) struct Order<'a> {
    /// How failures call it.
    pub(super) name: String,
    /// The user it is made for.
    pub(super) user: u32,
    pub(super) runtime_id: &'a str,
    pub(super) directory: &'a Path,
    pub(super) limits: Limits,
    /// What may be done with devices besides those of all containers.
    pub(super) devices: &'a [DeviceRule],
    pub(super) new_network: bool,
    /// The host's user that its user namespace belongs to, if it gets one.
    pub(super) owner: Option<u32>,
    /// The scratch to be made, which goes with the container.
    pub(super) scratch: Option<PathBuf>,
}

/// A container that is being made, with everything that exists of it.
#[derive(Debug)]
pub(super) struct Prepared {
    name: String,
    left: Leftovers,
    directory: OwnedFd,
    listener: OwnedFd,
    /// For what the agent leaves.
    file: OwnedFd,
    channel: OwnedFd,
    child: LauncherAnswer,
}

/// What a child is launched with.
struct Launched {
    directory: OwnedFd,
    listener: OwnedFd,
    file: OwnedFd,
    channel: OwnedFd,
    child: LauncherAnswer,
}

/// Host ids mapped into a container's user namespace, and the range of the service's that they are.
pub(super) struct Ids<'a> {
    mapping: Mapping,
    slot: Option<&'a IdRangeSlot>,
    /// Whether the child's user namespace has them already.
    given: bool,
}

impl<'a> Ids<'a> {
    /// Those of a range of the service's.
    pub(super) fn of_own(slot: &'a IdRangeSlot) -> Self {
        Self {
            mapping: Mapping::of_ranges(slot.ids()),
            slot: Some(slot),
            given: false,
        }
    }

    /// Those of the user that the service runs as.
    fn of_user() -> Self {
        Self {
            mapping: Mapping::of_user(),
            slot: None,
            given: false,
        }
    }

    /// The same, after [`Prepared::give_ids`].
    pub(super) fn given(self) -> Self {
        Self {
            given: true,
            ..self
        }
    }

    /// The host's user that the namespace belongs to.
    fn owner(&self) -> Option<u32> {
        match self.slot {
            Some(slot) => Some(slot.owner()),
            None => Some(self.mapping.root()?.0),
        }
    }

    fn record(&self) -> Option<UserRecord> {
        let (user, group) = self.mapping.root()?;
        Some(UserRecord {
            slot: self.slot.map(|slot| slot.number),
            user,
            group,
        })
    }
}

/// What stays on the host until it is removed.
#[derive(Debug)]
struct Leftovers {
    groups: ControlGroups,
    scratch: Option<PathBuf>,
}

impl Leftovers {
    fn remove(&self) -> Result<(), StepError> {
        let groups = self.groups.clear();
        let scratch = self.scratch.as_deref().map_or(Ok(()), scratch::undo);
        groups.and(scratch)
    }
}

/// Why a container was not made.
pub(super) enum Unmade {
    /// A file system cannot shift owners, and the user namespace is only preferred.
    Unshiftable,
    /// What was kept ready is of another kind than the files allow.
    OtherKind,
    /// As the caller is to be told.
    Failed(Failure),
}

impl From<Failure> for Unmade {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

fn fail(name: &str, error: StepError) -> Failure {
    error.into_failure(format!("the container {name} could not be made"))
}

/// Makes a container from scratch.
///
/// # Errors
/// The step that failed; nothing is left then.
pub(super) fn make(
    workshop: &Workshop,
    host: &HostGroups,
    request: &CreateRequest,
    plan: &Plan,
    slot: Option<&IdRangeSlot>,
) -> Result<ContainerMachine, Unmade> {
    let user = plan.spec.user.as_ref();
    let ids = user.map(|_| slot.map_or_else(Ids::of_user, Ids::of_own));
    let own_scratch = !plan.spec.root.keep;
    let order = Order {
        name: format!("{:?}", request.id),
        user: request.user,
        runtime_id: &request.runtime_id,
        directory: &request.directory,
        limits: plan.limits,
        devices: &plan.devices,
        new_network: plan.network.is_none(),
        owner: ids.as_ref().and_then(Ids::owner),
        scratch: own_scratch.then(|| PathBuf::from(&plan.spec.root.scratch.path)),
    };
    let prepared = Prepared::start(workshop, host, &order)?;
    prepared.finish(workshop, request, plan, ids.as_ref(), None)
}

impl Prepared {
    /// Makes what `order` says and has the child cloned.
    ///
    /// # Errors
    /// The step that failed; nothing is left then.
    pub(super) fn start(
        workshop: &Workshop,
        host: &HostGroups,
        order: &Order<'_>,
    ) -> Result<Self, Failure> {
        let root = &workshop.config.cgroup_root;
        let left = Leftovers {
            groups: ControlGroups::named(&host.used, root, order.runtime_id),
            scratch: order.scratch.clone(),
        };
        let limited = prepare_groups(&left.groups, host, order);
        let made = limited.and_then(|()| {
            // Held by the closure: the rest takes it over.
            Self::launch(workshop, &left, order).map_err(|error| fail(&order.name, error))
        });
        match made {
            Ok(launched) => Ok(Self {
                name: order.name.clone(),
                left,
                directory: launched.directory,
                listener: launched.listener,
                file: launched.file,
                channel: launched.channel,
                child: launched.child,
            }),
            Err(failure) => {
                // What resists is found by the next sweep; the failure that led here is the one to report.
                let _left = left.remove();
                let _socket = std::fs::remove_file(order.directory.join(agent_socket::NAME));
                let _file = std::fs::remove_file(order.directory.join(left_record::NAME));
                Err(failure)
            }
        }
    }

    fn launch(
        workshop: &Workshop,
        left: &Leftovers,
        order: &Order<'_>,
    ) -> Result<Launched, StepError> {
        if let Some(path) = &left.scratch {
            scratch::make(&workshop.config.scratch_root, path)?;
            if Privilege::own() == Privilege::User {
                owner::mark_scratch(path);
            }
            overlay::prepare(path)?;
            done("made the scratch");
        }
        let directory = agent_socket::open_directory(order.directory)?;
        let listener = agent_socket::bind_in(directory.as_fd())?;
        let file = left_record::make_in(directory.as_fd())?;
        let entrances = left.groups.entrances()?;
        let asked = Child::Container {
            new_network: order.new_network,
            owner: order.owner,
            cgroup: entrances.unified.as_ref().map(AsFd::as_fd),
            tasks: entrances.tasks.iter().map(AsFd::as_fd).collect(),
        };
        let (channel, child) = workshop.launcher.launch(&asked, order.user)?;
        done("the launcher cloned the container's first process");
        if order.new_network && order.owner.is_none() {
            begin(&channel, &left.groups, None)?;
        }
        Ok(Launched {
            directory,
            listener,
            file,
            channel,
            child,
        })
    }

    /// Whether the child is gone.
    pub(super) fn has_ended(&self) -> bool {
        is_readable(self.child.pidfd.as_fd())
    }

    /// The network namespace of the child.
    ///
    /// # Errors
    /// The child is gone.
    pub(super) fn network(&self) -> Result<OwnedFd, Failure> {
        let opened = network::of_process(self.child.pid, || self.has_ended());
        opened.map_err(|error| fail(&self.name, error))
    }

    /// Applies `limits` now that they are known.
    ///
    /// # Errors
    /// As for [`ControlGroups::apply`].
    pub(super) fn limit(&self, limits: &Limits) -> Result<(), Failure> {
        self.left.groups.apply(limits)
    }

    /// Allows devices now that they are known.
    ///
    /// # Errors
    /// As for [`ControlGroups::allow_devices`].
    pub(super) fn allow(
        &self,
        control: &DeviceControl,
        more: &[DeviceRule],
    ) -> Result<(), Failure> {
        let limited = self.left.groups.allow_devices(control, more);
        limited.map_err(|error| fail(&self.name, error))
    }

    /// Tells the child what to be. `cover` is what covers the root of the view that it has, if that was prepared.
    ///
    /// # Errors
    /// The step that failed; nothing is left then.
    pub(super) fn finish(
        self,
        workshop: &Workshop,
        request: &CreateRequest,
        plan: &Plan,
        ids: Option<&Ids<'_>>,
        cover: Option<OwnedFd>,
    ) -> Result<ContainerMachine, Unmade> {
        // Before it is told anything, so that it is alone and everything it starts is there as well.
        let joined = workshop.join_cpu_group(&request.document, &self.left.groups, self.child.pid);
        let leased = joined.and_then(|()| lease::apply(request));
        let namespaces = self.namespaces();
        let instructed = leased.map_err(Unmade::Failed).and_then(|lease| {
            let instructed = self.instruct(plan, ids, cover, lease);
            instructed.map_err(
                |error| match plan.preferred && error.step == handed::UNSHIFTABLE {
                    true => Unmade::Unshiftable,
                    false => Unmade::Failed(fail(&self.name, error)),
                },
            )
        });
        let (record, kept, handed) = match instructed {
            Ok(done) => done,
            Err(unmade) => {
                let _left = self.discard();
                return Err(unmade);
            }
        };
        Ok(ContainerMachine {
            id: request.id.clone(),
            user: request.user,
            launcher: Arc::clone(&workshop.launcher),
            own_places: Arc::clone(&workshop.own_places),
            record,
            process: self.child.pidfd,
            directory: self.directory,
            boot: Mutex::new(Boot::Pending(self.channel)),
            scratch: KeptScratch::of(kept),
            handed: workshop.closer.close(handed),
            paused: AtomicBool::new(false),
            namespaces: Mutex::new(namespaces),
            slot: Mutex::default(),
        })
    }

    /// Returns what is left of the mounts that the child was handed, too.
    fn instruct(
        &self,
        plan: &Plan,
        ids: Option<&Ids<'_>>,
        cover: Option<OwnedFd>,
        lease: Option<Lease>,
    ) -> Result<(Record, Option<Kept>, Vec<OwnedFd>), StepError> {
        let mut spec = LaunchSpec {
            groups: self.left.groups.shown(),
            // An ordinary user's service has no power that a process of a container cannot have as well.
            proof: Pid::from_raw(self.child.pid).is_some_and(proof::is_possible),
            ..plan.spec.clone()
        };
        if let Some(view) = &mut spec.root.view {
            view.covered = cover.is_some();
            if view.covered {
                view.left_out.retain_around(&PARTS_OF_A_SYSTEM);
            }
        }
        let root = &spec.root;
        let kept_scratch = root.keep.then(|| PathBuf::from(&root.scratch.path));
        let kept = kept_scratch.as_deref().map(|path| take_kept(root, path));
        let kept = kept.transpose()?;
        self.write_down(&spec)?;
        let handed = if let Some(ids) = ids {
            self.instruct_in_namespace(&spec, ids, plan.preferred, cover)?
        } else {
            let limit = root.limit;
            let image =
                limit.map(|limit| scratch_image::make(Path::new(&root.scratch.path), limit));
            let image = image.transpose()?;
            if image.is_some() {
                done("made a scratch of limited size");
            }
            let mut descriptors = vec![self.listener.as_fd(), self.file.as_fd()];
            descriptors.extend(image.as_ref().map(AsFd::as_fd));
            descriptors.extend(cover.as_ref().map(AsFd::as_fd));
            descriptors.extend(plan.network.as_ref().map(AsFd::as_fd));
            channel::instruct(self.channel.as_fd(), &spec, &descriptors)?;
            image.into_iter().chain(cover).collect()
        };
        done("told the container what to be");
        let record = Record {
            pid: self.child.pid,
            // Gone already, if there is none: its report says why.
            start_time: record::start_time(self.child.pid).unwrap_or_default(),
            boot_id: record::boot_id()?,
            made: record::Made::now(),
            groups: self.left.groups.clone(),
            scratch: self.left.scratch.clone(),
            kept_scratch,
            lease: lease.map(Lease::keep),
            user_namespace: ids.and_then(Ids::record),
            guarded: spec.guarded,
            proof: spec.proof,
            shifts_owners: plan.preferred,
            stop_signal: plan.stop_signal,
        };
        Ok((record, kept, handed))
    }

    /// Notes on the host what has to be known of the container before it can do anything.
    fn write_down(&self, spec: &LaunchSpec) -> Result<(), StepError> {
        sharing::mark(&spec.mapped)?;
        if Privilege::own() == Privilege::User {
            unrecorded::note(self.directory.as_fd(), self.child.pid)?;
        }
        Ok(())
    }

    /// Gives the child in its user namespace its ids; returns whether groups may be set in it.
    pub(super) fn give_ids(&self, ids: &Ids<'_>) -> Result<bool, StepError> {
        let found = self.find_child()?;
        if let Some(slot) = ids.slot {
            slot.hold(self.child.pid)?;
        }
        let many = found.map(&ids.mapping)?;
        done("gave the user namespace its ids");
        if let Some(slot) = ids.slot {
            begin(&self.channel, &self.left.groups, Some(slot))?;
        }
        Ok(many)
    }

    /// A mount of what covers the root of the view of a container without layers, which leaves `left_out` out. None
    /// where owners cannot be shifted as its user namespace needs it.
    pub(super) fn cover(
        &self,
        shared: &Shared,
        left_out: &LeftOut,
        in_namespace: bool,
    ) -> Result<Option<OwnedFd>, StepError> {
        let cover = shared.mount(left_out)?;
        if in_namespace {
            let namespace = self.find_child()?.namespace()?;
            return Ok(handed::shift(cover.as_fd(), namespace.as_fd())?.then_some(cover));
        }
        Ok(Some(cover))
    }

    fn find_child(&self) -> Result<user_namespace::Child, StepError> {
        user_namespace::Child::find(self.child.pid, self.child.pidfd.as_fd())
    }

    /// What a network takes where the service is an ordinary user's. The child keeps others out once it is the agent.
    fn namespaces(&self) -> Option<Namespaces> {
        if Privilege::own() == Privilege::Root {
            return None;
        }
        // Where it has ended, that is told later.
        let child = self.find_child().ok()?;
        Namespaces::of(&child).ok()
    }

    /// Gives the child in its user namespace its ids, and what it cannot open itself; then tells it what to be. Returns
    /// the mounts that it was handed.
    fn instruct_in_namespace(
        &self,
        spec: &LaunchSpec,
        ids: &Ids<'_>,
        all_shifted: bool,
        cover: Option<OwnedFd>,
    ) -> Result<Vec<OwnedFd>, StepError> {
        // Opened before the child goes on with its ids. Should it fail then, its report says why.
        let namespace = ids
            .slot
            .map(|_| self.find_child()?.namespace())
            .transpose()?;
        // Ids that were given before are those of a range: many.
        let many = ids.given || self.give_ids(ids)?;
        let (mounts, user) = match (&namespace, ids.mapping.root()) {
            (Some(namespace), Some(root)) => {
                handing::make(spec, namespace.as_fd(), root, all_shifted, cover)?
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
            ..spec.clone()
        };
        let mut descriptors = vec![self.listener.as_fd(), self.file.as_fd()];
        descriptors.extend(mounts.iter().map(AsFd::as_fd));
        channel::instruct(self.channel.as_fd(), &spec, &descriptors)?;
        Ok(mounts)
    }

    /// Ends the child and removes what exists.
    ///
    /// # Errors
    /// What could not be removed; the next sweep finds it.
    pub(super) fn discard(&self) -> Result<(), StepError> {
        let _gone_already = pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        let _gone_already = unlinkat(&self.directory, agent_socket::NAME, AtFlags::empty());
        let _gone_already = unlinkat(&self.directory, left_record::NAME, AtFlags::empty());
        self.left.remove()
    }
}

/// Has a child make what needs no document. In its user namespace it has the ids of `slot` by now.
fn begin(
    channel: &OwnedFd,
    groups: &ControlGroups,
    slot: Option<&IdRangeSlot>,
) -> Result<(), StepError> {
    let claim = slot.and_then(IdRangeSlot::held_open);
    let early = EarlySpec {
        groups: groups.shown(),
        user: slot.is_some(),
        claimed: claim.is_some(),
    };
    channel::instruct_early(channel.as_fd(), &early, claim.as_slice())
}

/// Takes the scratch of `root` at `path`, which is kept, for one container.
fn take_kept(root: &RootSpec, path: &Path) -> Result<Kept, StepError> {
    let mut kept = Kept::open(path)?;
    kept.lock(path)?;
    // What is locked and closed has to be what is mounted, whatever comes to its path meanwhile.
    root.scratch.is(&kept)?;
    scratch::keep_others_out(kept.as_fd(), path)?;
    sharing::mark_closed(&kept, &root.scratch.path)?;
    done("locked the scratch that is kept");
    Ok(kept)
}

fn prepare_groups(
    groups: &ControlGroups,
    host: &HostGroups,
    order: &Order<'_>,
) -> Result<(), Failure> {
    let step = |result: Result<(), StepError>| result.map_err(|error| fail(&order.name, error));
    step(groups.make(&host.used, &host.delegated))?;
    done("made the control groups");
    groups.apply(&order.limits)?;
    step(groups.limit_devices(&host.devices, order.devices))?;
    done("set their limits");
    Ok(())
}

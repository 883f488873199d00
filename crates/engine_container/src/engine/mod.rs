//! [`ContainerEngine`]: makes, prepares, adopts and sweeps containers.

mod claim;
pub(crate) mod host;
mod make;
mod slot;
mod sweep;
mod unrecorded;

use std::{
    os::fd::BorrowedFd,
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use hcs_engine::engine::{
    CreateRequest, Engine, Exit, Found, Machine, Offers, Origin, ProcessorGroups, Summary, Swept,
    WarmSlot,
};
use hcs_schema::{
    Failure, HResult,
    coverage::{CONTAINER, Table},
    documents::{ComputeSystem, OsType, SystemType},
    win32,
};

use hcs_wire::peer::is_open;

use crate::{
    cgroup::{ControlGroups, cpu_groups::CpuGroups},
    closer::Closer,
    config::EngineConfig,
    failure::StepError,
    launcher::Launcher,
    machine::{ContainerMachine, GoneGuest, agent_socket},
    offers,
    parts::{
        own_places::OwnPlaces,
        preference::Declined,
        rootfs::{cover::Shared, left_out::Searches},
    },
    peer,
    plan::{self, Plan},
    privilege::Privilege,
    record::Record,
    steps::{done, warn},
    user_namespace::{self, Above, Claims, IdPool},
};
pub use claim::Claim;
use host::HostGroups;
use make::Unmade;
use slot::ContainerSlot;

/// Ids of the host that one container has for its own.
type OwnIds = user_namespace::IdRangeSlot;

/// The engine for Linux containers. Wants root, and Linux 5.12 or newer; for an ordinary user it makes containers with
/// user namespaces only.
#[derive(Debug)]
pub struct ContainerEngine {
    workshop: Arc<Workshop>,
}

/// What containers are made with. Shared with those that are prepared.
#[derive(Debug)]
struct Workshop {
    launcher: Arc<Launcher>,
    /// What no container sees of the host.
    own_places: Arc<OwnPlaces>,
    config: EngineConfig,
    groups: OnceLock<HostGroups>,
    /// The ids that containers with user namespaces have.
    ids: Arc<IdPool>,
    /// Which files did not let a container have the user namespace that it preferred.
    declined: Declined,
    /// What the view of the host's files leaves out.
    searches: Searches,
    /// What covers that.
    cover: Shared,
    /// Closes what containers were handed.
    closer: Closer,
}

impl ContainerEngine {
    /// An engine that clones containers from `launcher`.
    #[must_use]
    pub fn new(launcher: Launcher, config: EngineConfig) -> Self {
        let claims = Claims::at(config.ids_in_use.clone());
        Self {
            workshop: Arc::new(Workshop {
                launcher: Arc::new(launcher),
                own_places: Arc::new(OwnPlaces::of(&config)),
                config,
                groups: OnceLock::new(),
                ids: Arc::new(IdPool::new(claims)),
                declined: Declined::default(),
                searches: Searches::default(),
                cover: Shared::default(),
                closer: Closer::default(),
            }),
        }
    }
}

/// JSON pointer of the property that names a group.
const CONTAINERS: &str = "/Container/Processor/CpuGroup/Id";

/// The group of processors that a document names.
fn processor_group(document: &ComputeSystem) -> Option<&str> {
    let processor = document.container.as_ref()?.processor.as_ref()?;
    processor.cpu_group.as_ref()?.id.as_deref()
}

const NO_GROUPS: &str = "the host's control groups could not be found";

impl Workshop {
    /// Makes a container from scratch.
    fn make(&self, request: &CreateRequest) -> Result<ContainerMachine, Failure> {
        let host = self.host(NO_GROUPS)?;
        let plan = self.plan(host, request)?;
        self.note_preference(request, plan.preferred);
        let ids = self.own_ids(&plan, request.user)?;
        match make::make(self, host, request, &plan, ids.as_ref()) {
            Ok(mut machine) => {
                machine.slot = Mutex::new(ids);
                Ok(machine)
            }
            Err(Unmade::Unshiftable | Unmade::OtherKind) => self.make_without(request),
            Err(Unmade::Failed(failure)) => Err(failure),
        }
    }

    /// Makes a container from scratch whose preference for a user namespace cannot be followed.
    fn make_without(&self, request: &CreateRequest) -> Result<ContainerMachine, Failure> {
        warn(
            "makes the container without the user namespace that it prefers: a file system cannot shift owners"
                .to_owned(),
        );
        self.note_preference(request, false);
        let mut without = request.clone();
        if let Some(container) = &mut without.document.container {
            container.prefer_user_namespace = None;
        }
        self.make(&without)
    }

    /// What is known of the host.
    fn host(&self, summary: &'static str) -> Result<&HostGroups, Failure> {
        HostGroups::once(&self.groups).map_err(|error| error.into_failure(summary))
    }

    /// Remembers whether a user namespace that is preferred can be had, for the choice of what is kept ready.
    fn note_preference(&self, request: &CreateRequest, followed: bool) {
        if let Some(container) = &request.document.container
            && container.prefer_user_namespace == Some(true)
        {
            self.declined.note(container, !followed);
        }
    }

    fn plan(&self, host: &HostGroups, request: &CreateRequest) -> Result<Plan, Failure> {
        let known = (&*self.own_places, &self.searches);
        plan::check(
            request,
            &self.config,
            &host.devices,
            Privilege::own(),
            known,
        )
        .inspect(|_| done("the document is possible on this host"))
    }

    /// Takes a child into the group of processors that its document names.
    fn join_cpu_group(
        &self,
        document: &ComputeSystem,
        groups: &ControlGroups,
        child: i32,
    ) -> Result<(), Failure> {
        match processor_group(document) {
            Some(id) => {
                let id = id.to_lowercase();
                self.cpu_groups()?.join((&id, CONTAINERS), groups, child)?;
                done("joined the group of processors");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn cpu_groups(&self) -> Result<CpuGroups, Failure> {
        CpuGroups::of_host(&self.config.cgroup_root)
    }

    /// Ids of the container's own, if it is to have some and the service has some to give.
    fn own_ids(&self, plan: &Plan, user: u32) -> Result<Option<OwnIds>, Failure> {
        if plan.spec.user.is_none() || Privilege::own() == Privilege::User {
            return Ok(None);
        }
        let mut ids = self.reserve_ids()?;
        self.charge(&mut ids, user)?;
        Ok(Some(ids))
    }

    /// Counts ids as those of a container of `user`. All but root and the service's own user have a share.
    fn charge(&self, ids: &mut OwnIds, user: u32) -> Result<(), Failure> {
        let charged = ids.charge(user, self.config.user_namespaces);
        charged.map_err(above_share)
    }

    /// Ids of the host that no container has. Where all are taken, a container that only prefers a user namespace is
    /// refused as well: other users could take all ids, and root in it would be root of the host then.
    fn reserve_ids(&self) -> Result<OwnIds, Failure> {
        let ids = self.ids.take(self.config.user_namespaces);
        let ids = ids.map_err(|error| {
            error.into_failure("no ids for the user namespace could be reserved on this host")
        });
        ids?.ok_or_else(no_ids)
    }
}

fn above_share(above: Above) -> Failure {
    let whose = match above {
        Above::OfUser(share) => {
            format!("{share} containers of the user have a user namespace, the share of one user")
        }
        Above::OfAll(all) => format!(
            "{all} containers of users other than root have a user namespace, the share of all those"
        ),
    };
    let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    let message = format!(
        "{whose} of what this service has ids for: end one, or have the administrator configure more (user_namespace_ids in hcsd.toml)"
    );
    Failure::new(hresult, message)
}

fn no_ids() -> Failure {
    let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    let message = "all ids for user namespaces are taken by containers of this or of other services; end one, configure \
                   more (user_namespace_ids in hcsd.toml), or ask for no user namespace (UserNamespace false, \
                   --userns=no): root in the container is root of the host then";
    Failure::new(hresult, message)
}

fn gone(why: &'static str) -> Failure {
    Failure::new(HResult::HCS_E_SYSTEM_NOT_FOUND, why)
}

/// A container of which nothing more can be told than why it counts as gone.
fn unknown(why: Failure) -> Found {
    Found::Gone {
        why,
        exit: Exit::Unknown,
        guest: None,
    }
}

fn forged(why: &'static str) -> Failure {
    gone("the record of the container is not one that a service wrote").cause(why)
}

/// What a service has written down of the container of `request`, or why that is of no use.
fn read_record(request: &CreateRequest, record: &str) -> Result<Record, Failure> {
    let record: Record = serde_json::from_str(record)
        .map_err(|error| gone("the record of the container cannot be read").because(&error))?;
    match record.doubt(&request.runtime_id) {
        Some(why) => Err(forged(why)),
        None => Ok(record),
    }
}

impl Engine for ContainerEngine {
    fn name(&self) -> &'static str {
        crate::config::NAME
    }

    fn accepts(&self, document: &ComputeSystem) -> bool {
        document.container.is_some()
    }

    fn summary(&self, document: &ComputeSystem) -> Summary {
        let container = document.container.as_ref();
        let image = container.and_then(|container| container.storage.as_ref()?.image.as_ref());
        Summary {
            system_type: SystemType::Container,
            os_type: Some(OsType::Linux),
            image: image.and_then(|image| image.name.clone().or_else(|| image.digest.clone())),
            process_defaults: container.and_then(|container| container.process_defaults.clone()),
        }
    }

    fn coverage(&self) -> &'static Table {
        &CONTAINER
    }

    fn create(&self, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        match self.workshop.make(request) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn prepare(
        &self,
        document: &ComputeSystem,
        runtime_id: &str,
        directory: &Path,
    ) -> Result<Option<Box<dyn WarmSlot>>, Failure> {
        // An ordinary user's containers depend on what their documents show of the host.
        let kind = match Privilege::own() {
            Privilege::User => None,
            Privilege::Root => slot::Kind::of(document, &self.workshop),
        };
        let has_ids = self.workshop.config.user_namespaces.are_plenty();
        let Some(kind) = kind.filter(|kind| has_ids || !kind.user_namespace) else {
            return Ok(None);
        };
        let slot = ContainerSlot::prepare(&self.workshop, kind, document, runtime_id, directory)?;
        Ok(Some(Box::new(slot)))
    }

    fn adopt(&self, request: &CreateRequest, record: &str) -> Result<Found, Failure> {
        let record = match read_record(request, record) {
            Ok(record) => record,
            Err(why) => return Ok(unknown(why)),
        };
        let slot = (record.user_namespace).and_then(|user| user.slot.zip(Some(user)));
        let pid = record.pid;
        let left = GoneGuest::new(&request.directory, &record);
        let gone_by_itself = |why, exit| Found::Gone {
            why: gone(why),
            exit,
            guest: Some(Arc::new(left)),
        };
        let failed = |error: StepError| {
            let id = &request.id;
            error.into_failure(format!("the container {id:?} could not be taken over"))
        };
        let workshop = &*self.workshop;
        let (launcher, places) = (&workshop.launcher, &workshop.own_places);
        match ContainerMachine::adopted(request, record, launcher, places) {
            // Its end has not been taken note of by its parent.
            Ok(Some(machine)) if machine.is_gone() => Ok(gone_by_itself(
                "the container's pid 1 has ended",
                machine.exit(),
            )),
            Ok(Some(mut machine)) => {
                if let Some(why) = machine.doubt().map_err(failed)? {
                    return Ok(match machine.is_ending() {
                        true => gone_by_itself("the container's pid 1 has ended", machine.exit()),
                        false => unknown(forged(why)),
                    });
                }
                machine.record.groups.lift_hold();
                let kept = slot.map(|(number, user)| {
                    let (ids, root) = (&workshop.ids, (user.user, user.group));
                    ids.keep(number, root, pid, request.user)
                });
                machine.slot = Mutex::new(kept.transpose().map_err(failed)?);
                Ok(Found::Living(Arc::new(machine)))
            }
            // The number says nothing in another pid namespace, and the socket is the same in all.
            Ok(None) if is_open(&request.directory.join(agent_socket::NAME)) => Err(Failure::new(
                HResult::E_FAIL,
                format!(
                    "the container {:?} lives in another pid namespace than this service: only one in that can have it",
                    request.id
                ),
            )),
            // The kernel tells the end of a process by a descriptor only that was opened before.
            Ok(None) => Ok(gone_by_itself(
                "the container's pid 1 is gone",
                Exit::Unknown,
            )),
            Err(error) => Err(failed(error)),
        }
    }

    fn origin(&self, socket: BorrowedFd<'_>) -> Origin {
        peer::origin(socket)
    }

    fn processor_groups(&self) -> Option<&dyn ProcessorGroups> {
        Some(self)
    }

    fn processor_group<'a>(&self, document: &'a ComputeSystem) -> Option<&'a str> {
        processor_group(document)
    }

    fn offers(&self) -> Offers {
        offers::look(&self.workshop.config)
    }

    fn end_unrecorded(&self, directory: &Path) {
        unrecorded::end(directory);
    }

    fn sweep(&self, keep: &[String]) -> Swept {
        let workshop = &*self.workshop;
        match workshop.host("leftovers of containers could not be looked for") {
            Ok(host) => sweep::sweep(&host.all, &workshop.config, &workshop.launcher, keep),
            Err(failure) => Swept {
                failure: Some(failure),
                ..Swept::default()
            },
        }
    }
}

impl ProcessorGroups for ContainerEngine {
    fn make(&self, id: &str, processors: &[u32]) -> Result<(), Failure> {
        let made = self.workshop.cpu_groups()?.make(id, processors);
        made.map_err(|e| e.into_failure(format!("the group of processors {id} cannot be made")))
    }

    fn remove(&self, id: &str) -> Result<(), Failure> {
        self.workshop.cpu_groups()?.remove(id)
    }
}

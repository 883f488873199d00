//! Warm slots: containers that were prepared before a client asked for one.
//!
//! A slot is a container up to the point where it has to know what it is to be: control groups with our own limits in
//! them, scratch, the agent's socket, and a parked child in its namespaces that waits at its channel. It goes on from
//! there exactly as one that is made from scratch ([`super::make`] is the same for both). When the service ends, even
//! by `SIGKILL`, the channel ends and so does the child.
//!
//! There are two kinds, without and with a user namespace, which has its ids already.

use std::{
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex},
};

use hcs_engine::engine::{CreateRequest, Machine, WarmSlot};
use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, ContainerMemory},
};

use super::{
    NO_GROUPS, OwnIds, Workshop,
    make::{Ids, Order, Prepared, Unmade},
};
use crate::{
    cgroup::Limits,
    launcher::SERVICE,
    machine::ContainerMachine,
    parts::{rootfs::left_out, user::Namespace},
    plan::Plan,
    spec::{LeftOut, RootSpec},
    steps::{done, warn},
};

/// A parked child weighs something, so a lower limit on memory could refuse what it would allow a new child.
const LEAST_MEMORY_MB: u64 = 32;

/// What a slot is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) user_namespace: bool,
}

impl Kind {
    /// The kind for `document`; `None` where no slot fits. Looks at no file, for the service's only thread asks.
    pub(super) fn of(document: &ComputeSystem, workshop: &Workshop) -> Option<Self> {
        let container = document.container.as_ref()?;
        let networking = container.networking.as_ref();
        let named_network = networking
            .and_then(|networking| networking.namespace.as_deref())
            .is_some_and(|name| !name.is_empty());
        let storage = container.storage.as_ref();
        let kept_scratch = storage.is_some_and(|storage| storage.path.is_some());
        let fits = document.hosting_system_id.is_none()
            && !named_network
            && !kept_scratch
            && has_room(container.memory.as_ref());
        fits.then_some(Self {
            user_namespace: match Namespace::asked(container, &workshop.config) {
                Namespace::Preferred => !workshop.declined.has(container),
                asked => asked.is_made(),
            },
        })
    }
}

/// One prepared container.
#[derive(Debug)]
pub(super) struct ContainerSlot {
    workshop: Arc<Workshop>,
    prepared: Prepared,
    kind: Kind,
    /// Those of its user namespace, if it has one.
    ids: Option<OwnIds>,
    /// What covers the root, for a container without layers, if the last one had none. A slot without it is of use all
    /// the same: the container's time line has the reason, where it could not be made.
    cover: Result<Option<Cover>, Failure>,
}

/// What covers the root of a view of the host's files.
#[derive(Debug)]
struct Cover {
    left_out: LeftOut,
    mount: OwnedFd,
}

impl Cover {
    /// Makes it; `None` where the child has to.
    fn make(workshop: &Workshop, prepared: &Prepared, kind: Kind) -> Result<Option<Self>, Failure> {
        let left_out = left_out::of_root(&workshop.config, &workshop.searches)?;
        let mount = prepared
            .cover(&workshop.cover, &left_out, kind.user_namespace)
            .map_err(|error| {
                error.into_failure("what a view leaves out cannot be covered beforehand")
            })?;
        Ok(mount.map(|mount| Self { left_out, mount }))
    }

    /// Its file system, if the container is to see what it was made for.
    fn fitting(self, root: &RootSpec) -> Option<OwnedFd> {
        let view = root.view.as_ref()?;
        (view.left_out == self.left_out).then_some(self.mount)
    }
}

impl ContainerSlot {
    /// Prepares one, for containers like that of `document`.
    pub(super) fn prepare(
        workshop: &Arc<Workshop>,
        kind: Kind,
        document: &ComputeSystem,
        runtime_id: &str,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let ids = kind.user_namespace.then(|| workshop.reserve_ids());
        let ids = ids.transpose()?;
        let order = Order {
            name: "that is kept ready".to_owned(),
            user: SERVICE,
            runtime_id,
            directory,
            limits: Limits {
                pids: workshop.config.pids_limit,
                ..Limits::default()
            },
            devices: &[],
            new_network: true,
            owner: ids.as_ref().map(OwnIds::owner),
            scratch: Some(workshop.config.scratch_root.join(runtime_id)),
        };
        let prepared = Prepared::start(workshop, workshop.host(NO_GROUPS)?, &order)?;
        if let Some(own) = &ids
            && let Err(error) = prepared.give_ids(&Ids::of_own(own))
        {
            let _left = prepared.discard();
            return Err(error.into_failure("no user namespace could be kept ready"));
        }
        Ok(Self {
            workshop: Arc::clone(workshop),
            cover: match has_view(document) {
                true => Cover::make(workshop, &prepared, kind),
                // Taking it away from a container with layers would hold that up.
                false => Ok(None),
            },
            prepared,
            kind,
            ids,
        })
    }

    /// What is left to be decided, if the slot is still of use.
    ///
    /// # Errors
    /// As a container that is made from scratch. [`Unmade::OtherKind`]: the files decide otherwise than was expected.
    fn check(&self, request: &CreateRequest) -> Result<Plan, Unmade> {
        let host = self.workshop.host(NO_GROUPS)?;
        let plan = self.workshop.plan(host, request)?;
        if plan.spec.user.is_some() != self.kind.user_namespace {
            return Err(Unmade::OtherKind);
        }
        self.workshop.note_preference(request, plan.preferred);
        if self.prepared.has_ended() {
            let message = "the container that was kept ready has ended";
            return Err(Failure::new(HResult::E_UNEXPECTED, message).into());
        }
        let mut limits = plan.limits;
        if !limits.pids_asked {
            // That of the configuration, which it has.
            limits.pids = None;
        }
        self.prepared.limit(&limits)?;
        if !plan.devices.is_empty() {
            self.prepared.allow(&host.devices, &plan.devices)?;
        }
        Ok(plan)
    }

    /// Makes it what `request` says.
    fn finish(mut self, request: &CreateRequest) -> Result<ContainerMachine, Unmade> {
        let checked = self.check(request).and_then(|plan| {
            let charged = self.ids.as_mut();
            let charged = charged.map(|ids| self.workshop.charge(ids, request.user));
            charged.transpose()?;
            Ok(plan)
        });
        let plan = match checked {
            Ok(plan) => plan,
            Err(unmade) => {
                // What resists is found by the next sweep.
                let _left = self.prepared.discard();
                return Err(unmade);
            }
        };
        done("took a container that was kept ready, and set its limits");
        let ids = self.ids.as_ref().map(|own| Ids::of_own(own).given());
        let cover = self.cover.unwrap_or_else(|failure| {
            warn(failure.recorded().to_string());
            None
        });
        let cover = cover.and_then(|cover| cover.fitting(&plan.spec.root));
        let mut machine =
            self.prepared
                .finish(&self.workshop, request, &plan, ids.as_ref(), cover)?;
        machine.slot = Mutex::new(self.ids);
        Ok(machine)
    }
}

impl WarmSlot for ContainerSlot {
    fn fits(&self, document: &ComputeSystem) -> bool {
        Kind::of(document, &self.workshop) == Some(self.kind)
    }

    fn make(self: Box<Self>, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        let workshop = Arc::clone(&self.workshop);
        let made = match self.finish(request) {
            Ok(machine) => Ok(machine),
            Err(Unmade::Unshiftable) => workshop.make_without(request),
            Err(Unmade::OtherKind) => workshop.make(request),
            Err(Unmade::Failed(failure)) => Err(failure),
        };
        match made {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn network(&self) -> Result<OwnedFd, Failure> {
        self.prepared.network()
    }

    fn discard(self: Box<Self>) -> Result<(), Failure> {
        self.prepared.discard().map_err(|error| {
            error.into_failure("a container that was kept ready could not be removed")
        })
    }
}

/// Whether the container sees the host's files, for want of layers.
fn has_view(document: &ComputeSystem) -> bool {
    let container = document.container.as_ref();
    let storage = container.and_then(|container| container.storage.as_ref());
    let layers = storage.and_then(|storage| storage.layers.as_deref());
    layers.is_none_or(<[_]>::is_empty)
}

fn has_room(memory: Option<&ContainerMemory>) -> bool {
    let limit = memory.and_then(|memory| memory.size_in_mb);
    // 0 says that there is no limit.
    limit.is_none_or(|limit| limit == 0 || limit >= LEAST_MEMORY_MB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shows_the_hosts_files_has_them_covered_beforehand() {
        let has = |text| has_view(&serde_json::from_str(text).unwrap());
        assert!(has(r#"{ "Container": {} }"#));
        assert!(has(r#"{ "Container": { "Storage": { "Layers": [] } } }"#));
        assert!(!has(
            r#"{ "Container": { "Storage": { "Layers": [{ "Path": "/usr" }] } } }"#
        ));
    }
}

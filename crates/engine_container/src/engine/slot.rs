//! Warm slots: containers that were prepared before anybody asked for one.
//!
//! A slot is a container up to the point where it has to know what it is to be: control groups with our own limits in
//! them, scratch, the agent's socket, and a parked child in its namespaces that waits at its channel. It goes on from
//! there exactly as one that is made from scratch ([`super::make`] is the same for both). When the service ends, even by
//! `SIGKILL`, the channel ends and so does the child.

use std::{path::Path, sync::Arc};

use hcs_lifecycle::engine::{CreateRequest, Machine, Slot};
use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, ContainerMemory},
};

use super::{
    NO_GROUPS, Workshop,
    make::{Order, Prepared},
};
use crate::{cgroup::Limits, plan::Plan, steps::done};

/// A parked child weighs something, so a lower limit on memory could refuse what it would allow a new child.
const LEAST_MEMORY_MB: u64 = 32;

/// One prepared container.
#[derive(Debug)]
pub(super) struct ContainerSlot {
    workshop: Arc<Workshop>,
    prepared: Prepared,
}

impl ContainerSlot {
    /// Prepares one.
    pub(super) fn prepare(
        workshop: &Arc<Workshop>,
        runtime_id: &str,
        directory: &Path,
    ) -> Result<Self, Failure> {
        let order = Order {
            name: "that is kept ready".to_owned(),
            runtime_id,
            directory,
            limits: Limits {
                pids: workshop.config.pids_limit,
                ..Limits::default()
            },
            new_network: true,
            owner: None,
            scratch: Some(workshop.config.scratch_root.join(runtime_id)),
        };
        let prepared = Prepared::start(workshop, workshop.host(NO_GROUPS)?, &order)?;
        Ok(Self {
            workshop: Arc::clone(workshop),
            prepared,
        })
    }

    /// What is left to be decided, if the slot is still of use.
    fn check(&self, request: &CreateRequest) -> Result<Plan, Failure> {
        let host = self.workshop.host(NO_GROUPS)?;
        let plan = self.workshop.plan(host, request)?;
        if self.prepared.has_ended() {
            let message = "the container that was kept ready has ended";
            return Err(Failure::new(HResult::E_UNEXPECTED, message));
        }
        self.prepared.limit(&plan.limits)?;
        Ok(plan)
    }
}

impl Slot for ContainerSlot {
    fn fits(&self, document: &ComputeSystem) -> bool {
        let Some(container) = &document.container else {
            return false;
        };
        let networking = container.networking.as_ref();
        let named_network = networking
            .and_then(|networking| networking.namespace.as_deref())
            .is_some_and(|name| !name.is_empty());
        let storage = container.storage.as_ref();
        let kept_scratch = storage.is_some_and(|storage| storage.path.is_some());
        document.hosting_system_id.is_none()
            && container.user_namespace != Some(true)
            && !named_network
            && !kept_scratch
            && has_room(container.memory.as_ref())
    }

    fn make(self: Box<Self>, request: &CreateRequest) -> Result<Arc<dyn Machine>, Failure> {
        let plan = match self.check(request) {
            Ok(plan) => plan,
            Err(failure) => {
                // What resists is found by the next sweep.
                let _left = self.prepared.discard();
                return Err(failure.while_doing("Construct"));
            }
        };
        done("took a container that was kept ready, and set its limits");
        match self.prepared.finish(&self.workshop, request, &plan, None) {
            Ok(machine) => Ok(Arc::new(machine)),
            Err(failure) => Err(failure.while_doing("Construct")),
        }
    }

    fn discard(self: Box<Self>) -> Result<(), Failure> {
        self.prepared.discard().map_err(|error| {
            error.into_failure("a container that was kept ready could not be removed")
        })
    }
}

fn has_room(memory: Option<&ContainerMemory>) -> bool {
    let limit = memory.and_then(|memory| memory.size_in_mb);
    // 0 says that there is no limit.
    limit.is_none_or(|limit| limit == 0 || limit >= LEAST_MEMORY_MB)
}

//! Ports of the host that lead somewhere, by number: a document of an endpoint names many, and each is looked up.

use std::collections::HashMap;

use hcs_schema::{Failure, HResult, win32};

use super::{BalancedPort, MOST_MAPPINGS, MOST_MAPPINGS_OF_ALL, Mapping, Protocol, State};
use crate::{guid::Guid, reading::refused};

/// What a port leads to.
#[derive(Clone, Copy)]
enum Taker {
    Endpoint(Guid, Mapping),
    LoadBalancer(Guid, BalancedPort),
}

/// See the module.
#[derive(Default)]
pub(super) struct Taken {
    by_port: HashMap<(Protocol, u16), Vec<Taker>>,
    /// Mappings of other endpoints.
    others: usize,
    /// See [`Taken::of_records`].
    is_of_records: bool,
}

impl Taken {
    /// None so far. What is recorded was allowed once, so however many lead somewhere, they go on.
    pub(super) fn of_records() -> Self {
        Self {
            is_of_records: true,
            ..Self::default()
        }
    }

    /// All that lead elsewhere than to the endpoint `id`.
    pub(super) fn of(state: &State, id: Guid) -> Self {
        let mut taken = Self::default();
        for (other, balancer) in &state.load_balancers {
            for port in &balancer.ports {
                let takers = taken.by_port.entry((port.protocol, port.external));
                takers.or_default().push(Taker::LoadBalancer(*other, *port));
            }
        }
        for (other, endpoint) in state.endpoints.iter().filter(|(other, _)| **other != id) {
            taken.others += endpoint.terms.mappings.len();
            for mapping in &endpoint.terms.mappings {
                taken.add(*other, *mapping);
            }
        }
        taken
    }

    /// One more, which leads to the endpoint `id`.
    pub(super) fn add(&mut self, id: Guid, mapping: Mapping) {
        let takers = self.by_port.entry((mapping.protocol, mapping.external));
        takers.or_default().push(Taker::Endpoint(id, mapping));
    }

    /// None leads to the endpoint `id` any more.
    pub(super) fn forget(&mut self, id: Guid) {
        let is_other = |taker: &Taker| !matches!(taker, Taker::Endpoint(to, _) if *to == id);
        for takers in self.by_port.values_mut() {
            takers.retain(is_other);
        }
    }

    /// Refuses a mapping whose port leads elsewhere.
    pub(super) fn is_free(&self, mapping: &Mapping, pointer: &str) -> Result<(), Failure> {
        let port = mapping.external;
        let takers = self.by_port.get(&(mapping.protocol, port));
        let found = takers.into_iter().flatten().find_map(|taker| match taker {
            Taker::LoadBalancer(other, one) => {
                let what = || format!("the load balancer {other} has the port {port} already");
                one.collides_with(mapping).then(what)
            }
            Taker::Endpoint(other, one) => {
                let what =
                    || format!("the port {port} of the host leads to the endpoint {other} already");
                one.collides(mapping).then(what)
            }
        });
        match found {
            None => Ok(()),
            Some(what) => {
                let pointer = format!("{pointer}/ExternalPort");
                Err(refused(HResult::HCN_E_PORT_ALREADY_EXISTS, pointer, what))
            }
        }
    }

    /// Refuses one more mapping of an endpoint that has `count`.
    pub(super) fn has_room(&self, count: usize, pointer: &str) -> Result<(), Failure> {
        let others = self.others;
        if self.is_of_records || count < MOST_MAPPINGS && others + count < MOST_MAPPINGS_OF_ALL {
            return Ok(());
        }
        let what = format!(
            "{count} ports of the host lead to this endpoint and {others} to others, and no more are mapped: up to \
             {MOST_MAPPINGS} for one and {MOST_MAPPINGS_OF_ALL} for all"
        );
        let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
        Err(refused(code, pointer, what))
    }
}

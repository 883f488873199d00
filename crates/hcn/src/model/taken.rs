//! Ports of the host that lead somewhere, by number: a document of an endpoint names many, and each is looked up.

use std::collections::HashMap;

use hcs_schema::{Failure, HResult, win32};

use super::{MOST_MAPPINGS, MOST_MAPPINGS_OF_ALL, Mapping, Protocol, State};
use crate::{guid::Guid, reading::refused};

/// What a port leads to.
#[derive(Clone, Copy)]
enum Taker {
    Endpoint(Guid, Mapping),
    LoadBalancer(Guid),
}

/// See the module.
pub(super) struct Taken<'a> {
    state: &'a State,
    by_port: HashMap<(Protocol, u16), Vec<Taker>>,
    /// Mappings of other endpoints.
    others: usize,
}

impl<'a> Taken<'a> {
    /// All that lead elsewhere than to the endpoint `id`.
    pub(super) fn of(state: &'a State, id: Guid) -> Self {
        let mut taken = Self {
            state,
            by_port: HashMap::new(),
            others: 0,
        };
        for (other, balancer) in &state.load_balancers {
            for port in &balancer.ports {
                let takers = taken.by_port.entry((port.protocol, port.external));
                takers.or_default().push(Taker::LoadBalancer(*other));
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

    /// Refuses a mapping whose port leads elsewhere.
    pub(super) fn is_free(&self, mapping: &Mapping, pointer: &str) -> Result<(), Failure> {
        let port = mapping.external;
        let takers = self.by_port.get(&(mapping.protocol, port));
        let found = takers.into_iter().flatten().find_map(|taker| match taker {
            Taker::LoadBalancer(other) => {
                let mut ports = self.state.load_balancers.get(other)?.ports.iter();
                let what = || format!("the load balancer {other} has the port {port} already");
                ports.any(|one| one.collides_with(mapping)).then(what)
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
        if count < MOST_MAPPINGS && others + count < MOST_MAPPINGS_OF_ALL {
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

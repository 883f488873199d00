//! What went through the endpoints of a system, for its statistics.

use std::sync::Arc;

use hcs_schema::{Failure, documents::NetworkStats};
use hcs_wire::environment::is_root;

use super::{Networks, kernel};
use crate::record::blocking::blocking;

impl Networks {
    /// What went through the endpoints of a system; `None` where it has none.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) async fn figures(
        &self,
        runtime_id: &str,
    ) -> Result<Option<Vec<NetworkStats>>, Failure> {
        if !is_root() {
            return Ok(None);
        }
        let endpoints: Vec<_> = {
            let held = self.held.borrow();
            let mut occupants = held.occupants.iter();
            let namespace = occupants.find(|(_, one)| one.runtime_id == runtime_id);
            let endpoints = namespace.map(|(id, _)| held.state.namespace_intent(*id));
            let endpoints = endpoints.into_iter().flatten();
            endpoints
                .filter(|one| held.attached.contains(&one.id))
                .collect()
        };
        if endpoints.is_empty() {
            return Ok(None);
        }
        let machine = self.machines.borrow().get(runtime_id).cloned();
        let hosts = Arc::clone(&self.hosts);
        let count = move || {
            let counted = endpoints.iter().map(|endpoint| {
                let counters = kernel::counters(&hosts, endpoint, machine.as_deref())?;
                Ok(NetworkStats {
                    endpoint_id: Some(endpoint.id.to_string()),
                    bytes_received: Some(counters.bytes_received),
                    bytes_sent: Some(counters.bytes_sent),
                    packets_received: Some(counters.packets_received),
                    packets_sent: Some(counters.packets_sent),
                    dropped_packets_incoming: Some(counters.dropped_incoming),
                    dropped_packets_outgoing: Some(counters.dropped_outgoing),
                })
            });
            counted.collect::<Result<Vec<_>, Failure>>()
        };
        blocking(count).await.map(Some)
    }
}

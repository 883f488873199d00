//! Translation of what an endpoint sends to the outside (policies of type OutBoundNAT): to which peers, and to what.

use std::net::{IpAddr, Ipv4Addr};

use hcs_schema::{Failure, HResult, fault::quote};

use super::Network;
use crate::{
    access::prefix,
    address::Prefix,
    documents::{
        EndpointPolicy,
        policy::{OutBoundNat, settings_of},
    },
    reading::refused,
};

/// The most peers that the policies of one endpoint name: each is a rule of the host.
const MOST_PEERS: usize = 128;

/// How connections of an endpoint to the outside are translated. Without any of it all get the host's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// The address that peers see; that of the interface which packets leave by where there is none.
    pub address: Option<Ipv4Addr>,
    /// Peers that see the endpoint's own address.
    pub exceptions: Vec<Prefix>,
    /// Peers that see the other one, and no others do; all where there are none.
    pub destinations: Vec<Prefix>,
}

impl Outbound {
    /// How many peers it names.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.exceptions.len() + self.destinations.len()
    }

    /// Adds what a policy says; `pointer` is that of its settings.
    pub(super) fn read(
        &mut self,
        network: &Network,
        policy: &EndpointPolicy,
        pointer: &str,
    ) -> Result<(), Failure> {
        let asked: OutBoundNat = settings_of(policy.settings.as_ref());
        if !network.is_translated() {
            let what = "the host translates for networks of type NAT and ICS only: of others it forwards nothing";
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
        }
        const LOCAL_ROUTED: u32 = 1;
        if asked.flags.unwrap_or(0) & !LOCAL_ROUTED != 0 {
            let what = "no flag but LocalRoutedVip (1) is supported: only IPv4 is translated";
            let pointer = format!("{pointer}/Flags");
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
        }
        if asked.max_port_pool_usage.unwrap_or(0) != 0 {
            let what = "it is not supported: the kernel takes any port of the host that is free";
            let pointer = format!("{pointer}/MaxPortPoolUsage");
            return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
        }
        if let Some(text) = asked.virtual_ip.as_deref().filter(|text| !text.is_empty()) {
            let pointer = format!("{pointer}/VirtualIP");
            let address = address(text, &pointer)?;
            if self.address.is_some_and(|other| other != address) {
                let what = "another policy of the endpoint names another address";
                return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
            }
            self.address = Some(address);
        }
        let lists = [
            (&mut self.exceptions, asked.exceptions, "Exceptions"),
            (&mut self.destinations, asked.destinations, "Destinations"),
        ];
        for (list, asked, name) in lists {
            list.extend(peers(
                asked.as_deref().unwrap_or_default(),
                &format!("{pointer}/{name}"),
            )?);
        }
        let count = self.peers();
        if count > MOST_PEERS {
            let what = format!("an endpoint names up to {MOST_PEERS} peers, not {count}");
            return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
        }
        Ok(())
    }
}

fn address(text: &str, pointer: &str) -> Result<Ipv4Addr, Failure> {
    let address = text.parse::<Ipv4Addr>().ok();
    let address =
        address.filter(|one| !one.is_unspecified() && !one.is_multicast() && !one.is_loopback());
    address.ok_or_else(|| {
        let what = format!("{} is no IPv4 address of the host", quote(text));
        refused(HResult::HCN_E_INVALID_IP, pointer, what)
    })
}

/// Addresses and prefixes of IPv4. Those of IPv6 see the endpoint's own address in any case.
fn peers(texts: &[String], pointer: &str) -> Result<Vec<Prefix>, Failure> {
    let mut peers = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let found = prefix(text.trim()).ok_or_else(|| {
            let what = format!("{} is no IP address or prefix", quote(text));
            refused(
                HResult::HCN_E_INVALID_PREFIX,
                format!("{pointer}/{at}"),
                what,
            )
        })?;
        if matches!(found.first(), IpAddr::V4(_)) && !peers.contains(&found) {
            peers.push(found);
        }
    }
    Ok(peers)
}

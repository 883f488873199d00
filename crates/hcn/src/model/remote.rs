//! Endpoints on other hosts: where they are, so that those here reach them.

use std::net::{IpAddr, Ipv4Addr};

use hcs_schema::{Failure, HResult};

use super::{Lease, Network, Terms, fabric};
use crate::{
    address::Mac,
    coverage::REMOTE,
    documents::{
        EndpointPolicy, EndpointPolicyType, HostComputeEndpoint, IpConfiguration,
        fabric::ProviderAddress, policy::settings_of,
    },
    reading::refused,
};

/// Whether the document is that of an endpoint on another host.
pub(super) fn is_remote(document: &HostComputeEndpoint) -> bool {
    document.flags.unwrap_or(0) & REMOTE != 0
}

/// Refuses an endpoint on another host that is not told as it has to be, and policies that only such ones have.
pub(super) fn check(network: &Network, document: &HostComputeEndpoint) -> Result<(), Failure> {
    let policies = document.policies.iter().flatten().enumerate();
    let is_place =
        |policy: &EndpointPolicy| policy.kind == Some(EndpointPolicyType::ProviderAddress);
    if !is_remote(document) {
        return match policies.into_iter().find(|(_, policy)| is_place(policy)) {
            None => Ok(()),
            Some((at, _)) => {
                let what = "only an endpoint on another host has such a policy: the flag RemoteEndpoint (1) says so";
                let pointer = format!("/Policies/{at}/Type");
                Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what))
            }
        };
    }
    let wrong = |pointer: String, what: &str| {
        Err(refused(
            HResult::HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION,
            pointer,
            what,
        ))
    };
    if network.fabric.tunnel.is_none() {
        let what = "networks of type Overlay have endpoints on other hosts (RemoteEndpoint, 1), and no others";
        return wrong("/Flags".to_owned(), what);
    }
    let mut is_told = false;
    for (at, policy) in policies {
        if !is_place(policy) {
            let what = "of an endpoint on another host only ProviderAddress counts; the others belong there";
            return wrong(format!("/Policies/{at}/Type"), what);
        }
        is_told = true;
    }
    if !is_told {
        let what = "the address of the other host is expected, in a policy of type ProviderAddress";
        return wrong("/Policies".to_owned(), what);
    }
    if document.mac_address.as_ref().is_none_or(String::is_empty) {
        return wrong(
            "/MacAddress".to_owned(),
            "the hardware address that it has there is expected",
        );
    }
    let addresses = document.ip_configurations.as_deref().unwrap_or_default();
    let named =
        |one: &IpConfiguration| one.ip_address.as_ref().is_some_and(|text| !text.is_empty());
    if addresses.is_empty() || !addresses.iter().all(named) {
        return wrong(
            "/IpConfigurations".to_owned(),
            "the addresses that it has there are expected",
        );
    }
    Ok(())
}

/// Refuses the card of an endpoint that a router on another host than its own has: packets for one would go to the
/// other.
pub(super) fn is_no_router(network: &Network, mac: Mac, terms: &Terms) -> Result<(), Failure> {
    let tunnel = network.fabric.tunnel.as_ref();
    match tunnel.and_then(|tunnel| tunnel.host_of_router(mac)) {
        Some(host) if terms.provider != Some(host) => {
            let what = format!(
                "{mac} is the router of a subnet on the host {host}, as a policy RemoteSubnetRoute of the network says"
            );
            Err(refused(HResult::HCN_E_INVALID_POLICY, "/MacAddress", what))
        }
        _ => Ok(()),
    }
}

/// The address of an endpoint on another host, which may be in a subnet that is not here.
pub(super) fn lease(
    network: &Network,
    document: &HostComputeEndpoint,
    asked: &IpConfiguration,
) -> Option<Lease> {
    if !is_remote(document) {
        return None;
    }
    let address: IpAddr = asked.ip_address.as_deref()?.parse().ok()?;
    if network.pool_of(address).is_some() || address.is_unspecified() || address.is_multicast() {
        return None;
    }
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = asked
        .prefix_length
        .filter(|length| (1..=longest).contains(length));
    Some(Lease {
        address,
        length: length.unwrap_or(longest),
    })
}

/// Reads a policy of type ProviderAddress.
pub(super) fn provider_of(policy: &EndpointPolicy, pointer: &str) -> Result<Ipv4Addr, Failure> {
    let asked: ProviderAddress = settings_of(policy.settings.as_ref());
    let text = asked.provider_address.unwrap_or_default();
    fabric::provider(&text, &format!("{pointer}/ProviderAddress"))
}

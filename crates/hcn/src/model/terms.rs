//! Policies of endpoints, one by one: what their settings come to.

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, fault::quote};

use super::{Mapping, Network, Protocol};
use crate::{
    documents::{
        EndpointPolicy, EndpointPolicyType,
        policy::{EncapOverhead, InterfaceParameters, PortMapping, Qos, settings_of},
    },
    reading::refused,
};

/// The largest packet of a link, in bytes, where nothing else is asked for.
const USUAL_MTU: u32 = 1500;
/// The smallest that IPv4 works with. A bridge takes the smallest of its ports for its own, so one endpoint decides for
/// its network whether IPv6 works there.
const LEAST_MTU: u32 = 576;
const LEAST_MTU_6: u32 = 1280;
/// The largest that a link takes.
const MOST_MTU: u32 = 65535;

/// The least that an endpoint may be allowed to send, in bytes a second.
const LEAST_BANDWIDTH: u64 = 8192;

/// Reads a policy of type PortMapping; `pointer` is that of its settings.
pub(super) fn mapping(
    network: &Network,
    policy: &EndpointPolicy,
    pointer: &str,
) -> Result<Mapping, Failure> {
    let asked: PortMapping = settings_of(policy.settings.as_ref());
    if !network.is_translated() {
        let what = "a port of the host leads into networks of type NAT and ICS only";
        return Err(refused(HResult::HCN_E_MAPPING_NOT_SUPPORTED, pointer, what));
    }
    let protocol = match asked.protocol {
        Some(6) => Protocol::Tcp,
        Some(17) => Protocol::Udp,
        other => {
            let found = other.map_or("nothing".to_owned(), |number| number.to_string());
            let what = format!("found {found}; expected 6 for TCP or 17 for UDP");
            return Err(refused(
                HResult::HCN_E_INVALID_POLICY,
                format!("{pointer}/Protocol"),
                what,
            ));
        }
    };
    let port = |port: Option<u16>, name: &str, code: HResult| {
        port.filter(|port| *port > 0).ok_or_else(|| {
            refused(
                code,
                format!("{pointer}/{name}"),
                "a port from 1 to 65535 is expected",
            )
        })
    };
    let internal = port(
        asked.internal_port,
        "InternalPort",
        HResult::HCN_E_INVALID_INTERNAL_PORT,
    )?;
    let external = port(
        asked.external_port,
        "ExternalPort",
        HResult::HCN_E_INVALID_POLICY,
    )?;
    let address = match asked.vip.as_deref() {
        None | Some("" | "0.0.0.0") => None,
        Some(text) => match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv4() => Some(address),
            _ => {
                let what = format!("{} is no IPv4 address of the host", quote(text));
                return Err(refused(
                    HResult::HCN_E_INVALID_IP,
                    format!("{pointer}/VIP"),
                    what,
                ));
            }
        },
    };
    if asked.flags.unwrap_or(0) & !1 != 0 {
        let what = "no flag but LocalRoutedVip (1) is supported: ports are mapped for IPv4 only";
        return Err(refused(
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            format!("{pointer}/Flags"),
            what,
        ));
    }
    Ok(Mapping {
        protocol,
        external,
        address,
        internal,
    })
}

/// Reads a policy of type QOS: the most that may be sent, in bytes a second.
pub(super) fn bandwidth(policy: &EndpointPolicy, pointer: &str) -> Result<u64, Failure> {
    let asked: Qos = settings_of(policy.settings.as_ref());
    let found = asked.maximum_outgoing_bandwidth_in_bytes.unwrap_or(0);
    if found >= LEAST_BANDWIDTH {
        return Ok(found);
    }
    let what = format!(
        "found {found}; expected {LEAST_BANDWIDTH} bytes a second or more: with less, packets would wait for seconds"
    );
    Err(refused(
        HResult::HCN_E_INVALID_POLICY,
        format!("{pointer}/MaximumOutgoingBandwidthInBytes"),
        what,
    ))
}

/// Reads a policy that says how large packets are, in bytes.
pub(super) fn mtu(
    network: &Network,
    policy: &EndpointPolicy,
    pointer: &str,
) -> Result<u32, Failure> {
    let settings = policy.settings.as_ref();
    let (found, name) = if policy.kind == Some(EndpointPolicyType::EncapOverhead) {
        let asked: EncapOverhead = settings_of(settings);
        let overhead = asked.overhead.unwrap_or(0);
        (USUAL_MTU.saturating_sub(overhead.into()), "Overhead")
    } else {
        let asked: InterfaceParameters = settings_of(settings);
        (asked.mtu.unwrap_or(USUAL_MTU), "Mtu")
    };
    let (least, reason) = if network.has_ipv6() {
        (LEAST_MTU_6, ", as the network has a subnet of IPv6")
    } else {
        (LEAST_MTU, "")
    };
    if (least..=MOST_MTU).contains(&found) {
        return Ok(found);
    }
    let what = format!(
        "the largest packet would have {found} bytes; expected from {least} to {MOST_MTU}{reason}"
    );
    Err(refused(
        HResult::HCN_E_INVALID_POLICY,
        format!("{pointer}/{name}"),
        what,
    ))
}

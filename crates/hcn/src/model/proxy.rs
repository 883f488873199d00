//! Proxies that connections of endpoints are led to (policies of type L4Proxy, of a network or of one endpoint).

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, fault::quote};
use serde_json::Value;

use super::Protocol;
use crate::{
    access::{list, prefix},
    address::Prefix,
    documents::{
        HostComputeNetwork, NetworkPolicyType, NetworkType, policy::settings_of, rules::L4Proxy,
    },
    reading::refused,
};

/// The most rules that the proxies of a network come to: each of its endpoints has all of them.
const MOST_OF_NETWORK: usize = 32;

/// A proxy. It sees the endpoint's own address, and does not learn where a connection was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// The protocol of the connections.
    pub protocol: Protocol,
    /// The address of the proxy; only connections to addresses of the same family are led there.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Peers that are reached by it; all where there are none.
    pub destinations: Vec<Prefix>,
    /// Peers that are reached without it.
    pub exceptions: Vec<Prefix>,
}

impl Proxy {
    /// Rules that it comes to.
    pub(crate) fn rules(&self) -> usize {
        self.destinations.len().max(1) + self.exceptions.len() + 1
    }

    /// Reads a policy; `pointer` is that of its settings. `translated` is whether the host translates what endpoints of
    /// the network send.
    pub(crate) fn read(
        settings: Option<&Value>,
        translated: bool,
        pointer: &str,
    ) -> Result<Self, Failure> {
        let asked: L4Proxy = settings_of(settings);
        if asked.outbound_nat == Some(true) || asked.outbound_nat_2 == Some(true) {
            let name = match asked.outbound_nat {
                Some(true) => "OutboundNat",
                _ => "OutboundNAT",
            };
            // There the host does that anyway.
            if !translated {
                let what = "it is not supported here: the host translates for networks of type NAT and ICS only";
                let pointer = format!("{pointer}/{name}");
                return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
            }
        }
        let address = address(asked.ip.as_deref().unwrap_or_default(), pointer)?;
        let peers =
            |text: Option<&String>, name: &str| peers(text, address, &format!("{pointer}/{name}"));
        let mut exceptions = Vec::new();
        let lists = [
            (&asked.exception_list, "ExceptionList"),
            (&asked.exceptions, "Exceptions"),
        ];
        for (asked, name) in lists {
            for (at, text) in asked.iter().flatten().enumerate() {
                exceptions.extend(peers(Some(text), &format!("{name}/{at}"))?);
            }
        }
        Ok(Self {
            protocol: protocol(asked.protocol.as_ref(), pointer)?,
            address,
            port: port(asked.port.as_ref(), pointer)?,
            destinations: peers(asked.destination.as_ref(), "Destination")?,
            exceptions,
        })
    }
}

/// Reads the proxies of a network.
///
/// # Errors
/// A refusal by pointer.
pub(crate) fn proxies(document: &HostComputeNetwork) -> Result<Vec<Proxy>, Failure> {
    let kind = document.kind.unwrap_or(NetworkType::Nat);
    let translated = matches!(kind, NetworkType::Nat | NetworkType::Ics);
    let mut proxies: Vec<Proxy> = Vec::new();
    for (at, policy) in document.policies.iter().flatten().enumerate() {
        if policy.kind != Some(NetworkPolicyType::L4Proxy) {
            continue;
        }
        let pointer = format!("/Policies/{at}/Settings");
        proxies.push(Proxy::read(policy.settings.as_ref(), translated, &pointer)?);
        if proxies.iter().map(Proxy::rules).sum::<usize>() > MOST_OF_NETWORK {
            let what = format!(
                "the proxies of a network come to up to {MOST_OF_NETWORK} rules, one for each peer, and two for each proxy"
            );
            return Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what));
        }
    }
    Ok(proxies)
}

fn address(text: &str, pointer: &str) -> Result<IpAddr, Failure> {
    let found = text.parse::<IpAddr>().ok().filter(|address| {
        !address.is_loopback() && !address.is_unspecified() && !address.is_multicast()
    });
    found.ok_or_else(|| {
        let what = format!(
            "{} is no address of a proxy; expected one outside of the endpoint: a proxy in it would get its own connections \
             back",
            quote(text)
        );
        refused(HResult::HCN_E_INVALID_IP, format!("{pointer}/IP"), what)
    })
}

/// A port, which clients send as a text.
fn port(value: Option<&Value>, pointer: &str) -> Result<u16, Failure> {
    let port = match value {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64().and_then(|port| u16::try_from(port).ok()),
        None => None,
    };
    port.filter(|port| *port > 0).ok_or_else(|| {
        let what = "a port from 1 to 65535 is expected";
        let pointer = format!("{pointer}/Port");
        refused(HResult::HCN_E_INVALID_POLICY, pointer, what)
    })
}

/// TCP where it is left out, or unknown.
fn protocol(value: Option<&Value>, pointer: &str) -> Result<Protocol, Failure> {
    let name = value.and_then(Value::as_str).map(str::to_ascii_uppercase);
    match (name.as_deref(), value.and_then(Value::as_u64)) {
        (None, None) if value.is_none_or(Value::is_null) => Ok(Protocol::Tcp),
        (None, Some(0 | 6)) | (Some("UNKNOWN" | "TCP" | "6"), _) => Ok(Protocol::Tcp),
        (None, Some(17)) | (Some("UDP" | "17"), _) => Ok(Protocol::Udp),
        _ => {
            let found = value.map_or("nothing".to_owned(), ToString::to_string);
            let what = format!("found {found}; expected 6 for TCP or 17 for UDP");
            let pointer = format!("{pointer}/Protocol");
            Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what))
        }
    }
}

fn peers(text: Option<&String>, proxy: IpAddr, pointer: &str) -> Result<Vec<Prefix>, Failure> {
    let peers = list(text, prefix, pointer, "an IP address or prefix")?;
    match peers.iter().find(|peer| peer.is_ipv4() != proxy.is_ipv4()) {
        None => Ok(peers),
        Some(peer) => {
            let what = format!(
                "{peer} is of another family than the proxy {proxy}, to which no such connection can be led"
            );
            Err(refused(HResult::HCN_E_INVALID_POLICY, pointer, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value) -> Result<Proxy, (HResult, String)> {
        Proxy::read(Some(settings), false, "/S").map_err(|failure| {
            let pointer = failure.causes[0].pointer.clone().unwrap_or_default();
            (failure.hresult, pointer)
        })
    }

    #[test]
    fn a_proxy_is_read_as_the_reference_and_as_clients_write_it() {
        let proxy = read(&json!({
            "IP": "10.0.0.9", "Port": "8080", "Destination": "192.0.2.0/24", "Protocol": "TCP",
            "ExceptionList": ["192.0.2.1"], "Exceptions": ["192.0.2.2,192.0.2.3"],
        }))
        .unwrap();
        assert_eq!((proxy.protocol, proxy.port), (Protocol::Tcp, 8080));
        assert_eq!((proxy.destinations.len(), proxy.exceptions.len()), (1, 3));
        let proxy = read(&json!({"IP": "fd00::9", "Port": 53, "Protocol": 17})).unwrap();
        assert_eq!((proxy.protocol, proxy.port), (Protocol::Udp, 53));
        assert!(proxy.destinations.is_empty());
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_pointer() {
        let invalid = HResult::HCN_E_INVALID_POLICY;
        for (change, code, pointer) in [
            (
                json!({"IP": "127.0.0.1"}),
                HResult::HCN_E_INVALID_IP,
                "/S/IP",
            ),
            (json!({"IP": ""}), HResult::HCN_E_INVALID_IP, "/S/IP"),
            (json!({"Port": "0"}), invalid, "/S/Port"),
            (json!({"Port": null}), invalid, "/S/Port"),
            (json!({"Protocol": 1}), invalid, "/S/Protocol"),
            (json!({"Protocol": "ICMPv4"}), invalid, "/S/Protocol"),
            (json!({"Destination": "all"}), invalid, "/S/Destination"),
            (
                json!({"Destination": "fd00::/8"}),
                invalid,
                "/S/Destination",
            ),
            (
                json!({"Exceptions": ["10.0.0.1", "x"]}),
                invalid,
                "/S/Exceptions/1",
            ),
            (
                json!({"OutboundNAT": true}),
                HResult::HCN_E_REQUEST_UNSUPPORTED,
                "/S/OutboundNAT",
            ),
        ] {
            let mut settings = json!({"IP": "10.0.0.9", "Port": "80"});
            for (name, value) in change.as_object().unwrap() {
                settings[name] = value.clone();
            }
            assert_eq!(
                read(&settings).unwrap_err(),
                (code, pointer.to_owned()),
                "{change}"
            );
        }
    }
}

//! Rules of an endpoint for what it may send and receive (policies of type ACL), read from their documents.

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, fault::quote};
use serde_json::Value;

use crate::{
    address::Prefix,
    documents::{
        EndpointPolicy,
        policy::{Acl, settings_of},
    },
    reading::refused,
};

/// The most combinations of addresses, protocols and ports that one policy stands for.
const MOST_COMBINATIONS: usize = 256;

/// A rule. A list that is empty holds everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its rank: of those that fit a packet the one with the lowest decides.
    pub priority: u16,
    /// Whether it is about connections from the endpoint, or else about those to it.
    pub is_outgoing: bool,
    /// Whether what it fits passes, or else is dropped.
    pub allows: bool,
    /// Numbers of protocols.
    pub protocols: Vec<u8>,
    /// Addresses of the endpoint.
    pub local: Vec<Prefix>,
    /// Addresses of the peer.
    pub remote: Vec<Prefix>,
    /// Ports of the endpoint: the first and the last of each range.
    pub local_ports: Vec<(u16, u16)>,
    /// Ports of the peer.
    pub remote_ports: Vec<(u16, u16)>,
}

impl AccessRule {
    /// Combinations that it stands for.
    pub(crate) fn combinations(&self) -> usize {
        let lists = [
            self.protocols.len(),
            self.local.len(),
            self.remote.len(),
            self.local_ports.len(),
            self.remote_ports.len(),
        ];
        lists
            .into_iter()
            .fold(1, |product, length| product.saturating_mul(length.max(1)))
    }
}

/// Reads a policy; `pointer` is that of its settings.
pub(crate) fn access_rule(policy: &EndpointPolicy, pointer: &str) -> Result<AccessRule, Failure> {
    let asked: Acl = settings_of(policy.settings.as_ref());
    let word = |value: Option<&Value>, name: &str, words: [&str; 2]| {
        let found = value.and_then(Value::as_str).unwrap_or_default();
        let place = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case(found));
        place.ok_or_else(|| {
            let what = format!(
                "found {}; expected \"{}\" or \"{}\"",
                value.map_or("nothing".to_owned(), ToString::to_string),
                words[0],
                words[1]
            );
            invalid(format!("{pointer}/{name}"), what)
        })
    };
    let allows = word(asked.action.as_ref(), "Action", ["Allow", "Block"])? == 0;
    let is_outgoing = word(asked.direction.as_ref(), "Direction", ["In", "Out"])? == 1;
    if asked.rule_type.is_some() {
        // Both kinds are made in one place here.
        word(asked.rule_type.as_ref(), "RuleType", ["Switch", "Host"])?;
    }
    let addresses = |text: Option<&String>, name: &str| {
        list(
            text,
            prefix,
            &format!("{pointer}/{name}"),
            "an IP address or prefix",
        )
    };
    let ports = |text: Option<&String>, name: &str| {
        let expected = "a port, or two with a hyphen between them";
        list(text, range, &format!("{pointer}/{name}"), expected)
    };
    let rule = AccessRule {
        priority: asked.priority.unwrap_or(0),
        is_outgoing,
        allows,
        protocols: protocols(asked.protocols.as_ref(), pointer)?,
        local: addresses(asked.local_addresses.as_ref(), "LocalAddresses")?,
        remote: addresses(asked.remote_addresses.as_ref(), "RemoteAddresses")?,
        local_ports: ports(asked.local_ports.as_ref(), "LocalPorts")?,
        remote_ports: ports(asked.remote_ports.as_ref(), "RemotePorts")?,
    };
    let has_ports = !rule.local_ports.is_empty() || !rule.remote_ports.is_empty();
    let with_ports = |protocol: &u8| matches!(protocol, 6 | 17);
    if has_ports && (rule.protocols.is_empty() || !rule.protocols.iter().all(with_ports)) {
        let what = "a rule with ports is for the protocols 6 (TCP) and 17 (UDP)";
        return Err(invalid(format!("{pointer}/Protocols"), what.to_owned()));
    }
    let count = rule.combinations();
    if count > MOST_COMBINATIONS {
        let what = format!(
            "its lists have {count} combinations, and a rule has up to {MOST_COMBINATIONS}"
        );
        return Err(invalid(pointer.to_owned(), what));
    }
    Ok(rule)
}

fn invalid(pointer: String, what: String) -> Failure {
    refused(HResult::HCN_E_INVALID_POLICY, pointer, what)
}

/// Numbers of protocols, in a text with commas, or one number. 256 stands for all.
fn protocols(value: Option<&Value>, pointer: &str) -> Result<Vec<u8>, Failure> {
    const ALL: &str = "256";
    let text = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.split(',').any(|item| item.trim() == ALL) {
        return Ok(Vec::new());
    }
    let read = |item: &str| match item.to_ascii_uppercase().as_str() {
        "TCP" => Some(6),
        "UDP" => Some(17),
        "ICMP" | "ICMPV4" => Some(1),
        "ICMPV6" => Some(58),
        number => number.parse().ok(),
    };
    let expected = "the number of a protocol, TCP, UDP, ICMPv4 or ICMPv6";
    list(Some(&text), read, &format!("{pointer}/Protocols"), expected)
}

fn list<T>(
    text: Option<&String>,
    read: impl Fn(&str) -> Option<T>,
    pointer: &str,
    expected: &str,
) -> Result<Vec<T>, Failure> {
    let items = text.into_iter().flat_map(|text| text.split(','));
    let items = items.map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            let refusal = || format!("{} is none; expected {expected}", quote(item));
            read(item).ok_or_else(|| invalid(pointer.to_owned(), refusal()))
        })
        .collect()
}

/// A prefix, or an address. Bits behind the length of a prefix are not looked at, as clients name their own address so.
pub(crate) fn prefix(item: &str) -> Option<Prefix> {
    let (address, length) = item
        .split_once('/')
        .map_or((item, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        Some(length) => length.parse().ok()?,
        None => longest,
    };
    Prefix::around(address, length)
}

fn range(item: &str) -> Option<(u16, u16)> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Value) -> Result<AccessRule, (HResult, String)> {
        let policy: EndpointPolicy =
            hcs_schema::parse(&json!({"Type": "ACL", "Settings": settings}).to_string()).unwrap();
        access_rule(&policy, "/S").map_err(|failure| {
            let pointer = failure.causes[0].pointer.clone().unwrap_or_default();
            (failure.hresult, pointer)
        })
    }

    #[test]
    fn lists_are_read_with_commas_and_what_is_left_out_is_everything() {
        let rule = read(&json!({
            "Protocols": "6, udp", "Action": "Block", "Direction": "Out", "Priority": 200, "RuleType": "Switch",
            "LocalAddresses": "", "RemoteAddresses": "10.1.2.3/8,fd00::1", "RemotePorts": "80,8000-8100",
        }))
        .unwrap();
        assert_eq!(
            (rule.priority, rule.is_outgoing, rule.allows),
            (200, true, false)
        );
        assert_eq!(rule.protocols, [6, 17]);
        assert!(rule.local.is_empty() && rule.local_ports.is_empty());
        let remote: Vec<String> = rule.remote.iter().map(ToString::to_string).collect();
        assert_eq!(remote, ["10.0.0.0/8", "fd00::1/128"]);
        assert_eq!(rule.remote_ports, [(80, 80), (8000, 8100)]);
        let all = read(&json!({"Action": "Allow", "Direction": "In", "Protocols": "256"})).unwrap();
        assert!(all.protocols.is_empty());
    }

    #[test]
    fn what_is_no_rule_is_refused_by_pointer() {
        let many = (1..300).map(|port| port.to_string()).collect::<Vec<_>>();
        for (change, pointer) in [
            (json!({"Action": "Pass"}), "/S/Action"),
            (json!({"Action": null}), "/S/Action"),
            (json!({"Direction": "Up"}), "/S/Direction"),
            (json!({"RuleType": "Other"}), "/S/RuleType"),
            (json!({"Protocols": "X"}), "/S/Protocols"),
            (
                json!({"LocalAddresses": "10.0.0.0/33"}),
                "/S/LocalAddresses",
            ),
            (json!({"RemoteAddresses": "all"}), "/S/RemoteAddresses"),
            (
                json!({"LocalPorts": "9-8", "Protocols": "6"}),
                "/S/LocalPorts",
            ),
            (json!({"LocalPorts": "80"}), "/S/Protocols"),
            (
                json!({"LocalPorts": "80", "Protocols": "1"}),
                "/S/Protocols",
            ),
            (
                json!({"LocalPorts": many.join(","), "Protocols": "6"}),
                "/S",
            ),
        ] {
            let mut settings = json!({"Action": "Allow", "Direction": "In"});
            for (name, value) in change.as_object().unwrap() {
                settings[name] = value.clone();
            }
            let refused = read(&settings).unwrap_err();
            assert_eq!(
                refused,
                (HResult::HCN_E_INVALID_POLICY, pointer.to_owned()),
                "{change}"
            );
        }
    }
}

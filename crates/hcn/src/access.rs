//! Rules of an endpoint for what it may send and receive (policies of type ACL, NetworkACL and TierAcl), read from
//! their documents.

use std::net::IpAddr;

use hcs_schema::{Failure, HResult, fault::quote};
use serde_json::Value;

use crate::{
    address::Prefix,
    documents::{
        EndpointPolicy, HostComputeNetwork, NetworkPolicyType,
        policy::{Acl, settings_of},
        rules::{TierAcl, TierAclRule},
    },
    reading::refused,
    sets::Sets,
};

/// The most combinations of addresses, protocols and ports that one policy stands for.
const MOST_COMBINATIONS: usize = 256;

/// What is done with a packet that a rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes, whatever other rules say.
    Allow,
    /// It is dropped.
    Block,
    /// The next tier decides.
    Pass,
}

/// Addresses that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// These; all where there are none.
    Listed(Vec<Prefix>),
    /// Those of a set of the network, none where it is empty.
    Set(String),
}

impl Addresses {
    /// The set that they are.
    #[must_use]
    pub fn set(&self) -> Option<&str> {
        match self {
            Self::Listed(_) => None,
            Self::Set(id) => Some(id),
        }
    }

    fn combinations(&self) -> usize {
        match self {
            Self::Listed(list) => list.len(),
            // One for each family.
            Self::Set(_) => 2,
        }
    }
}

/// A rule. A list that is empty holds everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its rank: of those that fit a packet the one with the lowest decides.
    pub priority: u16,
    /// Whether it is about connections from the endpoint, or else about those to it.
    pub is_outgoing: bool,
    /// What is done with what it fits.
    pub action: Action,
    /// Numbers of protocols.
    pub protocols: Vec<u8>,
    /// Addresses of the endpoint.
    pub local: Addresses,
    /// Addresses of the peer.
    pub remote: Addresses,
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
            self.local.combinations(),
            self.remote.combinations(),
            self.local_ports.len(),
            self.remote_ports.len(),
        ];
        lists
            .into_iter()
            .fold(1, |product, length| product.saturating_mul(length.max(1)))
    }

    /// The sets that it names.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        [self.local.set(), self.remote.set()].into_iter().flatten()
    }
}

/// Rules that decide together. What none of them fits, and what one passes on, is left to the next tier; behind the
/// last one rules decide that are of no tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its rank: the tier with the lowest decides first.
    pub order: u16,
    /// Whether it is about connections from the endpoint, or else about those to it.
    pub is_outgoing: bool,
    /// Its rules, those that decide first before the others.
    pub rules: Vec<AccessRule>,
}

/// What a rule is about, as its document says.
struct Asked<'a> {
    priority: Option<u16>,
    protocols: Option<&'a Value>,
    addresses: [Option<&'a String>; 2],
    ports: [Option<&'a String>; 2],
}

/// Reads the rules of a network for all of its endpoints (policies of type NetworkACL), those that decide first before
/// the others.
///
/// # Errors
/// A refusal by pointer.
pub(crate) fn network_rules(
    document: &HostComputeNetwork,
    sets: &Sets,
) -> Result<Vec<AccessRule>, Failure> {
    let mut rules: Vec<AccessRule> = Vec::new();
    for (at, policy) in document.policies.iter().flatten().enumerate() {
        if policy.kind != Some(NetworkPolicyType::NetworkAcl) {
            continue;
        }
        let pointer = format!("/Policies/{at}/Settings");
        rules.push(access_rule(policy.settings.as_ref(), sets, &pointer)?);
        let count: usize = rules.iter().map(AccessRule::combinations).sum();
        if count > MOST_COMBINATIONS {
            let what = format!(
                "the lists of a network's rules have up to {MOST_COMBINATIONS} combinations in all, not {count}"
            );
            return Err(invalid(pointer, what));
        }
    }
    rules.sort_by_key(|rule| rule.priority);
    Ok(rules)
}

/// Reads the settings of a policy of type ACL or NetworkACL; `pointer` is theirs.
pub(crate) fn access_rule(
    settings: Option<&Value>,
    sets: &Sets,
    pointer: &str,
) -> Result<AccessRule, Failure> {
    let asked: Acl = settings_of(settings);
    let action = [("Allow", Action::Allow), ("Block", Action::Block)];
    let action = word(asked.action.as_ref(), &format!("{pointer}/Action"), &action)?;
    let is_outgoing = direction(asked.direction.as_ref(), pointer)?;
    if asked.rule_type.is_some() {
        // Both kinds are made in one place here.
        let kinds = [("Switch", ()), ("Host", ())];
        word(
            asked.rule_type.as_ref(),
            &format!("{pointer}/RuleType"),
            &kinds,
        )?;
    }
    let asked = Asked {
        priority: asked.priority,
        protocols: asked.protocols.as_ref(),
        addresses: [
            asked.local_addresses.as_ref(),
            asked.remote_addresses.as_ref(),
        ],
        ports: [asked.local_ports.as_ref(), asked.remote_ports.as_ref()],
    };
    rule(&asked, (is_outgoing, action), sets, pointer)
}

/// Reads a policy of type TierAcl; `pointer` is that of its settings.
pub(crate) fn tier(policy: &EndpointPolicy, sets: &Sets, pointer: &str) -> Result<Tier, Failure> {
    let asked: TierAcl = settings_of(policy.settings.as_ref());
    let is_outgoing = direction(asked.direction.as_ref(), pointer)?;
    let read = |(at, one): (usize, &TierAclRule)| {
        let pointer = format!("{pointer}/TierAclRules/{at}");
        let actions = [
            ("Allow", Action::Allow),
            ("Block", Action::Block),
            ("Pass", Action::Pass),
        ];
        let action = one.tier_acl_rule_action.as_ref();
        let action = word(action, &format!("{pointer}/TierAclRuleAction"), &actions)?;
        let asked = Asked {
            priority: one.priority,
            protocols: one.protocols.as_ref(),
            addresses: [one.local_addresses.as_ref(), one.remote_addresses.as_ref()],
            ports: [one.local_ports.as_ref(), one.remote_ports.as_ref()],
        };
        rule(&asked, (is_outgoing, action), sets, &pointer)
    };
    let rules = asked.tier_acl_rules.iter().flatten().enumerate().map(read);
    let mut rules: Vec<AccessRule> = rules.collect::<Result<_, _>>()?;
    rules.sort_by_key(|rule| rule.priority);
    Ok(Tier {
        order: asked.order.unwrap_or(0),
        is_outgoing,
        rules,
    })
}

fn direction(value: Option<&Value>, pointer: &str) -> Result<bool, Failure> {
    let words = [("In", false), ("Out", true)];
    word(value, &format!("{pointer}/Direction"), &words)
}

/// What one of `words` stands for.
fn word<T: Copy>(value: Option<&Value>, pointer: &str, words: &[(&str, T)]) -> Result<T, Failure> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let mut fitting = words
        .iter()
        .filter(|(word, _)| word.eq_ignore_ascii_case(text));
    if let Some((_, meaning)) = fitting.next() {
        return Ok(*meaning);
    }
    let found = value.map_or("nothing".to_owned(), ToString::to_string);
    let words: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let what = format!("found {found}; expected {}", words.join(" or "));
    Err(invalid(pointer.to_owned(), what))
}

fn rule(
    asked: &Asked<'_>,
    (is_outgoing, action): (bool, Action),
    sets: &Sets,
    pointer: &str,
) -> Result<AccessRule, Failure> {
    let [local, remote] = asked.addresses;
    let [local_ports, remote_ports] = asked.ports;
    let addresses =
        |text: Option<&String>, name: &str| addresses(text, sets, &format!("{pointer}/{name}"));
    let ports = |text: Option<&String>, name: &str| {
        let expected = "a port, or two with a hyphen between them";
        list(text, range, &format!("{pointer}/{name}"), expected)
    };
    let rule = AccessRule {
        priority: asked.priority.unwrap_or(0),
        is_outgoing,
        action,
        protocols: protocols(asked.protocols, pointer)?,
        local: addresses(local, "LocalAddresses")?,
        remote: addresses(remote, "RemoteAddresses")?,
        local_ports: ports(local_ports, "LocalPorts")?,
        remote_ports: ports(remote_ports, "RemotePorts")?,
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

/// Addresses and prefixes, or the id of one set. Whether several sets mean what is in one of them or what is in all,
/// the reference does not say: a set of sets says the first.
fn addresses(text: Option<&String>, sets: &Sets, pointer: &str) -> Result<Addresses, Failure> {
    let whole = text.map_or("", |text| text.trim());
    if sets.contains_key(whole) {
        return Ok(Addresses::Set(whole.to_owned()));
    }
    let mut items = whole.split(',').map(str::trim);
    if let Some(set) = items.find(|item| sets.contains_key(*item)) {
        let what = format!(
            "the set {} stands beside others; expected one set alone, which can be of type NESTEDIPSET, or addresses",
            quote(set)
        );
        return Err(refused(HResult::HCN_E_REQUEST_UNSUPPORTED, pointer, what));
    }
    let expected = "an IP address or prefix, or the id of a set of the network";
    list(text, prefix, pointer, expected).map(Addresses::Listed)
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

pub(crate) fn list<T>(
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

    fn sets() -> Sets {
        Sets::from([
            ("web".to_owned(), Vec::new()),
            ("db".to_owned(), Vec::new()),
        ])
    }

    fn read(settings: &Value) -> Result<AccessRule, (HResult, String)> {
        let policy: EndpointPolicy =
            hcs_schema::parse(&json!({"Type": "ACL", "Settings": settings}).to_string()).unwrap();
        access_rule(policy.settings.as_ref(), &sets(), "/S").map_err(|failure| {
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
            (rule.priority, rule.is_outgoing, rule.action),
            (200, true, Action::Block)
        );
        assert_eq!(rule.protocols, [6, 17]);
        assert_eq!(rule.local, Addresses::Listed(Vec::new()));
        assert!(rule.local_ports.is_empty());
        let Addresses::Listed(remote) = &rule.remote else {
            unreachable!("addresses are listed");
        };
        let remote: Vec<String> = remote.iter().map(ToString::to_string).collect();
        assert_eq!(remote, ["10.0.0.0/8", "fd00::1/128"]);
        assert_eq!(rule.remote_ports, [(80, 80), (8000, 8100)]);
        let all = read(&json!({"Action": "Allow", "Direction": "In", "Protocols": "256"})).unwrap();
        assert!(all.protocols.is_empty());
        let of_set = json!({"Action": "Allow", "Direction": "In", "RemoteAddresses": "web"});
        let of_set = read(&of_set).unwrap();
        assert_eq!(of_set.sets().collect::<Vec<_>>(), ["web"]);
        let two = json!({"Action": "Allow", "Direction": "In", "RemoteAddresses": "web,db"});
        let refused = (
            HResult::HCN_E_REQUEST_UNSUPPORTED,
            "/S/RemoteAddresses".to_owned(),
        );
        assert_eq!(read(&two).unwrap_err(), refused);
    }

    #[test]
    fn a_tier_has_its_rules_by_priority_and_each_has_an_action_of_its_own() {
        let read = |settings: &Value| {
            let policy = json!({"Type": "TierAcl", "Settings": settings}).to_string();
            tier(&hcs_schema::parse(&policy).unwrap(), &sets(), "/S").map_err(|failure| {
                let pointer = failure.causes[0].pointer.clone().unwrap_or_default();
                (failure.hresult, pointer)
            })
        };
        let mut settings = json!({"Name": "one", "Direction": "In", "Order": 7, "TierAclRules": [
            {"Id": "a", "TierAclRuleAction": "Block", "Priority": 9},
            {"Id": "b", "TierAclRuleAction": "Pass", "Priority": 3, "RemoteAddresses": "web"},
            {"Id": "c", "TierAclRuleAction": "Allow", "Priority": 5, "Protocols": "6", "LocalPorts": "80"},
        ]});
        let found = read(&settings).unwrap();
        assert_eq!((found.order, found.is_outgoing), (7, false));
        let actions: Vec<Action> = found.rules.iter().map(|rule| rule.action).collect();
        assert_eq!(actions, [Action::Pass, Action::Allow, Action::Block]);
        settings["TierAclRules"][1]["TierAclRuleAction"] = json!("Go");
        let pointer = "/S/TierAclRules/1/TierAclRuleAction".to_owned();
        let refused = (HResult::HCN_E_INVALID_POLICY, pointer);
        assert_eq!(read(&settings).unwrap_err(), refused);
        settings["Direction"] = json!(null);
        let refused = (HResult::HCN_E_INVALID_POLICY, "/S/Direction".to_owned());
        assert_eq!(read(&settings).unwrap_err(), refused);
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

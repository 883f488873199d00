//! Sets of addresses of a network (policies of type SetPolicy), which rules of its endpoints name by their ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use hcs_schema::{Failure, HResult, fault::quote};

use crate::{
    access::prefix,
    address::{Prefix, address_of, number},
    documents::{
        HostComputeNetwork, NetworkPolicy, NetworkPolicyType,
        policy::settings_of,
        rules::{SetPolicy, SetPolicyType},
    },
    reading::refused,
};

/// The most sets of one network.
const MOST_SETS: usize = 1024;

/// The most members of the sets of one network, those of a set in another counted again.
const MOST_MEMBERS: usize = 16_384;

/// The sets of a network, by id. A set of sets has the members of all of them.
pub(crate) type Sets = BTreeMap<String, Vec<Prefix>>;

/// The first and the last of addresses that follow each other.
pub type Range = (IpAddr, IpAddr);

/// The id of the set that a policy is; `None` where it is another one. Many are compared with many others, so nothing
/// is copied.
pub(crate) fn set_id(policy: &NetworkPolicy) -> Option<&str> {
    let is_set = policy.kind == Some(NetworkPolicyType::SetPolicy);
    let settings = policy.settings.as_ref().filter(|_| is_set);
    settings?.get("Id")?.as_str()
}

/// Reads the sets of a network.
///
/// # Errors
/// A refusal by pointer: no id, one that another set has, or that is an address; a member that is none.
pub(crate) fn sets(document: &HostComputeNetwork) -> Result<Sets, Failure> {
    let (mut plain, mut nested) = (Sets::new(), Vec::new());
    let mut ids = BTreeSet::new();
    for (at, policy) in document.policies.iter().flatten().enumerate() {
        if policy.kind != Some(NetworkPolicyType::SetPolicy) {
            continue;
        }
        let pointer = format!("/Policies/{at}/Settings");
        let asked: SetPolicy = settings_of(policy.settings.as_ref());
        let id = asked.id.unwrap_or_default();
        is_id(&id, &pointer)?;
        if !ids.insert(id.clone()) {
            let what = format!("the network has a set with the id {} already", quote(&id));
            let pointer = format!("{pointer}/Id");
            return Err(refused(HResult::HCN_E_POLICY_ALREADY_EXISTS, pointer, what));
        }
        if ids.len() > MOST_SETS {
            let what = format!("a network has up to {MOST_SETS} sets");
            return Err(invalid(pointer, &what));
        }
        let values = asked.values.unwrap_or_default();
        match asked.policy_type {
            Some(SetPolicyType::IpSet) => drop(plain.insert(id, members(&values, &pointer)?)),
            Some(SetPolicyType::NestedIpSet) => nested.push((id, values, pointer)),
            None => {
                let what = "found nothing; expected \"IPSET\" or \"NESTEDIPSET\"";
                return Err(invalid(format!("{pointer}/PolicyType"), what));
            }
        }
    }
    let mut all = plain.clone();
    let mut count: usize = plain.values().map(Vec::len).sum();
    for (id, values, pointer) in nested {
        if count > MOST_MEMBERS {
            break;
        }
        let members = nested_members(&plain, &values, &pointer)?;
        count += members.len();
        all.insert(id, members);
    }
    if count > MOST_MEMBERS {
        let what = format!(
            "the sets of a network have up to {MOST_MEMBERS} members in all, those of a set in another counted again"
        );
        return Err(invalid("/Policies".to_owned(), &what));
    }
    Ok(all)
}

fn is_id(id: &str, pointer: &str) -> Result<(), Failure> {
    const MOST: usize = 256;
    let is_plain = !id.contains(',') && id.trim() == id && prefix(id).is_none();
    if is_plain && (1..=MOST).contains(&id.len()) {
        return Ok(());
    }
    let what = format!(
        "{} is no id of a set; expected a text that is no address, without commas, of at most {MOST} bytes",
        quote(id)
    );
    Err(invalid(format!("{pointer}/Id"), &what))
}

fn items(values: &str) -> impl Iterator<Item = &str> {
    let items = values.split(',').map(str::trim);
    items.filter(|item| !item.is_empty())
}

fn members(values: &str, pointer: &str) -> Result<Vec<Prefix>, Failure> {
    let read = |item: &str| {
        prefix(item).ok_or_else(|| {
            let what = format!(
                "{} is no member of a set; expected an IP address or prefix",
                quote(item)
            );
            invalid(format!("{pointer}/Values"), &what)
        })
    };
    items(values).map(read).collect()
}

fn nested_members(plain: &Sets, values: &str, pointer: &str) -> Result<Vec<Prefix>, Failure> {
    let mut all = Vec::new();
    for item in items(values) {
        let Some(members) = plain.get(item) else {
            let what = format!(
                "the network has no set of addresses with the id {}; make it first",
                quote(item)
            );
            let pointer = format!("{pointer}/Values");
            return Err(refused(HResult::HCN_E_POLICY_NOT_FOUND, pointer, what));
        };
        all.extend_from_slice(members);
        // Each set may be named many times.
        if all.len() > MOST_MEMBERS {
            break;
        }
    }
    Ok(all)
}

fn invalid(pointer: String, what: &str) -> Failure {
    refused(HResult::HCN_E_INVALID_POLICY, pointer, what)
}

/// The same addresses as ranges that neither meet nor overlap, as the kernel wants them: those of IPv4 first.
pub(crate) fn ranges(members: &[Prefix]) -> Vec<Range> {
    let mut sorted: Vec<Range> = members
        .iter()
        .map(|prefix| (prefix.first(), prefix.last()))
        .collect();
    sorted.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some((_, end)) if meets(*end, first) => *end = (*end).max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Whether a range that begins with `first` goes on with one that ends with `end`.
fn meets(end: IpAddr, first: IpAddr) -> bool {
    let next = address_of(number(end).saturating_add(1), end);
    end.is_ipv4() == first.is_ipv4() && first <= next
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(id: &str, kind: &str, values: &str) -> Value {
        json!({"Type": "SetPolicy", "Settings": {"Id": id, "Name": id, "PolicyType": kind, "Values": values}})
    }

    fn read(policies: &Value) -> Result<Sets, (HResult, String)> {
        let document = json!({"SchemaVersion": {"Major": 2, "Minor": 0}, "Policies": policies});
        let document: HostComputeNetwork = hcs_schema::parse(&document.to_string()).unwrap();
        sets(&document).map_err(|failure| {
            let pointer = failure.causes[0].pointer.clone().unwrap_or_default();
            (failure.hresult, pointer)
        })
    }

    #[test]
    fn a_set_of_sets_has_the_members_of_all_of_them() {
        let found = read(&json!([
            set("both", "NESTEDIPSET", "a,b"),
            set("a", "IPSET", "10.1.2.3, 10.2.0.0/16"),
            set("b", "IPSET", "fd00::/8"),
            set("none", "IPSET", ""),
        ]))
        .unwrap();
        assert_eq!(found["both"].len(), 3);
        assert_eq!(found["a"][0].to_string(), "10.1.2.3/32");
        assert!(found["none"].is_empty());
    }

    #[test]
    fn what_is_no_set_is_refused_by_pointer() {
        let invalid = HResult::HCN_E_INVALID_POLICY;
        let many = vec!["a"; 20_000].join(",");
        for (policies, code, pointer) in [
            (
                json!([set("", "IPSET", "")]),
                invalid,
                "/Policies/0/Settings/Id",
            ),
            (
                json!([set("10.0.0.1", "IPSET", "")]),
                invalid,
                "/Policies/0/Settings/Id",
            ),
            (
                json!([set("a,b", "IPSET", "")]),
                invalid,
                "/Policies/0/Settings/Id",
            ),
            (
                json!([set("a", "IPSET", ""), set("a", "NESTEDIPSET", "")]),
                HResult::HCN_E_POLICY_ALREADY_EXISTS,
                "/Policies/1/Settings/Id",
            ),
            (
                json!([set("a", "IPSET", "b")]),
                invalid,
                "/Policies/0/Settings/Values",
            ),
            (
                json!([set("a", "NESTEDIPSET", "b")]),
                HResult::HCN_E_POLICY_NOT_FOUND,
                "/Policies/0/Settings/Values",
            ),
            (
                json!([{"Type": "SetPolicy", "Settings": {"Id": "a"}}]),
                invalid,
                "/Policies/0/Settings/PolicyType",
            ),
            (
                json!([
                    set("a", "IPSET", "10.0.0.1"),
                    set("b", "NESTEDIPSET", &many)
                ]),
                invalid,
                "/Policies",
            ),
        ] {
            assert_eq!(
                read(&policies).unwrap_err(),
                (code, pointer.to_owned()),
                "{policies}"
            );
        }
    }

    #[test]
    fn a_network_has_only_so_many_sets_be_they_empty() {
        let sets = |count: usize| {
            let sets: Vec<Value> = (0..count)
                .map(|at| set(&format!("s{at}"), "IPSET", ""))
                .collect();
            read(&json!(sets))
        };
        assert_eq!(sets(MOST_SETS).unwrap().len(), MOST_SETS);
        let refused = sets(MOST_SETS + 1).unwrap_err();
        let pointer = format!("/Policies/{MOST_SETS}/Settings");
        assert_eq!(refused, (HResult::HCN_E_INVALID_POLICY, pointer));
    }

    #[test]
    fn ranges_neither_meet_nor_overlap() {
        let of = |texts: &[&str]| {
            let members: Vec<Prefix> = texts.iter().map(|text| prefix(text).unwrap()).collect();
            let ranges = ranges(&members).into_iter();
            ranges
                .map(|(first, last)| format!("{first}-{last}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&[
                "10.0.0.2",
                "fd00::/126",
                "10.0.0.0/31",
                "10.0.0.0/30",
                "10.0.0.8",
                "10.0.0.2"
            ]),
            ["10.0.0.0-10.0.0.3", "10.0.0.8-10.0.0.8", "fd00::-fd00::3"]
        );
        assert_eq!(
            of(&["::/0", "255.255.255.255", "0.0.0.0/0", "::1"]),
            [
                "0.0.0.0-255.255.255.255",
                "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
            ]
        );
    }
}

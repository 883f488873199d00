//! What one user may have of networks: others find addresses, and room for objects of their own, as well.
//!
//! A user may take as long as no less is left for others than that user has then. So each of several gets half of what
//! is left, and none gets all. An eighth is kept for root, who has no limit; nor has the service's own user. In a
//! network that a user has made there is no limit for that user, but for the one that all containers are in which name
//! none.

use std::collections::{BTreeMap, BTreeSet};

use hcn::{
    Changes, Endpoint, Guid, LoadBalancer, MOST_ACCESS_RULES_OF_ALL, MOST_BALANCED_PORTS,
    MOST_BALANCERS, MOST_ENDPOINTS, MOST_MAPPINGS_OF_ALL, MOST_MEMBERS_OF_ALL, MOST_OBJECTS,
    MOST_PEERS_OF_ALL, Network, Object, Protocol, State,
    plan::{MOST_SUBNETS, chosen_subnets},
};
use hcs_schema::{Failure, HResult, win32};
use hcs_wire::network::NAT;

use super::{Held, ports::CHOSEN};
use crate::thread::{limits::is_trusted, rounds::Who};

/// Something of which one object may have much.
struct Measure {
    /// What it is called.
    what: &'static str,
    /// How much there is of it.
    most: u128,
    /// How much an object has of it.
    of: fn(&State, Object) -> u128,
}

const MEASURES: [Measure; 8] = [
    Measure {
        what: "subnets of networks",
        most: MOST_SUBNETS,
        of: subnets,
    },
    Measure {
        what: "ports of load balancers",
        most: MOST_BALANCED_PORTS as u128,
        of: balanced_ports,
    },
    Measure {
        what: "ports of the host that lead to endpoints",
        most: MOST_MAPPINGS_OF_ALL as u128,
        of: |state, object| of_endpoint(state, object, |one| one.terms().mappings.len()),
    },
    Measure {
        what: "TCP ports of the host from 61000 on, which are chosen where none is named",
        most: CHOSEN_COUNT,
        of: |state, object| chosen(state, object, Protocol::Tcp),
    },
    Measure {
        what: "UDP ports of the host from 61000 on, which are chosen where none is named",
        most: CHOSEN_COUNT,
        of: |state, object| chosen(state, object, Protocol::Udp),
    },
    Measure {
        what: "rules of endpoints",
        most: MOST_ACCESS_RULES_OF_ALL as u128,
        of: |state, object| weight(state, object)[0] as u128,
    },
    Measure {
        what: "members of the sets that rules of endpoints name",
        most: MOST_MEMBERS_OF_ALL as u128,
        of: |state, object| weight(state, object)[1] as u128,
    },
    Measure {
        what: "peers of endpoints",
        most: MOST_PEERS_OF_ALL as u128,
        of: |state, object| of_endpoint(state, object, |one| one.terms().outbound.peers()),
    },
];

const CHOSEN_COUNT: u128 = (*CHOSEN.end() - *CHOSEN.start()) as u128 + 1;

fn of_endpoint(state: &State, object: Object, count: impl Fn(&Endpoint) -> usize) -> u128 {
    let Object::Endpoint(id) = object else {
        return 0;
    };
    state.endpoint(id).map_or(0, |one| count(one) as u128)
}

/// Ports that could be chosen for others, of endpoints and of load balancers.
fn chosen(state: &State, object: Object, protocol: Protocol) -> u128 {
    let is_one = |of: Protocol, port: u16| of == protocol && CHOSEN.contains(&port);
    if let Object::LoadBalancer(id) = object {
        let ports = state.load_balancer(id).map_or(&[][..], LoadBalancer::ports);
        let ports = ports
            .iter()
            .filter(|one| is_one(one.protocol, one.external));
        return ports.count() as u128;
    }
    of_endpoint(state, object, |one| {
        let mappings = one.terms().mappings.iter();
        let mappings = mappings.filter(|one| is_one(one.protocol, one.external));
        mappings.count()
    })
}

fn weight(state: &State, object: Object) -> [usize; 2] {
    match object {
        Object::Endpoint(id) => state.weight_of(id),
        _ => [0; 2],
    }
}

/// The subnets that a network takes from those which networks get that bring none. One of other subnets is one as well.
fn subnets(state: &State, object: Object) -> u128 {
    let Object::Network(id) = object else {
        return 0;
    };
    let count = |network: &Network| network.prefixes().map(chosen_subnets).sum::<u128>().max(1);
    state.network(id).map_or(0, count)
}

fn balanced_ports(state: &State, object: Object) -> u128 {
    let Object::LoadBalancer(id) = object else {
        return 0;
    };
    let balancer = state.load_balancer(id);
    balancer.map_or(0, |one| one.ports().len() as u128)
}

/// What part is kept for root.
const KEPT: u128 = 8;

/// Notes that objects of a change are of who asked for it, where they are new, and refuses them where that user would
/// have too much.
///
/// # Errors
/// The user has as much of something as is left for others.
pub(super) fn take(
    before: &Held,
    after: &mut Held,
    changes: &Changes,
    who: Who,
) -> Result<(), Failure> {
    if is_spared(who) {
        return Ok(());
    }
    let there: BTreeSet<Object> = after.state.objects().into_iter().collect();
    let was: BTreeSet<Object> = before.state.objects().into_iter().collect();
    let written = changes.written.iter().copied();
    let new: Vec<Object> = written
        .filter(|object| there.contains(object) && !was.contains(object))
        .collect();
    after
        .owners
        .extend(new.iter().map(|object| (*object, who.uid)));
    for object in new {
        has_room(after, &there, object, who.uid)?;
        if let Object::Endpoint(id) = object {
            has_addresses(after, id, who.uid)?;
        }
    }
    let written = changes.written.iter().copied();
    let written = written.filter(|one| there.contains(one));
    let written = written.flat_map(|object| with_endpoints(before, after, object));
    let written: BTreeSet<Object> = written.collect();
    for measure in &MEASURES {
        has_measure((before, after), &there, &written, measure, who.uid)?;
    }
    Ok(())
}

/// A network with other rules gives them to its endpoints.
fn with_endpoints(before: &Held, after: &Held, object: Object) -> Vec<Object> {
    let mut all = vec![object];
    if let Object::Network(id) = object
        && let (Ok(was), Ok(is)) = (before.state.network(id), after.state.network(id))
        && !is.has_rules_of(was)
    {
        let endpoints = after.state.endpoints_of(id);
        all.extend(endpoints.map(|(id, _)| Object::Endpoint(id)));
    }
    all
}

/// Refuses objects that are `written` and have more of something than before, where their user would have too much of
/// that. What is added to one of root counts for the user who asks. To count goes through all rules of all endpoints:
/// so it is done once for all objects of one payer, of which there may be a thousand.
fn has_measure(
    (before, after): (&Held, &Held),
    there: &BTreeSet<Object>,
    written: &BTreeSet<Object>,
    measure: &Measure,
    uid: u32,
) -> Result<(), Failure> {
    let mut asked: BTreeMap<Option<u32>, u128> = BTreeMap::new();
    for object in written {
        let is = (measure.of)(&after.state, *object);
        let more = is.saturating_sub((measure.of)(&before.state, *object));
        if more > 0 {
            *asked.entry(after.owners.get(object).copied()).or_default() += more;
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let (mut all, mut by_owner) = (0, BTreeMap::new());
    for object in there {
        let of_one = (measure.of)(&after.state, *object);
        all += of_one;
        *by_owner
            .entry(after.owners.get(object).copied())
            .or_insert(0) += of_one;
    }
    let of = |owner: Option<u32>| by_owner.get(&owner).copied().unwrap_or(0);
    let left = measure.most.saturating_sub(all);
    for (owner, more) in asked {
        // Nothing tells who added to what root has: all of that counts for each user who adds more.
        let (payer, own) = match owner {
            Some(owner) => (owner, of(Some(owner))),
            None => (uid, of(Some(uid)) + of(None)),
        };
        if !is_fair(own, left, measure.most) {
            let what = format!("{} (and asks for {more} more)", measure.what);
            return Err(too_many(payer, own - more, &what, left + more));
        }
    }
    Ok(())
}

/// Whether a call is of the service itself, of its user or of root.
pub(super) fn is_spared(who: Who) -> bool {
    who == Who::SERVICE || is_trusted(who.uid)
}

/// Whether a user who has `own` of `all` things is to have them, when so many are `left`.
const fn is_fair(own: u128, left: u128, all: u128) -> bool {
    own + all / KEPT <= left + 1
}

fn has_room(
    held: &Held,
    there: &BTreeSet<Object>,
    object: Object,
    uid: u32,
) -> Result<(), Failure> {
    let (what, most) = match object {
        // See `MEASURES`.
        Object::Network(_) => return Ok(()),
        Object::Endpoint(_) => ("endpoints", MOST_OBJECTS as u128),
        Object::Namespace(_) => ("namespaces of networks", MOST_OBJECTS as u128),
        Object::LoadBalancer(_) => ("load balancers", MOST_BALANCERS as u128),
    };
    let kind = std::mem::discriminant(&object);
    let alike = there
        .iter()
        .filter(|one| std::mem::discriminant(*one) == kind);
    let (mut all, mut own) = (0, 0);
    for one in alike {
        all += 1;
        own += u128::from(held.owners.get(one) == Some(&uid));
    }
    let left = most.saturating_sub(all);
    match is_fair(own, left, most) {
        true => Ok(()),
        false => Err(too_many(uid, own - 1, what, left + 1)),
    }
}

/// Refuses a new endpoint where its user would have too many of those of its network, or of the addresses there.
fn has_addresses(held: &Held, endpoint: Guid, uid: u32) -> Result<(), Failure> {
    let new = held.state.endpoint(endpoint)?;
    let id = new.network();
    let network = held.state.network(id)?;
    let is_own = held.owners.get(&Object::Network(id)) == Some(&uid);
    if is_own && network.name() != NAT {
        return Ok(());
    }
    let of_user = |endpoint| held.owners.get(&Object::Endpoint(endpoint)) == Some(&uid);
    let (mut all, mut own) = (0, 0);
    for (one, _) in held.state.endpoints_of(id) {
        all += 1;
        own += u128::from(of_user(one));
    }
    let most = MOST_ENDPOINTS as u128;
    let left = most.saturating_sub(all);
    if !is_fair(own, left, most) {
        let what = format!("endpoints of the network {id}");
        return Err(too_many(uid, own - 1, &what, left + 1));
    }
    // An endpoint gets an address of any pool with room.
    for (family, is_ipv4) in [("IPv4", true), ("IPv6", false)] {
        let count = |one: &Endpoint| {
            let leases = one.leases().iter().map(|lease| lease.address);
            let of_family = leases.filter(|address| address.is_ipv4() == is_ipv4);
            of_family
                .filter(|address| network.pool_of(*address).is_some())
                .count() as u128
        };
        let asked = count(new);
        if asked == 0 {
            continue;
        }
        let pools = network.pools().iter();
        let pools = pools.filter(|pool| pool.prefix.is_ipv4() == is_ipv4);
        let all = pools.fold(0_u128, |sum, pool| sum.saturating_add(pool.size()));
        let (mut used, mut own) = (0, 0);
        for (id, one) in held.state.endpoints_of(id) {
            used += count(one);
            own += if of_user(id) { count(one) } else { 0 };
        }
        let left = all.saturating_sub(used);
        if !is_fair(own, left, all) {
            let what = format!("addresses of {family} in the network {id}");
            return Err(too_many(uid, own - asked, &what, left + asked));
        }
    }
    Ok(())
}

fn too_many(uid: u32, own: u128, what: &str, left: u128) -> Failure {
    let message = format!(
        "the user {uid} has {own} {what}, and {left} are left: a user gets no more of them than stay for others; end \
         containers, or delete what is not needed of networks"
    );
    let code = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
    Failure::new(code, message)
}

#[cfg(test)]
mod tests {
    use hcn::Surroundings;
    use serde_json::{Value, json};

    use super::*;

    /// The network of all containers, and another one of this user, with a small subnet each.
    fn held(owner: u32) -> Held {
        let mut held = Held::default();
        for (id, name) in [(1, NAT), (2, "own")] {
            let subnets = json!([{"Subnets": [{"IpAddressPrefix": format!("10.{id}.0.0/26")}]}]);
            let settings = json!({
                "SchemaVersion": {"Major": 2}, "Name": name, "Ipams": subnets,
            });
            let surroundings = Surroundings::default();
            held.state
                .create_network(Guid(id), &settings.to_string(), &surroundings)
                .unwrap();
            held.owners.insert(Object::Network(Guid(id)), owner);
        }
        held
    }

    /// Makes endpoints until one is refused; how many were made.
    fn endpoints(held: &mut Held, network: u128, uid: u32) -> usize {
        let settings = json!({"SchemaVersion": {"Major": 2}}).to_string();
        for count in 0.. {
            let mut after = held.clone();
            let id = Guid((network << 100) | (u128::from(uid) << 80) | (count << 70));
            let made = after.state.create_endpoint(Guid(network), id, &settings);
            let who = Who::of_user(uid);
            let taken = made.and_then(|changes| take(held, &mut after, &changes, who));
            if taken.is_err() {
                return usize::try_from(count).unwrap();
            }
            *held = after;
        }
        0
    }

    #[test]
    fn no_user_takes_all_addresses_of_a_network() {
        let mut held = held(7);
        // Of 61.
        let users = [7, 8, 9, 10].map(|uid| endpoints(&mut held, 1, uid));
        assert_eq!(users, [27, 14, 7, 3]);
        assert_eq!(endpoints(&mut held, 1, 0), 10, "root takes the rest");
        assert_eq!(endpoints(&mut held, 2, 7), 61, "a network of one's own");
        let mut held = self::held(8);
        assert_eq!(endpoints(&mut held, 2, 7), 27);
    }

    /// Makes a change on behalf of a user, as a call does.
    fn altered(
        held: &mut Held,
        uid: u32,
        change: impl FnOnce(&mut State) -> Result<Changes, Failure>,
    ) -> Result<(), Failure> {
        let mut after = held.clone();
        let changes = change(&mut after.state)?;
        take(held, &mut after, &changes, Who::of_user(uid))?;
        *held = after;
        Ok(())
    }

    fn network(held: &mut Held, uid: u32, id: u128, prefixes: &[&str]) -> Result<(), Failure> {
        let subnets = prefixes.iter();
        let subnets = subnets.map(|prefix| json!({ "IpAddressPrefix": prefix }));
        let ipams = json!([{ "Subnets": subnets.collect::<Vec<_>>() }]);
        let settings = json!({ "SchemaVersion": {"Major": 2}, "Ipams": ipams }).to_string();
        altered(held, uid, |state| {
            state.create_network(Guid(id), &settings, &Surroundings::default())
        })
    }

    #[test]
    fn no_user_takes_all_endpoints_of_a_large_network() {
        let mut held = Held::default();
        network(&mut held, 0, 1, &["10.9.0.0/16"]).unwrap();
        // Of 1000.
        assert_eq!(endpoints(&mut held, 1, 7), 438);
        assert_eq!(endpoints(&mut held, 1, 8), 219);
    }

    #[test]
    fn a_full_subnet_refuses_no_address_of_another() {
        let mut held = Held::default();
        network(&mut held, 0, 1, &["10.9.0.0/29", "10.9.1.0/26"]).unwrap();
        for id in 10..14 {
            let settings = json!({
                "SchemaVersion": {"Major": 2},
                "IpConfigurations": [{"IpAddress": format!("10.9.0.{}", id - 8)}],
            });
            altered(&mut held, 0, |state| {
                state.create_endpoint(Guid(1), Guid(id), &settings.to_string())
            })
            .unwrap();
        }
        // Of 66, with 4 in use.
        assert_eq!(endpoints(&mut held, 1, 7), 27);
    }

    #[test]
    fn no_user_takes_all_subnets_by_one_network() {
        let mut held = Held::default();
        let all = ["10.231.0.0/16", "172.29.0.0/16", "192.168.224.0/19"];
        let refused = network(&mut held, 7, 1, &all).unwrap_err();
        assert!(refused.message.contains("544 more"), "{refused:?}");
        network(&mut held, 7, 1, &["10.231.0.0/17", "10.9.0.0/16"]).unwrap();
        assert!(network(&mut held, 7, 2, &["172.29.0.0/17"]).is_err());
        network(&mut held, 8, 2, &["172.29.0.0/17"]).unwrap();
        network(&mut held, 7, 3, &[]).unwrap();
        network(&mut held, 0, 4, &["192.168.224.0/19"]).unwrap();
    }

    #[test]
    fn no_user_takes_all_load_balancers_nor_their_ports() {
        let document = |first: u16, count: u16| {
            let ports = first..first + count;
            let ports = ports
                .map(|port| json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": port }));
            let ports = ports.collect::<Vec<_>>();
            json!({ "SchemaVersion": {"Major": 2}, "PortMappings": ports }).to_string()
        };
        let made = |held: &mut Held, uid, (from, step, count): (u16, u16, u16)| {
            let tried = (0..).map(|at| from + at * step);
            let taken = tried.take_while(|first| {
                let (id, settings) = (Guid(u128::from(*first)), document(*first, count));
                altered(held, uid, |state| state.create_load_balancer(id, &settings)).is_ok()
            });
            taken.count()
        };
        let mut held = Held::default();
        // Of 256.
        let users = [(7, 7000), (8, 8000)].map(|(uid, from)| made(&mut held, uid, (from, 1, 1)));
        assert_eq!(users, [112, 56]);
        let mut held = Held::default();
        // Of 16 times 64.
        let users =
            [(7, 14_000), (8, 16_000)].map(|(uid, from)| made(&mut held, uid, (from, 64, 64)));
        assert_eq!(users, [7, 3]);
        // Nor by changing one that is there.
        let grown = document(40_000, 1);
        altered(&mut held, 8, |state| {
            state.create_load_balancer(Guid(1), &grown)
        })
        .unwrap();
        let grown = document(40_000, 64);
        let refused = altered(&mut held, 8, |state| {
            state.modify_load_balancer(Guid(1), &grown)
        });
        assert!(refused.unwrap_err().message.contains("63 more"));
        // Nor by adding to those of root, one by one.
        let mut held = Held::default();
        let ids = (0..14_u16).map(|at| (Guid(u128::from(at) + 1), 14_000 + at * 64));
        let grown = ids.filter(|(id, first)| {
            let small = document(*first, 1);
            altered(&mut held, 0, |state| {
                state.create_load_balancer(*id, &small)
            })
            .unwrap();
            let large = document(*first, 64);
            altered(&mut held, 7, |state| {
                state.modify_load_balancer(*id, &large)
            })
            .is_ok()
        });
        assert_eq!(grown.count(), 7);
    }

    /// Makes endpoints with `policies` in a network of the user's own until one is refused; how many were made.
    fn with_policies(held: &mut Held, uid: u32, policies: impl Fn(u16) -> Value) -> u16 {
        let own = (u128::from(uid) + 1) << 64;
        let ipams = json!([{"Subnets": [{"IpAddressPrefix": format!("10.{uid}.0.0/16")}]}]);
        let settings = json!({"SchemaVersion": {"Major": 2}, "Ipams": ipams}).to_string();
        altered(held, uid, |state| {
            state.create_network(Guid(own), &settings, &Surroundings::default())
        })
        .unwrap();
        let made = (0..).take_while(|count| {
            let settings = json!({"SchemaVersion": {"Major": 2}, "Policies": policies(*count)});
            // The last 60 bits are those of names.
            let id = Guid(own | (u128::from(*count) + 1) << 72);
            altered(held, uid, |state| {
                state.create_endpoint(Guid(own), id, &settings.to_string())
            })
            .is_ok()
        });
        u16::try_from(made.count()).unwrap()
    }

    fn mappings(protocol: u8, first: u16, count: u16) -> Value {
        let ports = (first..=u16::MAX).take(count.into());
        let of = |port| json!({"Protocol": protocol, "InternalPort": 80, "ExternalPort": port});
        let of = |port| json!({"Type": "PortMapping", "Settings": of(port)});
        ports.map(of).collect()
    }

    #[test]
    fn no_user_takes_all_ports_of_the_host() {
        let mut held = Held::default();
        // Of 32 times 256.
        let users = [(7, 1024), (8, 20_000)];
        let users = users.map(|(uid, from)| {
            with_policies(&mut held, uid, |at| mappings(6, from + at * 256, 256))
        });
        assert_eq!(users, [14, 7]);
        // Nor those that are chosen: of 4536, of each protocol.
        let mut held = Held::default();
        let users = [(7, 6), (8, 17)];
        let users = users.map(|(uid, protocol)| {
            with_policies(&mut held, uid, |at| {
                mappings(protocol, 61_000 + at * 64, 64)
            })
        });
        assert_eq!(users, [31, 31]);
        let left = with_policies(&mut held, 9, |at| mappings(6, 63_000 + at * 64, 64));
        assert_eq!(left, 15);
        // Root takes the rest.
        let root = with_policies(&mut held, 0, |at| mappings(6, 64_000 + at.min(23) * 64, 64));
        assert_eq!(root, 24);
    }

    #[test]
    fn no_user_takes_all_peers_or_rules_of_endpoints() {
        let mut held = Held::default();
        let peers = (0..128).map(|at| format!("203.0.113.{at}"));
        let settings = json!({"Exceptions": peers.collect::<Vec<_>>()});
        let policies = json!([{"Type": "OutBoundNAT", "Settings": settings}]);
        // Of 64 times 128.
        let users = [7, 8].map(|uid| with_policies(&mut held, uid, |_| policies.clone()));
        assert_eq!(users, [28, 14]);
        let ports: Vec<String> = (1..=256).map(|port| port.to_string()).collect();
        let rule = json!({
            "Action": "Allow", "Direction": "In", "Protocols": "6", "LocalPorts": ports.join(","), "Priority": 1,
        });
        let policies = Value::from(vec![json!({"Type": "ACL", "Settings": rule}); 4]);
        let mut held = Held::default();
        // Of 128 times 1024.
        let users = [7, 8].map(|uid| with_policies(&mut held, uid, |_| policies.clone()));
        assert_eq!(users, [56, 28]);
    }

    #[test]
    fn no_user_takes_all_members_of_sets() {
        let mut held = Held::default();
        network(&mut held, 7, 1, &["10.7.0.0/16"]).unwrap();
        let set = |members: u16| {
            let members = (0..members).map(|at| format!("10.9.{}.{}", at / 256, at % 256));
            let members = members.collect::<Vec<_>>().join(",");
            let set = json!({"Id": "a", "Name": "a", "PolicyType": "IPSET", "Values": members});
            let policies = json!([{"Type": "SetPolicy", "Settings": set}]);
            json!({
                "ResourceType": "Policy", "RequestType": "Update", "Settings": {"Policies": policies},
            })
            .to_string()
        };
        altered(&mut held, 7, |state| state.modify_network(Guid(1), &set(1))).unwrap();
        let rule = json!({
            "Action": "Allow", "Direction": "In", "RemoteAddresses": "a", "RuleType": "Switch", "Priority": 1,
        });
        let settings = json!({
            "SchemaVersion": {"Major": 2}, "Policies": [{"Type": "ACL", "Settings": rule}],
        });
        for id in 1..=64 {
            altered(&mut held, 7, |state| {
                state.create_endpoint(Guid(1), Guid(id << 72), &settings.to_string())
            })
            .unwrap();
        }
        // Of 64 times 2048.
        altered(&mut held, 7, |state| {
            state.modify_network(Guid(1), &set(800))
        })
        .unwrap();
        let refused = altered(&mut held, 7, |state| {
            state.modify_network(Guid(1), &set(1000))
        });
        let refused = refused.unwrap_err().message;
        assert!(refused.contains("members of the sets"), "{refused}");
    }

    #[test]
    fn the_only_address_goes_to_the_first_user() {
        assert!(is_fair(1, 0, 1) && !is_fair(2, 0, 2));
        assert!(is_fair(1, 1 << 64, 1 << 64));
    }
}

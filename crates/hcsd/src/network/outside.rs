//! What documents of one user say of addresses that others reach as those of the outside: nothing.
//!
//! A subnet of a network, and an address of a load balancer, count on the host, and so for all containers whose packets
//! the host forwards. Root may lead an address of the outside elsewhere; another user may not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hcn::{Changes, Guid, Network, Object, Prefix};
use hcs_schema::{Failure, HResult};
use hcs_wire::network::NAT;

use super::{Held, shares};
use crate::thread::rounds::Who;

/// Addresses that are no server's of the outside: those of private networks, of tests and of examples.
const PRIVATE: [(IpAddr, u8); 10] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(198, 18, 0, 0)), 15),
    (IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 0)), 24),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)),
        32,
    ),
];

fn is_private(prefix: Prefix) -> bool {
    let mut all = PRIVATE
        .iter()
        .filter_map(|(first, length)| Prefix::around(*first, *length));
    all.any(|one| one.length() <= prefix.length() && one.overlaps(prefix))
}

/// Refuses subnets and addresses of a change that are of the outside, where they are new and a user other than root
/// asks for them.
///
/// # Errors
/// As told, by JSON pointer.
pub(super) fn check(
    before: &Held,
    after: &Held,
    changes: &Changes,
    who: Who,
) -> Result<(), Failure> {
    if shares::is_spared(who) {
        return Ok(());
    }
    for object in &changes.written {
        match object {
            Object::Network(id) => has_private_subnets(before, after, *id)?,
            Object::LoadBalancer(id) => has_own_addresses(before, after, *id, who.uid)?,
            Object::Endpoint(_) | Object::Namespace(_) => (),
        }
    }
    Ok(())
}

/// Where the host gets routes to its subnets.
fn routed(held: &Held, id: Guid) -> Vec<Prefix> {
    let network = held.state.network(id).ok();
    let network = network.filter(|network| network.has_host());
    network.into_iter().flat_map(Network::prefixes).collect()
}

fn has_private_subnets(before: &Held, after: &Held, id: Guid) -> Result<(), Failure> {
    let known = routed(before, id);
    let routed = routed(after, id).into_iter();
    let mut new = routed.filter(|prefix| !known.contains(prefix));
    match new.find(|prefix| !is_private(*prefix)) {
        None => Ok(()),
        Some(prefix) => Err(subnet(prefix, "has addresses of the outside")),
    }
}

/// Refuses a new network of a user other than root that takes addresses which the host reaches in another way.
///
/// # Errors
/// As told, by JSON pointer.
pub(super) fn check_routes(
    held: &Held,
    id: Guid,
    routes: &[Prefix],
    who: Who,
) -> Result<(), Failure> {
    if shares::is_spared(who) {
        return Ok(());
    }
    let is_taken = |prefix: &Prefix| {
        let mut routes = routes.iter().filter(|route| !route.is_wide());
        routes.any(|route| route.overlaps(*prefix))
    };
    match routed(held, id).into_iter().find(is_taken) {
        None => Ok(()),
        Some(prefix) => Err(subnet(
            prefix,
            "has addresses that the host has another route to",
        )),
    }
}

fn has_own_addresses(before: &Held, after: &Held, id: Guid, uid: u32) -> Result<(), Failure> {
    let addresses = |held: &Held| -> Vec<IpAddr> {
        let balancer = held.state.load_balancer(id).ok();
        let ports = balancer.map_or(&[] as &[_], |balancer| balancer.ports());
        ports.iter().filter_map(|port| port.address).collect()
    };
    let is_own = |address: IpAddr| {
        let mut networks = after.state.networks().filter(|(id, network)| {
            let owner = after.owners.get(&Object::Network(*id));
            owner == Some(&uid) && network.name() != NAT
        });
        networks.any(|(_, network)| network.pool_of(address).is_some())
    };
    let known = addresses(before);
    let mut new = addresses(after)
        .into_iter()
        .filter(|address| !known.contains(address));
    let Some(address) = new.find(|address| !is_own(*address)) else {
        return Ok(());
    };
    let message = format!(
        "what containers of others send to {address} would be led elsewhere: only root's load balancers have any address; \
         leave it out for all addresses of the host, or name one in a network that you have made"
    );
    Err(denied("/FrontendVIPs", message))
}

fn subnet(prefix: Prefix, why: &str) -> Failure {
    let message = format!(
        "the subnet {prefix} {why}, which containers of others would no longer reach: only networks of root take such; leave \
         the subnet out and one is chosen, or name a free private one"
    );
    denied("/Ipams", message)
}

fn denied(pointer: &str, message: String) -> Failure {
    Failure::new(HResult::E_ACCESSDENIED, message.clone()).cause_at(pointer.to_owned(), message)
}

#[cfg(test)]
mod tests {
    use hcn::{State, Surroundings};
    use serde_json::json;

    use super::*;

    /// Makes a change on behalf of a user, as a call does.
    fn altered(
        held: &mut Held,
        uid: u32,
        change: impl FnOnce(&mut State) -> Result<Changes, Failure>,
    ) -> Result<(), HResult> {
        let mut after = held.clone();
        let changes = change(&mut after.state).unwrap();
        let who = Who::of_user(uid);
        shares::take(held, &mut after, &changes, who).unwrap();
        check(held, &after, &changes, who).map_err(|failure| failure.hresult)?;
        *held = after;
        Ok(())
    }

    fn network(
        held: &mut Held,
        (uid, id): (u32, u128),
        kind: &str,
        prefix: &str,
    ) -> Result<(), HResult> {
        let settings = json!({
            "SchemaVersion": {"Major": 2}, "Name": format!("n{id}"), "Type": kind,
            "Ipams": [{"Subnets": [{"IpAddressPrefix": prefix}]}],
        });
        altered(held, uid, |state| {
            state.create_network(
                Guid(id << 80),
                &settings.to_string(),
                &Surroundings::default(),
            )
        })
    }

    #[test]
    fn no_users_network_has_addresses_of_the_outside() {
        const DENIED: Result<(), HResult> = Err(HResult::E_ACCESSDENIED);
        let mut held = Held::default();
        for outside in ["140.82.121.0/24", "2606:4700::/64", "198.16.0.0/14"] {
            assert_eq!(
                network(&mut held, (7, 1), "NAT", outside),
                DENIED,
                "{outside}"
            );
        }
        network(&mut held, (7, 1), "NAT", "10.9.0.0/24").unwrap();
        network(&mut held, (7, 2), "NAT", "fd00:9::/64").unwrap();
        // The host has no route to it.
        network(&mut held, (7, 3), "Private", "140.82.121.0/24").unwrap();
        network(&mut held, (0, 4), "NAT", "140.82.122.0/24").unwrap();

        let check = |id: u128, route: &str, uid| {
            let routes = ["0.0.0.0/0".parse().unwrap(), route.parse().unwrap()];
            let checked = check_routes(&held, Guid(id << 80), &routes, Who::of_user(uid));
            checked.map_err(|failure| failure.hresult)
        };
        assert_eq!(check(1, "10.9.0.0/16", 7), DENIED);
        assert_eq!(check(1, "10.10.0.0/16", 7), Ok(()));
        assert_eq!(check(1, "10.9.0.0/16", 0), Ok(()));
        assert_eq!(check(3, "140.82.121.0/24", 7), Ok(()));
    }

    #[test]
    fn no_users_load_balancer_takes_what_is_sent_to_others() {
        const DENIED: Result<(), HResult> = Err(HResult::E_ACCESSDENIED);
        let mut held = Held::default();
        let nat = json!({"SchemaVersion": {"Major": 2}, "Name": NAT});
        altered(&mut held, 7, |state| {
            state.create_network(Guid(1 << 80), &nat.to_string(), &Surroundings::default())
        })
        .unwrap();
        network(&mut held, (7, 2), "NAT", "10.9.0.0/24").unwrap();
        network(&mut held, (8, 3), "NAT", "10.10.0.0/24").unwrap();
        let document = |fronts: &[&str], port: u16| {
            let ports = [json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": port})];
            json!({"SchemaVersion": {"Major": 2}, "FrontendVIPs": fronts, "PortMappings": ports})
                .to_string()
        };
        let create = |held: &mut Held, (uid, id): (u32, u128), front: &str| {
            let settings = document(&[front], 443);
            altered(held, uid, |state| {
                state.create_load_balancer(Guid(id), &settings)
            })
        };
        for other in ["140.82.121.3", "10.231.0.7", "10.10.0.7"] {
            assert_eq!(create(&mut held, (7, 1), other), DENIED, "{other}");
        }
        create(&mut held, (7, 1), "10.9.0.7").unwrap();
        create(&mut held, (7, 2), "0.0.0.0").unwrap();
        create(&mut held, (0, 3), "140.82.121.3").unwrap();
        let mut modify = |id: u128, fronts: &[&str]| {
            let settings = document(fronts, 444);
            altered(&mut held, 7, |state| {
                state.modify_load_balancer(Guid(id), &settings)
            })
        };
        assert_eq!(modify(1, &["10.9.0.7", "1.1.1.1"]), DENIED);
        assert_eq!(modify(3, &["140.82.121.3"]), Ok(()), "root has chosen it");
    }
}

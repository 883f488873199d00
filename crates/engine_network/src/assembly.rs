//! Parts put together: a network, an endpoint in its namespace, the rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::BorrowedFd,
};

use hcn::{
    Guid,
    intent::{EndpointIntent, Intent, NetworkIntent, alias},
};
use hcs_schema::{Failure, HResult};

use crate::{
    failure::failed,
    host::Host,
    link::Link,
    namespace::sockets_in,
    netlink::Batch,
    nft::{self, Rules},
    parts::{Before, Bridge, Card, Inside, Part, Port, adapter, port, tunnel::Tunnels},
    room,
    survey::Stray,
};

/// Makes a network's bridge, or what is missing of it, with its link to other hosts where it has one. Of a network on
/// an adapter of the host nothing is made; its adapter has to be there.
///
/// # Errors
/// The step that failed; what was made for this call is removed again.
pub fn make_network(host: &mut Host, network: &NetworkIntent) -> Result<(), Failure> {
    if let Some(name) = &network.adapter {
        return adapter::adapter(host, name).map(drop);
    }
    room::make();
    let bridge = Bridge(network);
    let tunnels = Tunnels::of(network);
    let was_there = bridge.found(host)?.is_some();
    let made = bridge.apply(host).and_then(|()| match &tunnels {
        Some(tunnels) => tunnels.apply(host),
        None => Ok(()),
    });
    made.inspect_err(|_| {
        if !was_there {
            let _swept_later = remove_network(host, network);
        }
    })
}

/// Removes a network's bridge.
///
/// # Errors
/// The step that failed.
pub fn remove_network(host: &mut Host, network: &NetworkIntent) -> Result<(), Failure> {
    if network.adapter.is_some() {
        return Ok(());
    }
    if let Some(tunnels) = Tunnels::of(network) {
        tunnels.undo(host)?;
    }
    Bridge(network).undo(host)
}

/// Puts an endpoint into a container's network namespace: makes its links and sets them up. The rules have to be
/// written before ([`write_rules`]): a port without rules of its own is held to nothing.
///
/// For an endpoint that is there already it does what is missing or differs: the bridge of its port, the largest
/// packet, how the port treats others, what may be sent, addresses and routes that were added. This is how a change of
/// its policies is done.
///
/// # Errors
/// The step that failed; what was made for this call is removed again, and a link that was there before stays. The
/// endpoint's link leads into another namespace: it has to be detached first.
pub fn attach(
    host: &mut Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    attach_after(Before::Unknown, host, endpoint, namespace)
}

/// [`attach`] for an endpoint that had no route of a policy where it is: none is looked for. To list routes takes the
/// longer the more of them a container has.
///
/// # Errors
/// As [`attach`].
pub fn attach_unled(
    host: &mut Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    attach_after(Before::NoLedRoutes, host, endpoint, namespace)
}

fn attach_after(
    before: Before,
    host: &mut Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    if let Some(name) = &endpoint.adapter {
        return adapter::attach(host, endpoint, name, (namespace, before));
    }
    let pair = Port {
        endpoint,
        namespace,
    };
    let inside = Inside::after(before, endpoint, namespace);
    // Each look at the host waits for others' changes of links, such as those of a namespace that is ending.
    let there = port::found(host, endpoint)?;
    let there = inside.is_free(host, there)?;
    let bridge = port::bridge_of(host, endpoint)?.index;
    let made = pair
        .make(host, there.as_ref(), bridge)
        .and_then(|()| inside.make(host, bridge));
    if made.is_err() && there.is_none() {
        let _swept_later = pair.undo(host);
    }
    made
}

/// [`attach`] for a namespace that was just made, in which no link is but loopback and no rule: what is not there is
/// not looked for.
///
/// # Errors
/// As [`attach`].
pub fn attach_new(
    host: &mut Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    if endpoint.adapter.is_some() || port::found(host, endpoint)?.is_some() {
        return attach(host, endpoint, namespace);
    }
    let pair = Port {
        endpoint,
        namespace,
    };
    let bridge = port::bridge_of(host, endpoint)?.index;
    let made = pair.make(host, None, bridge).and_then(|()| {
        let inside = Inside::after(Before::Nothing, endpoint, namespace);
        inside.make(host, bridge)
    });
    made.or_else(|_| {
        // That tells what is in the way.
        pair.undo(host)?;
        attach(host, endpoint, namespace)
    })
}

/// Makes the link of a virtual machine's card a port of its network, as [`attach`] does for a container. The link is
/// there: it was made along with the descriptor that the machine has ([`Card`]).
///
/// # Errors
/// The step that failed, or what such an endpoint cannot have. The link stays.
pub fn attach_card(host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
    if endpoint.adapter.is_some() {
        let message = "a network on an adapter of the host is for containers; a virtual machine takes an endpoint of \
                       another type of network, such as NAT";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message).on_record(message));
    }
    let card = Card(endpoint);
    card.check(host)?;
    card.apply(host)
}

/// Sets how the port of an endpoint that is attached treats others, where nothing but that differs. Answers whether the
/// link is a port of its bridge: else nothing is set, and the endpoint has to be attached.
///
/// # Errors
/// The step that failed. A link that is there stays.
pub fn set_port(host: &mut Host, endpoint: &EndpointIntent) -> Result<bool, Failure> {
    port::treat(host, endpoint)
}

/// Takes an endpoint out of a namespace that lives on. Where the namespace ends, its links end with it, and this is
/// not needed: a removal by request waits for the kernel some 30 ms.
///
/// # Errors
/// The step that failed.
pub fn detach(host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
    port::remove(host, endpoint)
}

/// Takes an endpoint out of its network whose namespace is ending: its link is a port of the bridge no more. The link
/// goes with the namespace some milliseconds later. It is told all the same, to be removed by [`sweep`](crate::sweep)
/// while no other change waits: a socket is enough to keep a namespace.
///
/// # Errors
/// The step that failed.
pub fn release(host: &mut Host, endpoint: &EndpointIntent) -> Result<Option<Stray>, Failure> {
    let left = port::release(host, endpoint)?;
    Ok(left.map(|link| Stray {
        object: endpoint.id,
        link,
    }))
}

/// Prepares for the end of namespaces with endpoints: takes their links out of their networks, takes away what the host
/// was told of their cards, and tells those that have sent nothing. The kernel remembers no connection that one of
/// these has begun or answered.
///
/// # Errors
/// The kernel does not tell its links, or keeps what the host was told.
pub fn take_leave(
    host: &mut Host,
    endpoints: &[&EndpointIntent],
) -> Result<BTreeSet<Guid>, Failure> {
    let mut batch = Batch::default();
    for (endpoint, link) in found_of(host, endpoints)? {
        port::take_out(&mut batch, &link);
        port::forget(&mut batch, endpoint, &link);
    }
    port::have_forgotten(
        host,
        batch,
        "taking the links of ended endpoints out of their networks",
    )?;
    // A process elsewhere may have a socket of such a namespace. Only what is in no network sends nothing any more.
    let found = found_of(host, endpoints)?.into_iter();
    let silent = found.filter(|(_, link)| link.is_silent && link.master.is_none());
    Ok(silent.map(|(endpoint, _)| endpoint.id).collect())
}

/// The links on the host of those endpoints whose links are there.
fn found_of<'a>(
    host: &mut Host,
    endpoints: &[&'a EndpointIntent],
) -> Result<Vec<(&'a EndpointIntent, Link)>, Failure> {
    let links = host.links()?.into_iter();
    let mut links: BTreeMap<String, Link> = links.map(|link| (link.name.clone(), link)).collect();
    let found = endpoints.iter().filter_map(|endpoint| {
        let own = alias(&host.owner, endpoint.id);
        let found = links.remove(&*endpoint.link)?;
        (found.alias.as_ref() == Some(&own)).then_some((*endpoint, found))
    });
    Ok(found.collect())
}

/// Removes what is left in a container's network namespace of endpoints that are in it no more: their rules for what
/// may be sent and received, which do not go with the link. `endpoints` are those that are in it.
///
/// # Errors
/// The step that failed.
pub fn clear_access(
    host: &Host,
    namespace: BorrowedFd<'_>,
    endpoints: &[&EndpointIntent],
) -> Result<(), Failure> {
    let [_, mut filter] = sockets_in(namespace)?;
    let wanted: Vec<&str> = endpoints.iter().map(|one| &*one.inner).collect();
    nft::keep_access(&mut filter, &host.owner, &wanted)
        .map_err(|error| failed("removing the rules of an endpoint", "nf_tables", &error))
}

/// Puts the rules of all networks in the place of those that are there, in one transaction; without any network there
/// are none. Where `host` has written those before, and endpoints and published ports alone have come or gone, these
/// are added and removed.
///
/// # Errors
/// The kernel refused them; those that were there hold on.
pub fn write_rules(host: &mut Host, intent: &Intent, rules: &Rules) -> Result<(), Failure> {
    let owner = host.owner.clone();
    let done = match intent.networks.is_empty() {
        true => {
            host.in_force = None;
            nft::remove(&mut host.filter, &owner)
        }
        false => nft::write(&mut host.filter, &owner, rules, &mut host.in_force),
    };
    let needs = match rules.balancers.is_empty() {
        true => "nf_tables with nat, masquerade, fib, limit, dynset and the family bridge",
        false => {
            "nf_tables with nat, masquerade, fib, limit, dynset, numgen, hash and the family bridge"
        }
    };
    done.map_err(|error| failed("writing the rules of the networks", needs, &error))
}

/// What the rules of single cards need of the kernel.
const NEEDS_OF_CARDS: &str = "nf_tables with limit, dynset and the family bridge";

/// Sets how fast virtual machines send by their cards, and what they may send and receive: rules of each card that is
/// not held to what its endpoint says are written, before it is a port of its network. Those of endpoints that `intent`
/// does not have are removed.
///
/// # Errors
/// The kernel refused them; those that were there hold on.
pub fn set_card_rules(
    host: &mut Host,
    intent: &Intent,
    cards: &[&EndpointIntent],
) -> Result<(), Failure> {
    let known = intent.endpoints.iter().map(|endpoint| &*endpoint.link);
    let is_clear = &mut host.has_no_card_rules;
    nft::set_card_rules(
        &mut host.filter,
        &host.owner,
        cards,
        &known.collect(),
        is_clear,
    )
    .map_err(|error| failed("writing the rules of network cards", NEEDS_OF_CARDS, &error))
}

/// Whether all rules of these cards are there.
///
/// # Errors
/// The kernel does not tell.
pub fn card_rules_are_there(host: &mut Host, cards: &[&EndpointIntent]) -> Result<bool, Failure> {
    nft::card_rules_are_there(&mut host.filter, &host.owner, cards)
        .map_err(|error| failed("reading the rules of network cards", NEEDS_OF_CARDS, &error))
}

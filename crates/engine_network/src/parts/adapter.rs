//! Endpoints whose links are on an adapter of the host (`macvlan`), in the place of a pair and a bridge.
//!
//! Nothing of them is in the host's namespace: the link is made in the container's, and goes with that or with the
//! adapter. The rules that hold it to its own addresses stand there, too, where all leaves ([`crate::nft`]): the
//! container cannot go past them, unless its document gives it CAP_NET_ADMIN. Between the host's own addresses and such
//! endpoints the kernel passes nothing.

use std::{os::fd::BorrowedFd, path::Path, thread};

use hcn::{
    Mac,
    intent::{EndpointIntent, alias, is_of_a_service},
};
use hcs_schema::{Failure, HResult};
use rustix::io::Errno;

use super::{
    inside::{self, MOST_STEPS, STEP},
    remove_link,
};
use crate::{
    failure::{failed, in_the_way, removable},
    host::Host,
    link::{self, Link, OnAdapter},
    namespace::sockets_in,
    netlink::{Batch, Socket},
    nft,
};

const NEEDS: &str = "links on adapters (module macvlan)";
const NEEDS_RULES: &str = "nf_tables with the family netdev and its hook egress, since Linux 5.16 (CONFIG_NETFILTER_EGRESS)";

/// The kind of link.
const KIND: &str = "macvlan";

/// The adapter of this name.
///
/// # Errors
/// There is none, or it is one that nothing else can be on.
pub(crate) fn adapter(host: &mut Host, name: &str) -> Result<Link, Failure> {
    let missing = |why: &str| {
        let message = format!(
            "the adapter {name:?} of the host {why}; \"ip link\" lists those there are, and the policy NetAdapterName names one"
        );
        Failure::new(HResult::HCN_E_ADAPTER_NOT_FOUND, message)
            .on_record("the adapter of a network is not there, or not fit for it")
    };
    let found = host.find(name)?.ok_or_else(|| missing("is not there"))?;
    match unfit(&found) {
        None => Ok(found),
        Some(why) => Err(missing(why)),
    }
}

/// Why nothing else can be on a link.
fn unfit(link: &Link) -> Option<&'static str> {
    if link.mac.is_none_or(|mac| mac == Mac([0; 6])) {
        return Some("has no hardware address of Ethernet");
    }
    if link.master.is_some() {
        return Some("is a port of a bridge or part of another link; name that");
    }
    // A link on the bridge of a network is in that network, past all rules that its service has for ports.
    if is_of_a_service(&link.name, link.alias.as_deref()) {
        return Some("belongs to a network of this service, or of another one of the host");
    }
    // The name that was asked for may be a second one of the link.
    let is_wireless = Path::new("/sys/class/net")
        .join(&link.name)
        .join("phy80211")
        .exists();
    is_wireless.then_some("is a wireless one, which passes frames of its own hardware address only")
}

/// The names of links that a network could be on.
///
/// # Errors
/// The kernel does not tell its links.
pub fn adapters(host: &mut Host) -> Result<Vec<String>, Failure> {
    let links = host.links()?.into_iter();
    let fit = links.filter(|link| unfit(link).is_none());
    Ok(fit.map(|link| link.name).collect())
}

/// The endpoint's link in the namespace that the socket is of, if it is there and this endpoint's.
pub(crate) fn found(
    socket: &mut Socket,
    owner: &str,
    endpoint: &EndpointIntent,
) -> Result<Option<Link>, Failure> {
    let doing = doing(endpoint, "looking at");
    let found =
        link::find(socket, &endpoint.inner).map_err(|error| failed(&doing, NEEDS, &error))?;
    let Some(found) = found else { return Ok(None) };
    let wanted = alias(owner, endpoint.id);
    // Without an alias it is one whose making was interrupted.
    let ours = found.alias.as_ref().is_none_or(|alias| *alias == wanted);
    if ours && found.kind.as_deref() == Some(KIND) {
        return Ok(Some(found));
    }
    Err(in_the_way(format!(
        "the namespace {} has another link with the name {}",
        endpoint.namespace, endpoint.inner
    )))
}

fn doing(endpoint: &EndpointIntent, verb: &str) -> String {
    format!(
        "{verb} the link {} of the endpoint {}",
        endpoint.inner, endpoint.id
    )
}

/// Makes the link of an endpoint, or what is missing of it.
///
/// # Errors
/// The step that failed. A link that was made for this call is removed again.
pub(crate) fn attach(
    host: &mut Host,
    endpoint: &EndpointIntent,
    adapter_name: &str,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let parent = adapter(host, adapter_name)?;
    are_free(host, endpoint)?;
    let [mut socket, mut filter] = sockets_in(namespace)?;
    let was_there = found(&mut socket, &host.owner, endpoint)?.is_some();
    if !was_there {
        let one = OnAdapter {
            name: &endpoint.inner,
            adapter: parent.index,
            mac: endpoint.mac,
            isolated: endpoint.isolated,
            namespace,
        };
        let mut batch = Batch::default();
        link::add_on_adapter(&mut batch, &one);
        host.run(&doing(endpoint, "making"), NEEDS, batch)?;
    }
    let set_up = set_up(host, endpoint, &parent, &mut socket, &mut filter);
    if set_up.is_err() && !was_there {
        let _goes_with_its_namespace = remove(&mut socket, &host.owner, endpoint);
    }
    set_up
}

fn set_up(
    host: &Host,
    endpoint: &EndpointIntent,
    parent: &Link,
    socket: &mut Socket,
    filter: &mut Socket,
) -> Result<(), Failure> {
    let doing = doing(endpoint, "setting up");
    let mut batch = Batch::default();
    let alias = alias(&host.owner, endpoint.id);
    link::set_alias(&mut batch, &endpoint.inner, &alias, false);
    socket
        .run(batch)
        .map_err(|error| failed(&doing, NEEDS, &error))?;
    // Before anything can be sent.
    nft::hold(filter, &host.owner, endpoint)
        .map_err(|error| failed(&doing, NEEDS_RULES, &error))?;
    let mtu = endpoint.mtu.unwrap_or(parent.mtu);
    inside::guard(host, endpoint, filter)?;
    raise(endpoint, socket)?;
    inside::furnish(host, endpoint, mtu, socket)
}

/// Brings the link up. Its hardware address is in use while the link of a namespace that has just ended has it, which
/// goes away by itself, some milliseconds later.
fn raise(endpoint: &EndpointIntent, socket: &mut Socket) -> Result<(), Failure> {
    let mut steps = 0;
    loop {
        let mut batch = Batch::default();
        link::set_up(&mut batch, &endpoint.inner);
        match socket.run(batch) {
            Err(error) if error.errno() == Some(Errno::ADDRINUSE) && steps < MOST_STEPS => {
                steps += 1;
                thread::sleep(STEP);
            }
            done => {
                return done.map_err(|error| failed(&doing(endpoint, "raising"), NEEDS, &error));
            }
        }
    }
}

/// An address of the host itself is no address for an endpoint in the same network.
fn are_free(host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
    let all = link::addresses(&mut host.route)
        .map_err(|error| failed("listing addresses", "rtnetlink", &error))?;
    let mut own = endpoint.addresses.iter().map(|(address, _)| *address);
    match own.find(|own| all.iter().any(|other| other.address == *own)) {
        None => Ok(()),
        Some(address) => {
            let message = format!(
                "the address {address} of the endpoint {} is one of the host itself; name another one in IpConfigurations, \
                 or give the network a subnet that the host has no address of",
                endpoint.id
            );
            Err(Failure::new(
                HResult::HCN_E_ADDR_INVALID_OR_RESERVED,
                message,
            ))
        }
    }
}

fn remove(socket: &mut Socket, owner: &str, endpoint: &EndpointIntent) -> Result<(), Failure> {
    let Some(found) = removable(found(socket, owner, endpoint))? else {
        return Ok(());
    };
    remove_link(socket, &found, (&doing(endpoint, "removing"), NEEDS))
}

/// Takes an endpoint on an adapter out of a namespace that lives on; its rules go with [`crate::clear_access`].
///
/// # Errors
/// The step that failed.
pub fn detach_from_adapter(
    host: &Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let [mut socket, _] = sockets_in(namespace)?;
    remove(&mut socket, &host.owner, endpoint)
}

/// Whether the link of an endpoint on an adapter is there, and held to its addresses.
///
/// # Errors
/// The kernel does not tell, or the namespace has ended.
pub fn is_on_adapter(
    host: &Host,
    endpoint: &EndpointIntent,
    namespace: BorrowedFd<'_>,
) -> Result<bool, Failure> {
    let [mut socket, mut filter] = sockets_in(namespace)?;
    let Some(found) = found(&mut socket, &host.owner, endpoint)? else {
        return Ok(false);
    };
    let held = nft::is_held(&mut filter, &host.owner, endpoint).unwrap_or(false);
    Ok(held && found.alias.is_some() && found.mac == Some(endpoint.mac))
}

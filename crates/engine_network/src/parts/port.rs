//! [`Port`]: an endpoint's pair of links, one end a port of the bridge, the other in the container's namespace. What a
//! port of the bridge is set to is the same for the card of a virtual machine ([`set_up`]).

use std::os::fd::BorrowedFd;

use hcn::intent::{EndpointIntent, alias};
use hcs_schema::Failure;
use rustix::io::Errno;

use super::{Part, remove_link};
use crate::{
    failure::{failed, in_the_way, removable},
    host::Host,
    link::{self, Link, NewPort, Pair},
    neighbours,
    netlink::Batch,
};

const NEEDS: &str = "pairs of links (module veth)";

/// A link whose packets are smaller has no IPv6, and nothing of it can be set.
pub(super) const SMALLEST_OF_IPV6: u32 = 1280;

/// The kind of link that a card of a virtual machine has on the host.
pub(crate) const CARD: &str = "tun";

/// An endpoint's pair of links. A pair that was made and not written down belongs to a namespace, and goes with it.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// What is wanted.
    pub endpoint: &'a EndpointIntent,
    /// The container's network namespace.
    pub namespace: BorrowedFd<'a>,
}

impl Port<'_> {
    fn doing(&self, verb: &str) -> String {
        format!(
            "{verb} the link {} of the endpoint {}",
            self.endpoint.link, self.endpoint.id
        )
    }
}

/// The end here of an endpoint's pair, if it is there and this endpoint's.
pub(crate) fn found(host: &mut Host, endpoint: &EndpointIntent) -> Result<Option<Link>, Failure> {
    let Some(found) = host.find(&endpoint.link)? else {
        return Ok(None);
    };
    let wanted = alias(&host.owner, endpoint.id);
    // Without an alias it is a pair whose making was interrupted; no other program names links so.
    let ours = found.alias.as_ref().is_none_or(|alias| *alias == wanted);
    if ours && matches!(found.kind.as_deref(), Some("veth" | CARD)) {
        return Ok(Some(found));
    }
    Err(in_the_way(format!(
        "the link {} is there already and not of the endpoint {}: its alias is {:?} and not {wanted:?}; remove it or make \
         the endpoint under another id",
        endpoint.link,
        endpoint.id,
        found.alias.unwrap_or_default(),
    )))
}

/// Removes the end here, and with it the far one.
pub(crate) fn remove(host: &mut Host, endpoint: &EndpointIntent) -> Result<(), Failure> {
    let Some(found) = removable(found(host, endpoint))? else {
        return Ok(());
    };
    let doing = format!(
        "removing the link {} of the endpoint {}",
        endpoint.link, endpoint.id
    );
    forget_card(host, endpoint, &found)?;
    remove_link(&mut host.route, &found, (&doing, NEEDS))
}

/// Takes the end here out of its bridge, and tells it: it goes with the far end's namespace, or has to be removed.
pub(crate) fn release(host: &mut Host, endpoint: &EndpointIntent) -> Result<Option<Link>, Failure> {
    let Some(found) = removable(found(host, endpoint))? else {
        return Ok(None);
    };
    forget_card(host, endpoint, &found)?;
    let mut batch = Batch::default();
    take_out(&mut batch, &found);
    let doing = format!(
        "taking the link {} of the endpoint {} out of its network",
        endpoint.link, endpoint.id
    );
    match host.route.run(batch) {
        // Its namespace has ended meanwhile.
        Err(error) if error.errno() == Some(Errno::NODEV) => Ok(None),
        Err(error) => Err(failed(&doing, NEEDS, &error)),
        Ok(()) => Ok(Some(found)),
    }
}

/// Takes a link out of the bridge that it is a port of.
pub(crate) fn take_out(batch: &mut Batch, link: &Link) {
    const NO_BRIDGE: u32 = 0;
    link::set_master(batch, &link.name, link.index, NO_BRIDGE);
}

/// Takes away what the host was told of the endpoint's addresses when it came to the bridge that its link is a port of.
pub(crate) fn forget(batch: &mut Batch, endpoint: &EndpointIntent, link: &Link) {
    let Some(bridge) = link.master else { return };
    for (address, _) in &endpoint.addresses {
        neighbours::forget(batch, bridge, *address);
    }
}

/// Does what is in a `batch` of [`forget`].
pub(crate) fn have_forgotten(host: &mut Host, batch: Batch, doing: &str) -> Result<(), Failure> {
    match host.route.run(batch) {
        // Another program took it away, or the bridge.
        Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV)) => Ok(()),
        done => done.map_err(|error| failed(doing, "rtnetlink", &error)),
    }
}

fn forget_card(host: &mut Host, endpoint: &EndpointIntent, link: &Link) -> Result<(), Failure> {
    let mut batch = Batch::default();
    forget(&mut batch, endpoint, link);
    let doing = format!(
        "forgetting the card of the endpoint {} on the host",
        endpoint.id
    );
    have_forgotten(host, batch, &doing)
}

/// Whether the link is a port of the bridge with this number, set up as the endpoint says.
pub(crate) fn is_sound(endpoint: &EndpointIntent, link: &Link, bridge: u32) -> bool {
    link.up
        && !link.arp
        && link.master == Some(bridge)
        && link.mtu == wanted_mtu(endpoint)
        && link.isolated == endpoint.isolated
        && link.hairpin == is_hairpin(endpoint)
}

/// An endpoint that uses a port of the host which leads to itself gets its own frames back.
fn is_hairpin(endpoint: &EndpointIntent) -> bool {
    !endpoint.mappings.is_empty() || endpoint.balanced
}

/// The largest packet that its links take, in bytes.
pub(super) fn wanted_mtu(endpoint: &EndpointIntent) -> u32 {
    const USUAL: u32 = 1500;
    endpoint.mtu.unwrap_or(USUAL)
}

/// Whether the links of an endpoint have settings of IPv6.
fn speaks_ipv6(host: &Host, endpoint: &EndpointIntent) -> bool {
    host.ipv6 && wanted_mtu(endpoint) >= SMALLEST_OF_IPV6
}

/// The bridge of an endpoint's network.
pub(crate) fn bridge_of(host: &mut Host, endpoint: &EndpointIntent) -> Result<Link, Failure> {
    host.find(&endpoint.bridge)?.ok_or_else(|| {
        in_the_way(format!(
            "the bridge {} of the network {} is gone",
            endpoint.bridge, endpoint.network
        ))
    })
}

/// Sets how the port of an endpoint treats others of its bridge. Answers whether its link is a port of that at all: one
/// whose bridge was removed is none, and down it carries nothing.
pub(crate) fn treat(host: &mut Host, endpoint: &EndpointIntent) -> Result<bool, Failure> {
    let bridge = host.find(&endpoint.bridge)?.map(|link| link.index);
    let found = found(host, endpoint)?;
    let is_port = |link: &Link| link.up && bridge.is_some() && link.master == bridge;
    let Some(found) = found.filter(is_port) else {
        return Ok(false);
    };
    let treats = (endpoint.isolated, is_hairpin(endpoint));
    if (found.isolated, found.hairpin) == treats {
        return Ok(true);
    }
    let doing = format!(
        "setting up the link {} of the endpoint {}",
        endpoint.link, endpoint.id
    );
    let mut batch = Batch::default();
    link::set_port(&mut batch, &found.name, found.index, treats.0, treats.1);
    host.run(&doing, NEEDS, batch)?;
    Ok(true)
}

/// Names an endpoint's link on the host after the endpoint, and makes it a port of the bridge as the endpoint says. One
/// that is sound already stays as it is.
pub(super) fn set_up(
    host: &mut Host,
    endpoint: &EndpointIntent,
    bridge: u32,
) -> Result<(), Failure> {
    let doing = format!(
        "setting up the link {} of the endpoint {}",
        endpoint.link, endpoint.id
    );
    let Some(found) = found(host, endpoint)? else {
        return Err(in_the_way(format!(
            "the link {} was removed while it was being made",
            endpoint.link
        )));
    };
    let mut batch = Batch::default();
    if found.master != Some(bridge) {
        link::set_master(&mut batch, &found.name, found.index, bridge);
    }
    let mtu = wanted_mtu(endpoint);
    if found.mtu != mtu {
        link::set_mtu(&mut batch, &found.name, found.index, mtu);
    }
    let alias = alias(&host.owner, endpoint.id);
    link::set_alias(&mut batch, &found.name, &alias, speaks_ipv6(host, endpoint));
    link::set_port(
        &mut batch,
        &found.name,
        found.index,
        endpoint.isolated,
        is_hairpin(endpoint),
    );
    link::set_port_up(&mut batch, &found.name);
    host.run(&doing, NEEDS, batch)
}

impl Port<'_> {
    /// Makes the pair with all that its end here is set to, in one go; or sets up the one that is `there`.
    pub(crate) fn make(
        &self,
        host: &mut Host,
        there: Option<&Link>,
        bridge: u32,
    ) -> Result<(), Failure> {
        let endpoint = self.endpoint;
        if there.is_some() {
            return set_up(host, endpoint, bridge);
        }
        let pair = Pair {
            name: &endpoint.link,
            bridge,
            far: &endpoint.inner,
            mac: endpoint.mac,
            mtu: endpoint.mtu,
            namespace: self.namespace,
        };
        let mut batch = Batch::default();
        link::add_pair(&mut batch, &pair);
        let new = NewPort {
            name: &endpoint.link,
            alias: &alias(&host.owner, endpoint.id),
            isolated: endpoint.isolated,
            hairpin: is_hairpin(endpoint),
        };
        link::set_new_port(&mut batch, &new, speaks_ipv6(host, endpoint));
        link::set_port_up(&mut batch, &endpoint.link);
        host.run(&self.doing("making"), NEEDS, batch)
    }
}

impl Part for Port<'_> {
    fn check(&self, host: &mut Host) -> Result<(), Failure> {
        found(host, self.endpoint).map(drop)
    }

    fn apply(&self, host: &mut Host) -> Result<(), Failure> {
        let bridge = bridge_of(host, self.endpoint)?;
        let there = found(host, self.endpoint)?;
        self.make(host, there.as_ref(), bridge.index)
    }

    fn undo(&self, host: &mut Host) -> Result<(), Failure> {
        remove(host, self.endpoint)
    }
}

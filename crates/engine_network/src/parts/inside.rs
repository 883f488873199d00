//! [`Inside`]: what an endpoint is to its container: loopback and its link up, addresses, routes; carriers that are
//! settled before a first packet is sent, and a host that knows where its packets for the container go.

use std::{
    cell::{RefCell, RefMut},
    os::fd::BorrowedFd,
    thread,
    time::Duration,
};

use hcn::intent::EndpointIntent;
use hcs_schema::Failure;
use rustix::io::Errno;

use super::{
    Part,
    port::{self, CARD},
    remove_link,
};
use crate::{
    failure::{failed, in_the_way},
    host::Host,
    link::{self, Link},
    namespace::sockets_in,
    neighbours,
    netlink::{Batch, NetlinkError, Socket},
    nft, queue,
};

const NEEDS: &str = "addresses and routes of IPv4, and where they are asked for those of IPv6 and limits (module sch_tbf)";

const NEEDS_RULES: &str =
    "nf_tables with the family inet and connection tracking, for access rules";

/// A link whose packets are smaller has no IPv6, and nothing of it can be set.
const SMALLEST_OF_IPV6: u32 = 1280;

/// How long what goes away by itself is waited for: so many steps of this length.
pub(super) const STEP: Duration = Duration::from_millis(2);
pub(super) const MOST_STEPS: u32 = 250;

/// The far end of an endpoint's pair of links.
#[derive(Debug)]
pub struct Inside<'a> {
    endpoint: &'a EndpointIntent,
    namespace: BorrowedFd<'a>,
    /// Whether the namespace was just made, so that no former endpoint has rules there.
    is_new: bool,
    /// Sockets of the namespace, once there are some.
    sockets: RefCell<Option<[Socket; 2]>>,
}

impl<'a> Inside<'a> {
    /// Of an endpoint that is wanted in the network namespace of a container.
    #[must_use]
    pub const fn new(endpoint: &'a EndpointIntent, namespace: BorrowedFd<'a>) -> Self {
        Self {
            endpoint,
            namespace,
            is_new: false,
            sockets: RefCell::new(None),
        }
    }

    /// [`Inside::new`] for a namespace that was just made.
    pub(crate) const fn of_new(endpoint: &'a EndpointIntent, namespace: BorrowedFd<'a>) -> Self {
        Self {
            endpoint,
            namespace,
            is_new: true,
            sockets: RefCell::new(None),
        }
    }

    /// The namespace's sockets. Going there takes a thread, so it is done once.
    fn sockets(&self) -> Result<RefMut<'_, [Socket; 2]>, Failure> {
        let mut sockets = self.sockets.borrow_mut();
        let opened = match sockets.take() {
            Some(opened) => opened,
            None => sockets_in(self.namespace)?,
        };
        Ok(RefMut::map(sockets, |sockets| sockets.insert(opened)))
    }

    fn doing(&self, verb: &str) -> String {
        format!(
            "{verb} the link {} in the namespace {}",
            self.endpoint.inner, self.endpoint.namespace
        )
    }
}

impl Inside<'_> {
    /// Whether the link can be made, whose end on the host is `port` where it is there. Gives that, unless it goes
    /// away.
    pub(crate) fn is_free(
        &self,
        host: &mut Host,
        port: Option<Link>,
    ) -> Result<Option<Link>, Failure> {
        let EndpointIntent {
            namespace, inner, ..
        } = self.endpoint;
        let doing = self.doing("looking at");
        let [socket, _] = &mut *self.sockets()?;
        let links = link::links(socket).map_err(|error| failed(&doing, NEEDS, &error))?;
        let there = links.iter().find(|link| link.name == *inner);
        match (port, there) {
            (None, None) => Ok(None),
            (Some(port), Some(link)) if link.peer == Some(port.index) => Ok(Some(port)),
            (_, Some(_)) => Err(in_the_way(format!(
                "the namespace {namespace} has another link with the name {inner}"
            ))),
            // In no network any more: its container has ended, whose namespace may be kept for a while.
            (Some(port), None) if port.master.is_none() && port.kind.as_deref() != Some(CARD) => {
                let doing = self.doing("removing what is left of");
                remove_link(&mut host.route, &port, (&doing, NEEDS))?;
                Ok(None)
            }
            (Some(port), None) if goes_away(host, &port)? => Ok(None),
            (Some(port), None) => Err(in_the_way(format!(
                "the link {} of the endpoint {} leads into another namespace than {namespace}; detach it there first",
                port.name, self.endpoint.id
            ))),
        }
    }

    /// Sets it up. `bridge` is the number of the bridge.
    pub(crate) fn make(&self, host: &mut Host, bridge: u32) -> Result<(), Failure> {
        let endpoint = self.endpoint;
        let doing = self.doing("setting up");
        let mtu = port::wanted_mtu(endpoint);
        let [socket, filter] = &mut *self.sockets()?;
        if !self.is_new || endpoint.has_rules() {
            guard(host, endpoint, filter)?;
        }
        furnish(host, endpoint, mtu, socket)?;
        // Now that both ends are up.
        let mut batch = Batch::default();
        link::look_at(&mut batch, &endpoint.link);
        link::look_at(&mut batch, &endpoint.bridge);
        for (address, _) in &endpoint.addresses {
            neighbours::tell(&mut batch, bridge, *address, endpoint.mac);
        }
        host.run(&doing, NEEDS, batch)
    }
}

impl Part for Inside<'_> {
    fn check(&self, host: &mut Host) -> Result<(), Failure> {
        let port = port::found(host, self.endpoint)?;
        self.is_free(host, port).map(drop)
    }

    fn apply(&self, host: &mut Host) -> Result<(), Failure> {
        let bridge = port::bridge_of(host, self.endpoint)?;
        self.make(host, bridge.index)
    }

    /// The link goes with its pair, and with it addresses and routes.
    fn undo(&self, _host: &mut Host) -> Result<(), Failure> {
        Ok(())
    }
}

fn doing(endpoint: &EndpointIntent) -> String {
    format!(
        "setting up the link {} in the namespace {}",
        endpoint.inner, endpoint.namespace
    )
}

/// Limits what an endpoint may send and receive. This comes before anything can be sent.
pub(super) fn guard(
    host: &Host,
    endpoint: &EndpointIntent,
    filter: &mut Socket,
) -> Result<(), Failure> {
    nft::set_access(filter, &host.owner, endpoint)
        .map_err(|error| failed(&doing(endpoint), NEEDS_RULES, &error))
}

/// The largest packet, the rate, addresses and routes of a link that is guarded; it is up afterwards.
pub(super) fn furnish(
    host: &Host,
    endpoint: &EndpointIntent,
    mtu: u32,
    socket: &mut Socket,
) -> Result<(), Failure> {
    let doing = doing(endpoint);
    let found =
        link::find(socket, &endpoint.inner).map_err(|error| failed(&doing, NEEDS, &error))?;
    let Some(found) = found else {
        let message = format!(
            "the namespace {} has no link {}",
            endpoint.namespace, endpoint.inner
        );
        return Err(in_the_way(message));
    };
    remove_former_routes(endpoint, &found, socket)
        .map_err(|error| failed(&doing, NEEDS, &error))?;
    let mut batch = Batch::default();
    if found.mtu != mtu {
        link::set_mtu(&mut batch, &found.name, found.index, mtu);
    }
    match endpoint.bandwidth {
        Some(rate) => queue::limit(&mut batch, &found.name, found.index, rate),
        None if found.queue.as_deref() == Some(queue::KIND) => {
            queue::unlimit(&mut batch, &found.name, found.index);
        }
        None => {}
    }
    if host.ipv6 && mtu >= SMALLEST_OF_IPV6 && !endpoint.has_ipv6() {
        link::set_no_own_address(&mut batch, &found.name, found.index);
    }
    link::set_up(&mut batch, "lo");
    link::set_up(&mut batch, &endpoint.inner);
    for (address, length) in &endpoint.addresses {
        link::add_address(&mut batch, found.index, *address, *length);
    }
    for (to, router, metric) in &endpoint.routes {
        link::add_route(&mut batch, found.index, *to, *router, *metric);
    }
    for route in &endpoint.led_routes {
        link::add_led_route(&mut batch, found.index, *route);
    }
    link::look_at(&mut batch, &endpoint.inner);
    socket
        .run(batch)
        .map_err(|error| failed(&doing, NEEDS, &error))
}

/// Removes routes that a policy had added which is gone, or says something else now.
fn remove_former_routes(
    endpoint: &EndpointIntent,
    link: &Link,
    socket: &mut Socket,
) -> Result<(), NetlinkError> {
    // There are no routes by a link that is not up.
    if !link.up {
        return Ok(());
    }
    for route in link::led_routes(socket, link.index)? {
        if endpoint.led_routes.contains(&route) {
            continue;
        }
        let mut batch = Batch::default();
        link::remove_led_route(&mut batch, link.index, route);
        match socket.run(batch) {
            // The container has removed it meanwhile.
            Err(error) if error.errno() == Some(Errno::SRCH) => {}
            done => done?,
        }
    }
    Ok(())
}

/// Whether a link goes away by itself: that into a namespace which has just ended does, some milliseconds later. One
/// into a namespace that lives does not.
fn goes_away(host: &mut Host, link: &Link) -> Result<bool, Failure> {
    for _ in 0..MOST_STEPS {
        let there = host.find(&link.name)?;
        if there.is_none_or(|there| there.index != link.index) {
            return Ok(true);
        }
        // The kernel tells of it by an event, but only to sockets that listened before.
        thread::sleep(STEP);
    }
    Ok(false)
}

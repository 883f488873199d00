//! Links, addresses and routes as messages of rtnetlink, and the list of links read back.
//!
//! The numbers are those of `linux/rtnetlink.h`, `if_link.h` and `if_addr.h`.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use hcn::{Mac, Prefix};

use crate::netlink::{
    Batch, NetlinkError, Socket, flag,
    parse::{Attributes, Message, number, text},
};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;
const NEWLINKPROP: u16 = 108;

const UP: u32 = 1;
const NO_ARP: u32 = 1 << 7;
const AF_INET: u8 = 2;
const AF_BRIDGE: u8 = 7;
const AF_INET6: u8 = 10;

/// Attributes of links.
mod attribute {
    pub(super) const ADDRESS: u16 = 1;
    pub(super) const NAME: u16 = 3;
    pub(super) const MTU: u16 = 4;
    /// Of a pair: the other end. Of what stands on another link: that.
    pub(super) const PEER: u16 = 5;
    pub(super) const QUEUE: u16 = 6;
    pub(super) const MASTER: u16 = 10;
    pub(super) const PROTINFO: u16 = 12;
    pub(super) const LINKINFO: u16 = 18;
    pub(super) const INFO_KIND: u16 = 1;
    pub(super) const INFO_DATA: u16 = 2;
    pub(super) const INFO_SLAVE_DATA: u16 = 5;
    pub(super) const ALIAS: u16 = 20;
    pub(super) const COUNTERS: u16 = 23;
    pub(super) const AF_SPEC: u16 = 26;
    pub(super) const NAMESPACE: u16 = 28;
    pub(super) const PROPERTIES: u16 = 52;
    pub(super) const SECOND_NAME: u16 = 53;
    pub(super) const ADDR_GEN_MODE: u16 = 8;
    pub(super) const HAIRPIN: u16 = 4;
    pub(super) const ISOLATED: u16 = 33;
}

/// A link that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Names that it has besides.
    pub second_names: Vec<String>,
    /// Its hardware address, where it has one of Ethernet.
    pub mac: Option<Mac>,
    /// Its alias, where it has one.
    pub alias: Option<String>,
    /// Its kind, such as `bridge` or `veth`; none for cards.
    pub kind: Option<String>,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
    /// The number of the other end of its pair, in the namespace of that.
    pub peer: Option<u32>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// The kind of queue that its packets wait in.
    pub queue: Option<String>,
    /// Whether it is up.
    pub up: bool,
    /// Whether other isolated ports of its bridge are kept away.
    pub isolated: bool,
    /// Whether frames may go out by it where they came in.
    pub hairpin: bool,
    /// Whether it answers questions of ARP.
    pub arp: bool,
    /// Whether nothing has come in by it since it was made; what is not told may have.
    pub is_silent: bool,
}

fn link_header(family: u8, index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// The kernel makes no address of its own for the link: IPv6 would give it one, and so a way to the host.
fn without_own_address(batch: &mut Batch) {
    const NONE: u8 = 1;
    batch.nest(attribute::AF_SPEC, |batch| {
        batch.nest(AF_INET6.into(), |batch| {
            batch.bytes(attribute::ADDR_GEN_MODE, &[NONE]);
        });
    });
}

/// The kernel makes no address of its own for this link.
pub(crate) fn set_no_own_address(batch: &mut Batch, name: &str, index: u32) {
    let what = format!("keeping addresses of IPv6 off the link {name}");
    let header = link_header(0, index, 0, 0);
    batch.message(what, SETLINK, flag::ACK, &header, without_own_address);
}

/// A bridge, not up yet.
pub(crate) fn add_bridge(batch: &mut Batch, name: &str) {
    let what = format!("making the bridge {name}");
    let flags = flag::ACK | flag::CREATE | flag::EXCL;
    batch.message(what, NEWLINK, flags, &link_header(0, 0, 0, 0), |batch| {
        batch.text(attribute::NAME, name);
        batch.nest(attribute::LINKINFO, |batch| {
            batch.text(attribute::INFO_KIND, "bridge");
        });
    });
}

/// What a message that makes a link does not take: its alias, and no address of the kernel's own. IPv6 would give it
/// one, and so its peers a way to the host.
pub(crate) fn set_alias(batch: &mut Batch, name: &str, alias: &str, ipv6: bool) {
    let what = format!("naming the object of the link {name}");
    batch.message(
        what,
        NEWLINK,
        flag::ACK,
        &link_header(0, 0, 0, 0),
        |batch| {
            batch
                .text(attribute::NAME, name)
                .bytes(attribute::ALIAS, alias.as_bytes());
            if ipv6 {
                without_own_address(batch);
            }
        },
    );
}

/// Gives a link a second name, as kernels can since Linux 5.5.
pub(crate) fn add_second_name(batch: &mut Batch, name: &str, index: u32, second: &str) {
    let what = format!("naming the link {name} {second} as well");
    let flags = flag::ACK | flag::CREATE | flag::EXCL;
    batch.message(
        what,
        NEWLINKPROP,
        flags,
        &link_header(0, index, 0, 0),
        |batch| {
            batch.nest(attribute::PROPERTIES, |batch| {
                batch.text(attribute::SECOND_NAME, second);
            });
        },
    );
}

/// Sets the hardware address of a link, though it may have it already: a bridge that was given one keeps it, and
/// another takes the lowest of those of its ports, whenever one comes or goes.
pub(crate) fn set_mac(batch: &mut Batch, name: &str, index: u32, mac: Mac) {
    let what = format!("setting the hardware address of the link {name}");
    let header = link_header(0, index, 0, 0);
    batch.message(what, SETLINK, flag::ACK, &header, |batch| {
        batch.bytes(attribute::ADDRESS, &mac.0);
    });
}

/// A pair of links to be made.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    /// The name of the end here, a port of the bridge.
    pub(crate) name: &'a str,
    /// The number of the bridge.
    pub(crate) bridge: u32,
    /// The name of the far end.
    pub(crate) far: &'a str,
    /// The hardware address of the far end.
    pub(crate) mac: Mac,
    /// The largest packet, in bytes.
    pub(crate) mtu: Option<u32>,
    /// The network namespace of the far end.
    pub(crate) namespace: BorrowedFd<'a>,
}

/// A pair of links whose far end is made in another namespace, under its name there: it is never seen here.
pub(crate) fn add_pair(batch: &mut Batch, pair: &Pair<'_>) {
    const PEER: u16 = 1;
    let what = format!("making the pair of links {} and {}", pair.name, pair.far);
    let flags = flag::ACK | flag::CREATE | flag::EXCL;
    batch.message(what, NEWLINK, flags, &link_header(0, 0, 0, 0), |batch| {
        batch.text(attribute::NAME, pair.name);
        batch.number(attribute::MASTER, pair.bridge);
        if let Some(mtu) = pair.mtu {
            batch.number(attribute::MTU, mtu);
        }
        batch.nest(attribute::LINKINFO, |batch| {
            batch
                .text(attribute::INFO_KIND, "veth")
                .nest(attribute::INFO_DATA, |batch| {
                    batch.nest(PEER, |batch| {
                        batch
                            .raw(&link_header(0, 0, 0, 0))
                            .text(attribute::NAME, pair.far);
                        batch.bytes(attribute::ADDRESS, &pair.mac.0);
                        if let Some(mtu) = pair.mtu {
                            batch.number(attribute::MTU, mtu);
                        }
                        let descriptor = pair.namespace.as_raw_fd().cast_unsigned();
                        batch.number(attribute::NAMESPACE, descriptor);
                    });
                });
        });
    });
}

/// A link on an adapter, to be made in another namespace: frames for its hardware address come to it.
#[derive(Debug)]
pub(crate) struct OnAdapter<'a> {
    /// Its name there.
    pub(crate) name: &'a str,
    /// The number of the adapter here.
    pub(crate) adapter: u32,
    /// Its hardware address.
    pub(crate) mac: Mac,
    /// Whether others on the same adapter are kept away.
    pub(crate) isolated: bool,
    /// Its namespace.
    pub(crate) namespace: BorrowedFd<'a>,
}

/// Makes a link on an adapter (`macvlan`), in another namespace, under its name there: it is never seen here.
pub(crate) fn add_on_adapter(batch: &mut Batch, one: &OnAdapter<'_>) {
    const MODE: u16 = 1;
    const PRIVATE: u32 = 1;
    const BRIDGE: u32 = 4;
    let what = format!("making the link {} on an adapter", one.name);
    let flags = flag::ACK | flag::CREATE | flag::EXCL;
    batch.message(what, NEWLINK, flags, &link_header(0, 0, 0, 0), |batch| {
        batch
            .text(attribute::NAME, one.name)
            .number(attribute::PEER, one.adapter)
            .bytes(attribute::ADDRESS, &one.mac.0);
        let descriptor = one.namespace.as_raw_fd().cast_unsigned();
        batch.number(attribute::NAMESPACE, descriptor);
        batch.nest(attribute::LINKINFO, |batch| {
            batch
                .text(attribute::INFO_KIND, "macvlan")
                .nest(attribute::INFO_DATA, |batch| {
                    batch.number(MODE, if one.isolated { PRIVATE } else { BRIDGE });
                });
        });
    });
}

/// A link whose frames go to other hosts, in packets of VXLAN.
#[derive(Debug)]
pub(crate) struct Overlaid<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The number that its packets have.
    pub(crate) number: u32,
    /// Their port of UDP.
    pub(crate) port: u16,
    /// Their source.
    pub(crate) local: Option<Ipv4Addr>,
    /// The number of the link that they leave by; routes say it where there is none.
    pub(crate) below: Option<u32>,
    /// The largest packet, in bytes.
    pub(crate) mtu: u32,
}

/// Makes it. It learns nothing from what comes in, and answers questions of ARP by what it was told.
pub(crate) fn add_overlaid(batch: &mut Batch, one: &Overlaid<'_>) {
    const NUMBER: u16 = 1;
    const BELOW: u16 = 3;
    const LOCAL: u16 = 4;
    const LEARNING: u16 = 7;
    const PROXY: u16 = 11;
    const PORT: u16 = 15;
    let what = format!("making the link {} to other hosts", one.name);
    let flags = flag::ACK | flag::CREATE | flag::EXCL;
    batch.message(what, NEWLINK, flags, &link_header(0, 0, 0, 0), |batch| {
        batch
            .text(attribute::NAME, one.name)
            .number(attribute::MTU, one.mtu);
        batch.nest(attribute::LINKINFO, |batch| {
            batch
                .text(attribute::INFO_KIND, "vxlan")
                .nest(attribute::INFO_DATA, |batch| {
                    batch.number(NUMBER, one.number);
                    if let Some(below) = one.below {
                        batch.number(BELOW, below);
                    }
                    if let Some(local) = one.local {
                        batch.bytes(LOCAL, &local.octets());
                    }
                    batch
                        .bytes(LEARNING, &[0])
                        .bytes(PROXY, &[1])
                        .bytes(PORT, &one.port.to_be_bytes());
                });
        });
    });
}

/// How a port treats others of its bridge. `hairpin` lets frames out where they came in, for an endpoint that uses a
/// port of the host that leads to itself.
pub(crate) fn set_port(batch: &mut Batch, name: &str, index: u32, isolated: bool, hairpin: bool) {
    let what = format!("setting up the port {name}");
    batch.message(
        what,
        SETLINK,
        flag::ACK,
        &link_header(AF_BRIDGE, index, 0, 0),
        |batch| {
            batch.nest(attribute::PROTINFO, |batch| {
                batch.bytes(attribute::ISOLATED, &[isolated.into()]);
                batch.bytes(attribute::HAIRPIN, &[hairpin.into()]);
            });
        },
    );
}

/// A port that was just made.
#[derive(Debug)]
pub(crate) struct NewPort<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What it is made for.
    pub(crate) alias: &'a str,
    /// See [`set_port`].
    pub(crate) isolated: bool,
    /// See [`set_port`].
    pub(crate) hairpin: bool,
}

/// [`set_alias`] and [`set_port`] for a port that is made in the same batch: its number is not known yet.
pub(crate) fn set_new_port(batch: &mut Batch, port: &NewPort<'_>, ipv6: bool) {
    const INFO_SLAVE_KIND: u16 = 4;
    let what = format!("setting up the port {}", port.name);
    let header = link_header(0, 0, 0, 0);
    batch.message(what, NEWLINK, flag::ACK, &header, |batch| {
        batch
            .text(attribute::NAME, port.name)
            .bytes(attribute::ALIAS, port.alias.as_bytes())
            .nest(attribute::LINKINFO, |batch| {
                batch.text(INFO_SLAVE_KIND, "bridge");
                batch.nest(attribute::INFO_SLAVE_DATA, |batch| {
                    batch.bytes(attribute::ISOLATED, &[port.isolated.into()]);
                    batch.bytes(attribute::HAIRPIN, &[port.hairpin.into()]);
                });
            });
        if ipv6 {
            without_own_address(batch);
        }
    });
}

/// Makes a link a port of a bridge.
pub(crate) fn set_master(batch: &mut Batch, name: &str, index: u32, bridge: u32) {
    set_number(batch, (name, index), attribute::MASTER, "bridge", bridge);
}

/// Sets the largest packet of a link, in bytes.
pub(crate) fn set_mtu(batch: &mut Batch, name: &str, index: u32, mtu: u32) {
    set_number(batch, (name, index), attribute::MTU, "largest packet", mtu);
}

fn set_number(batch: &mut Batch, link: (&str, u32), kind: u16, what: &str, value: u32) {
    let (name, index) = link;
    let what = format!("setting the {what} of the link {name}");
    let header = link_header(0, index, 0, 0);
    batch.message(what, NEWLINK, flag::ACK, &header, |batch| {
        batch.number(kind, value);
    });
}

/// Sets a link up, found by its name.
pub(crate) fn set_up(batch: &mut Batch, name: &str) {
    set_flags(batch, name, UP);
}

/// Sets a port up, found by its name. The host has no address on it, and answers no question of ARP that comes by it
/// and not by its bridge.
pub(crate) fn set_port_up(batch: &mut Batch, name: &str) {
    set_flags(batch, name, UP | NO_ARP);
}

fn set_flags(batch: &mut Batch, name: &str, flags: u32) {
    let what = format!("setting the link {name} up");
    batch.message(
        what,
        NEWLINK,
        flag::ACK,
        &link_header(0, 0, flags, flags),
        |batch| {
            batch.text(attribute::NAME, name);
        },
    );
}

/// Looks at a link. The kernel settles the carrier of a link from a queue of its own, and drops what comes before;
/// since Linux 6.8 it also does so when the link is looked at.
pub(crate) fn look_at(batch: &mut Batch, name: &str) {
    let what = format!("looking at the link {name}");
    batch.message(
        what,
        GETLINK,
        flag::ACK,
        &link_header(0, 0, 0, 0),
        |batch| {
            batch.text(attribute::NAME, name);
        },
    );
}

/// Removes a link by its number.
pub(crate) fn remove(batch: &mut Batch, name: &str, index: u32) {
    let what = format!("removing the link {name}");
    batch.message(
        what,
        DELLINK,
        flag::ACK,
        &link_header(0, index, 0, 0),
        |_| {},
    );
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

pub(crate) const fn family(address: IpAddr) -> u8 {
    family_of(address.is_ipv4())
}

/// The number of IPv4, or else of IPv6.
pub(crate) const fn family_of(ipv4: bool) -> u8 {
    if ipv4 { AF_INET } else { AF_INET6 }
}

/// Gives a link an address. One of IPv6 is used at once: no other link can have it.
pub(crate) fn add_address(batch: &mut Batch, index: u32, address: IpAddr, length: u8) {
    const NODAD: u8 = 2;
    address_message(
        batch,
        NEWADDR,
        flag::CREATE | flag::REPLACE,
        index,
        (address, length),
        NODAD,
    );
}

/// Takes an address from a link.
pub(crate) fn remove_address(batch: &mut Batch, index: u32, address: IpAddr, length: u8) {
    address_message(batch, DELADDR, 0, index, (address, length), 0);
}

fn address_message(
    batch: &mut Batch,
    kind: u16,
    flags: u16,
    index: u32,
    (address, length): (IpAddr, u8),
    option: u8,
) {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let verb = if kind == NEWADDR { "giving" } else { "taking" };
    let option = if address.is_ipv4() { 0 } else { option };
    let mut header = [0; 8];
    header[..3].copy_from_slice(&[family(address), length, option]);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let what = format!("{verb} the address {address}/{length}");
    batch.message(what, kind, flag::ACK | flags, &header, |batch| {
        let octets = octets(address);
        batch.bytes(LOCAL, &octets).bytes(ADDRESS, &octets);
    });
}

/// Adds a route by a link. The router need not be in a subnet of the link.
pub(crate) fn add_route(batch: &mut Batch, index: u32, to: Prefix, router: IpAddr, metric: u32) {
    let kind = (NEWROUTE, flag::CREATE | flag::REPLACE, STATIC);
    route_message(batch, kind, index, (to, router), metric);
}

/// A route that a policy adds: it may go while the link stays, and is known by what it says of its origin.
pub(crate) fn add_led_route(
    batch: &mut Batch,
    index: u32,
    (to, router, metric): (Prefix, IpAddr, u32),
) {
    let kind = (NEWROUTE, flag::CREATE | flag::REPLACE, LED);
    route_message(batch, kind, index, (to, router), metric);
}

/// Takes a route away that a policy had added.
pub(crate) fn remove_led_route(
    batch: &mut Batch,
    index: u32,
    (to, router, metric): (Prefix, IpAddr, u32),
) {
    route_message(batch, (DELROUTE, 0, LED), index, (to, router), metric);
}

/// The routes by a link that policies have added: where each leads, the router, the metric.
pub(crate) fn led_routes(
    socket: &mut Socket,
    index: u32,
) -> Result<Vec<(Prefix, IpAddr, u32)>, NetlinkError> {
    let led = routes(socket)?.into_iter();
    let led = led.filter(|route| route.protocol == LED && route.link == Some(index));
    Ok(led
        .filter_map(|route| Some((route.to, route.router?, route.metric)))
        .collect())
}

/// A route by a link, where the host has none to the same addresses: one of another program is not replaced.
pub(crate) fn add_own_route(batch: &mut Batch, index: u32, to: Prefix, router: IpAddr) {
    let kind = (NEWROUTE, flag::CREATE | flag::EXCL, STATIC);
    route_message(batch, kind, index, (to, router), 0);
}

/// Takes a route by a link away.
pub(crate) fn remove_route(batch: &mut Batch, index: u32, to: Prefix, router: IpAddr) {
    route_message(batch, (DELROUTE, 0, STATIC), index, (to, router), 0);
}

/// Takes a route with a metric away.
pub(crate) fn remove_route_of(
    batch: &mut Batch,
    index: u32,
    (to, router, metric): (Prefix, IpAddr, u32),
) {
    route_message(batch, (DELROUTE, 0, STATIC), index, (to, router), metric);
}

/// Origins of routes: a program that was told of it, and policies of endpoints, which no other program has.
const STATIC: u8 = 4;
const LED: u8 = 72;

fn route_message(
    batch: &mut Batch,
    (kind, flags, origin): (u16, u16, u8),
    index: u32,
    (to, router): (Prefix, IpAddr),
    metric: u32,
) {
    const DESTINATION: u16 = 1;
    const LINK: u16 = 4;
    const GATEWAY: u16 = 5;
    const PRIORITY: u16 = 6;
    const MAIN: u8 = 254;
    const UNICAST: u8 = 1;
    const ONLINK: u32 = 4;
    let mut header = [0; 12];
    header[..2].copy_from_slice(&[family(router), to.length()]);
    header[4..8].copy_from_slice(&[MAIN, origin, 0, UNICAST]);
    header[8..12].copy_from_slice(&ONLINK.to_ne_bytes());
    let verb = if kind == NEWROUTE {
        "adding"
    } else {
        "removing"
    };
    let what = format!("{verb} the route to {to} by {router}");
    batch.message(what, kind, flag::ACK | flags, &header, |batch| {
        if !to.is_all() {
            batch.bytes(DESTINATION, &octets(to.first()));
        }
        batch.bytes(GATEWAY, &octets(router)).number(LINK, index);
        if metric > 0 {
            batch.number(PRIORITY, metric);
        }
    });
}

/// All links of the socket's namespace.
pub(crate) fn links(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    socket.dump(
        "listing links",
        GETLINK,
        &link_header(0, 0, 0, 0),
        read_link,
    )
}

/// The link of this name.
pub(crate) fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut batch = Batch::default();
    look_at(&mut batch, name);
    socket.get(batch, read_link)
}

pub(crate) fn read_link(message: &Message<'_>) -> Option<Link> {
    if message.kind != NEWLINK {
        return None;
    }
    let flags = number(message.body, 8)?;
    let attributes = Attributes::behind(message.body, 16).ok()?;
    let info = Attributes::of(attributes.find(attribute::LINKINFO).unwrap_or_default());
    let port = Attributes::of(info.find(attribute::INFO_SLAVE_DATA).unwrap_or_default());
    let is_on = |kind| {
        let value = port.find(kind);
        value.is_some_and(|value| value.first() == Some(&1))
    };
    Some(Link {
        index: number(message.body, 4)?,
        name: attributes.find(attribute::NAME).map(text)?,
        second_names: Attributes::of(attributes.find(attribute::PROPERTIES).unwrap_or_default())
            .map_while(Result::ok)
            .filter(|(kind, _)| *kind == attribute::SECOND_NAME)
            .map(|(_, name)| text(name))
            .collect(),
        mac: attributes
            .find(attribute::ADDRESS)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Mac),
        alias: attributes.find(attribute::ALIAS).map(text),
        kind: info.find(attribute::INFO_KIND).map(text),
        master: attributes
            .find(attribute::MASTER)
            .and_then(|value| number(value, 0)),
        peer: attributes
            .find(attribute::PEER)
            .and_then(|value| number(value, 0)),
        mtu: attributes
            .find(attribute::MTU)
            .and_then(|value| number(value, 0))
            .unwrap_or(0),
        queue: attributes.find(attribute::QUEUE).map(text),
        up: flags & UP != 0,
        isolated: is_on(attribute::ISOLATED),
        hairpin: is_on(attribute::HAIRPIN),
        arp: flags & NO_ARP == 0,
        is_silent: attributes.find(attribute::COUNTERS).is_some_and(is_silence),
    })
}

/// Whether counters of a link say that no packet came in by it, nor was dropped on that way.
fn is_silence(counters: &[u8]) -> bool {
    const RECEIVED: usize = 0;
    const DROPPED: usize = 6;
    [RECEIVED, DROPPED].into_iter().all(|place| {
        let count = counters.get(place * 8..place * 8 + 8);
        count.is_some_and(|count| count.iter().all(|byte| *byte == 0))
    })
}

/// An address that a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) length: u8,
}

/// All addresses of the socket's namespace, but those of IPv6 that every link has.
pub(crate) fn addresses(socket: &mut Socket) -> Result<Vec<Address>, NetlinkError> {
    socket.dump("listing addresses", GETADDR, &[0; 8], read_address)
}

pub(crate) fn read_address(message: &Message<'_>) -> Option<Address> {
    const LINK_SCOPE: u8 = 253;
    if message.kind != NEWADDR || message.body.get(3) == Some(&LINK_SCOPE) {
        return None;
    }
    let attributes = Attributes::behind(message.body, 8).ok()?;
    let value = attributes.find(2).or_else(|| attributes.find(1))?;
    Some(Address {
        index: number(message.body, 4)?,
        address: address_of(value)?,
        length: *message.body.get(1)?,
    })
}

/// Where a route leads, and by which link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: Prefix,
    /// The number of the link; none for routes that lead nowhere, or by several links.
    pub link: Option<u32>,
    /// The router, where one is in between.
    pub router: Option<IpAddr>,
    /// What added it, as `rtnetlink.h` numbers origins.
    pub protocol: u8,
    /// Of several to the same addresses the one with the lowest is taken.
    pub metric: u32,
}

/// The routes of all tables to other hosts.
pub(crate) fn routes(socket: &mut Socket) -> Result<Vec<Route>, NetlinkError> {
    socket.dump("listing routes", GETROUTE, &[0; 12], read_route)
}

pub(crate) fn read_route(message: &Message<'_>) -> Option<Route> {
    const LOCAL_TABLE: u8 = 255;
    const DESTINATION: u16 = 1;
    const LINK: u16 = 4;
    const GATEWAY: u16 = 5;
    const PRIORITY: u16 = 6;
    let (family, length) = (*message.body.first()?, *message.body.get(1)?);
    if message.kind != NEWROUTE || message.body.get(4) == Some(&LOCAL_TABLE) {
        return None;
    }
    let attributes = Attributes::behind(message.body, 12).ok()?;
    let all: &[u8] = match family {
        AF_INET => &[0; 4],
        AF_INET6 => &[0; 16],
        _ => return None,
    };
    let first = address_of(attributes.find(DESTINATION).unwrap_or(all))?;
    Some(Route {
        to: Prefix::around(first, length)?,
        link: attributes.find(LINK).and_then(|value| number(value, 0)),
        router: attributes.find(GATEWAY).and_then(address_of),
        protocol: *message.body.get(5)?,
        metric: (attributes.find(PRIORITY))
            .and_then(|value| number(value, 0))
            .unwrap_or(0),
    })
}

pub(crate) fn address_of(value: &[u8]) -> Option<IpAddr> {
    let v4: Result<[u8; 4], _> = value.try_into();
    let v6: Result<[u8; 16], _> = value.try_into();
    v4.map(IpAddr::from).or_else(|_| v6.map(IpAddr::from)).ok()
}

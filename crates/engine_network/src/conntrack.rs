//! Connections that the kernel remembers. Those of an address that is given back are forgotten: a datagram of a peer
//! that goes on would be led to the former endpoint by what is remembered, whatever the rules say now.

use std::net::IpAddr;

use hcs_schema::Failure;
use rustix::io::Errno;

use crate::{
    failure::failed,
    host::Host,
    netlink::{
        Batch, NetlinkError, Socket, flag,
        parse::{Attributes, Message},
    },
};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;

/// Attributes of a connection (`linux/netfilter/nfnetlink_conntrack.h`).
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
const ADDRESSES: u16 = 1;
const SOURCE_4: u16 = 1;
const DESTINATION_4: u16 = 2;
const SOURCE_6: u16 = 3;
const DESTINATION_6: u16 = 4;

/// What names a connection to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    family: u8,
    original: Vec<u8>,
    zone: Option<Vec<u8>>,
    /// All addresses of both directions.
    addresses: Vec<IpAddr>,
}

/// Forgets the connections from and to `addresses`. Called when they are given back, before they are given again.
///
/// # Errors
/// The kernel does not tell its connections, or keeps one.
pub fn forget(host: &mut Host, addresses: &[IpAddr]) -> Result<(), Failure> {
    let doing = "forgetting connections of an endpoint";
    let needs = "nf_conntrack with netlink (nf_conntrack_netlink)";
    connections(&mut host.filter)
        .and_then(|all| {
            let of_theirs = all.into_iter().filter(|one| {
                one.addresses
                    .iter()
                    .any(|address| addresses.contains(address))
            });
            delete(&mut host.filter, &of_theirs.collect::<Vec<_>>())
        })
        .map_err(|error| failed(doing, needs, &error))
}

fn connections(socket: &mut Socket) -> Result<Vec<Connection>, NetlinkError> {
    socket.dump("listing connections", GET, &[0; 4], read_connection)
}

fn delete(socket: &mut Socket, connections: &[Connection]) -> Result<(), NetlinkError> {
    for one in connections {
        let mut batch = Batch::default();
        let header = [one.family, 0, 0, 0];
        batch.message(
            "forgetting a connection",
            DELETE,
            flag::ACK,
            &header,
            |batch| {
                batch.nest(ORIGINAL, |batch| {
                    batch.raw(&one.original);
                });
                if let Some(zone) = &one.zone {
                    batch.bytes(ZONE, zone);
                }
            },
        );
        match socket.run(batch) {
            // It ended by itself.
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            other => other?,
        }
    }
    Ok(())
}

pub(crate) fn read_connection(message: &Message<'_>) -> Option<Connection> {
    let attributes = Attributes::behind(message.body, 4).ok()?;
    let original = attributes.find(ORIGINAL)?;
    let directions = [Some(original), attributes.find(REPLY)];
    let addresses = directions.into_iter().flatten().flat_map(|tuple| {
        let addresses = Attributes::of(Attributes::of(tuple).find(ADDRESSES).unwrap_or_default());
        let kinds = [SOURCE_4, DESTINATION_4, SOURCE_6, DESTINATION_6];
        kinds
            .into_iter()
            .filter_map(move |kind| address(addresses.find(kind)?))
    });
    Some(Connection {
        family: *message.body.first()?,
        original: original.to_vec(),
        zone: attributes.find(ZONE).map(<[u8]>::to_vec),
        addresses: addresses.collect(),
    })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let v4: Result<[u8; 4], _> = value.try_into();
    let v6: Result<[u8; 16], _> = value.try_into();
    v4.map(IpAddr::from).or_else(|_| v6.map(IpAddr::from)).ok()
}

//! What the kernel knows of others as messages of rtnetlink: which card has an address, and by which port or host a
//! card is reached.
//!
//! The numbers are those of `linux/neighbour.h`.

use std::net::{IpAddr, Ipv4Addr};

use hcn::Mac;

use crate::{
    link::{address_of, family, octets},
    netlink::{
        Batch, NetlinkError, Socket, flag,
        parse::{Attributes, Message, number},
    },
};

const NEW: u16 = 28;
const DELETE: u16 = 29;
const GET: u16 = 30;

const BRIDGES: u8 = 7;

/// States: one that is not asked for again, and one that is as it was written.
const NO_QUESTION: u16 = 0x40;
const PERMANENT: u16 = 0x80;

/// The owner of a table: the link itself, or the bridge that it is a port of.
const OF_LINK: u8 = 2;
const OF_BRIDGE: u8 = 4;

/// An entry that another program looks after (`NTF_EXT_LEARNED`): the kernel removes none.
const KEPT: u8 = 0x10;

const DESTINATION: u16 = 1;
const CARD: u16 = 2;

/// Something that was written down for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// A card has this address.
    Address(IpAddr, Mac),
    /// A card is reached by the port that the link is of its bridge.
    Port(Mac),
    /// A card is reached by the tunnel to this host.
    Host(Mac, Ipv4Addr),
}

impl Known {
    /// Writes it down, or with `is_wanted` not takes it away.
    pub(crate) fn set(self, batch: &mut Batch, link: u32, is_wanted: bool) {
        let (of, state, whose, mac) = match self {
            Self::Address(address, mac) => (family(address), PERMANENT, 0, mac),
            Self::Port(mac) => (BRIDGES, NO_QUESTION, OF_BRIDGE, mac),
            Self::Host(mac, _) => (BRIDGES, PERMANENT, OF_LINK, mac),
        };
        let mut header = [0; 12];
        header[0] = of;
        header[4..8].copy_from_slice(&link.to_ne_bytes());
        header[8..10].copy_from_slice(&state.to_ne_bytes());
        header[10] = whose;
        let (what, kind, flags) = match is_wanted {
            true => (
                format!("telling where {mac} is"),
                NEW,
                flag::CREATE | flag::REPLACE,
            ),
            false => (format!("forgetting where {mac} is"), DELETE, 0),
        };
        batch.message(what, kind, flag::ACK | flags, &header, |batch| {
            match self {
                Self::Address(address, _) => drop(batch.bytes(DESTINATION, &octets(address))),
                Self::Host(_, host) => drop(batch.bytes(DESTINATION, &host.octets())),
                Self::Port(_) => {}
            }
            batch.bytes(CARD, &mac.0);
        });
    }
}

/// Tells the host the hardware address behind an address of a link: it may remember another, of a former endpoint. The
/// kernel does not check it: a port lets no frame with another hardware address in. To check one of IPv6 it would need
/// an address of the link's own (`fe80::/10`), which bridges do not have, and would take its endpoint for gone.
///
/// It keeps the entry until it is told to [`forget`] it, and does not count it: its table of entries is one for all
/// network namespaces, and has room for few more than a thousand that programs can fill with questions.
pub(crate) fn tell(batch: &mut Batch, link: u32, address: IpAddr, mac: Mac) {
    let what = format!("telling the host the card of {address}");
    let flags = flag::ACK | flag::CREATE | flag::REPLACE;
    batch.message(
        what,
        NEW,
        flags,
        &kept(link, address, NO_QUESTION),
        |batch| {
            batch
                .bytes(DESTINATION, &octets(address))
                .bytes(CARD, &mac.0);
        },
    );
}

/// Takes away what the host was told of an address of a link.
pub(crate) fn forget(batch: &mut Batch, link: u32, address: IpAddr) {
    let what = format!("forgetting the card of {address}");
    batch.message(what, DELETE, flag::ACK, &kept(link, address, 0), |batch| {
        batch.bytes(DESTINATION, &octets(address));
    });
}

fn kept(link: u32, address: IpAddr, state: u16) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = family(address);
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = KEPT;
    header
}

/// All that was written down for links of the socket's namespace, each with the number of its link.
pub(crate) fn known(socket: &mut Socket) -> Result<Vec<(u32, Known)>, NetlinkError> {
    let mut all = Vec::new();
    for of in [BRIDGES, family(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), 10] {
        let mut header = [0; 12];
        header[0] = of;
        all.extend(socket.dump("listing neighbours", GET, &header, read)?);
    }
    Ok(all)
}

pub(crate) fn read(message: &Message<'_>) -> Option<(u32, Known)> {
    if message.kind != NEW {
        return None;
    }
    let link = number(message.body, 4)?;
    let state: [u8; 2] = message.body.get(8..10)?.try_into().ok()?;
    let (state, whose) = (u16::from_ne_bytes(state), *message.body.get(10)?);
    let attributes = Attributes::behind(message.body, 12).ok()?;
    let mac = Mac(attributes.find(CARD)?.try_into().ok()?);
    let address = attributes.find(DESTINATION).and_then(address_of);
    let of_bridges = message.body.first() == Some(&BRIDGES);
    let known = match (of_bridges, address) {
        (true, Some(IpAddr::V4(host))) if whose & OF_LINK != 0 => Known::Host(mac, host),
        (true, None) if whose & OF_LINK == 0 && state & NO_QUESTION != 0 => Known::Port(mac),
        (false, Some(address)) if state & PERMANENT != 0 => Known::Address(address, mac),
        _ => return None,
    };
    Some((link, known))
}

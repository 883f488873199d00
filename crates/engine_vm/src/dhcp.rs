//! Addresses for guests without an agent, by DHCP (RFC 2131): the answer to a frame of the guest. No I/O.
//!
//! A card has one address, that of its endpoint, which lives as long as the card. So nothing is kept: each answer
//! follows from the frame and the lease.

use std::net::Ipv4Addr;

use hcs_engine::engine;
use serde::{Deserialize, Serialize};

/// How long a guest may use its address before it asks again, in seconds: a day.
const SECONDS: u32 = 86_400;
/// The hardware address that answers come from, which no card of Hyper-V's range has.
const SERVER_MAC: [u8; 6] = [0x02, 0x15, 0x5d, 0, 0, 1];
/// The address that answers come from on a network without a router.
const SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The most resolvers that are told.
const MOST_SERVERS: usize = 3;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
const UDP: u8 = 17;
const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP_HEADER: usize = 8;
/// Bytes of a message before its options.
const FIXED: usize = 240;
/// The least bytes of a message; old clients take no shorter one.
const SHORTEST: usize = 300;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];

const MASK: u8 = 1;
const ROUTER: u8 = 3;
const RESOLVERS: u8 = 6;
const MTU: u8 = 26;
const WANTED: u8 = 50;
const TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER_ID: u8 = 54;
const END: u8 = 255;

/// Kinds of messages.
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const INFORM: u8 = 8;

/// What a guest is told, as a worker gets it from the service ([`engine::Lease`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// How many bits of it are those of its network.
    pub(crate) length: u8,
    /// The way to other networks.
    pub(crate) router: Option<Ipv4Addr>,
    /// The servers that know names.
    pub(crate) resolvers: Vec<Ipv4Addr>,
    /// The largest packet, where the usual is not wanted.
    pub(crate) mtu: Option<u16>,
}

impl From<&engine::Lease> for Lease {
    fn from(lease: &engine::Lease) -> Self {
        Self {
            address: lease.address,
            length: lease.length,
            router: lease.router,
            resolvers: lease.resolvers.iter().take(MOST_SERVERS).copied().collect(),
            mtu: lease.mtu,
        }
    }
}

/// What a guest asks.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    /// The message, with its options.
    message: &'a [u8],
    kind: u8,
    /// The address that it has and uses, where it has one: it renews its lease, or asks for the rest.
    own: Ipv4Addr,
    /// The address that it names, in an option or as its own.
    wanted: Ipv4Addr,
    /// The server that it has chosen.
    server: Option<Ipv4Addr>,
}

/// The frame that answers `frame`, if it is a question of the card with this hardware address.
pub(crate) fn answer(frame: &[u8], mac: [u8; 6], lease: &Lease) -> Option<Vec<u8>> {
    let question = question(frame, mac)?;
    let server = lease.router.unwrap_or(SERVER);
    let (kind, address) = match question.kind {
        DISCOVER => (OFFER, Some(lease.address)),
        REQUEST if question.server.is_some_and(|chosen| chosen != server) => return None,
        REQUEST if question.wanted == lease.address => (ACK, Some(lease.address)),
        REQUEST => (NAK, None),
        // It has an address already, and asks for the rest.
        INFORM => (ACK, None),
        _ => return None,
    };
    let mut options = vec![KIND, 1, kind];
    let mut add = |code: u8, value: &[u8]| {
        options.extend([code, u8::try_from(value.len()).unwrap_or_default()]);
        options.extend(value);
    };
    add(SERVER_ID, &server.octets());
    if kind != NAK {
        add_lease(&mut add, lease, address.is_some());
    }
    options.push(END);
    let message = message(question.message, address, &options);
    let to = match (kind, question.own) {
        (NAK, _) | (_, Ipv4Addr::UNSPECIFIED) => Ipv4Addr::BROADCAST,
        // A client that renews its lease may listen at its address alone.
        (_, own) => own,
    };
    Some(framed(&message, mac, (server, to)))
}

fn add_lease(add: &mut impl FnMut(u8, &[u8]), lease: &Lease, is_new: bool) {
    if is_new {
        add(TIME, &SECONDS.to_be_bytes());
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(lease.length.min(32)));
    add(MASK, &mask.unwrap_or_default().to_be_bytes());
    if let Some(router) = lease.router {
        add(ROUTER, &router.octets());
    }
    let resolvers = lease.resolvers.iter().take(MOST_SERVERS);
    let resolvers: Vec<u8> = resolvers.flat_map(Ipv4Addr::octets).collect();
    if !resolvers.is_empty() {
        add(RESOLVERS, &resolvers);
    }
    if let Some(mtu) = lease.mtu {
        add(MTU, &mtu.to_be_bytes());
    }
}

fn four(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..at + 4)?.try_into().ok()
}

fn question(frame: &[u8], mac: [u8; 6]) -> Option<Question<'_>> {
    let from_card = frame.get(6..12)? == mac && frame.get(12..14)? == [0x08, 0x00];
    let ip = frame.get(ETHERNET..)?;
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let is_whole =
        ip.first()? >> 4 == 4 && u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x3fff == 0;
    let udp = ip.get(header.max(IP)..)?;
    let to = u16::from_be_bytes([*udp.get(2)?, *udp.get(3)?]);
    if !from_card || !is_whole || *ip.get(9)? != UDP || to != SERVER_PORT {
        return None;
    }
    let message = udp.get(UDP_HEADER..)?;
    let is_request = message.get(..3)? == [1, 1, 6] && message.get(28..34)? == mac;
    if !is_request || four(message, 236)? != COOKIE {
        return None;
    }
    let mut question = Question {
        message,
        kind: 0,
        own: four(message, 12)?.into(),
        wanted: four(message, 12)?.into(),
        server: None,
    };
    let mut options = message.get(FIXED..)?;
    loop {
        match options {
            [] | [END, ..] => break,
            [0, rest @ ..] => options = rest,
            [code, length, rest @ ..] => {
                let (value, rest) = rest.split_at_checked(usize::from(*length))?;
                match (*code, value) {
                    (KIND, [kind]) => question.kind = *kind,
                    (WANTED, [a, b, c, d]) => question.wanted = Ipv4Addr::new(*a, *b, *c, *d),
                    (SERVER_ID, [a, b, c, d]) => {
                        question.server = Some(Ipv4Addr::new(*a, *b, *c, *d));
                    }
                    _ => {}
                }
                options = rest;
            }
            [_] => return None,
        }
    }
    Some(question)
}

/// A message that answers another one.
fn message(asked: &[u8], address: Option<Ipv4Addr>, options: &[u8]) -> Vec<u8> {
    // The same but for what the server fills in: number, flags, the guest's own and hardware addresses.
    let mut message = asked.get(..44).unwrap_or_default().to_vec();
    message.resize(FIXED, 0);
    message[0] = 2;
    message[3] = 0;
    message[16..20].copy_from_slice(&address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    message[20..24].fill(0);
    message[236..].copy_from_slice(&COOKIE);
    message.extend(options);
    message.resize(message.len().max(SHORTEST), 0);
    message
}

/// The frame of a message to the card, from one address to another.
fn framed(message: &[u8], mac: [u8; 6], (from, to): (Ipv4Addr, Ipv4Addr)) -> Vec<u8> {
    let length = |more: usize| u16::try_from(message.len() + more).unwrap_or(u16::MAX);
    let mut ip = [0_u8; IP];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&length(IP + UDP_HEADER).to_be_bytes());
    ip[8] = 64;
    ip[9] = UDP;
    ip[12..16].copy_from_slice(&from.octets());
    ip[16..].copy_from_slice(&to.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = Vec::with_capacity(ETHERNET + IP + UDP_HEADER + message.len());
    frame.extend(mac);
    frame.extend(SERVER_MAC);
    frame.extend([0x08, 0x00]);
    frame.extend(ip);
    frame.extend(SERVER_PORT.to_be_bytes());
    frame.extend(CLIENT_PORT.to_be_bytes());
    frame.extend(length(UDP_HEADER).to_be_bytes());
    // No sum: over IPv4 that is allowed.
    frame.extend([0, 0]);
    frame.extend(message);
    frame
}

/// The sum of a header of IPv4.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|two| match two {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: [u8; 6] = [0, 0x15, 0x5d, 1, 2, 3];
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 5);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);

    fn lease() -> Lease {
        Lease {
            address: ADDRESS,
            length: 20,
            router: Some(GATEWAY),
            resolvers: vec![Ipv4Addr::new(9, 9, 9, 9)],
            mtu: Some(1400),
        }
    }

    /// A question of the card.
    fn asked(kind: u8, own: Ipv4Addr, options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; FIXED];
        message[..8].copy_from_slice(&[1, 1, 6, 0, 0xa, 0xb, 0xc, 0xd]);
        message[12..16].copy_from_slice(&own.octets());
        message[28..34].copy_from_slice(&MAC);
        message[236..].copy_from_slice(&COOKIE);
        message.extend([0, KIND, 1, kind]);
        message.extend(options);
        message.push(END);
        let addresses = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        let mut frame = framed(&message, [0xff; 6], addresses);
        frame[6..12].copy_from_slice(&MAC);
        frame[ETHERNET + IP..][..4].copy_from_slice(&[0, 68, 0, 67]);
        frame
    }

    /// The kind of an answer, the address in it, and its options.
    fn answered(frame: &[u8]) -> Option<(u8, Ipv4Addr, Vec<u8>)> {
        let frame = answer(frame, MAC, &lease())?;
        assert_eq!(frame[..6], MAC);
        assert_eq!(checksum(&frame[ETHERNET..][..IP]), 0);
        let message = &frame[ETHERNET + IP + UDP_HEADER..];
        assert!(message.len() >= SHORTEST);
        assert_eq!(message[..8], [2, 1, 6, 0, 0xa, 0xb, 0xc, 0xd]);
        assert_eq!(message[FIXED..][..2], [KIND, 1]);
        let address = four(message, 16).unwrap().into();
        Some((message[FIXED + 2], address, message[FIXED..].to_vec()))
    }

    fn has(options: &[u8], wanted: &[u8]) -> bool {
        options.windows(wanted.len()).any(|bytes| bytes == wanted)
    }

    #[test]
    fn a_guest_gets_the_address_of_its_endpoint_and_no_other() {
        let none = Ipv4Addr::UNSPECIFIED;
        let (kind, address, options) = answered(&asked(DISCOVER, none, &[])).unwrap();
        assert_eq!((kind, address), (OFFER, ADDRESS));
        for expected in [
            [SERVER_ID, 4, 172, 20, 0, 1].as_slice(),
            &[TIME, 4, 0, 1, 0x51, 0x80],
            &[MASK, 4, 255, 255, 240, 0],
            &[ROUTER, 4, 172, 20, 0, 1],
            &[RESOLVERS, 4, 9, 9, 9, 9],
            &[MTU, 2, 5, 0x78],
        ] {
            assert!(has(&options, expected), "{expected:?} in {options:?}");
        }
        let wanted = [WANTED, 4, 172, 20, 0, 5, SERVER_ID, 4, 172, 20, 0, 1];
        let (kind, address, _) = answered(&asked(REQUEST, none, &wanted)).unwrap();
        assert_eq!((kind, address), (ACK, ADDRESS));
        // Later it asks by its own address.
        let (kind, ..) = answered(&asked(REQUEST, ADDRESS, &[])).unwrap();
        assert_eq!(kind, ACK);
        let other = [WANTED, 4, 172, 20, 0, 6];
        let (kind, address, options) = answered(&asked(REQUEST, none, &other)).unwrap();
        assert_eq!((kind, address), (NAK, none));
        assert!(!has(&options, &[ROUTER, 4]));
        let (kind, address, options) = answered(&asked(INFORM, ADDRESS, &[])).unwrap();
        assert_eq!((kind, address), (ACK, none));
        assert!(!has(&options, &[TIME, 4]) && has(&options, &[ROUTER, 4]));
    }

    #[test]
    fn a_lease_is_renewed_at_the_address_that_the_guest_has() {
        let none = Ipv4Addr::UNSPECIFIED;
        let to = |question: &[u8]| {
            let frame = answer(question, MAC, &lease()).unwrap();
            Ipv4Addr::from(four(&frame, ETHERNET + 16).unwrap())
        };
        // After half of the time it asks its server (T1), after seven eighths any (T2); both by its own address alone.
        let mut renewing = asked(REQUEST, ADDRESS, &[]);
        renewing[ETHERNET + 12..][..4].copy_from_slice(&ADDRESS.octets());
        renewing[ETHERNET + 16..][..4].copy_from_slice(&GATEWAY.octets());
        let rebinding = asked(REQUEST, ADDRESS, &[]);
        for question in [renewing, rebinding] {
            let (kind, address, options) = answered(&question).unwrap();
            assert_eq!((kind, address), (ACK, ADDRESS));
            assert!(has(&options, &[TIME, 4, 0, 1, 0x51, 0x80]));
            assert_eq!(to(&question), ADDRESS);
        }
        assert_eq!(to(&asked(INFORM, ADDRESS, &[])), ADDRESS);
        // One that has none yet, or has to give its address up, hears what is for all.
        assert_eq!(to(&asked(DISCOVER, none, &[])), Ipv4Addr::BROADCAST);
        let other = Ipv4Addr::new(172, 20, 0, 6);
        assert_eq!(to(&asked(REQUEST, other, &[])), Ipv4Addr::BROADCAST);
    }

    #[test]
    fn what_is_no_question_to_this_server_is_not_answered() {
        let none = Ipv4Addr::UNSPECIFIED;
        let discover = asked(DISCOVER, none, &[]);
        let elsewhere = [WANTED, 4, 172, 20, 0, 5, SERVER_ID, 4, 172, 20, 0, 9];
        assert_eq!(answered(&asked(REQUEST, none, &elsewhere)), None);
        // Its release, and a kind that is none.
        assert_eq!(answered(&asked(7, ADDRESS, &[])), None);
        assert_eq!(answered(&asked(0, none, &[])), None);
        assert_eq!(answered(&asked(DISCOVER, none, &[12, 200, 1])), None);
        for at in [
            6,
            12,
            ETHERNET,
            ETHERNET + 9,
            ETHERNET + IP + 3,
            ETHERNET + IP + UDP_HEADER,
        ] {
            let mut other = discover.clone();
            other[at] ^= 0x10;
            assert_eq!(answered(&other), None, "byte {at}");
        }
        for length in 0..ETHERNET + IP + UDP_HEADER + FIXED {
            assert_eq!(answered(&discover[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn no_frame_of_a_guest_fails_the_server(mut frame in proptest::collection::vec(any::<u8>(), 0..600), good: bool) {
            if good {
                let start = asked(DISCOVER, ADDRESS, &[]);
                let length = start.len().min(frame.len());
                frame[..length].copy_from_slice(&start[..length]);
            }
            let _answer = answer(&frame, MAC, &lease());
        }
    }
}

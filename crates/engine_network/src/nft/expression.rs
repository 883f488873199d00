//! The words that rules are made of (`linux/netfilter/nf_tables.h`).
//!
//! A rule is a list of expressions over registers: each loads something, compares, looks something up or ends the rule.
//! An expression that does not hold ends its rule without a verdict.

use std::net::IpAddr;

use hcn::Spread;

use super::tables::{NETDEV, interface, octets};
use crate::netlink::Batch;

/// The first register of 4 bytes; those behind it follow.
pub(super) const REGISTER: u32 = 8;

/// What the kernel knows of a packet beside its bytes.
mod meta {
    pub(super) const ETHERTYPE: u32 = 1;
    pub(super) const IN: u32 = 6;
    pub(super) const OUT: u32 = 7;
    pub(super) const OUT_KIND: u32 = 9;
    pub(super) const FAMILY: u32 = 15;
    pub(super) const PROTOCOL: u32 = 16;
}

/// Headers of a packet.
const LINK: u32 = 0;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

/// A connection that is established or related to one.
pub(super) const ESTABLISHED: u32 = 2 | 4;
/// A connection whose destination was translated.
const TRANSLATED: u32 = 32;

/// The number of IPv4, or else of IPv6.
pub(super) const fn family(ipv4: bool) -> u32 {
    if ipv4 { 2 } else { 10 }
}

/// A rule has its end.
#[derive(Debug)]
pub(super) struct Ended;

/// What tells a connection of a card from others: the card's address and the peer's, the protocol and both ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Of which family.
    pub(super) ipv4: bool,
    /// Whether the card sends the packet, or else receives it.
    pub(super) outgoing: bool,
    /// Whether it is an echo, which has an identifier in the place of ports.
    pub(super) echo: bool,
}

/// How many packets of each key may come to a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerKey {
    /// The set of keys that came.
    pub(super) set: &'static str,
    /// So many in a second.
    pub(super) rate: u64,
    /// So many more at once.
    pub(super) burst: u32,
    /// How long a key is remembered that comes no more, in milliseconds.
    pub(super) remembered: u64,
}

/// The expressions of one rule, and what tells in its table which port a frame is of.
pub(super) struct Expressions<'b>(&'b mut Batch, u32);

impl<'b> Expressions<'b> {
    /// Those of a rule in a table of this family. What leaves a device has come in by none.
    pub(super) const fn at(batch: &'b mut Batch, family: u8) -> Self {
        let port = if family == NETDEV {
            meta::OUT
        } else {
            meta::IN
        };
        Self(batch, port)
    }
}

impl Expressions<'_> {
    pub(super) fn add(&mut self, name: &str, inner: impl FnOnce(&mut Batch)) -> &mut Self {
        const ITEM: u16 = 1;
        self.0.nest(ITEM, |batch| {
            batch.text(1, name).nest(2, inner);
        });
        self
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.add("meta", |batch| {
            batch.big(2, key).big(1, register);
        })
    }

    fn load(&mut self, header: u32, offset: u32, length: u32, register: u32) -> &mut Self {
        self.add("payload", |batch| {
            batch
                .big(1, register)
                .big(2, header)
                .big(3, offset)
                .big(4, length);
        })
    }

    fn compare(&mut self, how: u32, bytes: &[u8]) -> &mut Self {
        self.add("cmp", |batch| {
            batch.big(1, REGISTER).big(2, how).nest(3, |batch| {
                batch.bytes(1, bytes);
            });
        })
    }

    fn look_up(&mut self, set: &str, contained: bool) -> &mut Self {
        const INVERTED: u32 = 1;
        self.add("lookup", |batch| {
            batch.text(1, set).big(2, REGISTER);
            if !contained {
                batch.big(5, INVERTED);
            }
        })
    }

    fn masked(&mut self, mask: &[u8], wanted: &[u8], how: u32) -> &mut Self {
        self.keep_bits(REGISTER, mask).compare(how, wanted)
    }

    /// Of what was loaded into a register only these bits stay.
    pub(super) fn keep_bits(&mut self, register: u32, mask: &[u8]) -> &mut Self {
        let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
        self.add("bitwise", |batch| {
            batch.big(1, register).big(2, register).big(3, length);
            batch.nest(4, |batch| {
                batch.bytes(1, mask);
            });
            batch.nest(5, |batch| {
                batch.bytes(1, &vec![0; mask.len()]);
            });
        })
    }

    fn connection(&mut self, key: u32, bits: u32) -> &mut Self {
        self.add("ct", |batch| {
            batch.big(1, REGISTER).big(2, key);
        })
        .masked(&bits.to_ne_bytes(), &[0; 4], DIFFERENT)
    }

    /// The interface it came in by is in the set, or is not.
    pub(super) fn came_in(&mut self, set: &str, contained: bool) -> &mut Self {
        self.meta(meta::IN, REGISTER).look_up(set, contained)
    }

    /// It came in by this interface.
    pub(super) fn came_in_by(&mut self, name: &str) -> &mut Self {
        self.meta(meta::IN, REGISTER)
            .compare(EQUAL, &interface(name))
    }

    /// All that came to this rule so far was faster than so many bytes a second.
    pub(super) fn is_faster(&mut self, rate: u64) -> &mut Self {
        const SECOND: u64 = 1;
        const OF_BYTES: u32 = 1;
        const INVERTED: u32 = 1;
        /// Bytes that may come at once, beside those of a second.
        const BURST: u32 = 256 << 10;
        /// No link is as fast, and the kernel refuses more.
        const FASTEST: u64 = 10_000_000_000;
        self.add("limit", |batch| {
            batch
                .bytes(1, &rate.min(FASTEST).to_be_bytes())
                .bytes(2, &SECOND.to_be_bytes())
                .big(3, BURST)
                .big(4, OF_BYTES)
                .big(5, INVERTED);
        })
    }

    /// What was loaded came to this rule faster than it may. In a full set none that is new does.
    pub(super) fn is_faster_for_key(&mut self, pace: &PerKey) -> &mut Self {
        const UPDATE: u32 = 1;
        const SECOND: u64 = 1;
        const OF_PACKETS: u32 = 0;
        const INVERTED: u32 = 1;
        self.add("dynset", |batch| {
            batch.text(1, pace.set).big(3, UPDATE).big(4, REGISTER);
            batch.bytes(6, &pace.remembered.to_be_bytes());
            batch.nest(7, |batch| {
                batch.text(1, "limit").nest(2, |batch| {
                    batch
                        .bytes(1, &pace.rate.to_be_bytes())
                        .bytes(2, &SECOND.to_be_bytes())
                        .big(3, pace.burst)
                        .big(4, OF_PACKETS)
                        .big(5, INVERTED);
                });
            });
        })
    }

    /// Loads its source.
    pub(super) fn source(&mut self, ipv4: bool) -> &mut Self {
        let (offset, length) = if ipv4 { (12, 4) } else { (8, 16) };
        self.load(NETWORK, offset, length, REGISTER)
    }

    /// Loads the last four bytes of its destination into a register.
    pub(super) fn end_of_destination(&mut self, ipv4: bool, register: u32) -> &mut Self {
        let offset = if ipv4 { 16 } else { 24 + 12 };
        self.load(NETWORK, offset, 4, register)
    }

    /// Loads its source, and the address that it goes to next: of a router, or its destination.
    pub(super) fn next_host(&mut self, ipv4: bool) -> &mut Self {
        let (length, next) = if ipv4 { (1, 1) } else { (4, 2) };
        self.source(ipv4).add("rt", |batch| {
            batch.big(1, REGISTER + length).big(2, next);
        })
    }

    /// The interface it leaves by is in the set, or is not.
    pub(super) fn leaves(&mut self, set: &str, contained: bool) -> &mut Self {
        self.meta(meta::OUT, REGISTER).look_up(set, contained)
    }

    /// The name of the interface it leaves by begins with something else.
    pub(super) fn leaves_elsewhere_than(&mut self, beginning: &str) -> &mut Self {
        self.meta(meta::OUT, REGISTER)
            .compare(DIFFERENT, beginning.as_bytes())
    }

    /// The interfaces that it came in by and leaves by are a pair of the set.
    pub(super) fn stays_in(&mut self, set: &str) -> &mut Self {
        self.meta(meta::IN, REGISTER)
            .meta(meta::OUT, REGISTER + 4)
            .look_up(set, true)
    }

    /// It is of IPv4, in a table of both.
    pub(super) fn is_ipv4(&mut self) -> &mut Self {
        self.is_of(true)
    }

    /// Its source is in the set of addresses of IPv4.
    pub(super) fn source_in(&mut self, set: &str) -> &mut Self {
        self.load(NETWORK, 12, 4, REGISTER).look_up(set, true)
    }

    /// Its destination is in the set of addresses of IPv4.
    pub(super) fn destination_in(&mut self, set: &str) -> &mut Self {
        self.load(NETWORK, 16, 4, REGISTER).look_up(set, true)
    }

    /// Its source is of 127.0.0.0/8.
    pub(super) fn source_is_loopback(&mut self) -> &mut Self {
        self.load(NETWORK, 12, 1, REGISTER).compare(EQUAL, &[127])
    }

    /// Its destination is of 127.0.0.0/8.
    pub(super) fn destination_is_loopback(&mut self) -> &mut Self {
        self.load(NETWORK, 16, 1, REGISTER).compare(EQUAL, &[127])
    }

    /// Its destination is not the loopback of IPv6 (`::1`): nothing that comes from there leaves the host.
    pub(super) fn destination_is_no_loopback_6(&mut self) -> &mut Self {
        let mut loopback = [0; 16];
        loopback[15] = 1;
        self.load(NETWORK, 24, 16, REGISTER)
            .compare(DIFFERENT, &loopback)
    }

    /// Its destination is an address of the host.
    pub(super) fn destination_is_local(&mut self) -> &mut Self {
        const ADDRESS_TYPE: u32 = 3;
        const OF_DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        self.add("fib", |batch| {
            batch
                .big(1, REGISTER)
                .big(2, ADDRESS_TYPE)
                .big(3, OF_DESTINATION);
        })
        .compare(EQUAL, &LOCAL.to_ne_bytes())
    }

    /// Its connection is established or related to one.
    pub(super) fn is_established(&mut self) -> &mut Self {
        const STATE: u32 = 0;
        self.connection(STATE, ESTABLISHED)
    }

    /// The destination of its connection was translated.
    pub(super) fn was_translated(&mut self) -> &mut Self {
        const STATUS: u32 = 2;
        self.connection(STATUS, TRANSLATED)
    }

    /// It is of UDP, and its port with the number of VXLAN behind it is in the set.
    pub(super) fn is_overlaid_in(&mut self, set: &str) -> &mut Self {
        const UDP: u8 = 17;
        self.is_protocol(UDP).overlaid(REGISTER).look_up(set, true)
    }

    /// Its source, its port and the number of VXLAN behind that are in the set, or are not.
    pub(super) fn is_overlaid_from(&mut self, set: &str, contained: bool) -> &mut Self {
        self.load(NETWORK, 12, 4, REGISTER)
            .overlaid(REGISTER + 1)
            .look_up(set, contained)
    }

    fn overlaid(&mut self, register: u32) -> &mut Self {
        /// Behind the header of UDP, and the flags of VXLAN.
        const NUMBER: u32 = 8 + 4;
        self.load(TRANSPORT, 2, 2, register)
            .load(TRANSPORT, NUMBER, 3, register + 1)
    }

    /// Its protocol and port, and with `at_address` its destination before them, are in the map, whose address and port
    /// become its destination.
    pub(super) fn translate_by(&mut self, map: &str, at_address: bool) -> Ended {
        const DESTINATION: u32 = 1;
        const IPV4: u32 = 2;
        let mut next = REGISTER;
        if at_address {
            self.load(NETWORK, 16, 4, next);
            next += 1;
        }
        self.meta(meta::PROTOCOL, next)
            .load(TRANSPORT, 2, 2, next + 1);
        self.add("lookup", |batch| {
            batch.text(1, map).big(2, REGISTER).big(3, REGISTER);
        })
        .add("nat", |batch| {
            batch
                .big(1, DESTINATION)
                .big(2, IPV4)
                .big(3, REGISTER)
                .big(5, REGISTER + 1);
        });
        Ended
    }

    /// Its source becomes the host's address on the interface it leaves by.
    pub(super) fn masquerade(&mut self) -> Ended {
        self.add("masq", |_| {});
        Ended
    }

    /// The port of the bridge, and what stands at `offset` of a header, are in the set, or are not. Registers are
    /// filled by fours: the port's name takes four of them.
    fn port_with(
        &mut self,
        (header, offset, length): (u32, u32, u32),
        set: &str,
        contained: bool,
    ) -> &mut Self {
        self.meta(self.1, REGISTER)
            .load(header, offset, length, REGISTER + 4)
            .look_up(set, contained)
    }

    /// The port is in the set, or is not.
    pub(super) fn passes_by(&mut self, set: &str, contained: bool) -> &mut Self {
        self.meta(self.1, REGISTER).look_up(set, contained)
    }

    /// Loads the port.
    pub(super) fn port(&mut self) -> &mut Self {
        self.meta(self.1, REGISTER)
    }

    /// A packet of IPv4 is a piece of a larger one.
    pub(super) fn is_piece(&mut self) -> &mut Self {
        /// That more follow, and where it belongs.
        const MORE_OR_BEHIND: [u8; 2] = [0x3f, 0xff];
        self.load(NETWORK, 6, 2, REGISTER)
            .masked(&MORE_OR_BEHIND, &[0, 0], DIFFERENT)
    }

    /// A packet of IPv6 is a piece of a larger one.
    pub(super) fn is_piece_6(&mut self) -> &mut Self {
        const PIECE: u8 = 44;
        const WHETHER_THERE: u32 = 1;
        self.add("exthdr", |batch| {
            batch
                .big(1, REGISTER)
                .bytes(2, &[PIECE])
                .big(3, 0)
                .big(4, 1);
            batch.big(5, WHETHER_THERE);
        })
        .compare(EQUAL, &[1])
    }

    /// It is a report of ICMP that a packet was too large and must not be cut.
    pub(super) fn says_too_large(&mut self) -> &mut Self {
        const ICMP: u8 = 1;
        const TOO_LARGE: [u8; 2] = [3, 4];
        self.is_protocol(ICMP)
            .load(TRANSPORT, 0, 2, REGISTER)
            .compare(EQUAL, &TOO_LARGE)
    }

    /// It is a report of ICMPv6 that a packet was too large.
    pub(super) fn says_too_large_6(&mut self) -> &mut Self {
        const TOO_LARGE: u8 = 2;
        self.is_icmp6(Some(TOO_LARGE))
    }

    /// The packet that a report of ICMP is about was to one of the port's addresses.
    pub(super) fn was_to(&mut self, set: &str) -> &mut Self {
        self.port_with((TRANSPORT, 8 + 16, 4), set, true)
    }

    /// The packet that a report of ICMPv6 is about was to one of the port's addresses.
    pub(super) fn was_to_6(&mut self, set: &str) -> &mut Self {
        self.port_with((TRANSPORT, 8 + 24, 16), set, true)
    }

    /// The source address of the frame is one of the port's.
    pub(super) fn frame_is_from(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((LINK, 6, 6), set, contained)
    }

    /// The source address of the frame is in the set.
    pub(super) fn card_is_in(&mut self, set: &str) -> &mut Self {
        self.load(LINK, 6, 6, REGISTER).look_up(set, true)
    }

    /// The source of an IPv4 packet is one of the port's.
    pub(super) fn packet_is_from(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((NETWORK, 12, 4), set, contained)
    }

    /// The source of an IPv6 packet is one of the port's.
    pub(super) fn packet6_is_from(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((NETWORK, 8, 16), set, contained)
    }

    /// The destination of an IPv4 packet is in the set, beside the port that it came in by.
    pub(super) fn packet_is_to(&mut self, set: &str) -> &mut Self {
        self.port_with((NETWORK, 16, 4), set, true)
    }

    /// The destination of an IPv6 packet is in the set, beside the port that it came in by.
    pub(super) fn packet6_is_to(&mut self, set: &str) -> &mut Self {
        self.port_with((NETWORK, 24, 16), set, true)
    }

    /// The hardware address that an ARP packet tells of its sender is one of the port's.
    pub(super) fn told_card_is(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((NETWORK, 8, 6), set, contained)
    }

    /// The address that an ARP packet tells of its sender is one of the port's.
    pub(super) fn told_address_is(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((NETWORK, 14, 4), set, contained)
    }

    /// The frame is of this type.
    pub(super) fn frame_is(&mut self, ethertype: u16) -> &mut Self {
        self.meta(meta::ETHERTYPE, REGISTER)
            .compare(EQUAL, &ethertype.to_be_bytes())
    }

    /// The frame is of another type.
    pub(super) fn frame_is_not(&mut self, ethertype: u16) -> &mut Self {
        self.meta(meta::ETHERTYPE, REGISTER)
            .compare(DIFFERENT, &ethertype.to_be_bytes())
    }

    /// The frame is of another type by its header.
    pub(super) fn header_is_not(&mut self, ethertype: u16) -> &mut Self {
        self.load(LINK, 12, 2, REGISTER)
            .compare(DIFFERENT, &ethertype.to_be_bytes())
    }

    /// The frame is of this type by its header, where a tag of a virtual network stands before the type of what is
    /// tagged.
    pub(super) fn header_is(&mut self, ethertype: u16) -> &mut Self {
        self.load(LINK, 12, 2, REGISTER)
            .compare(EQUAL, &ethertype.to_be_bytes())
    }

    /// The source of an IPv6 packet is not known yet (`::`).
    pub(super) fn source_is_unknown(&mut self) -> &mut Self {
        self.load(NETWORK, 8, 16, REGISTER).compare(EQUAL, &[0; 16])
    }

    /// It is a packet of ICMPv6; with a kind only one of it.
    pub(super) fn is_icmp6(&mut self, kind: Option<u8>) -> &mut Self {
        const ICMP6: u8 = 58;
        self.meta(meta::PROTOCOL, REGISTER).compare(EQUAL, &[ICMP6]);
        match kind {
            Some(kind) => self.load(TRANSPORT, 0, 1, REGISTER).compare(EQUAL, &[kind]),
            None => self,
        }
    }

    /// The address that a neighbour asks for, or tells, is one of the port's.
    pub(super) fn target_is(&mut self, set: &str, contained: bool) -> &mut Self {
        self.port_with((TRANSPORT, 8, 16), set, contained)
    }

    /// It is of IPv4, or else of IPv6, in a table of both.
    pub(super) fn is_of(&mut self, ipv4: bool) -> &mut Self {
        let [.., family] = family(ipv4).to_be_bytes();
        self.meta(meta::FAMILY, REGISTER).compare(EQUAL, &[family])
    }

    /// The interface that it comes in by, or with `leaves` that it leaves by, has this name.
    pub(super) fn is_at(&mut self, name: &[u8; 16], leaves: bool) -> &mut Self {
        let key = if leaves { meta::OUT } else { meta::IN };
        self.meta(key, REGISTER).compare(EQUAL, name)
    }

    /// The interface that it leaves by is of this kind, as `if_arp.h` numbers them.
    pub(super) fn leaves_by_kind(&mut self, kind: u16) -> &mut Self {
        self.meta(meta::OUT_KIND, REGISTER)
            .compare(EQUAL, &kind.to_ne_bytes())
    }

    /// It is of this protocol.
    pub(super) fn is_protocol(&mut self, number: u8) -> &mut Self {
        self.meta(meta::PROTOCOL, REGISTER)
            .compare(EQUAL, &[number])
    }

    /// Its source, or with `target` its destination, begins with the bits of `first` that `mask` has.
    pub(super) fn address_in(&mut self, first: &[u8], mask: &[u8], target: bool) -> &mut Self {
        let offset = match (first.len(), target) {
            (4, false) => 12,
            (4, true) => 16,
            (_, false) => 8,
            (_, true) => 24,
        };
        let length = u32::try_from(first.len()).unwrap_or(0);
        self.load(NETWORK, offset, length, REGISTER)
            .masked(mask, first, EQUAL)
    }

    /// Its source, or with `target` its destination, is in the set of addresses of this family.
    pub(super) fn address_is_of(&mut self, set: &str, ipv4: bool, target: bool) -> &mut Self {
        let (offset, length) = match (ipv4, target) {
            (true, false) => (12, 4),
            (true, true) => (16, 4),
            (false, false) => (8, 16),
            (false, true) => (24, 16),
        };
        self.load(NETWORK, offset, length, REGISTER)
            .look_up(set, true)
    }

    /// Its port, or with `target` that of its destination, is in the range.
    pub(super) fn port_in(&mut self, (first, last): (u16, u16), target: bool) -> &mut Self {
        const AT_MOST: u32 = 3;
        const AT_LEAST: u32 = 5;
        let offset = if target { 2 } else { 0 };
        self.load(TRANSPORT, offset, 2, REGISTER)
            .compare(AT_LEAST, &first.to_be_bytes())
            .compare(AT_MOST, &last.to_be_bytes())
    }

    /// Which of `count` places a connection gets, as a number behind the first register.
    pub(super) fn choose(
        &mut self,
        spread: Spread,
        ipv4: bool,
        (count, seed): (u32, u32),
    ) -> &mut Self {
        const RANDOM: u32 = 1;
        const JENKINS: u32 = 0;
        const SOURCE: u32 = REGISTER + 4;
        let (offset, address) = if ipv4 { (12, 4) } else { (8, 16) };
        let length = match spread {
            Spread::Connection => {
                return self.add("numgen", |batch| {
                    batch.big(1, REGISTER + 1).big(2, count).big(3, RANDOM);
                });
            }
            Spread::Source => address,
            Spread::SourceAndProtocol => address + 4,
        };
        self.load(NETWORK, offset, address, SOURCE);
        if spread == Spread::SourceAndProtocol {
            self.meta(meta::PROTOCOL, SOURCE + address / 4);
        }
        self.add("hash", |batch| {
            batch
                .big(1, SOURCE)
                .big(2, REGISTER + 1)
                .big(3, length)
                .big(4, count)
                .big(5, seed)
                .big(7, JENKINS);
        })
    }

    /// Its connection was begun to this port, and to this address if there is one.
    pub(super) fn was_sent_to(&mut self, address: Option<IpAddr>, port: u16) -> &mut Self {
        const PORT: u32 = 12;
        const ADDRESS: u32 = 20;
        const ADDRESS_6: u32 = 22;
        if let Some(address) = address {
            let key = if address.is_ipv4() {
                ADDRESS
            } else {
                ADDRESS_6
            };
            self.original(key).compare(EQUAL, &octets(address));
        }
        self.original(PORT).compare(EQUAL, &port.to_be_bytes())
    }

    fn original(&mut self, key: u32) -> &mut Self {
        const DIRECTION: u16 = 3;
        const ORIGINAL: u8 = 0;
        self.add("ct", |batch| {
            batch
                .big(1, REGISTER)
                .big(2, key)
                .bytes(DIRECTION, &[ORIGINAL]);
        })
    }

    /// This address and port become its destination.
    pub(super) fn lead_to_proxy(&mut self, address: IpAddr, port: u16) -> Ended {
        const DESTINATION: u32 = 1;
        const PORT: u32 = REGISTER + 4;
        let family = family(address.is_ipv4());
        self.put(&octets(address), REGISTER)
            .put(&port.to_be_bytes(), PORT)
            .add("nat", |batch| {
                batch.big(1, DESTINATION).big(2, family);
                batch.big(3, REGISTER).big(5, PORT);
            });
        Ended
    }

    /// The interface that it comes in by, or with `leaves` that it leaves by, has another name.
    pub(super) fn is_elsewhere(&mut self, name: &[u8; 16], leaves: bool) -> &mut Self {
        // A card sends what comes in by its port.
        let key = if leaves { meta::IN } else { meta::OUT };
        self.meta(key, REGISTER).compare(DIFFERENT, name)
    }

    /// It is a packet of this kind of ICMP.
    pub(super) fn is_icmp(&mut self, protocol: u8, kind: u8) -> &mut Self {
        self.is_protocol(protocol)
            .load(TRANSPORT, 0, 1, REGISTER)
            .compare(EQUAL, &[kind])
    }

    /// It is a packet of TCP in such a frame; those of its flags that `mask` has are `wanted`, or else are not.
    pub(super) fn is_tcp_with(&mut self, frame: u16, mask: u8, wanted: u8, are: bool) -> &mut Self {
        const TCP: u8 = 6;
        let how = if are { EQUAL } else { DIFFERENT };
        self.frame_is(frame)
            .is_protocol(TCP)
            .load(TRANSPORT, 13, 1, REGISTER)
            .masked(&[mask], &[wanted], how)
    }

    /// Loads what tells its connection. A fragment other than the first has no ports and ends the rule.
    pub(super) fn flow(&mut self, flow: Flow) -> &mut Self {
        let (source, destination, length) = if flow.ipv4 { (12, 16, 4) } else { (8, 24, 16) };
        let [own, other] = match flow.outgoing {
            true => [source, destination],
            false => [destination, source],
        };
        let ports = match (flow.echo, flow.outgoing) {
            (true, _) => [4, 4],
            (false, true) => [0, 2],
            (false, false) => [2, 0],
        };
        // Registers are filled by fours.
        let behind = REGISTER + 2 * (length / 4);
        self.load(NETWORK, own, length, REGISTER)
            .load(NETWORK, other, length, REGISTER + length / 4)
            .meta(meta::PROTOCOL, behind)
            .load(TRANSPORT, ports[0], 2, behind + 1)
            .load(TRANSPORT, ports[1], 2, behind + 2)
    }

    /// Notes what was loaded for so many milliseconds, and goes on with the next rule.
    pub(super) fn note(&mut self, set: &str, timeout: u64) -> Ended {
        self.update(set, timeout);
        Ended
    }

    /// Goes on only if what was loaded is noted.
    pub(super) fn is_noted(&mut self, set: &str) -> &mut Self {
        self.look_up(set, true)
    }

    /// Takes what was loaded out of the set, and goes on with the next rule.
    pub(super) fn forget(&mut self, set: &str) -> Ended {
        const DELETE: u32 = 2;
        self.add("dynset", |batch| {
            batch.text(1, set).big(3, DELETE).big(4, REGISTER);
        });
        Ended
    }

    /// Passes if what was loaded is noted, and notes it again, for so many milliseconds from now on.
    pub(super) fn keep(&mut self, set: &str, timeout: u64) -> Ended {
        self.look_up(set, true).update(set, timeout).accept()
    }

    /// Notes what was loaded for so many milliseconds. In a full set it is not noted, which ends the rule.
    pub(super) fn update(&mut self, set: &str, timeout: u64) -> &mut Self {
        const UPDATE: u32 = 1;
        self.add("dynset", |batch| {
            batch
                .text(1, set)
                .big(3, UPDATE)
                .big(4, REGISTER)
                .bytes(6, &timeout.to_be_bytes());
        })
    }

    /// Goes on in another chain, and does not come back.
    pub(super) fn go_to(&mut self, chain: &str) -> Ended {
        const GO_TO: i32 = -4;
        self.lead_to(GO_TO, chain)
    }

    /// Goes on in another chain, and behind this rule where that leaves it open.
    pub(super) fn jump(&mut self, chain: &str) -> Ended {
        const JUMP: i32 = -3;
        self.lead_to(JUMP, chain)
    }

    fn lead_to(&mut self, how: i32, chain: &str) -> Ended {
        const VERDICT_REGISTER: u32 = 0;
        self.add("immediate", |batch| {
            batch.big(1, VERDICT_REGISTER).nest(2, |batch| {
                batch.nest(2, |batch| {
                    batch.big(1, how.cast_unsigned()).text(2, chain);
                });
            });
        });
        Ended
    }

    /// Goes back to the chain that led to this one.
    pub(super) fn go_back(&mut self) -> Ended {
        const RETURN: i32 = -5;
        self.verdict(RETURN.cast_unsigned())
    }

    pub(super) fn put(&mut self, bytes: &[u8], register: u32) -> &mut Self {
        self.add("immediate", |batch| {
            batch.big(1, register).nest(2, |batch| {
                batch.bytes(1, bytes);
            });
        })
    }

    /// It passes.
    pub(super) fn accept(&mut self) -> Ended {
        self.verdict(1)
    }

    /// It is dropped.
    pub(super) fn drop(&mut self) -> Ended {
        self.verdict(0)
    }

    fn verdict(&mut self, code: u32) -> Ended {
        const VERDICT_REGISTER: u32 = 0;
        self.add("immediate", |batch| {
            batch.big(1, VERDICT_REGISTER).nest(2, |batch| {
                batch.nest(2, |batch| {
                    batch.big(1, code);
                });
            });
        });
        Ended
    }
}

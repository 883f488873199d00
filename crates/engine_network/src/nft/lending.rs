//! Which ports of the host connections of endpoints come from, where they get the host's address.
//!
//! A port can be used once towards each port of each peer. All endpoints share those of the host, so one of them could
//! take all that there are towards a name server: then neither the host nor another endpoint would reach it.
//!
//! 1. The host keeps those that its own programs are given (`net.ipv4.ip_local_port_range`), and those below 1024,
//!    which tell servers that root of the host speaks: endpoints get others ([`range`]). 2. Of these there are two
//!    halves. An endpoint gets ports of the first half as long as it has few connections ([`HELD`]) and begins few
//!    ([`PACE`]), and else those of the second. So it may have many where no other one does, and an eighth of the first
//!    half towards one peer at most.
//!
//! Connections are counted by their source and four bits of their destination: what an endpoint has with others seldom
//! counts for one peer. The kernel does not count connections of TCP that are closed, though their ports are taken for
//! two minutes more. For them there is the pace.
//!
//! The sets are filled by the kernel as connections begin: an endpoint that comes and goes costs nothing here. They
//! stay where the rules are written anew (`keeping`).
//!
//! A kernel that counts no connections in rules (module `nft_connlimit`) has the pace alone.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::{
    expression::{Ended, Expressions, PerKey, REGISTER},
    tables::{ADDRESS, ADDRESS_6, Table},
};
use crate::{netlink::NetlinkError, settings};

/// The chain where connections get the host's address and a port.
pub(super) const CHAIN: &str = "lending";

/// What is there for each family: the chain, and the sets that its connections are counted in.
pub(super) struct OfFamily {
    pub(super) chain: &'static str,
    ipv4: bool,
    pace: PerKey,
    /// The set of connections by endpoint.
    counts: &'static str,
    /// The set of endpoints with more.
    busy: &'static str,
}

/// Connections of IPv4.
pub(super) const OF_IPV4: OfFamily = OfFamily {
    chain: CHAIN,
    ipv4: true,
    pace: PACE,
    counts: "begun_and_held",
    busy: "busy",
};

/// Connections of IPv6, which get the host's address where a load balancer leads them.
pub(super) const OF_IPV6: OfFamily = OfFamily {
    chain: "lending_6",
    ipv4: false,
    pace: PerKey {
        set: "begun_6",
        ..PACE
    },
    counts: "begun_and_held_6",
    busy: "busy_6",
};

/// The first port that needs no right.
const FIRST: u16 = 1024;
/// What programs of the host are given by a kernel that was told nothing.
const OF_KERNEL: (u16, u16) = (32768, 60999);
/// With fewer ports beside those of the host's programs, endpoints share ports with these.
const FEWEST: u16 = 8192;

/// Connections that one endpoint may have with ports of the first half.
const HELD: u32 = 512;
/// How many it may begin with these, and the set that tells it.
const PACE: PerKey = PerKey {
    set: "begun",
    rate: 8,
    burst: 512,
    remembered: 64_000,
};
/// How long an endpoint stays in the set of those with more, in milliseconds.
const STAYS: u64 = 10_000;
/// Elements of each set, some megabytes of the host. In a full set none that is new is noted, which counts as busy.
const MOST: u32 = 64 << 10;

/// The sets, which stay where rules are written anew.
pub(super) const SETS: [&str; 6] = [
    OF_IPV4.pace.set,
    OF_IPV4.counts,
    OF_IPV4.busy,
    OF_IPV6.pace.set,
    OF_IPV6.counts,
    OF_IPV6.busy,
];

/// Ports, the last one included.
pub(super) type Ports = (u16, u16);

/// What endpoints get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lent {
    pub(super) ports: Ports,
    /// Whether the kernel counts no connections.
    pub(super) is_uncounted: bool,
}

/// Those that endpoints get: the larger range beside that of the host's programs.
pub(super) fn range() -> Ports {
    beside(settings::ports_of_programs().unwrap_or(OF_KERNEL))
}

fn beside((first, last): Ports) -> Ports {
    let below = (FIRST, first.max(FIRST + 1) - 1);
    let above = (last.max(FIRST).saturating_add(1), u16::MAX);
    let larger = match length(above) > length(below) {
        true => above,
        false => below,
    };
    match length(larger) < FEWEST {
        true => (FIRST, OF_KERNEL.0 - 1),
        false => larger,
    }
}

const fn length((first, last): Ports) -> u16 {
    last - first
}

/// Both halves.
const fn halves((first, last): Ports) -> [Ports; 2] {
    let middle = first + length((first, last)) / 2;
    [(first, middle), (middle + 1, last)]
}

/// Writes the sets, and the chain for connections that get the address of the interface they leave by.
pub(super) fn sets_and_chain(table: &mut Table<'_>, of: &OfFamily, lent: Lent) {
    let (key, length) = match of.ipv4 {
        true => ([ADDRESS, ADDRESS], 8),
        false => ([ADDRESS_6, ADDRESS], 20),
    };
    for set in [of.pace.set, of.busy] {
        table.filled(set, &key, length, MOST);
    }
    if !lent.is_uncounted {
        table.counted(of.counts, &key, length, MOST);
    }
    table.inner_chain(of.chain);
    lend(table, of.chain, (of, lent), |rule, ports| {
        rule.masquerade_at(ports)
    });
}

/// Whether the kernel has refused a rule of these because it lacks what that needs.
pub(super) fn is_lacking(error: &NetlinkError) -> bool {
    match error {
        NetlinkError::Refused { what, errno } => {
            what.contains(CHAIN) && matches!(*errno, Errno::NOENT | Errno::OPNOTSUPP)
        }
        _ => false,
    }
}

/// Lends ports to the connections that come to a chain; `seen_as` says with which address they are.
pub(super) fn lend(
    table: &mut Table<'_>,
    chain: &str,
    (of, lent): (&OfFamily, Lent),
    seen_as: impl Fn(&mut Expressions<'_>, Ports) -> Ended,
) {
    let [few, many] = halves(lent.ports);
    table.rule(chain, |rule| {
        seen_as(rule.source_and_part(of.ipv4).is_noted(of.busy), many)
    });
    table.rule(chain, |rule| {
        rule.source_and_part(of.ipv4).is_faster_for_key(&of.pace);
        seen_as(rule.update(of.busy, STAYS), many)
    });
    if lent.is_uncounted {
        table.rule(chain, |rule| seen_as(rule, few));
        return;
    }
    table.rule(chain, |rule| {
        let rule = rule.source_and_part(of.ipv4);
        seen_as(rule.counts_at_most(of.counts, HELD), few)
    });
    table.rule(chain, |rule| {
        rule.source_and_part(of.ipv4).note(of.busy, STAYS)
    });
    table.rule(chain, |rule| seen_as(rule, many));
}

impl Expressions<'_> {
    /// Loads its source, and four bits of its destination.
    fn source_and_part(&mut self, ipv4: bool) -> &mut Self {
        let behind = REGISTER + if ipv4 { 1 } else { 4 };
        self.source(ipv4)
            .end_of_destination(ipv4, behind)
            .keep_bits(behind, &[0, 0, 0, 0x0f])
    }

    /// There are not more connections of what was loaded, this one included.
    fn counts_at_most(&mut self, set: &str, most: u32) -> &mut Self {
        const ADD: u32 = 0;
        self.add("dynset", |batch| {
            batch.text(1, set).big(3, ADD).big(4, REGISTER);
            batch.nest(7, |batch| {
                batch.text(1, "connlimit").nest(2, |batch| {
                    batch.big(1, most);
                });
            });
        })
    }

    /// This address becomes its source, with one of these ports.
    pub(super) fn come_from_at(&mut self, address: Ipv4Addr, (first, last): Ports) -> Ended {
        const SOURCE: u32 = 0;
        const IPV4: u32 = 2;
        self.put(&address.octets(), REGISTER)
            .put(&first.to_be_bytes(), REGISTER + 1)
            .put(&last.to_be_bytes(), REGISTER + 2)
            .add("nat", |batch| {
                batch.big(1, SOURCE).big(2, IPV4).big(3, REGISTER);
                batch.big(5, REGISTER + 1).big(6, REGISTER + 2);
            });
        Ended
    }

    /// Its source becomes the host's address on the interface it leaves by, with one of these ports.
    fn masquerade_at(&mut self, (first, last): Ports) -> Ended {
        const WITH_PORTS: u32 = 2;
        self.put(&first.to_be_bytes(), REGISTER)
            .put(&last.to_be_bytes(), REGISTER + 1)
            .add("masq", |batch| {
                batch.big(1, WITH_PORTS);
                batch.big(2, REGISTER).big(3, REGISTER + 1);
            });
        Ended
    }
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread};

    use super::{
        super::{Rules, tables},
        *,
    };
    use crate::netlink::Socket;

    /// Rules as the kernel shows them, of which only this is told; `None` where the test cannot write some.
    fn written(lent: Lent) -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let written = thread::spawn(move || {
            #[expect(
                deprecated,
                reason = "the other function is not safe to call, and no descriptors are unshared here"
            )]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            let rules = Rules {
                lent,
                ..Rules::default()
            };
            tables::write(&mut Socket::netfilter().unwrap(), "hcs", &rules).unwrap();
            Command::new("nft").args(["list", "ruleset"]).output()
        });
        let shown = written.join().unwrap().unwrap();
        Some(String::from_utf8(shown.stdout).unwrap())
    }

    #[test]
    fn a_kernel_that_counts_no_connections_lends_ports_by_the_pace() {
        let ports = (1024, 32767);
        let of = |is_uncounted| {
            written(Lent {
                ports,
                is_uncounted,
            })
        };
        let (Some(counted), Some(uncounted)) = (of(false), of(true)) else {
            return;
        };
        assert!(counted.contains("ct count"), "{counted}");
        assert!(!uncounted.contains("ct count"), "{uncounted}");
        for half in ["1024-16895", "16896-32767"] {
            assert!(uncounted.contains(half), "{uncounted}");
        }
    }

    #[test]
    fn ports_of_endpoints_are_none_of_the_hosts_programs() {
        assert_eq!(beside(OF_KERNEL), (1024, 32767));
        assert_eq!(beside((10_000, 20_000)), (20_001, 65_535));
        assert_eq!(beside((1, 30_000)), (30_001, 65_535));
        assert_eq!(beside((40_000, 65_535)), (1024, 39_999));
        // Where those leave hardly any, they are shared.
        for all in [(1024, 65_535), (1, 65_535), (5000, 64_000)] {
            assert_eq!(beside(all), (1024, 32767));
        }
    }

    #[test]
    fn halves_are_all_of_it_and_have_nothing_in_common() {
        assert_eq!(halves((1024, 32767)), [(1024, 16895), (16896, 32767)]);
        assert_eq!(halves((1024, 1025)), [(1024, 1024), (1025, 1025)]);
    }
}

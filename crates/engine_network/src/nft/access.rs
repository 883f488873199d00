//! What an endpoint may send and receive: a table in its own namespace, which goes with that.
//!
//! There the kernel knows connections, so a rule is about who begins one; answers pass. The container cannot change the
//! table, or go past it by packets of its own making, unless its document gives it CAP_NET_ADMIN or CAP_NET_RAW.

use hcn::{AccessRule, Prefix, intent::EndpointIntent};

use super::{
    contents,
    expression::{Ended, Expressions},
    tables::{
        BEGIN, END, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Hook, INET, NETDEV, Table, control, delete,
        finish, interface, make, octets,
    },
};
use crate::netlink::{Batch, NetlinkError, Socket, flag};

/// Messages of IPv6 without which no address is found: for neighbours, and for the groups that their questions go to.
/// ARP, which is the same for IPv4, does not come here.
const NEIGHBOURS: [u8; 6] = [130, 131, 132, 135, 136, 143];

/// Writes the rules of an endpoint in the place of those that are there; `socket` is of its namespace.
pub(crate) fn set(
    socket: &mut Socket,
    owner: &str,
    endpoint: &EndpointIntent,
) -> Result<(), NetlinkError> {
    let name = format!("{owner}_{}", endpoint.inner);
    let mut batch = Batch::default();
    if endpoint.access.is_empty() {
        // A former endpoint at this place may have had some.
        if !contents::has_table(socket, INET, &name)? {
            return Ok(());
        }
        control(&mut batch, BEGIN);
        make(&mut batch, INET, &name, 0);
        delete(&mut batch, INET, &name, flag::ACK);
        control(&mut batch, END);
        return socket.run(batch);
    }
    control(&mut batch, BEGIN);
    let mut sets = 0;
    let mut table = Table::of(INET, &name, &mut sets);
    for outgoing in [false, true] {
        fill(&mut table, endpoint, outgoing);
    }
    table.replace(&mut batch);
    finish(&mut batch, INET, &name);
    socket.run(batch)
}

/// Removes the rules of endpoints that are in a namespace no more; `wanted` are the names of the links that stay.
pub(crate) fn keep(socket: &mut Socket, owner: &str, wanted: &[&str]) -> Result<(), NetlinkError> {
    let beginning = format!("{owner}_");
    let mut batch = Batch::default();
    for family in [INET, NETDEV] {
        for name in contents::tables(socket, family, &beginning)? {
            let link = name.strip_prefix(&beginning);
            if link.is_some_and(|link| wanted.contains(&link)) {
                continue;
            }
            if batch.is_empty() {
                control(&mut batch, BEGIN);
            }
            delete(&mut batch, family, &name, flag::ACK);
        }
    }
    if !batch.is_empty() {
        control(&mut batch, END);
    }
    socket.run(batch)
}

fn fill(table: &mut Table<'_>, endpoint: &EndpointIntent, outgoing: bool) {
    let (chain, number) = if outgoing {
        ("sending", 3)
    } else {
        ("receiving", 1)
    };
    let hook = Hook {
        kind: "filter",
        number,
        priority: 0,
    };
    table.chain(chain, &hook);
    table.rule(chain, |rule| rule.is_established().accept());
    // A packet of IPv4 can have the number of ICMPv6 as well.
    for kind in NEIGHBOURS {
        table.rule(chain, |rule| {
            rule.is_of(false).is_icmp6(Some(kind)).accept()
        });
    }
    let rules = endpoint.access.iter();
    for rule in rules.filter(|rule| rule.is_outgoing == outgoing) {
        let link = interface(&endpoint.inner);
        for one in combinations(rule) {
            table.rule(chain, |words| {
                words.is_at(&link, outgoing);
                one.say(words, outgoing);
                verdict(words, rule.allows)
            });
        }
    }
}

pub(super) fn verdict(words: &mut Expressions<'_>, allows: bool) -> Ended {
    if allows { words.accept() } else { words.drop() }
}

/// One of all that a rule stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Combination {
    protocol: Option<u8>,
    local: Option<Prefix>,
    remote: Option<Prefix>,
    local_ports: Option<(u16, u16)>,
    remote_ports: Option<(u16, u16)>,
}

/// All of them; addresses of two families never meet in one packet.
pub(super) fn combinations(rule: &AccessRule) -> Vec<Combination> {
    let mut all = Vec::new();
    for protocol in each(&rule.protocols) {
        for local in each(&rule.local) {
            for remote in each(&rule.remote) {
                let families = local.zip(remote);
                if families.is_some_and(|(local, remote)| local.is_ipv4() != remote.is_ipv4()) {
                    continue;
                }
                for local_ports in each(&rule.local_ports) {
                    all.extend(each(&rule.remote_ports).map(|remote_ports| Combination {
                        protocol,
                        local,
                        remote,
                        local_ports,
                        remote_ports,
                    }));
                }
            }
        }
    }
    all
}

/// Each item, or once none where an empty list stands for everything.
fn each<T: Copy>(list: &[T]) -> impl Iterator<Item = Option<T>> {
    let everything = list.is_empty().then_some(None);
    list.iter().copied().map(Some).chain(everything)
}

impl Combination {
    fn say(self, words: &mut Expressions<'_>, outgoing: bool) {
        self.say_of(words, outgoing, |words, ipv4| {
            words.is_of(ipv4);
        });
    }

    /// The same in a table of the family bridge.
    pub(super) fn say_in_bridge(self, words: &mut Expressions<'_>, outgoing: bool) {
        self.say_of(words, outgoing, |words, ipv4| {
            let frame = if ipv4 { ETHERTYPE_IPV4 } else { ETHERTYPE_IPV6 };
            words.frame_is(frame);
        });
    }

    fn say_of(
        self,
        words: &mut Expressions<'_>,
        outgoing: bool,
        is_of: impl Fn(&mut Expressions<'_>, bool),
    ) {
        // The endpoint is the destination of what it receives.
        for (prefix, target) in [(self.local, !outgoing), (self.remote, outgoing)] {
            let Some(prefix) = prefix else { continue };
            is_of(words, prefix.is_ipv4());
            if !prefix.is_all() {
                words.address_in(&octets(prefix.first()), &mask(prefix), target);
            }
        }
        if let Some(protocol) = self.protocol {
            words.is_protocol(protocol);
        }
        for (ports, target) in [(self.local_ports, !outgoing), (self.remote_ports, outgoing)] {
            if let Some(ports) = ports {
                words.port_in(ports, target);
            }
        }
    }
}

pub(super) fn mask(prefix: Prefix) -> Vec<u8> {
    let bytes = if prefix.is_ipv4() { 4 } else { 16 };
    let bits = |at: u8| match prefix.length().saturating_sub(at * 8) {
        0 => 0,
        left if left < 8 => 0xff << (8 - left),
        _ => 0xff,
    };
    (0..bytes).map(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_as_many_bits_as_their_prefix() {
        let of = |text: &str| mask(text.parse().unwrap_or_else(|_| unreachable!("{text}")));
        assert_eq!(of("10.0.0.0/8"), [255, 0, 0, 0]);
        assert_eq!(of("10.0.0.0/13"), [255, 248, 0, 0]);
        assert_eq!(of("10.0.0.1/32"), [255; 4]);
        assert_eq!(of("fd00::/20")[..4], [255, 255, 0xf0, 0]);
        assert_eq!(of("fd00::1/128"), [255; 16]);
    }

    #[test]
    fn lists_are_combined_within_a_family() {
        let prefix = |text: &str| text.parse().unwrap_or_else(|_| unreachable!("{text}"));
        let rule = AccessRule {
            priority: 0,
            is_outgoing: true,
            allows: true,
            protocols: vec![6, 17],
            local: vec![prefix("10.0.0.0/8"), prefix("fd00::/8")],
            remote: vec![prefix("10.1.0.0/16"), prefix("fd00:1::/32")],
            local_ports: Vec::new(),
            remote_ports: vec![(80, 80), (443, 443)],
        };
        assert_eq!(combinations(&rule).len(), 2 * 2 * 2);
        let all = AccessRule {
            protocols: Vec::new(),
            local: Vec::new(),
            remote: Vec::new(),
            remote_ports: Vec::new(),
            ..rule
        };
        assert_eq!(combinations(&all).len(), 1);
    }
}

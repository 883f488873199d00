//! Address plans: which subnet a network gets, which address an endpoint gets.
//!
//! Addresses are given upwards from the last one given, so that one that was just given back rests as long as possible:
//! peers remember the hardware address behind it for some seconds.

use std::{collections::BTreeSet, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    address::{Mac, Prefix, address_of, number},
    guid::Guid,
};

/// Where subnets come from when a network brings none: /24 of these. None of Docker's (172.17.0.0/16), Podman's
/// (10.88.0.0/16), libvirt's (192.168.122.0/24) and LXC's (10.0.3.0/24) is in them.
const SOURCES: [(IpAddr, u8); 3] = [
    (IpAddr::V4(std::net::Ipv4Addr::new(10, 231, 0, 0)), 16),
    (IpAddr::V4(std::net::Ipv4Addr::new(172, 29, 0, 0)), 16),
    (IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 224, 0)), 19),
];

/// The length of a subnet that the service chooses.
const CHOSEN_LENGTH: u8 = 24;

/// The first subnet of ours that shares no address with `taken`. [Wide](Prefix::is_wide) prefixes do not count: a
/// default route takes no address from a network.
#[must_use]
pub fn free_subnet(taken: &[Prefix]) -> Option<Prefix> {
    let sources = SOURCES
        .iter()
        .filter_map(|(first, length)| Prefix::around(*first, *length));
    let mut candidates = sources.flat_map(|source| {
        let (first, last) = (number(source.first()), number(source.last()));
        let step = 1_usize << (32 - CHOSEN_LENGTH);
        (first..=last)
            .step_by(step)
            .filter_map(move |at| Prefix::around(address_of(at, source.first()), CHOSEN_LENGTH))
    });
    candidates.find(|candidate| {
        let mut others = taken.iter().filter(|other| !other.is_wide());
        others.all(|other| !other.overlaps(*candidate))
    })
}

/// How many subnets [`free_subnet`] chooses from.
pub const MOST_SUBNETS: u128 = 256 + 256 + 32;

/// How many of the subnets that [`free_subnet`] chooses from share addresses with `prefix`.
#[must_use]
pub fn chosen_subnets(prefix: Prefix) -> u128 {
    let sources = SOURCES.iter();
    let sources = sources.filter_map(|(first, length)| Prefix::around(*first, *length));
    let shared = sources.filter(|source| source.overlaps(prefix));
    // Of two prefixes that share addresses one is part of the other.
    let counts = shared.map(|source| {
        let length = source.length().max(prefix.length()).min(CHOSEN_LENGTH);
        1_u128 << (CHOSEN_LENGTH - length)
    });
    counts.sum()
}

/// The addresses of a subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All of them.
    pub prefix: Prefix,
    /// That of the host, or of a router.
    pub gateway: Option<IpAddr>,
    /// Given last.
    last: Option<IpAddr>,
    /// Given back last.
    freed: Option<IpAddr>,
}

impl Pool {
    /// A pool from which nothing was given yet.
    #[must_use]
    pub const fn new(prefix: Prefix, gateway: Option<IpAddr>) -> Self {
        Self {
            prefix,
            gateway,
            last: None,
            freed: None,
        }
    }

    /// The first address that an endpoint may have.
    #[must_use]
    pub fn first_host(&self) -> IpAddr {
        address_of(number(self.prefix.first()) + 1, self.prefix.first())
    }

    /// How many addresses endpoints may have.
    #[must_use]
    pub fn size(&self) -> u128 {
        let behind_first = number(self.prefix.last()) - number(self.prefix.first());
        let reserved = [self.prefix.is_ipv4(), self.gateway.is_some()];
        let reserved = reserved.into_iter().filter(|is| *is).count();
        behind_first.saturating_sub(reserved as u128)
    }

    /// Whether an endpoint may have `address`, apart from others that have it.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let broadcast = self.prefix.is_ipv4() && address == self.prefix.last();
        self.prefix.contains(address)
            && address != self.prefix.first()
            && !broadcast
            && Some(address) != self.gateway
    }

    /// Gives an address that is not `used`. The one given back last is given only when no other is left.
    pub fn give(&mut self, used: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let (first, last) = (number(self.prefix.first()), number(self.prefix.last()));
        let from = self.last.map_or(first, number);
        let like = self.prefix.first();
        let free = |at: &u128| {
            let address = address_of(*at, like);
            self.allows(address) && !used.contains(&address)
        };
        let rested = |at: &u128| self.freed != Some(address_of(*at, like));
        // Each candidate is used, reserved or the one given back, so either walk is short, however large the subnet.
        let mut upwards = (from..=last).skip(1).chain(first..=from).filter(free);
        let mut again = None;
        let found = upwards.find(|at| {
            if !rested(at) {
                again = Some(*at);
            }
            rested(at)
        });
        let address = address_of(found.or(again)?, like);
        self.last = Some(address);
        Some(address)
    }

    /// Notes that an address was given back.
    pub fn take_back(&mut self, address: IpAddr) {
        if self.prefix.contains(address) {
            self.freed = Some(address);
        }
    }
}

/// The hardware addresses of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacPlan {
    /// First and last of each range, as numbers.
    ranges: Vec<(u64, u64)>,
    /// Given last.
    last: Option<u64>,
}

impl MacPlan {
    /// The plan of a network with these ranges. Without any it has a range of its own, of 4096 addresses behind
    /// 00-15-5D, which its id tells: so networks seldom share one, and where they do, no harm is done.
    #[must_use]
    pub fn new(ranges: Vec<(Mac, Mac)>, network: Guid) -> Self {
        let mut ranges: Vec<(u64, u64)> = ranges
            .into_iter()
            .map(|(first, last)| (first.number(), last.number()))
            .collect();
        if ranges.is_empty() {
            let [.., high, low] = network.0.to_be_bytes();
            let mixed = network.0 ^ network.0 >> 64;
            let [.., more, _, _] = mixed.to_be_bytes();
            let first = Mac([0x00, 0x15, 0x5d, more ^ high, low & 0xf0, 0]).number();
            ranges.push((first, first | 0xfff));
        }
        Self { ranges, last: None }
    }

    /// Gives an address that is not `used`, upwards from the last one given.
    pub fn give(&mut self, used: &BTreeSet<Mac>) -> Option<Mac> {
        let last = self.last;
        let all = || self.ranges.iter().flat_map(|(first, end)| *first..=*end);
        // Ranges may be given in any order, so "behind the last" is behind it in this list.
        let behind = all()
            .skip_while(|at| last.is_some_and(|last| *at != last))
            .skip(usize::from(last.is_some()));
        let free = |at: &u64| Mac::of(*at).is_single() && !used.contains(&Mac::of(*at));
        let found = behind.chain(all()).find(free)?;
        self.last = Some(found);
        Some(Mac::of(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_go_upwards_and_what_was_given_back_rests() {
        let mut pool = Pool::new("10.0.0.0/29".parse().unwrap(), Some(ip("10.0.0.1")));
        let mut used = BTreeSet::new();
        let give = |pool: &mut Pool, used: &mut BTreeSet<IpAddr>| {
            let address = pool.give(used)?;
            used.insert(address);
            Some(address.to_string())
        };
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(give(&mut pool, &mut used));
        }
        assert_eq!(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(pool.size(), 5);
        used.remove(&ip("10.0.0.4"));
        pool.take_back(ip("10.0.0.4"));
        assert_eq!(give(&mut pool, &mut used).as_deref(), Some("10.0.0.5"));
        assert_eq!(give(&mut pool, &mut used).as_deref(), Some("10.0.0.6"));
        used.remove(&ip("10.0.0.2"));
        pool.take_back(ip("10.0.0.2"));
        assert_eq!(give(&mut pool, &mut used).as_deref(), Some("10.0.0.4"));
        assert_eq!(give(&mut pool, &mut used).as_deref(), Some("10.0.0.2"));
        assert_eq!(give(&mut pool, &mut used), None);
    }

    #[test]
    fn the_last_address_of_all_is_never_passed() {
        let mut pool = Pool::new(
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"
                .parse()
                .unwrap(),
            None,
        );
        let used = BTreeSet::new();
        let given: Vec<_> = (0..4)
            .map(|_| pool.give(&used).unwrap().to_string())
            .collect();
        let end = |last: &str| format!("ffff:ffff:ffff:ffff:ffff:ffff:ffff:{last}");
        assert_eq!(given, [end("fffd"), end("fffe"), end("ffff"), end("fffd")]);
    }

    #[test]
    fn a_chosen_subnet_touches_no_other() {
        let mut taken: Vec<Prefix> =
            vec!["0.0.0.0/0".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        // As programs for private networks route all traffic.
        taken.extend(["0.0.0.0/1", "128.0.0.0/1"].map(|half| half.parse::<Prefix>().unwrap()));
        let chosen = free_subnet(&taken).unwrap();
        assert_eq!(chosen.to_string(), "172.29.0.0/24");
        taken.push(chosen);
        assert_eq!(free_subnet(&taken).unwrap().to_string(), "172.29.1.0/24");
        taken.extend([
            "172.16.0.0/12".parse::<Prefix>().unwrap(),
            "192.168.0.0/16".parse().unwrap(),
        ]);
        assert_eq!(free_subnet(&taken), None);
    }

    #[test]
    fn a_prefix_takes_the_subnets_that_it_shares_addresses_with() {
        let taken = |text: &str| chosen_subnets(text.parse().unwrap());
        assert_eq!(taken("10.231.0.0/16"), 256);
        assert_eq!(taken("10.0.0.0/8"), 256);
        assert_eq!(taken("192.168.0.0/16"), 32);
        assert_eq!(taken("172.29.128.0/17"), 128);
        assert_eq!(taken("10.231.7.0/24") + taken("10.231.8.128/30"), 2);
        assert_eq!(taken("10.9.0.0/16") + taken("fd00::/8"), 0);
        let all = SOURCES.map(|(first, length)| Prefix::around(first, length).unwrap());
        assert_eq!(all.map(chosen_subnets).iter().sum::<u128>(), MOST_SUBNETS);
    }

    #[test]
    fn hardware_addresses_come_from_the_ranges() {
        let mac = |text: &str| text.parse::<Mac>().unwrap();
        let ranges = vec![
            (mac("00-15-5D-00-00-01"), mac("00-15-5D-00-00-02")),
            (mac("00-15-5D-00-01-00"), mac("00-15-5D-00-01-00")),
        ];
        let mut plan = MacPlan::new(ranges, Guid(1));
        let mut used = BTreeSet::from([mac("00-15-5D-00-00-02")]);
        for expected in ["00-15-5D-00-00-01", "00-15-5D-00-01-00"] {
            let given = plan.give(&used).unwrap();
            assert_eq!(given.to_string(), expected);
            used.insert(given);
        }
        assert_eq!(plan.give(&used), None);
        used.remove(&mac("00-15-5D-00-00-02"));
        assert_eq!(plan.give(&used), Some(mac("00-15-5D-00-00-02")));
        let own = MacPlan::new(Vec::new(), Guid(7))
            .give(&BTreeSet::new())
            .unwrap();
        assert!(own.to_string().starts_with("00-15-5D-"), "{own}");
    }
}

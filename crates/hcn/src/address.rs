//! Addresses as values: [`Mac`] and [`Prefix`].

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// The shortest prefix that names a network, in bits.
const LEAST_LENGTH: u8 = 8;

/// The address of a network card.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// As a number, for ranges.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// From the lower 48 bits of a number.
    #[must_use]
    pub fn of(number: u64) -> Self {
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Self(bytes)
    }

    /// The address of IPv6 on its link alone that a card gives itself.
    #[must_use]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, g] = self.0;
        let bytes = [
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            a ^ 2,
            b,
            c,
            0xff,
            0xfe,
            d,
            e,
            g,
        ];
        Ipv6Addr::from(bytes)
    }

    /// Whether it stands for one card: no group, and not all zero.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.0[0] & 1 == 0 && self.number() != 0
    }
}

/// The text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl FromStr for Mac {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        if digits.len() != 12 || digits.contains('+') {
            return Err(NotAnAddress);
        }
        let number = u64::from_str_radix(&digits, 16);
        number.map(Self::of).map_err(|_| NotAnAddress)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{g:02X}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A range of addresses: a network's number and the length of it, without bits behind that length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix {
    first: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of `length` bits that `address` is in. `None` where the length is too long.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        if length > bits(address) {
            return None;
        }
        let number = number(address) & !host_mask(address, length);
        let first = address_of(number, address);
        Some(Self { first, length })
    }

    /// Its first address.
    #[must_use]
    pub const fn first(self) -> IpAddr {
        self.first
    }

    /// The number of bits that its addresses share.
    #[must_use]
    pub const fn length(self) -> u8 {
        self.length
    }

    /// Its last address.
    #[must_use]
    pub fn last(self) -> IpAddr {
        let number = number(self.first) | host_mask(self.first, self.length);
        address_of(number, self.first)
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4()
            && (number(self.first)..=number(self.last())).contains(&number(address))
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first) || other.contains(self.first)
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether it holds all addresses.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.length == 0
    }

    /// Whether a route to it stands for one to all addresses. Programs for private networks have the two halves
    /// `0.0.0.0/1` and `128.0.0.0/1`, so that the default route stays as it is; the internet of IPv6 is `2000::/3`.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        self.length < LEAST_LENGTH
    }

    /// Whether hosts of a network of ours can have these addresses: none of this host, of a link alone, of a group, or
    /// kept for another purpose.
    #[must_use]
    pub fn is_for_hosts(self) -> bool {
        const RESERVED: [(IpAddr, u8); 7] = [
            (IpAddr::V4(Ipv4Addr::new(0, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
            (IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), 3),
            (IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8),
            (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
            (IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0)), 8),
        ];
        let reserved = |(first, length): &(IpAddr, u8)| {
            Self::around(*first, *length).is_some_and(|one| one.overlaps(self))
        };
        !self.is_wide() && !RESERVED.iter().any(reserved)
    }
}

/// Bits of an address of this kind.
const fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as a number.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of the kind of `like` with this number; the highest of IPv4 where the number is too large for it.
#[must_use]
pub fn address_of(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        IpAddr::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// What the kernel makes of no metric of a route by a router.
pub(crate) const fn usual_metric(router: IpAddr) -> u16 {
    if router.is_ipv4() { 0 } else { 1024 }
}

/// The bits behind the first `length`.
fn host_mask(address: IpAddr, length: u8) -> u128 {
    let host = u32::from(bits(address).saturating_sub(length));
    u128::MAX.checked_shr(128 - host).unwrap_or(0)
}

impl FromStr for Prefix {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (address, length) = text.split_once('/').ok_or(NotAnAddress)?;
        let address: IpAddr = address.parse().map_err(|_| NotAnAddress)?;
        let plain = length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse().ok().filter(|_| plain).ok_or(NotAnAddress)?;
        let prefix = Self::around(address, length).ok_or(NotAnAddress)?;
        (prefix.first == address)
            .then_some(prefix)
            .ok_or(NotAnAddress)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "an address prefix is expected")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_their_addresses_and_no_others() {
        let prefix: Prefix = "192.168.128.0/20".parse().unwrap();
        assert_eq!(prefix.last().to_string(), "192.168.143.255");
        for (address, inside) in [
            ("192.168.128.0", true),
            ("192.168.143.255", true),
            ("192.168.144.0", false),
            ("::c0a8:8000", false),
        ] {
            assert_eq!(
                prefix.contains(address.parse().unwrap()),
                inside,
                "{address}"
            );
        }
        let prefix_of = |text: &str| text.parse::<Prefix>().unwrap();
        assert!(prefix_of("128.0.0.0/1").is_wide() && prefix_of("2000::/3").is_wide());
        assert!(!prefix_of("10.0.0.0/8").is_wide());
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.is_all() && all.contains("fd00::1".parse().unwrap()));
        assert!(!all.overlaps(prefix));
        assert!(prefix.overlaps("192.168.0.0/16".parse().unwrap()));
        assert!(!prefix.overlaps("192.168.0.0/20".parse().unwrap()));
        let one: Prefix = "10.0.0.1/32".parse().unwrap();
        assert_eq!(one.first(), one.last());
        for bad in [
            "10.0.0.1/24",
            "10.0.0.0/33",
            "10.0.0.0",
            "10.0.0.0/+8",
            "x/8",
            "10.0.0.0/",
        ] {
            assert_eq!(bad.parse::<Prefix>(), Err(NotAnAddress), "{bad}");
        }
    }

    #[test]
    fn macs_are_read_in_three_spellings_and_written_in_one() {
        for text in ["00-15-5d-0a-0B-0c", "00:15:5D:0A:0B:0C", "00155D0A0B0C"] {
            assert_eq!(
                text.parse::<Mac>().unwrap().to_string(),
                "00-15-5D-0A-0B-0C"
            );
        }
        assert!(!"01-00-5E-00-00-01".parse::<Mac>().unwrap().is_single());
        assert_eq!("00-15-5D".parse::<Mac>(), Err(NotAnAddress));
    }
}

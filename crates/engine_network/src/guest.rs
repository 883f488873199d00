//! [`GuestNetwork`]: the network cards of a virtual machine, seen from inside, by the agent of the guest.
//!
//! A card is known by its hardware address, as the guest's kernel gives it whatever name. A card plugged in later
//! is there some time after the host has told of it; the kernel's news of links say when.

use std::{
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use hcn::{Mac, Prefix};
use hcs_schema::Failure;
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};

use crate::{
    failure::failed,
    link::{self, Link},
    netlink::{Batch, NetlinkError, Socket},
};

/// Where what is said about links goes (`RTMGRP_LINK`).
const NEWS_OF_LINKS: u32 = 1;

const NEEDS: &str = "networks of IPv4, and where they are asked for of IPv6";

/// What a card is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestCard {
    /// Its hardware address.
    mac: Mac,
    /// The largest packet, in bytes.
    mtu: u32,
    addresses: Vec<(IpAddr, u8)>,
    routes: Vec<(Prefix, IpAddr, u16)>,
}

/// A route, as text.
#[derive(Clone, Copy, Debug)]
pub struct GuestRoute<'a> {
    /// Where it leads: an address with the length of its prefix.
    pub to: &'a str,
    /// The router.
    pub router: &'a str,
    /// The one with the lowest is taken.
    pub metric: u16,
}

impl GuestCard {
    /// Reads what is said of a card; `None` where a part of it is no address.
    #[must_use]
    pub fn read<'a>(
        mac: &str,
        mtu: u32,
        addresses: impl Iterator<Item = &'a str>,
        routes: impl Iterator<Item = GuestRoute<'a>>,
    ) -> Option<Self> {
        let route = |route: GuestRoute<'_>| {
            let (to, length) = with_length(route.to)?;
            let router = route.router.parse().ok()?;
            Some((Prefix::around(to, length)?, router, route.metric))
        };
        Some(Self {
            mac: mac.parse().ok()?,
            mtu,
            addresses: addresses.map(with_length).collect::<Option<_>>()?,
            routes: routes.map(route).collect::<Option<_>>()?,
        })
    }
}

fn with_length(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let (address, length) = (address.parse().ok()?, length.parse().ok()?);
    Prefix::around(address, length).map(|_| (address, length))
}

/// The cards of this guest.
#[derive(Debug)]
pub struct GuestNetwork {
    socket: Socket,
    news: OwnedFd,
    wanted: Vec<GuestCard>,
    /// Those that were set up as they are wanted, with the numbers of their links.
    done: Vec<(GuestCard, u32)>,
    /// What cards were set to that are wanted in another way now.
    former: Vec<(GuestCard, u32)>,
}

impl GuestNetwork {
    /// The network namespace of the calling thread, with no card that is wanted.
    ///
    /// # Errors
    /// The kernel has no netlink.
    pub fn open() -> Result<Self, Failure> {
        let call = |errno| NetlinkError::Call {
            what: "opening a netlink socket",
            errno,
        };
        let opened = || -> Result<(Socket, OwnedFd), NetlinkError> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let news = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None);
            let news = news.map_err(call)?;
            bind(&news, &SocketAddrNetlink::new(0, NEWS_OF_LINKS)).map_err(call)?;
            Ok((Socket::route()?, news))
        };
        let (socket, news) = opened().map_err(|error| failed("reaching cards", NEEDS, &error))?;
        Ok(Self {
            socket,
            news,
            wanted: Vec::new(),
            done: Vec::new(),
            former: Vec::new(),
        })
    }

    /// Readable when [`GuestNetwork::look`] is worth a call.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    /// Sets the cards up that are there, and later those that come.
    ///
    /// # Errors
    /// What the kernel refused. The other cards are set up.
    pub fn set(&mut self, cards: Vec<GuestCard>) -> Result<(), Failure> {
        self.wanted = cards;
        let is_other = |(card, _): &mut (GuestCard, u32)| !self.wanted.contains(card);
        self.former.extend(self.done.extract_if(.., is_other));
        self.set_up()
    }

    /// Sets up what has come since.
    ///
    /// # Errors
    /// As for [`GuestNetwork::set`].
    pub fn look(&mut self) -> Result<(), Failure> {
        // What it says does not matter, nor that some was lost: all links are looked at.
        let mut some = [0_u8; 4096];
        while matches!(
            recv(&self.news, &mut some, RecvFlags::DONTWAIT),
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR)
        ) {}
        self.set_up()
    }

    fn set_up(&mut self) -> Result<(), Failure> {
        let doing = "setting up a network card";
        let failed = |error: NetlinkError| failed(doing, NEEDS, &error);
        let links = link::links(&mut self.socket).map_err(failed)?;
        // A card that was unplugged may come back, as another link.
        let is_there =
            |(_, index): &(GuestCard, u32)| links.iter().any(|link| link.index == *index);
        self.done.retain(is_there);
        self.former.retain(is_there);
        let missing = |card: &&GuestCard| !self.done.iter().any(|(done, _)| done == *card);
        let missing: Vec<GuestCard> = self.wanted.iter().filter(missing).cloned().collect();
        let mut result = Ok(());
        for card in missing {
            let is_free = |link: &&Link| !self.done.iter().any(|(_, index)| *index == link.index);
            let found = links_with(&links, card.mac).find(is_free);
            let Some(found) = found else { continue };
            match self.set_card(&card, found.index, &found.name) {
                Ok(()) => self.done.push((card, found.index)),
                Err(error) => result = result.and(Err(failed(error))),
            }
        }
        result
    }

    fn set_card(&mut self, card: &GuestCard, index: u32, name: &str) -> Result<(), NetlinkError> {
        self.remove_former_routes(card, index)?;
        let there = link::addresses(&mut self.socket)?;
        let there = there.into_iter().filter(|one| one.index == index);
        let mut batch = Batch::default();
        for one in there.filter(|one| !card.addresses.contains(&(one.address, one.length))) {
            link::remove_address(&mut batch, index, one.address, one.length);
        }
        link::set_mtu(&mut batch, name, index, card.mtu);
        link::set_up(&mut batch, name);
        for (address, length) in &card.addresses {
            link::add_address(&mut batch, index, *address, *length);
        }
        for (to, router, metric) in &card.routes {
            link::add_route(&mut batch, index, *to, *router, (*metric).into());
        }
        self.socket.run(batch)
    }
}

impl GuestNetwork {
    /// Routes that the card had, and is not to have any more.
    fn remove_former_routes(&mut self, card: &GuestCard, index: u32) -> Result<(), NetlinkError> {
        let of_card = |(_, link): &mut (GuestCard, u32)| *link == index;
        let former: Vec<_> = self.former.extract_if(.., of_card).collect();
        let routes = former.iter().flat_map(|(former, _)| &former.routes);
        for route in routes.filter(|route| !card.routes.contains(route)) {
            let (to, router, metric) = *route;
            let mut batch = Batch::default();
            link::remove_route_of(&mut batch, index, (to, router, metric.into()));
            match self.socket.run(batch) {
                // A program of the guest has removed it.
                Err(error) if error.errno() == Some(Errno::SRCH) => {}
                done => done?,
            }
        }
        Ok(())
    }
}

/// The cards with a hardware address. Bridges, bonds and the like take over that of a card, and are none.
fn links_with(links: &[Link], mac: Mac) -> impl Iterator<Item = &Link> {
    let is_one = move |link: &&Link| link.kind.is_none() && link.mac == Some(mac);
    links.iter().filter(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_with_the_address_of_a_card_is_not_the_card() {
        let mac = Mac([0, 0x15, 0x5d, 1, 2, 3]);
        let link = |index, kind: Option<&str>| Link {
            index,
            mac: Some(mac),
            kind: kind.map(str::to_owned),
            ..Link::default()
        };
        let other = Link {
            index: 5,
            ..Link::default()
        };
        let links = [link(3, Some("bridge")), link(4, None), other];
        let found: Vec<u32> = links_with(&links, mac).map(|link| link.index).collect();
        assert_eq!(found, [4]);
    }

    #[test]
    fn a_card_is_read_or_refused_as_a_whole() {
        let mac = "00-15-5D-01-02-03";
        let route = |to, router| GuestRoute {
            to,
            router,
            metric: 0,
        };
        let read = |addresses: &[&'static str], routes: &[GuestRoute<'static>]| {
            GuestCard::read(mac, 1500, addresses.iter().copied(), routes.iter().copied())
        };
        let card = read(&["10.0.0.2/24"], &[route("0.0.0.0/0", "10.0.0.1")]).unwrap();
        assert_eq!(card.addresses, [(IpAddr::from([10, 0, 0, 2]), 24)]);
        assert!(card.routes[0].0.is_all());
        for bad in ["10.0.0.2", "10.0.0.2/33", "x/24", "10.0.0.2/"] {
            assert_eq!(read(&[bad], &[]), None, "{bad}");
        }
        assert_eq!(read(&[], &[route("0.0.0.0/0", "x")]), None);
        assert_eq!(
            GuestCard::read("x", 1500, [].into_iter(), [].into_iter()),
            None
        );
    }
}

//! [`Bridge`]: a network's bridge, with the host's addresses.

use std::net::IpAddr;

use hcn::{
    Mac,
    intent::{NetworkIntent, alias, subnet_name},
};
use hcs_schema::{Failure, fnv};

use super::{Part, remove_link};
use crate::{
    failure::{failed, in_the_way, removable},
    host::Host,
    link::{self, Address, Link},
    netlink::Batch,
    settings::{self, Family},
};

const NEEDS: &str = "bridges (module bridge)";

/// A network's bridge.
#[derive(Clone, Copy, Debug)]
pub struct Bridge<'a>(pub &'a NetworkIntent);

impl Bridge<'_> {
    fn doing(&self, verb: &str) -> String {
        format!(
            "{verb} the bridge {} of the network {}",
            self.0.link, self.0.id
        )
    }

    /// The bridge, if it is there and this network's.
    pub(crate) fn found(&self, host: &mut Host) -> Result<Option<Link>, Failure> {
        let Some(found) = host.find(&self.0.link)? else {
            return Ok(None);
        };
        let alias = alias(&host.owner, self.0.id);
        if found.kind.as_deref() == Some("bridge") && found.alias.as_ref() == Some(&alias) {
            return Ok(Some(found));
        }
        Err(in_the_way(format!(
            "the link {} is there already and not the bridge of the network {}: its alias is {:?} and not {alias:?}; remove \
             it or make the network under another id",
            self.0.link,
            self.0.id,
            found.alias.unwrap_or_default(),
        )))
    }

    /// The hardware address of a bridge that is made: the same each time, as endpoints remember their router's for as
    /// long as a minute, also when another program removes the bridge and it is made again. It is one of those that no
    /// maker of cards has.
    fn mac(&self, host: &Host) -> Mac {
        if let Some(router) = self.router() {
            return router;
        }
        let alias = alias(&host.owner, self.0.id);
        let [.., a, b, c, d, e] = fnv::hash(fnv::BASIS, alias.as_bytes()).to_be_bytes();
        Mac([0x02, a, b, c, d, e])
    }

    /// The hardware address that other hosts send to what they route to this one.
    fn router(&self) -> Option<Mac> {
        self.0.tunnel.as_ref()?.router
    }

    /// Whether the bridge `link` is up, has its addresses, of `all` that there are, and keeps to itself.
    pub(crate) fn is_sound(&self, host: &Host, link: &Link, all: &[Address]) -> bool {
        let has = |(address, length): &(IpAddr, u8)| {
            let mut there = all.iter().filter(|one| one.index == link.index);
            there.any(|one| one.address == *address && one.length == *length)
        };
        link.up
            && self.router().is_none_or(|router| link.mac == Some(router))
            && self.0.addresses.iter().all(has)
            && self.heard(host).is_ok_and(|on| on.is_empty())
    }

    /// What endpoints say of routes does not count on the host: the settings that let it.
    fn heard(&self, host: &Host) -> Result<Vec<&'static str>, Failure> {
        const HEARD: [&str; 2] = ["accept_ra", "accept_redirects"];
        let mut on = Vec::new();
        // With a port of a small MTU it has no IPv6, nor these settings. They are as new once it has.
        let there =
            |setting: &&str| host.ipv6 && settings::exists(Family::V6, &self.0.link, setting);
        for setting in HEARD.into_iter().filter(there) {
            if settings::read(Family::V6, &self.0.link, setting)? != "0" {
                on.push(setting);
            }
        }
        Ok(on)
    }

    fn keep_to_itself(&self, host: &Host) -> Result<(), Failure> {
        let mut heard = self.heard(host)?.into_iter();
        heard.try_for_each(|setting| settings::write(Family::V6, &self.0.link, setting, "0"))
    }

    /// Tells other services what subnets they had better not choose, where no route does. A kernel that has no second
    /// names keeps networks as well apart.
    fn tell_subnets(&self, host: &mut Host, link: &Link) {
        let subnets = self.0.subnets.iter().filter(|one| one.is_ipv4());
        for subnet in subnets.filter(|_| self.0.addresses.is_empty()) {
            let name = subnet_name(&self.0.link, *subnet);
            if !link.second_names.contains(&name) {
                let mut batch = Batch::default();
                link::add_second_name(&mut batch, &link.name, link.index, &name);
                let _may_lack_it = host.route.run(batch);
            }
        }
    }

    /// What of its addresses has to come and go: the host's own on this link, against those that are wanted.
    fn differences(&self, host: &mut Host, index: u32) -> Result<[Vec<(IpAddr, u8)>; 2], Failure> {
        let doing = self.doing("looking at");
        let all =
            link::addresses(&mut host.route).map_err(|error| failed(&doing, NEEDS, &error))?;
        let there = all.into_iter().filter(|one| one.index == index);
        let there: Vec<_> = there.map(|one| (one.address, one.length)).collect();
        let missing = self.0.addresses.iter().filter(|one| !there.contains(one));
        let stale = there.iter().filter(|one| !self.0.addresses.contains(one));
        Ok([missing.copied().collect(), stale.copied().collect()])
    }
}

impl Part for Bridge<'_> {
    fn check(&self, host: &mut Host) -> Result<(), Failure> {
        self.found(host).map(drop)
    }

    fn apply(&self, host: &mut Host) -> Result<(), Failure> {
        let doing = self.doing("making");
        let name = &self.0.link;
        let is_new = self.found(host)?.is_none();
        if is_new {
            let mut batch = Batch::default();
            link::add_bridge(&mut batch, name);
            link::set_alias(&mut batch, name, &alias(&host.owner, self.0.id), host.ipv6);
            host.run(&doing, NEEDS, batch)?;
        }
        let Some(found) = self.found(host)? else {
            return Err(in_the_way(format!(
                "the bridge {name} was removed while it was being made"
            )));
        };
        self.keep_to_itself(host)?;
        let [missing, stale] = self.differences(host, found.index)?;
        let mut batch = Batch::default();
        // An address that was set stays; an address that the kernel chose changes with the ports.
        let mac = if is_new || self.router().is_some() {
            Some(self.mac(host))
        } else {
            found.mac
        };
        if let Some(mac) = mac {
            link::set_mac(&mut batch, name, found.index, mac);
        }
        for (address, length) in stale {
            link::remove_address(&mut batch, found.index, address, length);
        }
        for (address, length) in missing {
            link::add_address(&mut batch, found.index, address, length);
        }
        if !found.up {
            link::set_up(&mut batch, name);
        }
        host.run(&doing, NEEDS, batch)?;
        self.tell_subnets(host, &found);
        Ok(())
    }

    fn undo(&self, host: &mut Host) -> Result<(), Failure> {
        let Some(found) = removable(self.found(host))? else {
            return Ok(());
        };
        remove_link(&mut host.route, &found, (&self.doing("removing"), NEEDS))
    }
}

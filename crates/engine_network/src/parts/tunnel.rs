//! [`Tunnels`]: a port of a network's bridge by which other hosts are reached (`vxlan`), and what the kernel is told of
//! them: it learns nothing from what comes in, and sends to no group. A card that it was not told of is not reached.
//!
//! The address of an endpoint elsewhere is answered for here: a question of ARP goes to no other host. A subnet
//! elsewhere is a route of the host by the bridge, to the card of the router there.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use hcn::{
    Prefix,
    intent::{NetworkIntent, TunnelIntent, alias},
};
use hcs_schema::{Failure, HResult};
use rustix::io::Errno;

use super::{Part, adapter::adapter, remove_link};
use crate::{
    failure::{failed, in_the_way, removable},
    host::Host,
    link::{self, Link, Overlaid},
    neighbours::{self, Known},
    netlink::Batch,
};

const NEEDS: &str = "tunnels of VXLAN (module vxlan)";

/// The kind of link.
pub(crate) const KIND: &str = "vxlan";

/// The tunnels of a network to other hosts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnels<'a> {
    pub(crate) network: &'a NetworkIntent,
    pub(crate) tunnel: &'a TunnelIntent,
}

/// What of the kernel's tables is to come, and to go.
#[derive(Debug, Default)]
struct Differences {
    known: Vec<(u32, Known, bool)>,
    routes: Vec<(Prefix, IpAddr, bool)>,
}

impl<'a> Tunnels<'a> {
    /// Those of a network, if it has such.
    pub(crate) fn of(network: &'a NetworkIntent) -> Option<Self> {
        let tunnel = network.tunnel.as_ref()?;
        Some(Self { network, tunnel })
    }

    fn doing(&self, verb: &str) -> String {
        format!(
            "{verb} the link {} of the network {}",
            self.tunnel.link, self.network.id
        )
    }

    fn found(&self, host: &mut Host) -> Result<Option<Link>, Failure> {
        let Some(found) = host.find(&self.tunnel.link)? else {
            return Ok(None);
        };
        let wanted = alias(&host.owner, self.network.id);
        // Without an alias it is one whose making was interrupted; no other program names links so.
        let ours = found.alias.as_ref().is_none_or(|alias| *alias == wanted);
        if ours && found.kind.as_deref() == Some(KIND) {
            return Ok(Some(found));
        }
        Err(in_the_way(format!(
            "the link {} is there already and not of the network {}; remove it or make the network under another id",
            self.tunnel.link, self.network.id
        )))
    }

    fn bridge(&self, host: &mut Host) -> Result<Link, Failure> {
        host.find(&self.network.link)?.ok_or_else(|| {
            in_the_way(format!(
                "the bridge {} of the network {} is gone",
                self.network.link, self.network.id
            ))
        })
    }

    /// What the kernel is to know for the tunnel's link, and for the bridge.
    fn wanted(&self, link: u32, bridge: u32) -> BTreeSet<(u32, Known)> {
        let tunnel = self.tunnel;
        let peers = tunnel.peers.iter().flat_map(|peer| {
            let addresses = peer.addresses.iter();
            let addresses =
                addresses.map(move |address| (link, Known::Address(*address, peer.mac)));
            addresses.chain(reached(link, peer.mac, peer.provider))
        });
        let subnets = tunnel.subnets.iter().flat_map(|subnet| {
            let router = Known::Address(subnet.to.first(), subnet.router);
            reached(link, subnet.router, subnet.provider)
                .into_iter()
                .chain([(bridge, router)])
        });
        peers.chain(subnets).collect()
    }

    fn differences(
        &self,
        host: &mut Host,
        link: &Link,
        bridge: &Link,
    ) -> Result<Differences, Failure> {
        let doing = self.doing("looking at");
        let there =
            neighbours::known(&mut host.route).map_err(|error| failed(&doing, NEEDS, &error))?;
        let own = there
            .into_iter()
            .filter(|(of, _)| *of == link.index || *of == bridge.index);
        let there: BTreeSet<_> = own.collect();
        let wanted = self.wanted(link.index, bridge.index);
        let stale = there
            .difference(&wanted)
            .map(|(of, known)| (*of, *known, false));
        let missing = wanted
            .difference(&there)
            .map(|(of, known)| (*of, *known, true));
        let known = stale.chain(missing).collect();
        let routes = host
            .routes()?
            .into_iter()
            .filter(|route| route.link == Some(bridge.index));
        let there: BTreeSet<_> = routes
            .filter_map(|route| Some((route.to, route.router?)))
            .collect();
        let subnets = self.tunnel.subnets.iter();
        let wanted: BTreeSet<_> = subnets
            .map(|subnet| (subnet.to, subnet.to.first()))
            .collect();
        let stale = there
            .difference(&wanted)
            .map(|(to, router)| (*to, *router, false));
        let missing = wanted
            .difference(&there)
            .map(|(to, router)| (*to, *router, true));
        Ok(Differences {
            known,
            routes: stale.chain(missing).collect(),
        })
    }

    /// Whether the tunnel is a port of the bridge, and the kernel knows of other hosts what it is to know.
    pub(crate) fn is_sound(&self, host: &mut Host) -> Result<bool, Failure> {
        let (Some(link), Some(bridge)) = (self.found(host)?, host.find(&self.network.link)?) else {
            return Ok(false);
        };
        let differences = self.differences(host, &link, &bridge)?;
        let is_port = link.up && link.master == Some(bridge.index) && link.alias.is_some();
        Ok(is_port && differences.known.is_empty() && differences.routes.is_empty())
    }

    fn make(&self, host: &mut Host) -> Result<(), Failure> {
        let tunnel = self.tunnel;
        let below = match &tunnel.adapter {
            Some(name) => Some(adapter(host, name)?.index),
            None => None,
        };
        let mut batch = Batch::default();
        let overlaid = Overlaid {
            name: &tunnel.link,
            number: tunnel.number,
            port: tunnel.port,
            local: tunnel.local,
            below,
            mtu: tunnel.mtu,
        };
        link::add_overlaid(&mut batch, &overlaid);
        match host.route.run(batch) {
            Err(error) if error.errno() == Some(Errno::EXIST) => {
                let message = format!(
                    "another link of the host has the number {} at the port {} of VXLAN (\"ip -d link show type vxlan\"); \
                     give the subnets another number by a policy VSID, or the network another port by VxlanPort",
                    tunnel.number, tunnel.port
                );
                Err(Failure::new(HResult::HCN_E_NETWORK_ALREADY_EXISTS, message))
            }
            made => made.map_err(|error| failed(&self.doing("making"), NEEDS, &error)),
        }
    }

    /// Makes the route to a subnet elsewhere. One that leads there already is not of the network's bridge, so it is
    /// another program's, and stays.
    fn lead(
        &self,
        host: &mut Host,
        bridge: &Link,
        to: Prefix,
        router: IpAddr,
    ) -> Result<(), Failure> {
        let mut batch = Batch::default();
        link::add_own_route(&mut batch, bridge.index, to, router);
        match host.route.run(batch) {
            Err(error) if error.errno() == Some(Errno::EXIST) => {
                let message = format!(
                    "the host has another route to {to} (\"ip route\" shows it), so the network {} has none to that subnet; \
                     remove that route, or name another DestinationPrefix in the policy RemoteSubnetRoute",
                    self.network.id
                );
                Err(Failure::new(HResult::HCN_E_INVALID_SUBNET, message))
            }
            made => made.map_err(|error| failed(&self.doing("adding a route by"), NEEDS, &error)),
        }
    }
}

/// A card that is reached by the tunnel to a host.
fn reached(link: u32, mac: hcn::Mac, provider: Ipv4Addr) -> [(u32, Known); 2] {
    [(link, Known::Port(mac)), (link, Known::Host(mac, provider))]
}

impl Part for Tunnels<'_> {
    fn check(&self, host: &mut Host) -> Result<(), Failure> {
        self.found(host).map(drop)
    }

    fn apply(&self, host: &mut Host) -> Result<(), Failure> {
        let bridge = self.bridge(host)?;
        if self.found(host)?.is_none() {
            self.make(host)?;
        }
        let doing = self.doing("setting up");
        let name = &self.tunnel.link;
        let mut batch = Batch::default();
        link::set_alias(
            &mut batch,
            name,
            &alias(&host.owner, self.network.id),
            host.ipv6,
        );
        host.run(&doing, NEEDS, batch)?;
        let Some(found) = self.found(host)? else {
            let message = format!("the link {name} was removed while it was being made");
            return Err(in_the_way(message));
        };
        let mut batch = Batch::default();
        if found.master != Some(bridge.index) {
            link::set_master(&mut batch, name, found.index, bridge.index);
        }
        // It answers questions of ARP for endpoints elsewhere, so it is no port that answers none.
        link::set_up(&mut batch, name);
        link::look_at(&mut batch, name);
        host.run(&doing, NEEDS, batch)?;
        let differences = self.differences(host, &found, &bridge)?;
        let mut batch = Batch::default();
        for (to, router, is_wanted) in &differences.routes {
            if !is_wanted {
                link::remove_route(&mut batch, bridge.index, *to, *router);
            }
        }
        for (of, known, is_wanted) in differences.known {
            known.set(&mut batch, of, is_wanted);
        }
        host.run(&self.doing("telling of other hosts by"), NEEDS, batch)?;
        for (to, router, is_wanted) in &differences.routes {
            if *is_wanted {
                self.lead(host, &bridge, *to, *router)?;
            }
        }
        Ok(())
    }

    fn undo(&self, host: &mut Host) -> Result<(), Failure> {
        let Some(found) = removable(self.found(host))? else {
            return Ok(());
        };
        remove_link(&mut host.route, &found, (&self.doing("removing"), NEEDS))
    }
}

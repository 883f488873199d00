//! What is there, compared with an intent: after a restart, and when rules of others got in the way.

use hcn::{
    Guid,
    intent::{Intent, bridge_name, of_alias, port_name, tunnel_name},
};
use hcs_schema::Failure;
use rustix::io::Errno;

use crate::{
    failure::failed,
    host::Host,
    link::{self, Link},
    netlink::Batch,
    nft,
    parts::{
        Bridge, port,
        tunnel::{self, Tunnels},
    },
};

/// The difference between what is there and an intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Networks whose bridge is missing, not up, or lacks an address, those whose adapter is missing, and
    /// those that do not reach other hosts as they are to.
    pub networks: Vec<Guid>,
    /// Endpoints whose link is missing, not up, or not such a port of their bridge as they ask for. Their namespace may
    /// have ended. Those on adapters of the host are not among them: see [`crate::is_on_adapter`].
    pub endpoints: Vec<Guid>,
    /// Links of this service that nothing asks for.
    pub strays: Vec<Stray>,
    /// Whether the tables of rules are there or not needed.
    pub rules: bool,
}

/// A link of this service that nothing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The object that it was made for.
    pub object: Guid,
    /// The link.
    pub link: Link,
}

impl Stray {
    /// Whether it attaches an endpoint. Such a link of a container ends with that.
    #[must_use]
    pub fn is_of_endpoint(&self) -> bool {
        self.link.name == port_name(self.object)
    }
}

/// Compares what is there with an intent. Lists links and addresses once.
///
/// # Errors
/// The kernel does not tell what is there.
pub fn survey(host: &mut Host, intent: &Intent) -> Result<Survey, Failure> {
    let links = host.links()?;
    let tunnels = intent.networks.iter().filter_map(Tunnels::of);
    // What is in the way of tunnels is told when they are made again.
    let apart = tunnels.filter(|tunnels| !tunnels.is_sound(host).unwrap_or(false));
    let apart: Vec<Guid> = apart.map(|tunnels| tunnels.network.id).collect();
    let own: Vec<(Guid, &Link)> = links
        .iter()
        .filter_map(|link| Some((object(host, link)?, link)))
        .collect();
    let of = |id: Guid, name: &str| {
        own.iter()
            .find(|(object, link)| *object == id && link.name == name)
            .map(|(_, link)| *link)
    };
    let addresses = link::addresses(&mut host.route)
        .map_err(|error| failed("listing addresses", "rtnetlink", &error))?;
    let networks = intent.networks.iter().filter(|network| {
        if let Some(adapter) = &network.adapter {
            return !links.iter().any(|link| link.name == *adapter);
        }
        let sound = |link: &Link| Bridge(network).is_sound(host, link, &addresses);
        apart.contains(&network.id) || !of(network.id, &network.link).is_some_and(sound)
    });
    let on_bridges = intent.endpoints.iter().filter(|one| one.adapter.is_none());
    let endpoints = on_bridges.filter(|endpoint| {
        let bridge = of(endpoint.network, &endpoint.bridge).map(|bridge| bridge.index);
        let sound =
            |link: &Link| bridge.is_some_and(|bridge| port::is_sound(endpoint, link, bridge));
        !of(endpoint.id, &endpoint.link).is_some_and(sound)
    });
    let found = Survey {
        networks: networks.map(|network| network.id).collect(),
        endpoints: endpoints.map(|endpoint| endpoint.id).collect(),
        strays: strays_among(&own, intent),
        rules: false,
    };
    let owner = host.owner.clone();
    // Where another program changes rules all the time they cannot be listed as a whole. Then they are written again.
    let there = nft::are_there(&mut host.filter, &owner, host.in_force.as_ref()).unwrap_or(false);
    // What is not there is written anew, all of it.
    host.in_force = host.in_force.take().filter(|_| there);
    let rules = there || intent.networks.is_empty();
    Ok(Survey { rules, ..found })
}

/// Links of this service that nothing asks for, as [`survey`] tells them. Nothing else is looked at.
///
/// # Errors
/// The kernel does not tell its links.
pub fn strays(host: &mut Host, intent: &Intent) -> Result<Vec<Stray>, Failure> {
    let links = host.links()?;
    let own: Vec<(Guid, &Link)> = links
        .iter()
        .filter_map(|link| Some((object(host, link)?, link)))
        .collect();
    Ok(strays_among(&own, intent))
}

fn strays_among(own: &[(Guid, &Link)], intent: &Intent) -> Vec<Stray> {
    let wanted = |id: &Guid| {
        intent.networks.iter().any(|network| network.id == *id)
            || intent.endpoints.iter().any(|endpoint| endpoint.id == *id)
    };
    let strays = own.iter().filter(|(id, _)| !wanted(id));
    let stray = |(id, link): &(Guid, &Link)| Stray {
        object: *id,
        link: (*link).clone(),
    };
    strays.map(stray).collect()
}

/// The object of this service that a link was made for. Alias, name and kind have to agree: an alias alone can be given
/// to any link.
fn object(host: &Host, link: &Link) -> Option<Guid> {
    let id = of_alias(&host.owner, link.alias.as_deref()?)?;
    let agree = match link.kind.as_deref()? {
        "bridge" => link.name == bridge_name(id),
        tunnel::KIND => link.name == tunnel_name(id),
        "veth" | port::CARD => link.name == port_name(id),
        _ => false,
    };
    agree.then_some(id)
}

/// Removes links that nothing asks for. A link that is gone by now needs no removal.
///
/// # Errors
/// The first that could not be removed; the others were tried.
pub fn sweep(host: &mut Host, strays: &[Stray]) -> Result<(), Failure> {
    let mut result = Ok(());
    if strays.is_empty() {
        return result;
    }
    // Numbers are not used again soon, but names tell for sure.
    let there = host.links()?;
    let is_there = |stray: &&Stray| {
        let mut there = there.iter();
        there.any(|link| link.index == stray.link.index && link.name == stray.link.name)
    };
    for stray in strays.iter().filter(is_there) {
        let mut batch = Batch::default();
        link::remove(&mut batch, &stray.link.name, stray.link.index);
        let doing = format!(
            "removing the link {} of {}, which nothing asks for",
            stray.link.name, stray.object
        );
        let removed = match host.route.run(batch) {
            // Its namespace ended meanwhile.
            Err(error) if error.errno() == Some(Errno::NODEV) => Ok(()),
            done => done.map_err(|error| failed(&doing, "rtnetlink", &error)),
        };
        result = result.and(removed);
    }
    result
}

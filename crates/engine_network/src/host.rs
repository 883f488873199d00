//! [`Host`]: the network namespace that networks are made in, by the sockets that were opened in it.

use std::{collections::BTreeSet, path::Path};

use hcn::{Guid, Prefix, intent};
use hcs_schema::Failure;

use crate::{
    failure::failed,
    link::{self, Link, Route},
    netlink::{Batch, NetlinkError, Socket},
    nft::InForce,
};

/// A network namespace, and the name of the service that makes networks in it.
///
/// A value that is kept knows the rules that it has written, so that the next change of them is a small one: of all
/// values of a service, one writes rules. Nor has it to be closed: for that the kernel waits until it has freed what
/// rules were replaced before, which takes milliseconds.
#[derive(Debug)]
pub struct Host {
    pub(crate) route: Socket,
    pub(crate) filter: Socket,
    pub(crate) owner: String,
    pub(crate) ipv6: bool,
    /// The rules that this value has written last.
    pub(crate) in_force: Option<InForce>,
    /// Whether it is known that no card has rules of its own.
    pub(crate) has_no_card_rules: bool,
}

impl Host {
    /// The network namespace of the calling thread. `owner` is the service's name: the tables of rules have it, and the
    /// aliases of links begin with it.
    ///
    /// # Errors
    /// The kernel has no netlink for links or for rules.
    pub fn open(owner: &str) -> Result<Self, Failure> {
        let opened = || -> Result<Self, NetlinkError> {
            Ok(Self {
                route: Socket::route()?,
                filter: Socket::netfilter()?,
                owner: owner.to_owned(),
                ipv6: Path::new("/proc/sys/net/ipv6").exists(),
                in_force: None,
                has_no_card_rules: false,
            })
        };
        opened().map_err(|error| {
            failed(
                "reaching the host's network",
                "netlink and nf_tables",
                &error,
            )
        })
    }

    /// Whether this value has written the rules that are wanted: then it can tell that another program changed them.
    #[must_use]
    pub const fn knows_rules(&self) -> bool {
        self.in_force.is_some()
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel does not tell them.
    pub fn links(&mut self) -> Result<Vec<Link>, Failure> {
        link::links(&mut self.route).map_err(|error| failed("listing links", "rtnetlink", &error))
    }

    /// Where the routes of the host lead, but those by the bridges of `networks` of this service, and the subnets of
    /// other bridges to which no route leads: new subnets have to keep off them. A bridge that was left of a network
    /// which is not known any more is in the way, as others are.
    ///
    /// # Errors
    /// The kernel does not tell them.
    pub fn foreign_routes(&mut self, networks: &BTreeSet<Guid>) -> Result<Vec<Prefix>, Failure> {
        let bridges = self.links_of_kind("bridge")?;
        let own = self.own(&bridges, networks);
        let routes = self.routes()?.into_iter();
        let foreign = routes.filter(|route| route.link.is_none_or(|index| !own.contains(&index)));
        let others = bridges.iter().filter(|one| !own.contains(&one.index));
        let told = others.flat_map(|one| &one.second_names);
        let told = told.filter_map(|name| intent::subnet_of_name(name));
        Ok(foreign.map(|route| route.to).chain(told).collect())
    }

    pub(crate) fn routes(&mut self) -> Result<Vec<Route>, Failure> {
        link::routes(&mut self.route).map_err(|error| failed("listing routes", "rtnetlink", &error))
    }

    pub(crate) fn find(&mut self, name: &str) -> Result<Option<Link>, Failure> {
        let doing = format!("looking for the link {name}");
        link::find(&mut self.route, name).map_err(|error| failed(&doing, "rtnetlink", &error))
    }

    pub(crate) fn run(&mut self, doing: &str, needs: &str, batch: Batch) -> Result<(), Failure> {
        self.route
            .run(batch)
            .map_err(|error| failed(doing, needs, &error))
    }

    fn links_of_kind(&mut self, kind: &str) -> Result<Vec<Link>, Failure> {
        let links = self.links()?.into_iter();
        Ok(links
            .filter(|link| link.kind.as_deref() == Some(kind))
            .collect())
    }

    fn own(&self, links: &[Link], networks: &BTreeSet<Guid>) -> Vec<u32> {
        let own = links.iter().filter(|link| {
            let alias = link.alias.as_deref().unwrap_or_default();
            intent::of_alias(&self.owner, alias).is_some_and(|id| networks.contains(&id))
        });
        own.map(|link| link.index).collect()
    }
}

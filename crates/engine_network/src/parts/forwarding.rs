//! [`Forwarding`]: interfaces that have to forward, and what they were set to before.
//!
//! The host as a whole is left as it is: only the bridges of networks that are translated forward, and the interfaces
//! of default routes, where answers come in. Of those that did not forward before, the rules drop what comes in and is
//! for no network of ours (`Rules::guarded`): the host does not become a router for its neighbours.
//!
//! Another program may have the host forward as a whole afterwards (`net.ipv4.ip_forward`). From then on all interfaces
//! forward because of it: none is guarded any more, and none is put back.
//!
//! Of IPv6 the bridges alone forward, and only while a load balancer leads connections of it. The host as a whole would
//! take no more advertisements of routers then, which may be its only way out, so that is never set. From Linux 6.17 on
//! a single interface can be told to forward (`force_forwarding`); before, the host has to forward as a whole already.
//! The interfaces of default routes are left as they are: connections from there are led where they forward.
//!
//! Several services may have networks behind one interface. Each guards it with its own rules, which is how the others
//! know: one that comes later records the same former setting, and only the last one that goes puts it back.

use std::collections::BTreeSet;

use hcn::intent::{BRIDGES, Intent};
use hcs_schema::{Failure, HResult};

use crate::{
    failure::failed,
    host::Host,
    nft,
    settings::{self, ALL, Family},
};

const FORWARDING: &str = "forwarding";
/// That of a single interface for IPv6, from Linux 6.17 on.
const FORCED: &str = "force_forwarding";
/// What is needed.
const ON: &str = "1";
/// What it was before, where another service needs it, too.
const OFF: &str = "0";

/// A setting as it was before. It belongs into a record: nothing else knows it. That of the interface `all` is not
/// changed by us; it tells whether the host forwarded as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Former {
    /// The interface.
    pub interface: String,
    /// The setting.
    pub setting: String,
    /// Its value.
    pub value: String,
}

/// Interfaces that have to forward.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// Bridges: they forward, and 127.0.0.0/8 is routed on them, so that the host reaches published ports there.
    pub bridges: BTreeSet<String>,
    /// Interfaces of default routes.
    pub uplinks: BTreeSet<String>,
    /// Bridges that forward within their network, between endpoints here and subnets on other hosts.
    pub routers: BTreeSet<String>,
    /// Bridges that forward IPv6, as a load balancer leads connections of it.
    pub bridges_6: BTreeSet<String>,
    /// Those of the uplinks that forward already, but only because of another service's networks.
    pub shared: BTreeSet<String>,
}

impl Forwarding {
    /// What an intent needs on this host.
    ///
    /// # Errors
    /// The kernel does not tell its routes, or its rules.
    pub fn of(host: &mut Host, intent: &Intent) -> Result<Self, Failure> {
        let translated = intent.networks.iter().filter(|network| network.translated);
        let bridges: BTreeSet<String> = translated.map(|network| network.link.clone()).collect();
        let routed = intent.networks.iter().filter(|network| {
            let tunnel = network.tunnel.as_ref();
            let mut endpoints = intent.endpoints.iter();
            // What a load balancer leads back into the network comes to the host first.
            let is_balanced = endpoints.any(|one| one.balanced && one.network == network.id);
            tunnel.is_some_and(|one| one.router.is_some() || !one.subnets.is_empty() || is_balanced)
        });
        let routers: BTreeSet<String> = routed.map(|network| network.link.clone()).collect();
        let bridges_6 = match is_led_6(intent) {
            true => &bridges | &routers,
            false => BTreeSet::new(),
        };
        if bridges.is_empty() {
            return Ok(Self {
                routers,
                bridges_6,
                ..Self::default()
            });
        }
        let links = host.links()?;
        let routes = host
            .routes()?
            .into_iter()
            .filter(|route| route.to.is_wide() && route.to.is_ipv4());
        let uplinks =
            routes.filter_map(|route| links.iter().find(|link| Some(link.index) == route.link));
        let uplinks: BTreeSet<String> = uplinks.map(|link| link.name.clone()).collect();
        let shared = match settings::forwards_as_a_whole(Family::V4) {
            true => BTreeSet::new(),
            false => &guarded_by_others(host)? & &uplinks,
        };
        Ok(Self {
            bridges,
            uplinks,
            routers,
            bridges_6,
            shared,
        })
    }

    /// Whether this host can forward what a load balancer of IPv6 leads to endpoints.
    ///
    /// # Errors
    /// It cannot: what is missing, and what to do.
    pub fn can_lead_6(intent: &Intent) -> Result<(), Failure> {
        if !is_led_6(intent) || settings::forwards_as_a_whole(Family::V6) || can_be_forced() {
            return Ok(());
        }
        let message = format!(
            "a load balancer of IPv6 needs a host that forwards it: this kernel has no setting net.ipv6.conf.*.{FORCED} for \
             single interfaces (Linux 6.17), and net.ipv6.conf.all.{FORWARDING} is 0; set that to 1, and accept_ra of an \
             interface that gets its routes by advertisements to 2"
        );
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// The settings that have to be on.
    fn wanted(&self) -> impl Iterator<Item = (&String, &'static str)> {
        let bridges = self
            .bridges
            .iter()
            .flat_map(|link| [(link, FORWARDING), (link, "route_localnet")]);
        let others = self.uplinks.iter().chain(&self.routers);
        let is_asked_6 = !self.bridges_6.is_empty()
            && !settings::forwards_as_a_whole(Family::V6)
            && can_be_forced();
        let six = self.bridges_6.iter().filter(move |_| is_asked_6);
        let others = others.map(|link| (link, FORWARDING));
        bridges.chain(others).chain(six.map(|link| (link, FORCED)))
    }

    /// What of the settings that were recorded is to be put back: where nothing is translated any more, only routers
    /// have to forward.
    #[must_use]
    pub fn unneeded(&self, former: &[Former]) -> Vec<Former> {
        let is_needed = |one: &&Former| match one.setting.as_str() {
            FORCED => self.bridges_6.contains(&one.interface),
            _ => !self.bridges.is_empty() || self.routers.contains(&one.interface),
        };
        let others = former.iter().filter(|one| !is_needed(one));
        others.cloned().collect()
    }

    /// What [`Forwarding::apply`] would change, as it is now. It has to be recorded before, as nothing else knows it.
    /// Runs on a thread of the host's namespace, as the others here.
    ///
    /// # Errors
    /// A setting cannot be read.
    pub fn check(&self) -> Result<Vec<Former>, Failure> {
        let mut former = Vec::new();
        for (link, setting) in self.wanted() {
            let mut value = settings::read(family_of(setting), link, setting)?;
            if value == ON && self.shared.contains(link) {
                OFF.clone_into(&mut value);
            }
            if value != ON {
                former.push(Former {
                    interface: link.clone(),
                    setting: setting.to_owned(),
                    value,
                });
            }
        }
        if former
            .iter()
            .any(|one| self.uplinks.contains(&one.interface))
        {
            former.push(Former {
                interface: ALL.to_owned(),
                setting: FORWARDING.to_owned(),
                value: settings::read(Family::V4, ALL, FORWARDING)?,
            });
        }
        Ok(former)
    }

    /// Sets what is needed.
    ///
    /// # Errors
    /// The setting that could not be made; [`Forwarding::undo`] puts those before it back.
    pub fn apply(&self) -> Result<(), Failure> {
        for former in self.check()?.iter().filter(|one| one.interface != ALL) {
            let Former {
                interface, setting, ..
            } = former;
            settings::write(family_of(setting), interface, setting, ON)?;
        }
        Ok(())
    }

    /// Whether all of it holds, and what another service shares is in the record.
    ///
    /// # Errors
    /// A setting cannot be read.
    pub fn holds(&self, former: &[Former]) -> Result<bool, Failure> {
        let is_recorded = |link: &String| {
            let mut recorded = former.iter();
            recorded.any(|one| one.interface == *link && one.setting == FORWARDING)
        };
        if !self.shared.iter().all(is_recorded) {
            return Ok(false);
        }
        for (link, setting) in self.wanted() {
            if settings::read(family_of(setting), link, setting)? != ON {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts settings back to what they were. An interface that is gone took its settings along; one that is set to
    /// something else than we set it to, or that forwards because of another program or service by now, is left as it
    /// is.
    ///
    /// # Errors
    /// The kernel does not tell its rules, or the first that could not be put back; the others were tried.
    pub fn undo(host: &mut Host, former: &[Former]) -> Result<(), Failure> {
        let of_others = is_of_others(former);
        let guarded = guarded_by_others(host)?;
        let mut result = Ok(());
        for one in former.iter().filter(|one| one.interface != ALL) {
            let kept = one.setting == FORWARDING && (of_others || guarded.contains(&one.interface));
            let family = family_of(&one.setting);
            if kept || !settings::exists(family, &one.interface, &one.setting) {
                continue;
            }
            let back =
                settings::read(family, &one.interface, &one.setting).and_then(|now| {
                    match now.as_str() {
                        ON => settings::write(family, &one.interface, &one.setting, &one.value),
                        _ => Ok(()),
                    }
                });
            result = result.and(back);
        }
        result
    }

    /// Interfaces that forward only because of us, of what was recorded.
    #[must_use]
    pub fn guarded(&self, former: &[Former]) -> BTreeSet<String> {
        if is_of_others(former) {
            return BTreeSet::new();
        }
        let changed = former.iter().filter(|one| one.setting == FORWARDING);
        let uplinks =
            changed.filter(|one| !one.interface.starts_with(BRIDGES) && one.interface != ALL);
        uplinks.map(|one| one.interface.clone()).collect()
    }
}

/// Whether a load balancer leads connections of IPv6.
fn is_led_6(intent: &Intent) -> bool {
    intent.balancers.iter().any(|one| !one.is_ipv4)
}

/// Whether single interfaces of this kernel can be told to forward IPv6.
fn can_be_forced() -> bool {
    settings::exists(Family::V6, ALL, FORCED)
}

/// The protocol that a setting of these is of.
fn family_of(setting: &str) -> Family {
    match setting {
        FORCED => Family::V6,
        _ => Family::V4,
    }
}

fn guarded_by_others(host: &mut Host) -> Result<BTreeSet<String>, Failure> {
    let owner = host.owner.clone();
    nft::guarded_by_others(&mut host.filter, &owner)
        .map_err(|error| failed("listing rules of other services", "nf_tables", &error))
}

/// Whether the host forwards as a whole, and did not when its settings were recorded last.
fn is_of_others(former: &[Former]) -> bool {
    let mut recorded = former.iter().rev();
    let recorded = recorded.find(|one| one.interface == ALL && one.setting == FORWARDING);
    recorded.is_some_and(|one| one.value != ON) && settings::forwards_as_a_whole(Family::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_the_last_bridge_that_is_translated_uplinks_forward_no_more() {
        let former = |interface: &str| Former {
            interface: interface.to_owned(),
            setting: FORWARDING.to_owned(),
            value: OFF.to_owned(),
        };
        let recorded = ["hcb1", "up0", ALL, "hcb2"].map(former);
        let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
        let mut forwarding = Forwarding {
            bridges: names(&["hcb1"]),
            routers: names(&["hcb2"]),
            ..Forwarding::default()
        };
        assert_eq!(forwarding.unneeded(&recorded), []);
        forwarding.bridges.clear();
        let others = ["hcb1", "up0", ALL].map(former);
        assert_eq!(forwarding.unneeded(&recorded), others);
        forwarding.routers.clear();
        assert_eq!(forwarding.unneeded(&recorded), recorded);
    }

    #[test]
    fn with_the_last_load_balancer_of_ipv6_bridges_forward_none_of_it() {
        let former = |interface: &str, setting: &str| Former {
            interface: interface.to_owned(),
            setting: setting.to_owned(),
            value: OFF.to_owned(),
        };
        let recorded = [former("hcb1", FORWARDING), former("hcb1", FORCED)];
        let bridges = BTreeSet::from(["hcb1".to_owned()]);
        let mut forwarding = Forwarding {
            bridges: bridges.clone(),
            bridges_6: bridges,
            ..Forwarding::default()
        };
        assert_eq!(forwarding.unneeded(&recorded), []);
        forwarding.bridges_6.clear();
        assert_eq!(forwarding.unneeded(&recorded), recorded[1..]);
    }
}

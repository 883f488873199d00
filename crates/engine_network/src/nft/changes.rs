//! Endpoints and published ports that come and go, as elements of the sets that are there.
//!
//! What rules say of single endpoints and ports stands in sets. So where nothing but that differs from what was
//! written last ([`InForce`]), the tables stay, and a change costs as much as it is large. Whatever else differs, and
//! whatever the kernel refuses because another program has changed the tables, all of it is written anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use hcn::Mac;

use super::{
    Rules, contents, isolating, lending,
    tables::{
        self, BEGIN, BRIDGE, DELETE_ELEMENTS, Element, INET, NEW_ELEMENTS, Table, control, finish,
        put_elements,
    },
};
use crate::{
    netlink::{Batch, NetlinkError, Socket},
    settings::{self, Family},
};

/// What was written last, as long as it is known to be there but for what other programs do.
#[derive(Debug)]
pub(crate) struct InForce {
    /// Without those of [`Members`].
    rest: Rules,
    members: Members,
    /// Whether the host forwarded as a whole when the tables were written.
    forwards: bool,
}

/// What sets have of single endpoints and ports.
#[derive(Debug, Default)]
struct Members {
    ports: BTreeMap<String, (Mac, BTreeSet<IpAddr>)>,
    published: BTreeMap<(u8, u16), (Ipv4Addr, u16)>,
    published_at: BTreeMap<(Ipv4Addr, u8, u16), (Ipv4Addr, u16)>,
    isolated: BTreeSet<(String, IpAddr)>,
}

impl Members {
    /// Takes them out of `rules`.
    fn take(rules: &mut Rules) -> Self {
        Self {
            ports: std::mem::take(&mut rules.ports),
            published: std::mem::take(&mut rules.published),
            published_at: std::mem::take(&mut rules.published_at),
            isolated: std::mem::take(&mut rules.isolated),
        }
    }

    /// Puts them back.
    fn rules(&self, rest: &Rules) -> Rules {
        Rules {
            ports: self.ports.clone(),
            published: self.published.clone(),
            published_at: self.published_at.clone(),
            isolated: self.isolated.clone(),
            ..rest.clone()
        }
    }

    /// Those that `other` does not have just so.
    fn without(&self, other: &Self) -> Self {
        Self {
            ports: difference(&self.ports, &other.ports),
            published: difference(&self.published, &other.published),
            published_at: difference(&self.published_at, &other.published_at),
            isolated: &self.isolated - &other.isolated,
        }
    }

    /// Their elements: the family of the table, the set, and what it has of them.
    fn elements(&self) -> [(u8, &'static str, Vec<Element>); 10] {
        let [held, six, cards, addresses, addresses_6] = tables::of_ports(&self.ports);
        let [isolated, isolated_6] = isolating::elements(&self.isolated);
        [
            (INET, "held", tables::interfaces(self.ports.keys())),
            (INET, "ports", tables::published(&self.published)),
            (INET, "ports_at", tables::published_at(&self.published_at)),
            (INET, isolating::ISOLATED, isolated),
            (INET, isolating::ISOLATED_6, isolated_6),
            (BRIDGE, "held", held),
            (BRIDGE, "speak_6", six),
            (BRIDGE, "cards", cards),
            (BRIDGE, "addresses", addresses),
            (BRIDGE, "addresses_6", addresses_6),
        ]
    }
}

fn difference<K: Ord + Clone, V: PartialEq + Clone>(
    of: &BTreeMap<K, V>,
    other: &BTreeMap<K, V>,
) -> BTreeMap<K, V> {
    let differs = |(key, value): &(&K, &V)| other.get(key) != Some(value);
    let all = of.iter().filter(differs);
    all.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

impl InForce {
    fn of(rules: &Rules, forwards: bool) -> Self {
        let mut rest = rules.clone();
        Self {
            members: Members::take(&mut rest),
            rest,
            forwards,
        }
    }

    /// What makes `next` of it; `None` where that takes more than elements.
    fn steps(&self, table: &str, next: &Self) -> Option<Batch> {
        // With tunnels the hardware addresses of endpoints stand in one more set.
        if self.rest != next.rest || !self.rest.tunnels.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        control(&mut batch, BEGIN);
        let before = batch.length();
        for (kind, members) in [
            (DELETE_ELEMENTS, self.members.without(&next.members)),
            (NEW_ELEMENTS, next.members.without(&self.members)),
        ] {
            for (family, set, elements) in members.elements() {
                put_elements(&mut batch, kind, (family, table, set), &elements);
            }
        }
        if batch.length() == before {
            return Some(Batch::default());
        }
        finish(&mut batch, INET, table);
        Some(batch)
    }

    /// Whether the tables hold what was written, all of it and nothing else.
    fn is_there(&self, socket: &mut Socket, table: &str) -> Result<bool, NetlinkError> {
        let has_changed = self.forwards != settings::forwards_as_a_whole(Family::V4);
        if has_changed || self.rest.lent.ports != lending::range() {
            return Ok(false);
        }
        let rules = self.members.rules(&self.rest);
        let mut sets = 0;
        for (family, fill) in tables::TABLES {
            let mut wanted = Table::of(family, table, &mut sets);
            fill(&mut wanted, &rules);
            if !contents::holds(socket, family, table, wanted.digest())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Makes `rules` the ones in force.
pub(crate) fn write(
    socket: &mut Socket,
    table: &str,
    rules: &Rules,
    in_force: &mut Option<InForce>,
) -> Result<(), NetlinkError> {
    let mut next = InForce::of(rules, settings::forwards_as_a_whole(Family::V4));
    next.rest.lent.ports = lending::range();
    if let Some(was) = in_force.take() {
        next.rest.lent.is_uncounted = was.rest.lent.is_uncounted;
        if let Some(steps) = was.steps(table, &next)
            && socket.run(steps).is_ok()
        {
            // That is told by the tables themselves.
            next.forwards = was.forwards;
            *in_force = Some(next);
            return Ok(());
        }
    }
    write_all(socket, table, &mut next)?;
    *in_force = Some(next);
    Ok(())
}

/// Writes the tables anew. Of what they need, a kernel may lack what counts connections: then they do without.
fn write_all(socket: &mut Socket, table: &str, next: &mut InForce) -> Result<(), NetlinkError> {
    let written = tables::write(socket, table, &next.members.rules(&next.rest));
    match written {
        Err(error) if lending::is_lacking(&error) && !next.rest.lent.is_uncounted => {
            next.rest.lent.is_uncounted = true;
            tables::write(socket, table, &next.members.rules(&next.rest)).map_err(|_| error)
        }
        written => written,
    }
}

/// Whether all that was written is still there, as far as this or the tables themselves tell.
pub(crate) fn are_there(
    socket: &mut Socket,
    table: &str,
    in_force: Option<&InForce>,
) -> Result<bool, NetlinkError> {
    match in_force {
        Some(in_force) => contents::unless_gone(in_force.is_there(socket, table)),
        None => contents::are_there(socket, table),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn rules(ports: &[&str]) -> Rules {
        let of = |name: &&str| ((*name).to_owned(), (Mac([2; 6]), BTreeSet::new()));
        Rules {
            ports: ports.iter().map(of).collect(),
            ..Rules::default()
        }
    }

    fn steps(before: &Rules, after: &Rules) -> Option<usize> {
        let [before, after] = [before, after].map(|rules| InForce::of(rules, false));
        let steps = before.steps("hcs", &after)?;
        Some(steps.count())
    }

    #[test]
    fn an_endpoint_is_elements_of_the_sets_that_are_there() {
        // Of two tables, with the two messages around and the one that is acknowledged.
        assert_eq!(
            steps(&rules(&["a"]), &rules(&["a", "b"])),
            Some(3 + 3),
            "held, held, cards"
        );
        assert_eq!(steps(&rules(&["a", "b"]), &rules(&["b"])), Some(3 + 3));
        assert_eq!(steps(&rules(&["a"]), &rules(&["a"])), Some(0));
        let mut isolated = rules(&["a"]);
        for address in ["10.0.0.2", "fd00::2"] {
            let place = (
                "hcb".to_owned(),
                address.parse().unwrap_or_else(|_| unreachable!()),
            );
            isolated.isolated.insert(place);
        }
        assert_eq!(steps(&rules(&["a"]), &isolated), Some(3 + 2));
        assert_eq!(steps(&isolated, &rules(&["a"])), Some(3 + 2));
    }

    #[test]
    fn what_is_more_than_elements_is_written_anew() {
        let mut guarded = rules(&["a"]);
        guarded.guarded.insert("up0".to_owned());
        assert_eq!(steps(&rules(&["a"]), &guarded), None);
        let mut tunnels = [rules(&["a"]), rules(&["a", "b"])];
        for rules in &mut tunnels {
            rules.tunnels.insert("hct".to_owned());
        }
        let [before, after] = &tunnels;
        assert_eq!(steps(before, after), None);
    }

    #[test]
    fn what_the_kernel_says_of_the_former_table_is_told() {
        // Another part of the kernel, which knows no tables of rules.
        let mut other = Socket::route().unwrap();
        let refused = write(&mut other, "hcs", &rules(&["a"]), &mut None).unwrap_err();
        assert_eq!(refused.errno(), Some(Errno::OPNOTSUPP));
        assert_eq!(refused.to_string(), "listing tables of rules");
    }
}

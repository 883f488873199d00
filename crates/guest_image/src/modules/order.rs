//! The order to load modules in: each after those it needs. Pure.

use std::collections::BTreeSet;

use super::info::Needs;

/// The most modules of one image.
const MOST: usize = 512;

/// The work that is left, last first.
enum Work {
    /// Look at this one.
    Visit(String),
    /// All that it needs is in the list.
    Add(String),
}

/// All of `wanted` with all they need. `find` tells a module's own name and needs by any name of it; `None` where there
/// is no file of it, because it is built in or not there: it is left out. Needs that run in a circle are cut somewhere.
pub(super) fn order(
    wanted: &[String],
    mut find: impl FnMut(&str) -> Option<(String, Needs)>,
) -> Vec<String> {
    let mut asked = BTreeSet::new();
    let mut known = BTreeSet::new();
    let mut order = Vec::new();
    let mut work: Vec<Work> = wanted.iter().rev().cloned().map(Work::Visit).collect();
    while let Some(next) = work.pop() {
        match next {
            Work::Add(name) => order.push(name),
            Work::Visit(name) => {
                if known.len() >= MOST || !asked.insert(name.clone()) {
                    continue;
                }
                let Some((own, needs)) = find(&name) else {
                    continue;
                };
                if !known.insert(own.clone()) {
                    continue;
                }
                work.push(Work::Add(own));
                let all = needs.hard.into_iter().chain(needs.soft);
                let all: Vec<String> = all.collect();
                work.extend(all.into_iter().rev().map(Work::Visit));
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn needs(hard: &[&str], soft: &[&str]) -> Needs {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Needs {
            hard: names(hard),
            soft: names(soft),
        }
    }

    #[test]
    fn needs_come_first_and_each_module_once() {
        let find = |name: &str| {
            let found = match name {
                "erofs" => needs(&["libcrc32c"], &[]),
                "libcrc32c" => needs(&[], &["crc32c"]),
                "crc32c" | "crc32c_generic" => {
                    return Some(("crc32c_generic".to_owned(), needs(&[], &[])));
                }
                "net" => needs(&["failover", "libcrc32c"], &[]),
                "failover" => needs(&[], &[]),
                _ => return None,
            };
            Some((name.to_owned(), found))
        };
        let wanted = ["erofs", "builtin", "net", "erofs"].map(str::to_owned);
        assert_eq!(
            order(&wanted, find),
            ["crc32c_generic", "libcrc32c", "erofs", "failover", "net"]
        );
    }

    proptest! {
        /// Any graph: each reachable module once, and without circles each after its needs.
        #[test]
        fn any_graph_has_an_order(edges in prop::collection::vec((0..20_u8, 0..20_u8), 0..60), circles: bool) {
            let mut graph: BTreeMap<String, Needs> = BTreeMap::new();
            for (from, to) in edges {
                let (from, to) = if circles { (from, to) } else { (from.max(to) + 1, from.min(to)) };
                graph.entry(to.to_string()).or_default();
                graph.entry(from.to_string()).or_default().hard.push(to.to_string());
            }
            let wanted: Vec<String> = graph.keys().cloned().collect();
            let order = order(&wanted, |name| Some((name.to_owned(), graph.get(name)?.clone())));
            let place = |name: &String| order.iter().position(|other| other == name);
            prop_assert_eq!(order.len(), graph.len());
            for (name, needs) in &graph {
                for need in needs.hard.iter().filter(|_| !circles) {
                    prop_assert!(place(need) < place(name));
                }
            }
        }
    }
}

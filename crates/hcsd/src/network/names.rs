//! The names by which containers of a network find each other: lines of `hosts(5)`, which agents write into the
//! `/etc/hosts` of their own containers.
//!
//! A container has the names of all that are in its networks, its own as well. Its agent is told when it begins to serve,
//! before the first process, and whenever they change; the next service tells it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::{Rc, Weak},
};

use hcn::Guid;
use hcs_schema::rules::names::is_host_name;
use hcs_wire::guest::MAX_NAMES_BYTES;

use super::{Held, Networks, Occupant};

/// The line after the last that fits.
const MORE: &str = "# There are more names than fit.\n";

/// What takes the names for a container: the link to its agent.
pub(crate) trait NameReader {
    /// The names are these from now on.
    fn names(&self, hosts: Rc<str>);
}

/// What is known of names, and of those that want to know.
#[derive(Default)]
pub(super) struct Names {
    /// The lines of each network.
    lines: BTreeMap<Guid, Vec<String>>,
    /// By runtime id.
    readers: BTreeMap<String, Weak<dyn NameReader>>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// The names that others may find a container by, each once. An id may be any text, so it is no name where it cannot be one.
pub(super) fn of_container<'a>(id: &'a str, more: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(id).chain(more) {
        let is_new = names.iter().all(|other| !other.eq_ignore_ascii_case(name));
        if is_new && is_host_name(name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The lines of each network, by address.
fn lines(held: &Held) -> BTreeMap<Guid, Vec<String>> {
    let mut found: BTreeMap<Guid, BTreeMap<IpAddr, String>> = BTreeMap::new();
    for (namespace, occupant) in &held.occupants {
        let names = of_occupant(occupant).join(" ");
        if names.is_empty() {
            continue;
        }
        for endpoint in held.state.namespace_intent(*namespace) {
            let lines = found.entry(endpoint.network).or_default();
            for (address, _) in &endpoint.addresses {
                lines.insert(*address, format!("{address}\t{names}\n"));
            }
        }
    }
    found
        .into_iter()
        .map(|(network, lines)| (network, lines.into_values().collect()))
        .collect()
}

fn of_occupant(occupant: &Occupant) -> Vec<String> {
    // A record of an older service has none but the id.
    of_container(&occupant.id, occupant.names.iter().map(String::as_str))
}

/// The networks of a container; `None` where it is in no namespace of this service.
fn networks_of(held: &Held, runtime_id: &str) -> Option<BTreeSet<Guid>> {
    let occupied = held.occupants.iter();
    let mut occupied = occupied
        .filter(|(_, one)| one.runtime_id == runtime_id)
        .peekable();
    occupied.peek()?;
    let endpoints = occupied.flat_map(|(namespace, _)| held.state.namespace_intent(*namespace));
    Some(endpoints.map(|endpoint| endpoint.network).collect())
}

/// The lines of these networks, as many as an agent takes.
fn text(lines: &BTreeMap<Guid, Vec<String>>, networks: &BTreeSet<Guid>) -> Rc<str> {
    let mut text = String::new();
    let known = networks.iter().filter_map(|network| lines.get(network));
    for line in known.flatten() {
        if text.len() + line.len() + MORE.len() > MAX_NAMES_BYTES {
            text.push_str(MORE);
            break;
        }
        text.push_str(line);
    }
    text.into()
}

impl Networks {
    /// Tells `reader` of the names for a container from now on, if it is in a network.
    pub(crate) fn follow_names(&self, runtime_id: &str, reader: &Weak<dyn NameReader>) {
        let told = {
            let held = self.held.borrow();
            let Some(networks) = networks_of(&held, runtime_id) else {
                return;
            };
            let mut names = self.names.borrow_mut();
            if names.readers.is_empty() {
                // Without readers they are not kept up to date.
                names.lines = lines(&held);
            }
            names
                .readers
                .insert(runtime_id.to_owned(), Weak::clone(reader));
            text(&names.lines, &networks)
        };
        if let Some(reader) = reader.upgrade() {
            reader.names(told);
        }
    }

    /// Tells all of names that have changed.
    pub(super) fn tell_names(&self) {
        let mut told = Vec::new();
        {
            let (held, mut names) = (self.held.borrow(), self.names.borrow_mut());
            let Names {
                lines: known,
                readers,
            } = &mut *names;
            readers.retain(|_, reader| reader.strong_count() > 0);
            if readers.is_empty() {
                return;
            }
            let now = lines(&held);
            // An endpoint that comes or goes brings or takes the lines of its container.
            if *known == now {
                return;
            }
            *known = now;
            for (runtime_id, reader) in readers.iter() {
                let networks = networks_of(&held, runtime_id).unwrap_or_default();
                if let Some(reader) = reader.upgrade() {
                    told.push((reader, text(known, &networks)));
                }
            }
        }
        for (reader, names) in told {
            reader.names(names);
        }
    }

    /// A container has ended.
    pub(super) fn unfollow(&self, runtime_id: &str) {
        self.names.borrow_mut().readers.remove(runtime_id);
    }
}

#[cfg(test)]
mod tests {
    use hcn::Surroundings;

    use super::*;

    const NETWORK: Guid = Guid(1);

    /// A network with a container per list of names; the first of them is its id.
    fn held(containers: &[&[&str]]) -> Held {
        let mut held = Held::default();
        let settings = r#"{"SchemaVersion":{"Major":2,"Minor":0},"Name":"a"}"#;
        let state = &mut held.state;
        state
            .create_network(NETWORK, settings, &Surroundings::default())
            .unwrap();
        for (number, names) in (1_u128..).zip(containers) {
            let (endpoint, namespace) = (Guid(100 + number), Guid(1000 + number));
            state
                .create_endpoint(
                    NETWORK,
                    endpoint,
                    r#"{"SchemaVersion":{"Major":2,"Minor":0}}"#,
                )
                .unwrap();
            state.create_namespace(namespace, "{}").unwrap();
            let request = format!(
                r#"{{"ResourceType":"Endpoint","RequestType":"Add","Settings":{{"EndpointId":"{endpoint}"}}}}"#
            );
            state.modify_namespace(namespace, &request).unwrap();
            let occupant = Occupant {
                id: names[0].to_owned(),
                runtime_id: namespace.to_string(),
                names: names[1..].iter().map(|name| (*name).to_owned()).collect(),
            };
            held.occupants.insert(namespace, occupant);
        }
        held
    }

    #[test]
    fn a_container_is_found_by_each_of_its_names() {
        let held = held(&[&["web", "www", "WEB", "a b"], &["not a name"], &["db"]]);
        let networks = networks_of(&held, &Guid(1001).to_string()).unwrap();
        let told = text(&lines(&held), &networks);
        let names: Vec<&str> = told
            .lines()
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        assert_eq!(names, ["web www", "db"]);
        assert!(
            told.lines()
                .all(|line| line.split('\t').next().unwrap().parse::<IpAddr>().is_ok())
        );
        assert_eq!(networks_of(&held, "none of it"), None);
    }

    #[test]
    fn no_more_lines_are_told_than_an_agent_takes() {
        let lines = vec![format!("192.0.2.1\t{}\n", "a".repeat(200)); 200];
        let told = text(
            &BTreeMap::from([(NETWORK, lines)]),
            &BTreeSet::from([NETWORK]),
        );
        assert!(
            told.len() <= MAX_NAMES_BYTES && told.ends_with(MORE),
            "{}",
            told.len()
        );
        assert!(told.len() > MAX_NAMES_BYTES - 300);
    }
}

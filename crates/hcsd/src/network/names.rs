//! The names by which containers of a network find each other: lines of `hosts(5)`, which agents write into the
//! `/etc/hosts` of their own containers.
//!
//! A container has the names of all that are in its networks, its own as well. Of a name with a dot that is so only
//! where the container which has it is of root or of the same user: such a name may be that of a server of the outside,
//! whose clients in the containers of others would come to that container. Its agent is told when it begins to
//! serve, before the first process, and whenever they change; the next service tells it again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    rc::{Rc, Weak},
};

use hcn::{Guid, Object};
use hcs_schema::rules::names::is_host_name;
use hcs_wire::{
    environment::is_root,
    guest::{GuestNetwork, MAX_NAMES_BYTES},
};

use super::{Held, Networks, Occupant, machines};

/// Bytes of lines that one container has in a network at most: its names must not take those of others away.
const MOST_OF_ONE: usize = 1 << 10;

/// The line after the last that fits.
const MORE: &str = "# There are more names than fit.\n";

/// What takes the names for a container: the link to its agent.
pub(crate) trait NameReader {
    /// They are these from now on.
    fn names(&self, told: AgentNetworks);
}

/// What an agent is told of its networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentNetworks {
    /// Lines of `hosts(5)`.
    pub(crate) hosts: Rc<str>,
    /// To that of a virtual machine: its cards.
    pub(crate) network: Option<Rc<GuestNetwork>>,
}

/// The user whose names count in the containers of all.
const ROOT: u32 = 0;

/// A line, and who is told of it.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    text: String,
    /// The user whose containers alone are told of it.
    user: Option<u32>,
}

/// The lines of one network, by address. Each has one name, as there are programs that read no long lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lines {
    /// Those of ids. They are told before all others.
    ids: Vec<Line>,
    /// Those of other names.
    aliases: Vec<Line>,
    /// Whether a container has more than its share, so that some of its names have no line.
    is_cut: bool,
}

/// What a container is told of: of two in the same networks, and of the same user, it is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct View {
    networks: BTreeSet<Guid>,
    user: u32,
}

/// A reader that is told of names.
struct Following {
    reader: Weak<dyn NameReader>,
    /// What it was told of.
    view: View,
    /// The cards that it was told of.
    network: Option<Rc<GuestNetwork>>,
}

/// What is known of names, and of those that want to know.
#[derive(Default)]
pub(super) struct Names {
    lines: BTreeMap<Guid, Lines>,
    /// By runtime id.
    readers: BTreeMap<String, Following>,
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// The names that others may find a container by, each once. An id may be any text, so it is no name where it cannot be
/// one.
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

/// An occupant with its user and its names.
type Named<'a> = (&'a Occupant, u32, &'a [String]);

/// The user whom a container is of. Records of older services say it of its namespace only.
fn user_of(held: &Held, namespace: Guid, occupant: &Occupant) -> u32 {
    let of_namespace = || held.owners.get(&Object::Namespace(namespace)).copied();
    occupant.user.or_else(of_namespace).unwrap_or(ROOT)
}

/// The user whose containers alone are told that a container of `user` has this name.
fn told_alone(user: u32, name: &str) -> Option<u32> {
    Some(user).filter(|user| *user != ROOT && name.contains('.'))
}

/// The lines of each network.
fn lines(held: &Held) -> BTreeMap<Guid, Lines> {
    let named = held.occupants.iter();
    let named: Vec<_> = named
        .map(|(namespace, occupant)| (namespace, occupant, of_occupant(occupant)))
        .collect();
    let mut found: BTreeMap<Guid, BTreeMap<IpAddr, Named<'_>>> = BTreeMap::new();
    for (namespace, occupant, names) in &named {
        let user = user_of(held, **namespace, occupant);
        for endpoint in held.state.namespace_intent(**namespace) {
            let addresses = endpoint.addresses.iter();
            let addresses =
                addresses.map(|(address, _)| (*address, (*occupant, user, names.as_slice())));
            found.entry(endpoint.network).or_default().extend(addresses);
        }
    }
    let found = found.into_iter();
    found
        .map(|(network, occupants)| (network, lines_of(&occupants)))
        .collect()
}

/// The lines of a network, of which no container has more than its share.
fn lines_of(occupants: &BTreeMap<IpAddr, Named<'_>>) -> Lines {
    let mut used: HashMap<&str, usize> = HashMap::new();
    let mut is_cut = false;
    let mut named_as = |is_id: bool| {
        let mut lines = Vec::new();
        for (address, (occupant, user, names)) in occupants {
            let used = used.entry(&occupant.runtime_id).or_default();
            for name in names.iter().filter(|name| (**name == occupant.id) == is_id) {
                let text = format!("{address}\t{name}\n");
                // A shorter one may fit.
                if *used + text.len() <= MOST_OF_ONE {
                    *used += text.len();
                    let user = told_alone(*user, name);
                    lines.push(Line { text, user });
                } else {
                    is_cut = true;
                }
            }
        }
        lines
    };
    let (ids, aliases) = (named_as(true), named_as(false));
    Lines {
        ids,
        aliases,
        is_cut,
    }
}

fn of_occupant(occupant: &Occupant) -> Vec<String> {
    // A record of an older service has none but the id.
    of_container(&occupant.id, occupant.names.iter().map(String::as_str))
}

/// The networks and the user of each container that is in a namespace of this service, by runtime id.
fn views(held: &Held) -> HashMap<&str, View> {
    let mut found: HashMap<&str, View> = HashMap::new();
    for (namespace, occupant) in &held.occupants {
        let endpoints = held.state.namespace_intent(*namespace);
        let networks = endpoints.into_iter().map(|endpoint| endpoint.network);
        let view = found.entry(&occupant.runtime_id).or_default();
        view.networks.extend(networks);
        view.user = user_of(held, *namespace, occupant);
    }
    found
}

/// The lines of these networks that containers of this user are told of, as many as an agent takes: the ids of all come
/// first.
fn text(lines: &BTreeMap<Guid, Lines>, view: &View) -> Rc<str> {
    let known = (view.networks.iter()).filter_map(|network| lines.get(network));
    let ids = known.clone().flat_map(|lines| &lines.ids);
    let aliases = known.clone().flat_map(|lines| &lines.aliases);
    let is_cut = known.into_iter().any(|lines| lines.is_cut);
    let is_told = |line: &&Line| line.user.is_none_or(|user| user == view.user);
    let told = ids.chain(aliases).filter(is_told);
    fitting(told.map(|line| &*line.text), is_cut)
}

/// As many of `lines` as an agent takes. The last line tells of those that do not fit, or that were left out before
/// (`is_cut`).
fn fitting<'a>(lines: impl Iterator<Item = &'a str>, mut is_cut: bool) -> Rc<str> {
    let mut text = String::new();
    for line in lines {
        // A shorter one may fit.
        if text.len() + line.len() + MORE.len() <= MAX_NAMES_BYTES {
            text.push_str(line);
        } else {
            is_cut = true;
        }
    }
    if is_cut {
        text.push_str(MORE);
    }
    text.into()
}

/// The lines for a machine: those that its document has, and then as many of the networks as fit. A container has the
/// former from the host.
fn with_own(held: &Held, runtime_id: &str, lines: Rc<str>) -> Rc<str> {
    let own = machines::known_of(held, runtime_id).map_or("", |(_, names)| &names.hosts);
    if own.is_empty() {
        return lines;
    }
    let both = own.split_inclusive('\n').chain(lines.split_inclusive('\n'));
    fitting(both.filter(|line| *line != MORE), lines.ends_with(MORE))
}

impl Names {
    /// Has `reader` told from now on; what it is told first, if it is in a namespace.
    fn follow(
        &mut self,
        held: &Held,
        runtime_id: &str,
        reader: &Weak<dyn NameReader>,
    ) -> Option<AgentNetworks> {
        let view = views(held).remove(runtime_id)?;
        if self.readers.is_empty() {
            // Without readers they are not kept up to date.
            self.lines = lines(held);
        }
        let network = machines::told(held, runtime_id).map(Rc::new);
        let told = AgentNetworks {
            hosts: with_own(held, runtime_id, text(&self.lines, &view)),
            network: network.clone(),
        };
        let following = Following {
            reader: Weak::clone(reader),
            view,
            network,
        };
        self.readers.insert(runtime_id.to_owned(), following);
        Some(told)
    }

    /// Takes in what is held now; what is to be told to those whose networks or names have changed.
    fn update(&mut self, held: &Held) -> Vec<(Rc<dyn NameReader>, AgentNetworks)> {
        let readers = &mut self.readers;
        readers.retain(|_, following| following.reader.strong_count() > 0);
        if readers.is_empty() {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.lines, lines(held));
        let changed = |network: &Guid| before.get(network) != self.lines.get(network);
        let mut views = views(held);
        // Most containers are in the same networks as others.
        let mut texts: BTreeMap<View, Rc<str>> = BTreeMap::new();
        let mut told = Vec::new();
        for (runtime_id, following) in readers {
            let now = views.remove(runtime_id.as_str()).unwrap_or_default();
            let network = machines::told(held, runtime_id);
            let is_same = network.as_ref() == following.network.as_deref();
            if now == following.view && is_same && !now.networks.iter().any(changed) {
                continue;
            }
            if !is_same {
                following.network = network.map(Rc::new);
            }
            if let Some(reader) = following.reader.upgrade() {
                let names = texts.entry(now.clone());
                let names = names.or_insert_with_key(|view| text(&self.lines, view));
                let hosts = with_own(held, runtime_id, Rc::clone(names));
                let network = following.network.clone();
                told.push((reader, AgentNetworks { hosts, network }));
            }
            following.view = now;
        }
        told
    }
}

impl Networks {
    /// Tells `reader` of the names for a container from now on, if it is in a network.
    pub(crate) fn follow_names(&self, runtime_id: &str, reader: &Weak<dyn NameReader>) {
        if !is_root() {
            // Its containers do not reach each other.
            return;
        }
        let told = {
            let (held, mut names) = (self.held.borrow(), self.names.borrow_mut());
            names.follow(&held, runtime_id, reader)
        };
        if let (Some(told), Some(reader)) = (told, reader.upgrade()) {
            reader.names(told);
        }
    }

    /// Tells those whose names have changed.
    pub(super) fn tell_names(&self) {
        let told = {
            let (held, mut names) = (self.held.borrow(), self.names.borrow_mut());
            names.update(&held)
        };
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
    use std::cell::RefCell;

    use hcn::Surroundings;

    use super::*;
    use crate::network::GuestNames;

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
                user: None,
                names: names[1..].iter().map(|name| (*name).to_owned()).collect(),
                machine: None,
            };
            held.occupants.insert(namespace, occupant);
        }
        held
    }

    /// What is told in a network of these.
    fn told_of(containers: &[&[&str]]) -> Rc<str> {
        text(&lines(&held(containers)), &of_user(ROOT))
    }

    /// What containers of a user in the network are told of.
    fn of_user(user: u32) -> View {
        let networks = BTreeSet::from([NETWORK]);
        View { networks, user }
    }

    #[test]
    fn a_container_is_found_by_each_of_its_names() {
        let held = held(&[&["web", "www", "WEB", "a b"], &["not a name"], &["db"]]);
        let views = views(&held);
        let told = text(&lines(&held), &views[Guid(1001).to_string().as_str()]);
        let names: Vec<&str> = told
            .lines()
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        assert_eq!(names, ["web", "db", "www"]);
        assert!(
            told.lines()
                .all(|line| line.split('\t').next().unwrap().parse::<IpAddr>().is_ok())
        );
        assert_eq!(views.get("none of it"), None);
    }

    #[test]
    fn names_of_the_outside_are_those_of_other_users_for_no_container() {
        let mut held = held(&[
            &["one", "one.example", "localhost.localdomain"],
            &["two.example", "two"],
            &["roots", "roots.example"],
            &["older", "older.example"],
        ]);
        for (namespace, user) in [(1001, 1), (1002, 2), (1003, ROOT)] {
            let occupant = held.occupants.get_mut(&Guid(namespace)).unwrap();
            occupant.user = Some(user);
        }
        held.owners.insert(Object::Namespace(Guid(1004)), 2);
        let all = lines(&held);
        let views = views(&held);
        for (namespace, dotted) in [
            (1001, &["roots.example", "one.example"] as &[&str]),
            (1002, &["two.example", "roots.example", "older.example"]),
            (1003, &["roots.example"]),
            (1004, &["two.example", "roots.example", "older.example"]),
        ] {
            let told = text(&all, &views[Guid(namespace).to_string().as_str()]);
            let names = told.lines().filter_map(|line| line.split('\t').nth(1));
            let (mut with, without): (Vec<&str>, Vec<&str>) =
                names.partition(|name| name.contains('.'));
            let mut dotted = dotted.to_vec();
            with.sort_unstable();
            dotted.sort_unstable();
            assert_eq!(with, dotted, "{namespace}");
            assert_eq!(without, ["one", "roots", "older", "two"], "{namespace}");
        }
    }

    #[test]
    fn no_more_lines_are_told_than_an_agent_takes() {
        let line = |text| Line { text, user: None };
        let long = || line(format!("192.0.2.1\t{}\n", "a".repeat(200)));
        let lines = Lines {
            ids: std::iter::repeat_with(long).take(200).collect(),
            aliases: vec![line("192.0.2.1\ta\n".to_owned())],
            is_cut: false,
        };
        let told = text(&BTreeMap::from([(NETWORK, lines)]), &of_user(ROOT));
        assert!(
            told.len() <= MAX_NAMES_BYTES && told.ends_with(MORE),
            "{}",
            told.len()
        );
        assert!(told.len() > MAX_NAMES_BYTES - 300);
        // What is too long takes nothing from what is not.
        assert!(told.contains("\ta\n"), "{told}");
    }

    #[test]
    fn a_machine_has_the_lines_of_its_document_first_and_then_what_fits() {
        let mut held = held(&[&["web"]]);
        let runtime_id = Guid(1001).to_string();
        let own = "192.0.2.7\town\n";
        let lines: Rc<str> = "192.0.2.1\tweb\n".into();
        let as_they_are = with_own(&held, &runtime_id, Rc::clone(&lines));
        assert_eq!(as_they_are, lines, "it is no machine");
        let occupant = held.occupants.get_mut(&Guid(1001)).unwrap();
        occupant.machine = Some(GuestNames {
            hosts: own.to_owned(),
            ..GuestNames::default()
        });
        let both = with_own(&held, &runtime_id, Rc::clone(&lines));
        assert_eq!(*both, *format!("{own}{lines}"));
        let many = lines.repeat((MAX_NAMES_BYTES - MORE.len()) / lines.len());
        for lines in [many.clone(), many + MORE] {
            let told = with_own(&held, &runtime_id, lines.into());
            assert!(told.len() <= MAX_NAMES_BYTES && told.len() > MAX_NAMES_BYTES - 100);
            assert!(told.starts_with(own) && told.ends_with(&format!("\tweb\n{MORE}")));
            assert_eq!(told.matches(MORE).count(), 1);
        }
        let other = with_own(&held, &Guid(9).to_string(), Rc::clone(&lines));
        assert_eq!(other, lines, "it is in no network");
    }

    #[test]
    fn no_container_takes_the_names_of_others_away() {
        let aliases: Vec<String> = (0..32)
            .map(|n| [&format!("n{n}"); 60].map(String::as_str).join("."))
            .collect();
        let greedy = |id| -> Vec<&str> {
            let aliases = aliases.iter().map(String::as_str);
            std::iter::once(id).chain(aliases).collect()
        };
        let ids: Vec<String> = (0..40).map(|n| format!("greedy{n}")).collect();
        let mut containers: Vec<Vec<&str>> = ids.iter().map(|id| greedy(id)).collect();
        containers.push(vec!["modest"]);
        let containers: Vec<&[&str]> = containers.iter().map(Vec::as_slice).collect();
        let lines = lines(&held(&containers));
        let of_first = lines[&NETWORK].aliases.iter();
        let address = lines[&NETWORK].ids[0].text.split('\t').next().unwrap();
        let of_first = of_first.filter(|line| line.text.split('\t').next() == Some(address));
        assert!((1..6).contains(&of_first.count()));
        let told = text(&lines, &of_user(ROOT));
        for id in ids.iter().map(String::as_str).chain(["modest"]) {
            assert!(told.contains(&format!("\t{id}\n")), "{id}: {told}");
        }
        assert!(told.lines().all(|line| line.len() < 512));
        let cut = told_of(&[&greedy("greedy")]);
        assert!(cut.ends_with(MORE), "{cut}");
        assert!(!told_of(&[&["modest"]]).contains(MORE));
    }

    #[derive(Default)]
    struct Reader(RefCell<Vec<Rc<str>>>);

    impl NameReader for Reader {
        fn names(&self, told: AgentNetworks) {
            self.0.borrow_mut().push(told.hosts);
        }
    }

    #[test]
    fn those_are_told_whose_networks_or_names_have_changed() {
        let mut held = held(&[&["web"], &["not a name"]]);
        let (web, nameless) = (Rc::<Reader>::default(), Rc::<Reader>::default());
        let mut names = Names::default();
        for (namespace, reader) in [(1001, &web), (1002, &nameless)] {
            let reader: Rc<dyn NameReader> = Rc::clone(reader) as _;
            let first = names.follow(&held, &Guid(namespace).to_string(), &Rc::downgrade(&reader));
            assert!(first.unwrap().hosts.ends_with("\tweb\n"));
        }
        let mut told = |held: &Held| {
            for (reader, hosts) in names.update(held) {
                reader.names(hosts);
            }
            [&web, &nameless].map(|reader| reader.0.take().len())
        };
        assert_eq!(told(&held), [0, 0], "nothing has changed");
        let about = |kind: &str| {
            let endpoint = Guid(102);
            format!(
                r#"{{"ResourceType":"Endpoint","RequestType":"{kind}","Settings":{{"EndpointId":"{endpoint}"}}}}"#
            )
        };
        held.state
            .modify_namespace(Guid(1002), &about("Remove"))
            .unwrap();
        assert_eq!(told(&held), [0, 1], "it is in no network any more");
        held.state
            .modify_namespace(Guid(1002), &about("Add"))
            .unwrap();
        assert_eq!(told(&held), [0, 1], "it is in one again");
        let renamed = held.occupants.get_mut(&Guid(1001)).unwrap();
        renamed.names.push("www".to_owned());
        assert_eq!(told(&held), [1, 1], "another one has a new name");
    }
}

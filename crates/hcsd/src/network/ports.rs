//! Ports of the host that are to lead to endpoints: whether another program has them.
//!
//! A published port takes the packets of any program that listens there: the rules translate them before the program's
//! socket would get them. So a port that is in use is refused when it is to be published. A program that
//! begins to listen later is not hindered, and gets nothing. An address that the host has not is not refused: the rules
//! hold once it is there.
//!
//! A mapping that names no port of the host gets one here ([`choose`]): the model knows no programs of the host.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    thread,
    time::{Duration, Instant},
};

use hcn::{Guid, Mapping, Protocol, State, documents::RequestType, intent::Intent};
use hcs_schema::{Failure, HResult, win32};
use hcs_wire::environment::is_root;
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};
use serde_json::Value;

/// Ports that are chosen: above those that the kernel gives to connections of its own accord.
pub(super) const CHOSEN: RangeInclusive<u16> = 61_000..=u16::MAX;

/// Gives each port mapping in the document `text` of an endpoint that names no port of the host (`ExternalPort` of 0,
/// or none) a port that is free. A document that cannot be read stays as it is.
///
/// # Errors
/// All of them are in use.
pub(super) fn choose(state: &State, text: String) -> Result<String, Failure> {
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        return Ok(text);
    };
    let given = given(state, document, "/Policies", Vec::new())?;
    Ok(given.map_or(text, |document| document.to_string()))
}

/// [`choose`] for a request that changes the endpoint `id`. A mapping that is replaced keeps the port that was chosen
/// for it. What is removed is there with the port that it has.
///
/// # Errors
/// All of them are in use.
pub(super) fn choose_for_change(state: &State, id: Guid, text: String) -> Result<String, Failure> {
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        return Ok(text);
    };
    let earlier = match request(&document) {
        Some(RequestType::Add) => Vec::new(),
        Some(RequestType::Update) => chosen_before(state, id),
        _ => return Ok(text),
    };
    let given = given(state, document, "/Settings/Policies", earlier)?;
    Ok(given.map_or(text, |document| document.to_string()))
}

fn request(document: &Value) -> Option<RequestType> {
    match document.get("RequestType") {
        None | Some(Value::Null) => Some(RequestType::Add),
        Some(Value::String(name)) if name == "Add" => Some(RequestType::Add),
        Some(Value::String(name)) if name == "Update" => Some(RequestType::Update),
        Some(Value::Number(number)) => match number.as_u64()? {
            0 => Some(RequestType::Add),
            2 => Some(RequestType::Update),
            _ => None,
        },
        Some(_) => None,
    }
}

/// Mappings of an endpoint, as far as their ports may have been chosen.
fn chosen_before(state: &State, id: Guid) -> Vec<Mapping> {
    let Ok(endpoint) = state.endpoint(id) else {
        return Vec::new();
    };
    let mappings = endpoint.terms().mappings.iter();
    let chosen = mappings.filter(|one| CHOSEN.contains(&one.external));
    chosen.cloned().collect()
}

/// The document with a port in each mapping that names none, `earlier` ones before others; `None` where all name one.
fn given(
    state: &State,
    mut document: Value,
    pointer: &str,
    mut earlier: Vec<Mapping>,
) -> Result<Option<Value>, Failure> {
    let policies = document.pointer_mut(pointer).and_then(Value::as_array_mut);
    let open = policies.into_iter().flatten().filter_map(without_port);
    let open: Vec<_> = open.collect();
    if open.is_empty() {
        return Ok(None);
    }
    let mut taken = state.mapped_ports();
    for (protocol, settings) in open {
        let is_same =
            |one: &Mapping| one.protocol == protocol && settings["InternalPort"] == one.internal;
        if let Some(at) = earlier.iter().position(is_same) {
            settings["ExternalPort"] = earlier.remove(at).external.into();
            continue;
        }
        let random = uuid::Uuid::new_v4().as_u128();
        let port = first_free(random, protocol, &taken).ok_or_else(all_in_use)?;
        taken.insert((protocol, port));
        settings["ExternalPort"] = port.into();
    }
    Ok(Some(document))
}

/// The first port from a random place on that neither a mapping nor a program of the host has.
fn first_free(random: u128, protocol: Protocol, taken: &BTreeSet<(Protocol, u16)>) -> Option<u16> {
    from_place(random).find(|port| {
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port));
        !taken.contains(&(protocol, *port)) && bound(protocol, at) != Err(Errno::ADDRINUSE)
    })
}

/// Each port that may be chosen, from a random place on: another service of the host looks for free ones as well, and
/// does not see what this one has chosen.
fn from_place(random: u128) -> impl Iterator<Item = u16> {
    let count = u128::from(CHOSEN.end() - CHOSEN.start()) + 1;
    let offset = u16::try_from(random % count).unwrap_or(0);
    let begin = CHOSEN.start() + offset;
    (begin..=*CHOSEN.end()).chain(*CHOSEN.start()..begin)
}

/// The settings of a policy that maps a port and names none of the host. In version 1 they stand in the policy itself.
fn without_port(policy: &mut Value) -> Option<(Protocol, &mut Value)> {
    let settings = match policy["Type"].as_str()? {
        "PortMapping" => policy.get_mut("Settings")?,
        "NAT" => policy,
        _ => return None,
    };
    let protocol = match &settings["Protocol"] {
        Value::String(name) if name.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
        Value::String(name) if name.eq_ignore_ascii_case("udp") => Protocol::Udp,
        number if *number == Protocol::Tcp.number() => Protocol::Tcp,
        number if *number == Protocol::Udp.number() => Protocol::Udp,
        _ => return None,
    };
    let port = &settings["ExternalPort"];
    (settings.is_object() && (port.is_null() || *port == 0)).then_some((protocol, settings))
}

fn all_in_use() -> Failure {
    let message = format!(
        "all ports of the host from {} to {} are in use: publish a port by its number, or end a container that publishes some",
        CHOSEN.start(),
        CHOSEN.end()
    );
    Failure::new(
        HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES),
        message,
    )
}

/// How long a port may be taken that a container of an ordinary user has had: what passed it on ends by itself.
const ENDING: Duration = Duration::from_secs(1);

/// How long a port is left alone before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Checks the ports that `after` publishes and `before` does not. Runs in the network namespace of the host. The
/// service of an ordinary user waits for ports that are given back, so this is for a thread that may wait.
///
/// # Errors
/// `HCN_E_PORT_ALREADY_EXISTS` for one that a program of the host has.
pub(super) fn check(before: &Intent, after: &Intent) -> Result<(), Failure> {
    let patience = if is_root() { Duration::ZERO } else { ENDING };
    let end = Instant::now() + patience;
    new(before, after).into_iter().try_for_each(|place| {
        let mut tried = try_bind(place);
        while tried.is_err() && Instant::now() < end {
            thread::sleep(PAUSE);
            tried = try_bind(place);
        }
        tried
    })
}

/// Whether there is something to check on a thread that may wait: few ports that are free are told at once.
pub(super) fn asks(before: &Intent, after: &Intent) -> bool {
    const FEW: usize = 4;
    let new = new(before, after);
    let is_used = |(protocol, port, address): &Place| {
        bound(*protocol, socket_address(*port, *address)) == Err(Errno::ADDRINUSE)
    };
    new.len() > FEW || new.iter().any(is_used)
}

fn socket_address(port: u16, address: Option<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), port)
}

/// Ports that `after` publishes and `before` does not. There are thousands, which few changes are about: only those of
/// what has changed are looked up.
fn new(before: &Intent, after: &Intent) -> Vec<Place> {
    let earlier = (before.endpoints.iter()).map(|one| (one.id, &one.mappings));
    let earlier: HashMap<_, _> = earlier.collect();
    let changed = after.endpoints.iter();
    let changed = changed.filter(|one| earlier.get(&one.id) != Some(&&one.mappings));
    let changed = changed.flat_map(|one| &one.mappings).map(place);
    let mut places: Vec<Place> = changed.chain(balanced(after)).collect();
    if !places.is_empty() {
        let had = published(before).map(place).chain(balanced(before));
        let had: HashSet<Place> = had.collect();
        places.retain(|place| !had.contains(place));
    }
    places
}

/// A port, at all addresses of IPv4 where none is named.
type Place = (Protocol, u16, Option<IpAddr>);

fn published(intent: &Intent) -> impl Iterator<Item = &Mapping> {
    (intent.endpoints.iter()).flat_map(|endpoint| &endpoint.mappings)
}

/// Those of load balancers. An address of one is no program's but the host's.
fn balanced(intent: &Intent) -> impl Iterator<Item = Place> {
    let ports = intent.balancers.iter().flat_map(|balancer| &balancer.ports);
    ports.map(|port| {
        let all = (!port.is_ipv4).then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        (port.protocol, port.external, port.address.or(all))
    })
}

const fn place(mapping: &Mapping) -> Place {
    (mapping.protocol, mapping.external, mapping.address)
}

/// Takes the port and gives it back.
fn try_bind((protocol, port, address): Place) -> Result<(), Failure> {
    let (name, listing) = match protocol {
        Protocol::Tcp => ("TCP", "ss -lnp"),
        // A socket that has a peer is not among those that listen.
        Protocol::Udp => ("UDP", "ss -anp"),
    };
    let at = socket_address(port, address);
    // What else may be wrong, such as a right that is missing or an address that the host has not yet, says nothing of
    // other programs.
    if bound(protocol, at) != Err(Errno::ADDRINUSE)
        || protocol == Protocol::Tcp && !is_listened_at(at)
    {
        return Ok(());
    }
    let message = format!(
        "the {name} port {port} of the host is in use by a program ({listing} shows which one): end it, or publish another port"
    );
    Err(Failure::new(HResult::HCN_E_PORT_ALREADY_EXISTS, message))
}

/// Whether a program listens at a port of TCP that is in use. It may be the end of a connection to elsewhere alone, or
/// of one that has ended: these go on. Where the kernel does not say, the port is taken to be listened at.
fn is_listened_at(wanted: SocketAddr) -> bool {
    let Ok(table) = fs::read_to_string("/proc/thread-self/net/tcp") else {
        return true;
    };
    // Without IPv6 there is no such file.
    let table_6 = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
    let mut listeners = table.lines().chain(table_6.lines()).filter_map(listener);
    listeners.any(|listener| is_in_the_way(listener, wanted))
}

/// The address of a line of the kernel's table of TCP, where the socket listens.
fn listener(line: &str) -> Option<SocketAddr> {
    const LISTENS: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..(at + 1) * 8)?;
        let word = u32::from_str_radix(digits, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let octets = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)
        }
        _ => return None,
    };
    (state == LISTENS).then_some(SocketAddr::new(address, port))
}

/// Whether a socket at one address gets what is sent to the other, as far as the addresses say.
fn is_in_the_way(listener: SocketAddr, wanted: SocketAddr) -> bool {
    let (its, ours) = (listener.ip().to_canonical(), wanted.ip().to_canonical());
    let is_met = its == ours || its.is_unspecified() || ours.is_unspecified();
    let is_of_both = its == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let same_kind = its.is_ipv4() == ours.is_ipv4();
    listener.port() == wanted.port() && (is_of_both || same_kind && is_met)
}

fn bound(protocol: Protocol, address: SocketAddr) -> Result<(), Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // What a program has of IPv4 is not in the way of IPv6.
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    // Connections that have ended keep the port of TCP for a minute; a program that listens is refused all the same.
    if protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use serde_json::json;

    use super::*;

    #[test]
    fn a_port_that_a_program_has_is_refused_and_another_not() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = [
            (Protocol::Tcp, tcp.local_addr().unwrap().port()),
            (Protocol::Udp, udp.local_addr().unwrap().port()),
        ];
        for (protocol, port) in ports {
            for address in [None, Some("127.0.0.1".parse().unwrap())] {
                let refused = try_bind((protocol, port, address)).unwrap_err();
                assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
                assert!(refused.message.contains(&port.to_string()), "{refused}");
            }
            // Another address of the host.
            let other = Some("127.0.0.2".parse().unwrap());
            assert_eq!(try_bind((protocol, port, other)), Ok(()));
        }
    }

    #[test]
    fn what_a_program_has_of_one_family_is_not_in_the_way_of_the_other() {
        let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = four.local_addr().unwrap().port();
        let balancer = |port: u16| {
            let ports = json!([{"Protocol": 6, "InternalPort": 80, "ExternalPort": port}]);
            let document =
                json!({"SchemaVersion": {"Major": 2}, "PortMappings": ports, "Flags": 2});
            let mut state = State::default();
            (state.create_load_balancer(Guid(1), &document.to_string())).unwrap();
            state.intent()
        };
        assert_eq!(check(&Intent::default(), &balancer(port)), Ok(()));
        // A program may have both by one socket. A host may be without IPv6.
        let Ok(six) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) else {
            return;
        };
        let port = six.local_addr().unwrap().port();
        let refused = check(&Intent::default(), &balancer(port)).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_PORT_ALREADY_EXISTS);
    }

    #[test]
    fn ports_are_looked_at_that_lead_nowhere_yet() {
        let mut state = State::default();
        let network = json!({"SchemaVersion": {"Major": 2}}).to_string();
        state
            .create_network(Guid(1), &network, &hcn::Surroundings::default())
            .unwrap();
        let mut made = |id: u128, ports: &[u16]| {
            let of = |port| json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": port});
            let of = |port: &u16| json!({"Type": "PortMapping", "Settings": of(*port)});
            let policies: Vec<Value> = ports.iter().map(of).collect();
            let settings = json!({"SchemaVersion": {"Major": 2}, "Policies": policies});
            let id = Guid(id << 72);
            state
                .create_endpoint(Guid(1), id, &settings.to_string())
                .unwrap();
            let resources = json!([{"Type": "Endpoint", "Data": {"Id": id}}]);
            let settings = json!({ "Resources": resources }).to_string();
            state.create_namespace(Guid(id.0 << 8), &settings).unwrap();
            let intent = state.intent();
            state.delete_endpoint(id).unwrap();
            intent
        };
        let before = made(1, &[7001, 7002]);
        let after = made(2, &[7002, 7003]);
        assert_eq!(new(&before, &before), []);
        // Another endpoint has one of them now.
        assert_eq!(new(&before, &after), [(Protocol::Tcp, 7003, None)]);
        assert_eq!(new(&Intent::default(), &before).len(), 2);
        assert_eq!(new(&before, &Intent::default()), []);
    }

    #[test]
    fn a_mapping_without_a_port_of_the_host_gets_one_that_is_free() {
        // A program has one of them.
        let mut ports = CHOSEN;
        let program = ports.find_map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).ok());
        let program = program.unwrap();
        let taken = program.local_addr().unwrap().port();
        let mapping = |settings: Value| json!({"Type": "PortMapping", "Settings": settings});
        let document = json!({"Policies": [
            mapping(json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": 0})),
            mapping(json!({"Protocol": 6, "InternalPort": 81})),
            mapping(json!({"Protocol": 17, "InternalPort": 53, "ExternalPort": 5353})),
            {"Type": "NAT", "Protocol": "udp", "InternalPort": 82, "ExternalPort": 0},
            {"Type": "ACL", "Settings": {"Protocol": 6}},
        ]});
        let chosen = choose(&State::default(), document.to_string()).unwrap();
        let chosen: Value = serde_json::from_str(&chosen).unwrap();
        let port = |pointer: &str| chosen.pointer(pointer).unwrap().as_u64().unwrap();
        let [first, second] =
            [0, 1].map(|at| port(&format!("/Policies/{at}/Settings/ExternalPort")));
        for given in [first, second, port("/Policies/3/ExternalPort")] {
            assert!(CHOSEN.contains(&u16::try_from(given).unwrap()), "{given}");
        }
        assert_ne!(first, second);
        let place = u128::from(taken - CHOSEN.start());
        let free = first_free(place, Protocol::Tcp, &BTreeSet::new()).unwrap();
        assert_ne!(free, taken, "a program has it");
        let mapped = BTreeSet::from([(Protocol::Tcp, free)]);
        let next = first_free(place, Protocol::Tcp, &mapped).unwrap();
        assert!(![taken, free].contains(&next), "{next}");
        assert_eq!(port("/Policies/2/Settings/ExternalPort"), 5353);
        assert_eq!(chosen["Policies"][4], document["Policies"][4]);
        for odd in [
            "",
            "[]",
            r#"{"Policies": 1}"#,
            r#"{"Policies":[{"Type":"PortMapping"}]}"#,
        ] {
            let same = choose(&State::default(), odd.to_owned()).unwrap();
            assert_eq!(same, odd);
        }
    }

    #[test]
    fn ports_are_looked_for_from_any_place_on_and_each_once() {
        for random in [0, 1, 4535, 4536, u128::MAX] {
            let mut all: Vec<u16> = from_place(random).collect();
            assert_eq!(u128::from(all[0] - CHOSEN.start()), random % 4536);
            all.sort_unstable();
            assert!(all.into_iter().eq(CHOSEN), "{random}");
        }
    }

    #[test]
    fn a_mapping_that_is_replaced_keeps_its_port_and_one_that_is_removed_gets_none() {
        let mut state = State::default();
        let (network, endpoint) = (Guid(1), Guid(2));
        let document = json!({"SchemaVersion": {"Major": 2}, "Type": "NAT"}).to_string();
        let surroundings = hcn::Surroundings::default();
        (state.create_network(network, &document, &surroundings)).unwrap();
        let policy = |external: u16| {
            let settings = json!({"Protocol": 6, "InternalPort": 80, "ExternalPort": external});
            json!({"Type": "PortMapping", "Settings": settings})
        };
        let document = json!({"SchemaVersion": {"Major": 2}, "Policies": [policy(61_234)]});
        (state.create_endpoint(network, endpoint, &document.to_string())).unwrap();
        let asked = |kind: &Value| {
            let settings = json!({"Policies": [policy(0), policy(0)]});
            let request = json!({"RequestType": kind, "Settings": settings}).to_string();
            let chosen = choose_for_change(&state, endpoint, request).unwrap();
            let chosen: Value = serde_json::from_str(&chosen).unwrap();
            [0, 1].map(|at| chosen["Settings"]["Policies"][at]["Settings"]["ExternalPort"].clone())
        };
        for update in [json!("Update"), json!(2)] {
            let [kept, other] = asked(&update);
            assert_eq!(kept, 61_234, "{update}");
            assert!(other != kept && other != 0, "{update}");
        }
        for add in [json!("Add"), json!(null)] {
            assert!(!asked(&add).contains(&json!(61_234)), "{add}");
        }
        for other in ["Remove", "Reset", "Refresh", "odd"] {
            assert_eq!(asked(&json!(other)), [json!(0), json!(0)], "{other}");
        }
    }

    #[test]
    fn an_address_that_the_host_may_get_later_is_not_refused() {
        let foreign = Some("192.0.2.77".parse().unwrap());
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert_eq!(try_bind((protocol, 1, foreign)), Ok(()));
        }
    }

    #[test]
    fn the_port_of_a_connection_to_elsewhere_is_not_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        for address in [None, Some("127.0.0.1".parse().unwrap())] {
            assert_eq!(try_bind((Protocol::Tcp, port, address)), Ok(()));
        }
    }

    #[test]
    fn listeners_of_the_table_are_found_by_their_addresses() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let line = |local: &str, state: &str| {
            listener(&format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000"
            ))
        };
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let loopback = word([127, 0, 0, 1]);
        let zeros = "0".repeat(24);
        assert_eq!(
            line(&format!("{loopback}:1F90"), "0A"),
            Some(at("127.0.0.1:8080"))
        );
        let [none, last] = [word([0; 4]), word([0, 0, 0, 1])];
        assert_eq!(
            line(&format!("{zeros}{last}:0050"), "0A"),
            Some(at("[::1]:80"))
        );
        assert_eq!(
            line(&format!("{zeros}{none}:0050"), "0A"),
            Some(at("[::]:80"))
        );
        for state in ["01", "06"] {
            assert_eq!(line(&format!("{loopback}:1F90"), state), None);
        }
        assert_eq!(
            listener("  sl  local_address rem_address   st tx_queue rx_queue"),
            None
        );

        for (its, ours, expected) in [
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("[::1]:80", "0.0.0.0:80", false),
        ] {
            assert_eq!(is_in_the_way(at(its), at(ours)), expected, "{its} {ours}");
        }
    }
}

//! Network adapters of virtual machines: real guests in QEMU on networks of the service.

mod dhcp;
mod faults;

use std::{
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use hcs_schema::HResult;
use hcs_wire::{network::ObjectKind, service::Call};
use rustix::{
    net::{
        AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with,
        sockopt::{Timeout, set_socket_timeout},
    },
    process::{Pid, Signal, kill_process},
};
use serde_json::{Value, json};

use super::{
    address, create, delete, endpoint, gone, listed, made, queried,
    space::{OUTSIDE, Space, UPLINK, world},
    started,
};
use crate::{
    common::{
        Client, Service, await_that,
        client::{create_system, open_system, shell, start_system},
    },
    guests::Guest,
};

const MAC: &str = "00-15-5D-0A-0B-0C";

/// Starts a guest with these adapters, under this handle.
fn start(client: &mut Client, guest: &Guest, handle: u64, adapters: &Value) -> String {
    let document = guest.document_with(|machine| {
        machine["Devices"] = json!({ "NetworkAdapters": adapters });
    });
    let id = format!("guest-{handle}");
    let made = client.call(&create_system(handle, &id, &document.to_string()));
    let runtime_id = made.ok().reply.runtime_id.unwrap();
    client.call(&start_system(handle)).ok();
    runtime_id
}

/// Runs a script in a system; what it says. It has to succeed.
fn run(client: &mut Client, system: u64, process: u64, script: &str) -> String {
    let mut started = client.create_process(system, process, &shell(script));
    let said = started.output();
    assert_eq!(client.exit_code(process), 0, "{script}: {said}");
    said
}

/// An endpoint of the network, as a client makes it, and its address.
fn endpoint_of(client: &mut Client, network: &str, settings: Value) -> (String, String) {
    let id = made(client, &create(ObjectKind::Endpoint, network, settings));
    let told = queried(client, ObjectKind::Endpoint, &id);
    let address = told["IpConfigurations"][0]["IpAddress"].as_str().unwrap();
    (id, address.to_owned())
}

fn network(client: &mut Client) -> String {
    made(
        client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    )
}

fn adapter(endpoint: &str) -> Value {
    json!({ "0": { "EndpointId": endpoint } })
}

/// What a server says that is about to listen there.
fn heard(space: &Space, to: (&str, u16)) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
    loop {
        let mut said = String::new();
        let connected = space.run(|| TcpStream::connect_timeout(&to, Duration::from_secs(5)));
        if let Ok(mut stream) = connected
            && stream.read_to_string(&mut said).is_ok()
            && !said.is_empty()
        {
            return said;
        }
        assert!(Instant::now() < end, "no server answers at {to}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Nothing is left of endpoints but what clients made, and nothing of the network once they are deleted.
fn nothing_is_left(client: &mut Client, host: &Space, network: &str, endpoints: &[&str]) {
    gone(host, "hce");
    assert_eq!(listed(client, ObjectKind::Namespace), Vec::<String>::new());
    for id in endpoints {
        client.call(&delete(ObjectKind::Endpoint, id)).ok();
    }
    assert_eq!(listed(client, ObjectKind::Endpoint), Vec::<String>::new());
    client.call(&delete(ObjectKind::Network, network)).ok();
    host.is_cleared();
}

#[test]
fn guests_and_containers_reach_each_other_and_the_outside_a_published_port() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let mapping = json!({ "Protocol": 6, "InternalPort": 80, "ExternalPort": 8080 });
    let policies = json!([{ "Type": "PortMapping", "Settings": mapping }]);
    let settings = json!({ "MacAddress": MAC, "Policies": policies });
    let (first, first_address) = endpoint_of(&mut client, &network, settings);
    let (second, second_address) = endpoint_of(&mut client, &network, json!({}));
    let container = started(
        &service,
        &mut client,
        1,
        &json!({ "Endpoints": [endpoint(&network, 8081)] }),
    );
    let with_mac = json!({ "0": { "EndpointId": first, "MacAddress": MAC } });
    start(&mut client, &guest, 2, &with_mac);
    start(&mut client, &guest, 3, &adapter(&second));

    // By name, from guest to guest and to the container; a guest's own file of names has them.
    let said = run(
        &mut client,
        2,
        20,
        "busybox ip -o -4 addr show; busybox ip link show; cat /etc/hosts",
    );
    assert!(said.contains(&format!("inet {first_address}/24")), "{said}");
    assert!(said.contains("00:15:5d:0a:0b:0c"), "{said}");
    assert!(
        said.contains(&format!("{second_address}\tguest-3")),
        "{said}"
    );
    run(&mut client, 2, 21, "busybox ping -c 1 -W 30 guest-3");
    run(&mut client, 3, 30, "busybox ping -c 1 -W 30 guest-2");
    let server = container.listen(90);
    let mut asking = client.create_process(2, 22, &shell("busybox nc net-1 90 </dev/null"));
    let (_stream, from) = server.accept().unwrap();
    assert_eq!(from.ip().to_string(), first_address);
    drop((_stream, server));
    asking.output();
    assert_eq!(client.exit_code(22), 0);
    let said = run(&mut client, 1, 10, "cat /etc/hosts");
    assert!(
        said.contains(&format!("{first_address}\tguest-2")),
        "{said}"
    );

    // By a port of the host, and to the outside, which sees the host.
    let mut serving = client.create_process(2, 23, &shell("echo here | busybox nc -l -p 80"));
    assert_eq!(heard(&outside, (UPLINK, 8080)), "here\n");
    serving.output();
    assert_eq!(client.exit_code(23), 0);
    let far = outside.listen(91);
    let script = format!("busybox nc {OUTSIDE} 91 </dev/null");
    let mut asking = client.create_process(2, 24, &shell(&script));
    let (stream, from) = far.accept().unwrap();
    assert_eq!(from.ip().to_string(), UPLINK);
    drop(stream);
    asking.output();
    assert_eq!(client.exit_code(24), 0);

    for handle in [1, 2, 3] {
        client.terminate(handle);
    }
    drop(container);
    nothing_is_left(&mut client, &host, &network, &[&first, &second]);
}

fn modify(system: u64, name: &str, kind: &str, settings: &Value) -> Call {
    let request = json!({
        "ResourcePath": format!("VirtualMachine/Devices/NetworkAdapters/{name}"),
        "RequestType": kind, "Settings": settings,
    });
    Call::ModifySystem {
        system,
        settings: request.to_string(),
    }
}

/// The pid of a machine's worker, as its record names it.
fn worker(service: &Service, runtime_id: &str) -> Pid {
    let directory = service.root().join("systems").join(runtime_id);
    let text = std::fs::read_to_string(directory.join("state.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let machine: Value = serde_json::from_str(record["machine"].as_str().unwrap()).unwrap();
    let pid = machine
        .pointer("/worker/pid")
        .or(machine.pointer("/Worker/Pid"));
    let pid = pid.unwrap_or_else(|| panic!("{machine}")).as_i64().unwrap();
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

#[test]
fn an_adapter_comes_and_goes_and_outlives_the_service_but_not_the_machine() {
    let (host, _outside) = world();
    let mut service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let (one, one_address) = endpoint_of(&mut client, &network, json!({}));
    let (two, _) = endpoint_of(&mut client, &network, json!({}));
    let runtime_id = start(&mut client, &guest, 1, &json!({}));
    assert!(!run(&mut client, 1, 10, "busybox ip link show").contains("eth0"));

    let settings = json!({ "EndpointId": one });
    client.call(&modify(1, "a", "Add", &settings)).ok();
    let has = |address: &str| {
        format!(
            "until busybox ip addr show | busybox grep -q 'inet {address}/'; do sleep 0.1; done"
        )
    };
    run(&mut client, 1, 11, &has(&one_address));
    let gateway = "gateway=$(busybox ip route | busybox awk '/default/ {print $3}')";
    let ping = format!("{gateway}; busybox ping -c 1 -W 30 $gateway");
    run(&mut client, 1, 12, &ping);

    // What is wrong changes nothing.
    let other = json!({ "EndpointId": two });
    let said = client.call(&modify(1, "a", "Add", &other));
    said.failed(HResult::HCS_E_INVALID_STATE);
    let wrong = json!({ "EndpointId": two, "MacAddress": "00-15-5D-00-00-01" });
    let said = client.call(&modify(1, "b", "Add", &wrong));
    let told = format!("{:?}", said.reply);
    said.failed(HResult::E_INVALIDARG);
    assert!(told.contains("/Settings/MacAddress"), "{told}");
    client
        .call(&modify(1, "b", "Remove", &json!({})))
        .failed(HResult::E_INVALIDARG);
    client
        .call(&modify(1, "b", "Update", &other))
        .failed(HResult::NOT_SUPPORTED);
    let links = |host: &Space| {
        host.ours()
            .iter()
            .filter(|name| name.starts_with("hce"))
            .count()
    };
    assert_eq!(links(&host), 1);

    // Without its service, and with the next.
    service.kill();
    assert_eq!(links(&host), 1);
    host.run(|| service.run());
    let mut client = service.client();
    client
        .call(&open_system(1, "guest-1", Some(&runtime_id)))
        .ok();
    run(&mut client, 1, 13, &ping);
    assert_eq!(links(&host), 1);

    // Taken away it is gone from the host at once, whatever the guest does; another takes its place.
    client.call(&modify(1, "a", "Remove", &json!({}))).ok();
    assert_eq!(links(&host), 0);
    run(
        &mut client,
        1,
        14,
        "while busybox ip link show eth0; do sleep 0.1; done",
    );
    client.call(&modify(1, "a", "Add", &settings)).ok();
    run(&mut client, 1, 15, &has(&one_address));
    run(&mut client, 1, 16, &ping);

    // The machine dies without a word, and no service is there.
    let pid = worker(&service, &runtime_id);
    service.kill();
    kill_process(pid, Signal::KILL).unwrap();
    gone(&host, "hce");
    host.run(|| service.run());
    let mut client = service.client();
    await_that("its network is given back", || {
        listed(&mut client, ObjectKind::Namespace).is_empty()
    });
    nothing_is_left(&mut client, &host, &network, &[&one, &two]);
}

#[test]
fn a_guest_is_held_to_the_rules_of_its_endpoint() {
    let (host, outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let rule = |action: &str, priority: u16, ports: &str| {
        json!({ "Type": "ACL", "Settings": {
            "Action": action, "Direction": "Out", "Priority": priority, "Protocols": "6", "RemotePorts": ports,
        } })
    };
    let policies = json!([rule("Allow", 100, "91"), rule("Block", 200, "1-65535")]);
    let (one, _) = endpoint_of(&mut client, &network, json!({ "Policies": policies }));
    start(&mut client, &guest, 1, &adapter(&one));
    let [open, closed] = [91, 92].map(|port| outside.listen(port));
    let script = |port: u16| format!("busybox nc -w 5 {OUTSIDE} {port} </dev/null || echo no");
    let mut asking = client.create_process(1, 10, &shell(&script(91)));
    drop(open.accept().unwrap());
    assert_eq!(asking.output(), "");
    assert_eq!(client.exit_code(10), 0);
    assert!(run(&mut client, 1, 11, &script(92)).contains("no"));
    closed.set_nonblocking(true).unwrap();
    closed.accept().unwrap_err();
    // It is not of TCP, and no rule is about it.
    run(
        &mut client,
        1,
        12,
        &format!("busybox ping -c 1 -W 30 {OUTSIDE}"),
    );
    let tables = || host.program("nft list tables bridge");
    assert!(tables().contains("_hce"), "{}", tables());
    client.terminate(1);
    nothing_is_left(&mut client, &host, &network, &[&one]);
    assert!(!tables().contains("_hce"), "{}", tables());
}

#[test]
fn what_a_machine_cannot_have_of_networks_is_refused_by_pointer() {
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let (limited, _) = endpoint_of(&mut client, &network, json!({}));
    let nowhere = "11111111-2222-3333-4444-555555555555";
    let refused = [
        (json!({ "0": {} }), "NetworkAdapters/0/EndpointId"),
        (adapter(nowhere), "NetworkAdapters/0/EndpointId"),
        (
            json!({ "0": { "EndpointId": limited, "IsConnected": false } }),
            "NetworkAdapters/0/IsConnected",
        ),
    ];
    for (adapters, words) in refused {
        let document = guest.document_with(|machine| {
            machine["Devices"] = json!({ "NetworkAdapters": adapters });
        });
        let said = client.call(&create_system(1, "guest", &document.to_string()));
        let told = format!("{:?}", said.reply);
        assert!(told.contains(words), "{words}: {told}");
    }
    // A machine whose document does not name adapters has no place for one.
    let document = guest.document_with(|_| ()).to_string();
    client.call(&create_system(2, "without", &document)).ok();
    let (free, _) = endpoint_of(&mut client, &network, json!({}));
    let settings = json!({ "EndpointId": free });
    let said = client.call(&modify(2, "0", "Add", &settings));
    let told = format!("{:?}", said.reply);
    said.failed(HResult::HCS_E_INVALID_STATE);
    assert!(
        told.contains("VirtualMachine/Devices/NetworkAdapters"),
        "{told}"
    );
    client.terminate(2);
    nothing_is_left(&mut client, &host, &network, &[&limited, &free]);
}

/// Writes frames of one guest to a container.
struct Forger {
    mac: [u8; 6],
    address: Ipv4Addr,
    target_mac: [u8; 6],
    target: Ipv4Addr,
}

const EVERYWHERE: [u8; 6] = [0xff; 6];

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    let sum: u32 = words.sum();
    !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}

impl Forger {
    fn frame(to: [u8; 6], from: [u8; 6], rest: &[u8]) -> Vec<u8> {
        [&to[..], &from, rest].concat()
    }

    /// A datagram of IPv4, with its type before it.
    fn datagram(&self, source: Ipv4Addr, ports: [u16; 2], text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(28 + text.len()).unwrap();
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 1, 0, 0, 64, 17, 0, 0]);
        packet.extend(source.octets());
        packet.extend(self.target.octets());
        let checked = sum(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&checked);
        packet.extend(ports.map(u16::to_be_bytes).concat());
        packet.extend((length - 20).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(text);
        [&[0x08, 0x00][..], &packet].concat()
    }

    /// An answer of ARP without a question.
    fn arp(card: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
        let mut packet = vec![0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2];
        packet.extend(card);
        packet.extend(address.octets());
        packet.extend(EVERYWHERE);
        packet.extend(address.octets());
        packet.extend(b"FORGED arp");
        packet
    }

    /// What must not arrive anywhere, each with the word FORGED in it.
    fn forged(&self, gateway: Ipv4Addr) -> Vec<Vec<u8>> {
        let (mac, card) = (self.mac, self.target_mac);
        let other = [2, 0, 0, 0, 0, 9];
        let plain = [4000, 80];
        let own = |text: &[u8]| self.datagram(self.address, plain, text);
        let tagged = |tag: [u8; 4], text: &[u8]| [&tag[..], &own(text)].concat();
        let to = |rest: &[u8]| Self::frame(card, mac, rest);
        let all = |rest: &[u8]| Self::frame(EVERYWHERE, mac, rest);
        // A router's advertisement, from the address that the card would give itself.
        let link_local = hcn_link_local(mac);
        let mut router = vec![0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255];
        router.extend(link_local);
        router.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        router.extend([134, 0, 0, 0, 64, 0, 7, 8]);
        router.extend([0; 8]);
        router.extend(b"FORGED by a router");
        let group = |last: u8| [0x01, 0x80, 0xc2, 0, 0, last];
        vec![
            Self::frame(card, other, &own(b"FORGED card")),
            to(&self.datagram(gateway, plain, b"FORGED address")),
            all(&Self::arp(mac, gateway)),
            all(&Self::arp(other, self.address)),
            all(&self.datagram(self.address, [67, 68], b"FORGED offer")),
            all(&self.datagram(gateway, [67, 68], b"FORGED offer of the gateway")),
            Self::frame([0x33, 0x33, 0, 0, 0, 1], mac, &router),
            to(&tagged([0x81, 0, 0, 7], b"FORGED tag")),
            to(&tagged([0x88, 0xa8, 0, 7], b"FORGED tag of a provider")),
            to(&[&[0x81, 0, 0, 7, 0x81, 0, 0, 8][..], &own(b"FORGED tags")].concat()),
            // A bridge's own protocol, and neighbours' discovery.
            Self::frame(
                group(0),
                mac,
                b"\x00\x26\x42\x42\x03 FORGED bridge, with some more bytes",
            ),
            Self::frame(
                group(0x0e),
                mac,
                b"\x88\xcc FORGED neighbour, with some more bytes",
            ),
            Self::frame(group(3), mac, &own(b"FORGED group")),
            all(b"\x88\xb5 FORGED type, with some more bytes behind it"),
        ]
    }
}

/// The address of IPv6 that a card gives itself.
fn hcn_link_local([a, b, c, d, e, f]: [u8; 6]) -> [u8; 16] {
    [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ]
}

fn mac_of(text: &str) -> [u8; 6] {
    let bytes = text
        .split(['-', ':'])
        .map(|byte| u8::from_str_radix(byte, 16).unwrap());
    bytes.collect::<Vec<_>>().try_into().unwrap()
}

fn v4(text: &str) -> Ipv4Addr {
    match text.parse().unwrap() {
        IpAddr::V4(address) => address,
        IpAddr::V6(_) => panic!("{text}"),
    }
}

#[test]
fn what_a_hostile_guest_forges_reaches_neither_containers_nor_the_host() {
    const ALL_FRAMES: u32 = 0x0300;
    let (host, _outside) = world();
    let service = host.run(Service::new);
    let mut client = service.client();
    let guest = Guest::new();
    let network = network(&mut client);
    let (id, own_address) = endpoint_of(&mut client, &network, json!({ "MacAddress": MAC }));
    let container = started(
        &service,
        &mut client,
        1,
        &json!({ "Endpoints": [endpoint(&network, 8081)] }),
    );
    start(&mut client, &guest, 2, &adapter(&id));
    let card = container.program("cat /sys/class/net/eth0/address");
    let gateway = container.program("ip -4 route show default");
    let gateway = v4(gateway.split_whitespace().nth(2).unwrap());
    let forger = Forger {
        mac: mac_of(MAC),
        address: v4(&own_address),
        target_mac: mac_of(card.trim()),
        target: v4(&address(&container)),
    };
    let listener = container.run(|| {
        let flags = SocketFlags::CLOEXEC;
        let every = Protocol::from_raw(ALL_FRAMES.try_into().unwrap());
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(every));
        let socket = socket.unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(60))).unwrap();
        socket
    });
    let before = host.program("ip neighbour show");
    let mut frames = forger.forged(gateway);
    let last = forger.datagram(forger.address, [4000, 80], b"GENUINE");
    frames.push(Forger::frame(forger.target_mac, forger.mac, &last));
    let hex = |frame: &Vec<u8>| {
        frame
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let words: Vec<String> = frames.iter().map(hex).collect();
    run(
        &mut client,
        2,
        20,
        &format!("frames eth0 {}", words.join(" ")),
    );
    // What the port lets through comes in the order in which it was sent.
    let mut buffer = [0; 2048];
    loop {
        let (length, _) = recv(&listener, &mut buffer[..], RecvFlags::empty()).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(!text.contains("FORGED"), "{text:?}");
        if text.contains("GENUINE") {
            break;
        }
    }
    let after = host.program("ip neighbour show");
    for line in after.lines().filter(|line| !before.contains(*line)) {
        let told = line.contains(&format!("{gateway} "));
        assert!(!told && !line.contains("02:00:00:00:00:09"), "{line}");
    }
    for handle in [1, 2] {
        client.terminate(handle);
    }
    drop((container, listener));
    nothing_is_left(&mut client, &host, &network, &[&id]);
}

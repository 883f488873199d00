//! The service is killed a hundred times while clients make, change and remove objects of networks around two
//! containers that stay: these keep their traffic, and nothing else is left.

use std::{collections::BTreeSet, fs, net::TcpListener, process::Command, thread, time::Duration};

use hcs_schema::HResult;
use hcs_wire::{
    network::{NetworkCall, ObjectKind},
    service::Call,
};
use serde_json::{Value, json};

use super::{
    address, container, create, delete, endpoint, gone, made, pid_of,
    space::{OUTSIDE, Space, UPLINK, world},
};
use crate::common::{
    Client, Service, await_that,
    client::{create_system, open_system, start_system, terminate_system},
};

const KILLS: u32 = 100;

/// What comes and goes: a network, an endpoint in it, one that is put into a container that lives, and a container.
const NETWORK: &str = "00000000-0000-4000-8000-0000000000A1";
const APART: &str = "00000000-0000-4000-8000-0000000000A2";
const PLUGGED: &str = "00000000-0000-4000-8000-0000000000A3";
const CONTAINER: &str = "passing";
/// What stays: the namespace of the first container.
const NAMESPACE: &str = "00000000-0000-4000-8000-0000000000B1";

/// A container that lives through all of it.
struct Resident {
    pid: i32,
    space: Space,
    address: String,
}

impl Resident {
    fn start(service: &Service, client: &mut Client, handle: u64, networking: &Value) -> Self {
        let id = format!("net-{handle}");
        let call = create_system(handle, &id, &container(networking));
        let runtime_id = client.call(&call).ok().reply.runtime_id.unwrap();
        client.call(&start_system(handle)).ok();
        let pid = pid_of(service, &runtime_id);
        let space = Space::of(pid);
        let address = address(&space);
        Self {
            pid,
            space,
            address,
        }
    }

    /// The address that its own files lead to from this name.
    fn looked_up(&self, name: &str) -> Option<String> {
        let pid = self.pid.to_string();
        let found = Command::new("nsenter")
            .args(["--mount", "--target", &pid, "getent", "ahostsv4", name])
            .output()
            .unwrap();
        let said = String::from_utf8(found.stdout).unwrap();
        said.split_whitespace().next().map(str::to_owned)
    }

    fn hosts(&self) -> String {
        fs::read_to_string(format!("/proc/{}/root/etc/hosts", self.pid)).unwrap()
    }
}

/// Two containers that stay, and what they talk to.
struct Place {
    host: Space,
    outside: Space,
    one: Resident,
    two: Resident,
    server: TcpListener,
    far: TcpListener,
}

impl Place {
    /// From one container to the other by its name, from the outside to a published port, and from a container to the
    /// outside.
    fn talks(&self) {
        let second = self.one.looked_up("net-2");
        assert_eq!(second.as_ref(), Some(&self.two.address));
        assert_eq!(
            self.one.space.talk((&self.two.address, 80), &self.server),
            self.one.address
        );
        assert_eq!(
            self.outside.talk((UPLINK, 8081), &self.server),
            OUTSIDE,
            "a published port"
        );
        assert_eq!(
            self.one.space.talk((OUTSIDE, 90), &self.far),
            UPLINK,
            "the outside"
        );
    }

    /// What there is of links, addresses, routes, rules, settings, records and names.
    fn held(&self, service: &Service) -> BTreeSet<String> {
        let mut held = BTreeSet::new();
        for (at, space) in [&self.host, &self.one.space, &self.two.space]
            .into_iter()
            .enumerate()
        {
            let said = shell(space);
            held.extend(said.lines().map(|line| format!("{at}: {}", line.trim())));
        }
        let records = fs::read_dir(service.root().join("networks")).unwrap();
        held.extend(records.map(|file| file.unwrap().file_name().into_string().unwrap()));
        for resident in [&self.one, &self.two] {
            let hosts = resident.hosts();
            held.extend(
                hosts
                    .lines()
                    .map(|line| format!("{}: {line}", resident.pid)),
            );
        }
        held
    }
}

/// Links, addresses, routes, rules and settings of a namespace. What rules note for a while, or as long as connections
/// last, comes and goes. The comment of a table tells what it held when it was last written as a whole, or the name of
/// an empty chain does.
fn shell(space: &Space) -> String {
    let script = "ip -o link show | sed 's/ qdisc .* link/ link/'; ip -o -4 addr show; ip -4 route; \
                  nft list ruleset | grep -v ' expires ' | grep -vE '^.(comment \"hcs|chain hcs-)' \
                      | grep -vE '^[[:space:]]*(elements = [{] )?[0-9.]+ [.] [0-9.]+ ct count '; \
                  grep -sH . /proc/sys/net/ipv4/conf/*/forwarding || true";
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let output = space.run(move || command.output()).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn with_id(mut call: Call, chosen: &str) -> Call {
    if let Call::Network(NetworkCall::Create { id, .. }) = &mut call {
        chosen.clone_into(id);
    }
    call
}

fn modify(kind: ObjectKind, id: &str, request: &Value) -> Call {
    Call::Network(NetworkCall::Modify {
        kind,
        id: id.to_owned(),
        settings: request.to_string(),
    })
}

/// What a client asks for in each round.
fn passing(nat: &str) -> Vec<Call> {
    let plug = |what: &str| {
        let settings = json!({ "EndpointId": PLUGGED });
        let request =
            json!({ "ResourceType": "Endpoint", "RequestType": what, "Settings": settings });
        modify(ObjectKind::Namespace, NAMESPACE, &request)
    };
    let block = json!({ "Direction": "In", "Action": "Block", "Priority": 1, "Protocols": "6" });
    let block = json!({
        "ResourceType": "Policy", "RequestType": "Add",
        "Settings": { "Policies": [{ "Type": "ACL", "Settings": block }] },
    });
    let networking = json!({
        "Endpoints": [endpoint(nat, 9001), endpoint(NETWORK, 9002)],
        "NetworkAdapters": [APART],
    });
    vec![
        with_id(
            create(ObjectKind::Network, "", json!({ "Name": "passing" })),
            NETWORK,
        ),
        with_id(create(ObjectKind::Endpoint, NETWORK, json!({})), APART),
        with_id(
            create(ObjectKind::Endpoint, nat, endpoint(nat, 9000)),
            PLUGGED,
        ),
        plug("Add"),
        create_system(9, CONTAINER, &container(&networking)),
        modify(ObjectKind::Endpoint, PLUGGED, &block),
        plug("Remove"),
        terminate_system(9),
        delete(ObjectKind::Endpoint, PLUGGED),
        delete(ObjectKind::Network, NETWORK),
    ]
}

/// Ends what a service that was killed had begun. What there is of it is found; what is not was never made.
fn clear(client: &mut Client) {
    let opened = client.call(&open_system(7, CONTAINER, None));
    if opened.reply.result == HResult::S_OK {
        // It may have been about to end.
        let _ended = client.call(&terminate_system(7));
    }
    for (call, absent) in [
        (
            delete(ObjectKind::Endpoint, PLUGGED),
            HResult::HCN_E_ENDPOINT_NOT_FOUND,
        ),
        (
            delete(ObjectKind::Network, NETWORK),
            HResult::HCN_E_NETWORK_NOT_FOUND,
        ),
    ] {
        let answer = client.call(&call);
        let result = answer.reply.result;
        assert!([HResult::S_OK, absent].contains(&result), "{answer:?}");
    }
}

/// Numbers that look like chance, the same in each run: what is at hand then is the scheduler's choice all the same.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Two containers in a network of `service`: one in a namespace that a client has made, the other in its own.
fn settle(service: &Service, (host, outside): (Space, Space)) -> (Place, String) {
    let mut client = service.client();
    let nat = made(
        &mut client,
        &create(ObjectKind::Network, "", json!({ "Name": "nat" })),
    );
    let first = made(
        &mut client,
        &create(ObjectKind::Endpoint, &nat, endpoint(&nat, 8080)),
    );
    let resources = json!([{ "Type": "Endpoint", "Data": { "Id": first } }]);
    let namespace = create(ObjectKind::Namespace, "", json!({ "Resources": resources }));
    made(&mut client, &with_id(namespace, NAMESPACE));
    let networking = json!({ "Namespace": NAMESPACE });
    let one = Resident::start(service, &mut client, 1, &networking);
    let networking = json!({ "Endpoints": [endpoint(&nat, 8081)] });
    let two = Resident::start(service, &mut client, 2, &networking);
    let place = Place {
        server: two.space.listen(80),
        far: outside.listen(90),
        host,
        outside,
        one,
        two,
    };
    await_that("names are told", || {
        place.one.looked_up("net-2").is_some() && place.two.looked_up("net-1").is_some()
    });
    (place, nat)
}

/// Ends what has stayed: then nothing is left at all.
fn finish(client: &mut Client, place: Place, nat: &str) {
    let Place {
        host,
        outside,
        one,
        two,
        server,
        far,
    } = place;
    drop((server, far, one, two));
    for (handle, id) in [(1, "net-1"), (2, "net-2")] {
        client.call(&open_system(handle, id, None)).ok();
        client.call(&terminate_system(handle)).ok();
    }
    gone(&host, "hce");
    client.call(&delete(ObjectKind::Namespace, NAMESPACE)).ok();
    client.call(&delete(ObjectKind::Network, nat)).ok();
    host.is_cleared();
    assert_eq!(
        host.program("sysctl -n net.ipv4.conf.up0.forwarding"),
        "0\n"
    );
    drop(outside);
}

mod alone {
    use super::*;

    #[test]
    fn a_hundred_kills_leave_containers_their_networks_and_nothing_else() {
        let (host, outside) = world();
        let mut service = host.run(|| Service::with_config("warm_slots = 0\n"));
        let (place, nat) = settle(&service, (host, outside));
        place.talks();
        let kept = place.held(&service);
        let mut moments = Moments(0x00C0_FFEE);
        let calls = passing(&nat);
        let mut client = service.client();
        for round in 0..KILLS {
            let sent: Vec<u64> = calls.iter().map(|call| client.send(call)).collect();
            // Somewhere behind one of the answers.
            let answered = moments.below(1 + sent.len() as u64);
            for request in sent.iter().take(usize::try_from(answered).unwrap()) {
                let _refused_or_not = client.wait(*request);
            }
            for _ in 0..moments.below(400) {
                thread::yield_now();
            }
            service.kill();
            place.talks();
            place.host.run(|| service.run());
            client = service.client();
            clear(&mut client);
            let mut differs = Vec::new();
            // Links go after the processes that had them.
            for _ in 0..100 {
                let held = place.held(&service);
                differs = held.symmetric_difference(&kept).cloned().collect();
                if differs.is_empty() {
                    break;
                }
                thread::sleep(Duration::from_millis(30));
            }
            assert_eq!(differs, Vec::<String>::new(), "round {round}");
        }
        place.talks();
        finish(&mut client, place, &nat);
    }
}

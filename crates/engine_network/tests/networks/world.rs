//! A small world: the host's place, the outside, and containers, each a network namespace that ends with its value.

use std::{fs::File, os::fd::AsFd, process::Command, thread};

use engine_network::{
    Former, Forwarding, Host, Rules, Survey, adapters, attach, make_network, remove_network,
    survey, write_rules,
};
use hcn::{Guid, State, Surroundings, intent::Intent};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

/// A network namespace.
pub(crate) struct Space(pub(crate) File);

impl Space {
    /// A new one. A thread makes it and ends; the descriptor keeps it.
    pub(crate) fn new() -> Self {
        let made = thread::spawn(|| {
            // The thread shares no namespace that its process needs: it only ends.
            #[expect(
                deprecated,
                reason = "the other function is not safe to call, and no descriptors are unshared here"
            )]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Does something on a thread that is in this namespace.
    pub(crate) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.0.as_fd(), kind).unwrap();
                act()
            });
            there
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` in this namespace.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        self.program("ip", arguments)
    }

    /// Runs a program in this namespace.
    pub(crate) fn program(&self, program: &str, arguments: &str) -> String {
        let output = self
            .run(|| {
                Command::new(program)
                    .args(arguments.split_whitespace())
                    .output()
            })
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The names of its links, but loopback.
    pub(crate) fn links(&self) -> Vec<String> {
        let listed: Value = serde_json::from_str(&self.ip("-j link show")).unwrap();
        let names = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|link| link["ifname"].as_str().unwrap().to_owned());
        names.filter(|name| name != "lo").collect()
    }
}

/// The address of the host's place on the link to the outside, and that of the outside.
pub(crate) const UPLINK: &str = "198.51.100.1";
pub(crate) const OUTSIDE: &str = "198.51.100.2";
/// Another host of the outside, behind [`OUTSIDE`].
pub(crate) const FAR: &str = "203.0.113.9";

/// The whole world: what a service would know, and what it would make it in.
pub(crate) struct World {
    pub(crate) host: Space,
    pub(crate) outside: Space,
    pub(crate) state: State,
    pub(crate) former: Vec<Former>,
    /// The name of the service.
    owner: &'static str,
}

impl World {
    pub(crate) fn new() -> Self {
        let (host, outside) = (Space::new(), Space::new());
        host.ip("link set lo up");
        host.ip("link add up0 type veth peer name out0");
        let there = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&outside.0)
        );
        // `ip` is executed, and a descriptor of this process would be closed there.
        let there = there.replace("self", &std::process::id().to_string());
        host.ip(&format!("link set out0 netns {there}"));
        host.ip(&format!("addr add {UPLINK}/24 dev up0"));
        host.ip("link set up0 up");
        outside.ip("link set lo up");
        outside.ip(&format!("addr add {OUTSIDE}/24 dev out0"));
        outside.ip(&format!("addr add {FAR}/32 dev lo"));
        outside.ip("link set out0 up");
        host.ip(&format!("route add default via {OUTSIDE}"));
        Self {
            host,
            outside,
            state: State::default(),
            former: Vec::new(),
            owner: "hcs",
        }
    }

    /// The same world, as another service of its host knows it.
    pub(crate) fn of_another_service(&self) -> Self {
        let space = |one: &Space| Space(one.0.try_clone().unwrap());
        Self {
            host: space(&self.host),
            outside: space(&self.outside),
            state: State::default(),
            former: Vec::new(),
            owner: "hcs-other",
        }
    }

    /// The same world, as a service on the host of the outside knows it.
    pub(crate) fn of_the_outside(&self) -> Self {
        let space = |one: &Space| Space(one.0.try_clone().unwrap());
        Self {
            host: space(&self.outside),
            outside: space(&self.host),
            state: State::default(),
            former: Vec::new(),
            owner: self.owner,
        }
    }

    /// A network of the document, made.
    pub(crate) fn network(&mut self, id: u128, mut document: Value) -> Guid {
        document["SchemaVersion"] = json!({"Major": 2});
        let known = self.state.networks().map(|(id, _)| id).collect();
        let surroundings = self.host.run(|| {
            let mut host = Host::open(self.owner).unwrap();
            Surroundings {
                routes: host.foreign_routes(&known).unwrap(),
                adapters: adapters(&mut host).unwrap(),
            }
        });
        let made = self
            .state
            .create_network(Guid(id << 80), &document.to_string(), &surroundings)
            .unwrap();
        let intent = self.state.network_intent(made.id).unwrap();
        self.host
            .run(|| make_network(&mut Host::open(self.owner).unwrap(), &intent))
            .unwrap();
        self.rules();
        made.id
    }

    /// A container with an endpoint of the document, attached.
    pub(crate) fn container(&mut self, network: Guid, id: u128, document: Value) -> Container {
        let endpoint = self.endpoint(network, id, document);
        let space = Space::new();
        self.attach(endpoint, &space);
        let address = self.state.endpoint(endpoint).unwrap().leases()[0]
            .address
            .to_string();
        Container {
            space,
            address,
            endpoint,
        }
    }

    /// An endpoint of the document in a namespace of its own, as the service knows it; nothing is made.
    pub(crate) fn endpoint(&mut self, network: Guid, id: u128, mut document: Value) -> Guid {
        document["SchemaVersion"] = json!({"Major": 2});
        let endpoint = Guid(id << 80 | 1);
        let namespace = Guid(id << 80 | 2);
        self.state
            .create_endpoint(network, endpoint, &document.to_string())
            .unwrap();
        let resources = json!([{"Type": "Endpoint", "Data": {"Id": endpoint}}]);
        let settings = json!({"Resources": resources}).to_string();
        self.state.create_namespace(namespace, &settings).unwrap();
        endpoint
    }

    pub(crate) fn attach(&mut self, endpoint: Guid, space: &Space) {
        let intent = self.state.endpoint_intent(endpoint).unwrap();
        self.rules();
        self.host
            .run(|| {
                attach(
                    &mut Host::open(self.owner).unwrap(),
                    &intent,
                    space.0.as_fd(),
                )
            })
            .unwrap();
    }

    /// Settings and rules of the host as the state asks for them.
    pub(crate) fn rules(&mut self) {
        let intent = self.state.intent();
        let (former, owner) = (&mut self.former, self.owner);
        self.host.run(|| {
            let mut host = Host::open(owner).unwrap();
            let forwarding = Forwarding::of(&mut host, &intent).unwrap();
            former.extend(forwarding.check().unwrap());
            let unneeded = forwarding.unneeded(former);
            Forwarding::undo(&mut host, &unneeded).unwrap();
            former.retain(|one| !unneeded.contains(one));
            forwarding.apply().unwrap();
            let rules = Rules::of(&intent, forwarding.guarded(former));
            write_rules(&mut host, &intent, &rules).unwrap();
        });
    }
}

impl World {
    /// Removes what the service has on the host, as it does with its last network.
    pub(crate) fn remove_all(&mut self) {
        let before = self.state.intent();
        self.undo_forwarding();
        self.host.run(|| {
            let mut host = Host::open(self.owner).unwrap();
            for network in &before.networks {
                remove_network(&mut host, network).unwrap();
            }
            write_rules(&mut host, &Intent::default(), &Rules::default()).unwrap();
        });
        self.state = State::default();
        self.former.clear();
    }

    /// Puts settings back.
    pub(crate) fn undo_forwarding(&self) {
        self.host.run(|| {
            let mut host = Host::open(self.owner).unwrap();
            Forwarding::undo(&mut host, &self.former).unwrap();
        });
    }

    /// Whether the host forwards as the service needs it.
    pub(crate) fn forwarding_holds(&self) -> bool {
        let intent = self.state.intent();
        self.host.run(|| {
            let mut host = Host::open(self.owner).unwrap();
            let forwarding = Forwarding::of(&mut host, &intent).unwrap();
            forwarding.holds(&self.former).unwrap()
        })
    }

    /// What differs from what the service wants.
    pub(crate) fn survey(&self) -> Survey {
        let intent = self.state.intent();
        self.host
            .run(|| survey(&mut Host::open(self.owner).unwrap(), &intent).unwrap())
    }
}

/// A container: its namespace and its first address.
pub(crate) struct Container {
    pub(crate) space: Space,
    pub(crate) address: String,
    pub(crate) endpoint: Guid,
}

/// Whether the tests can make namespaces: root can.
///
/// # Panics
/// The program `ip` is missing, which `cargo xtask packages` installs: a test that says nothing must not pass.
pub(crate) fn can_work() -> bool {
    let root = rustix::process::geteuid().is_root();
    let ip = Command::new("ip").arg("-V").output();
    assert!(
        !root || ip.is_ok(),
        "ip is missing: apt-get install iproute2"
    );
    root
}

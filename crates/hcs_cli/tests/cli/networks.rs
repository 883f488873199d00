//! `hcs network`, `--network` and `-p`, with a service in a network namespace of the test's own: the host stays as it
//! is.

use std::{
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    common::{Ended, ended, hcs},
    machines::Images,
    rootless::User,
};

/// A user that no host has.
const NETLESS: u32 = 54_341;

/// A service in a network namespace of its own, and clients beside it.
pub(crate) struct World {
    pub(crate) space: File,
    folder: TempDir,
    service: Child,
}

impl World {
    /// Where containers have loopback, unless their network is named.
    pub(crate) fn new() -> Self {
        Self::configured("default_network = \"none\"\n")
    }

    /// With this in the configuration.
    pub(crate) fn configured(more: &str) -> Self {
        let space = space();
        let folder = tempfile::Builder::new()
            .prefix("hcs-cli-")
            .tempdir()
            .unwrap();
        let group = format!(
            "cgroup_root = \"hcs-test-cli-net-{}\"\n{more}",
            std::process::id()
        );
        fs::write(folder.path().join("hcsd.toml"), group).unwrap();
        let service = serve(&space, &folder);
        let world = Self {
            space,
            folder,
            service,
        };
        world.shell("ip link set lo up");
        world
    }

    /// Ends the service by `SIGKILL`, and starts another.
    pub(crate) fn kill_service(&mut self) {
        self.service.kill().unwrap();
        self.service.wait().unwrap();
        self.service = serve(&self.space, &self.folder);
    }

    pub(crate) fn hcs(&self, arguments: &[&str]) -> Ended {
        self.ended(hcs(arguments))
    }

    /// Runs a command of `hcs`.
    fn ended(&self, mut command: Command) -> Ended {
        command.env("HCS_ENDPOINT", self.folder.path().join("hcs.sock"));
        ended(&mut command)
    }

    /// A line of words for `hcs`.
    pub(crate) fn words(&self, line: &str) -> Ended {
        self.hcs(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// `hcs run` with these options and a script.
    pub(crate) fn script(&self, options: &str, script: &str) -> Ended {
        let options = options.split_whitespace();
        let all = ["run"]
            .into_iter()
            .chain(options)
            .chain(["--", "sh", "-c", script]);
        self.hcs(&all.collect::<Vec<_>>())
    }

    /// Runs a command in the service's network namespace.
    pub(crate) fn shell(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let output = within(&self.space, move || command.output()).unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a server at this port says first, which is waited for.
    pub(crate) fn heard(&self, port: u16) -> String {
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let connected = within(&self.space, move || TcpStream::connect(to));
            let mut said = String::new();
            if let Ok(mut stream) = connected {
                let _gone = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
                if stream.read_to_string(&mut said).is_ok() && !said.is_empty() {
                    return said;
                }
            }
            assert!(Instant::now() < end, "no server answers at {to}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A new network namespace. A thread makes it and ends; the descriptor keeps it.
pub(crate) fn space() -> File {
    let made = thread::spawn(|| {
        #[expect(
            deprecated,
            reason = "the other function is not safe to call, and no descriptors are unshared here"
        )]
        rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

/// Starts a service in `space`, and waits until it serves.
fn serve(space: &File, folder: &TempDir) -> Child {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_hcs")).with_file_name("hcsd");
    let program = env::var_os("HCS_DAEMON").map_or(beside, PathBuf::from);
    let mut command = Command::new(program);
    command
        .arg("--endpoint")
        .arg(folder.path().join("hcs.sock"))
        .arg("--config")
        .arg(folder.path().join("hcsd.toml"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut service = within(space, move || command.spawn()).unwrap();
    let mut log = BufReader::new(service.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("serving") {
        let before = said.len();
        log.read_line(&mut said).unwrap();
        assert!(said.len() > before, "the service ended: {said}");
    }
    // What is not read would stop it.
    thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
    service
}

pub(crate) fn within<T: Send>(space: &File, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(space.as_fd(), kind).unwrap();
            act()
        });
        there.join().unwrap()
    })
}

impl Drop for World {
    fn drop(&mut self) {
        let _gone = self.words("terminate --all");
        let _gone = kill_process(Pid::from_child(&self.service), Signal::TERM);
        let _gone = self.service.wait();
    }
}

/// A server that says one line to each client.
const SERVER: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) \
                      or die; while (my $c = $s->accept) { print $c \"here\\n\"; close $c }";

#[test]
fn a_published_port_leads_to_a_container_and_another_reaches_it_by_its_address() {
    let world = World::new();
    // A published port asks for a network.
    let server = "run -d --id web -p 8080:80 -- perl -e".split_whitespace();
    let server: Vec<&str> = server.chain([SERVER]).collect();
    assert_eq!(world.hcs(&server).fine(), "web\n");
    assert_eq!(world.heard(8080), "here\n");
    let told: Value = serde_json::from_str(&world.words("network list --json").fine()).unwrap();
    assert_eq!(told[0]["Name"], "nat");
    let listed = world.words("network list").fine();
    assert!(listed.contains("nat   NAT   10.231.0.0/24  1 "), "{listed}");

    let address = world
        .words("exec web -- ip -o -4 addr show dev eth0")
        .fine();
    let address = address
        .split("inet ")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .to_owned();
    let ask = format!(
        "perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(\"{address}:80\")->getline'"
    );
    assert_eq!(world.script("--network nat", &ask).fine(), "here\n");
    let alone = world.script("", &ask);
    assert_ne!(
        alone.code,
        Some(0),
        "a container without a network: {alone:?}"
    );

    let taken = world.words("run -p 8080:80 -- true");
    assert_eq!(taken.code, Some(125));
    assert!(taken.err.contains("8080"), "{taken:?}");
    let used = world.words("network remove nat");
    assert!(
        used.err.contains("still has 1 of its endpoints"),
        "{used:?}"
    );
    world.words("terminate web").fine();
    assert_eq!(world.words("network remove nat").fine(), "nat\n");
    assert_eq!(
        world.words("network list").fine(),
        "NAME  TYPE  SUBNET  ENDPOINTS  ID\n"
    );
    assert_eq!(world.shell("nft list tables"), "");
}

#[test]
fn networks_are_made_shown_and_removed_by_their_names() {
    let world = World::new();
    let id = world
        .words("network create --type private --subnet 10.20.0.0/24 back")
        .fine();
    let told: Value = serde_json::from_str(&world.words("network inspect back").fine()).unwrap();
    assert_eq!(told["ID"], id.trim_end());
    assert_eq!(told["Type"], "Private");
    let inside = world
        .script("--network back", "ip -o -4 addr show dev eth0; ip route")
        .fine();
    assert!(inside.contains("inet 10.20.0."), "{inside}");
    assert!(!inside.contains("default"), "{inside}");
    let again = world.words("network create back");
    assert!(again.err.contains("back"), "{again:?}");
    let overlapping = world.words("network create --subnet 10.20.0.128/25 other");
    assert_eq!(overlapping.code, Some(125), "{overlapping:?}");
    let missing = world.words("run --network no-such -- true");
    assert!(
        missing.err.contains("`hcs network create no-such`"),
        "{missing:?}"
    );
    let alone = world.words("run --network none -p 80:80 -- true");
    assert!(alone.err.contains("--network nat"), "{alone:?}");
    world.words("network remove back").fine();
    let gone = world.words("network inspect back");
    assert_eq!(gone.code, Some(125), "{gone:?}");
}

#[test]
fn a_container_is_in_several_networks_by_their_names() {
    let world = World::new();
    for (name, subnet) in [("front", "10.20.0.0/24"), ("back", "10.21.0.0/24")] {
        world
            .words(&format!("network create --subnet {subnet} {name}"))
            .fine();
    }
    let both = "--network front --network back --ip 10.20.0.77 -p 8080:80";
    let said = world
        .script(both, "ip -o -4 addr show; ip route show default")
        .fine();
    assert!(said.contains("inet 10.20.0.77/24"), "{said}");
    assert!(said.contains("eth1    inet 10.21.0."), "{said}");
    let first = said.find("default via 10.20.0.1 dev eth0");
    assert!(
        first < said.find("default via 10.21.0.1 dev eth1"),
        "{said}"
    );
    assert!(first.is_some(), "{said}");
    let again = world.words("run --network front --network front -- ip -o link");
    assert!(again.fine().contains("eth1"), "two endpoints of one");
    let mixed = world.words("run --network front --network host -- true");
    assert_eq!(mixed.code, Some(125), "{mixed:?}");
    assert!(mixed.err.contains("name it alone"), "{mixed:?}");
    for name in ["front", "back"] {
        world.words(&format!("network remove {name}")).fine();
    }
}

#[test]
fn the_network_of_the_host_or_of_a_file_is_that_of_a_container() {
    let world = World::new();
    world.shell("ip link add up0 type dummy 2>/dev/null || ip link add up0 type bridge");
    let links = "ls /sys/class/net";
    let said = world.script("--network host", links).fine();
    assert!(said.contains("up0"), "{said}");

    let other = space();
    let path = {
        use std::os::fd::AsRawFd as _;
        format!("/proc/{}/fd/{}", std::process::id(), other.as_raw_fd())
    };
    within(&other, || {
        let made = Command::new("ip")
            .args("link add mine0 type bridge".split(' '))
            .status();
        assert!(made.unwrap().success());
    });
    let said = world.script(&format!("--network ns:{path}"), links).fine();
    assert!(said.contains("mine0") && !said.contains("up0"), "{said}");
    // What the path says of the calling process is said of the one that the caller started.
    let said = world.script("--network ns:/proc/self/ns/net", links).fine();
    assert!(!said.contains("up0"), "the service is elsewhere: {said}");

    for (network, what) in [
        ("ns:/proc/self/ns/mnt", "no other kind"),
        ("ns:/dev/null", "/dev/null"),
        ("ns:/no/such", "/no/such"),
        ("ns:", "expected a path"),
    ] {
        let refused = world.words(&format!("run --network {network} -- true"));
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains(what), "{refused:?}");
    }
    for network in ["host", &format!("ns:{path}")] {
        let refused = world.words(&format!("run --network {network} -p 80:80 -- true"));
        assert!(refused.err.contains("--network nat"), "{refused:?}");
    }
    for name in ["host", "none", "ns:x"] {
        let refused = world.words(&format!("network create {name}"));
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains("expected another name"), "{refused:?}");
    }
    assert_eq!(world.shell("nft list tables"), "");
}

#[test]
fn containers_of_a_network_find_each_other_by_their_names() {
    let mut world = World::new();
    world
        .words("run -d --id one --network nat -- sleep 1000")
        .fine();
    let server =
        "run -d --id web --network nat --hostname front --alias www.example --alias www -- perl -e";
    let server: Vec<&str> = server.split_whitespace().chain([SERVER]).collect();
    world.hcs(&server).fine();
    let found = |world: &World, name: &str| {
        let looked = world.words(&format!("exec one -- getent hosts {name}"));
        let address = looked.out.split_whitespace().next().map(str::to_owned);
        address.filter(|_| looked.code == Some(0))
    };
    let address = found(&world, "web").unwrap();
    assert!(address.starts_with("10.231.0."), "{address}");
    for name in ["front", "www.example", "WWW"] {
        assert_eq!(found(&world, name).as_deref(), Some(&*address), "{name}");
    }
    let ask = "use IO::Socket::INET; my $s; until ($s) { $s = IO::Socket::INET->new(\"www:80\") } print $s->getline";
    assert_eq!(
        world.hcs(&["exec", "one", "--", "perl", "-e", ask]).fine(),
        "here\n"
    );
    // The other way, and from a network of its own.
    world.words("exec web -- getent hosts one").fine();
    world
        .words("network create --type private --subnet 10.20.0.0/24 back")
        .fine();
    let apart = world.words("run --network back -- getent hosts web");
    assert_eq!(apart.code, Some(2), "{apart:?}");

    // Lines of the container's own stay.
    world
        .hcs(&[
            "exec",
            "one",
            "--",
            "sh",
            "-c",
            "echo 192.0.2.1 mine >>/etc/hosts",
        ])
        .fine();
    world.kill_service();
    assert_eq!(found(&world, "www").as_deref(), Some(&*address));
    world
        .words("run -d --id late --network nat -- sleep 1000")
        .fine();
    assert!(found(&world, "late").is_some());
    assert_eq!(found(&world, "mine").as_deref(), Some("192.0.2.1"));
    world.words("terminate web").fine();
    assert_eq!(found(&world, "www"), None);
    // What ends while no service is there is no name for the next one.
    world.words("terminate late").fine();
    world.words("terminate one").fine();
    world.words("network remove nat").fine();
    world.words("network remove back").fine();
}

#[test]
fn the_names_of_others_lead_a_service_to_no_file_of_a_container() {
    let world = World::new();
    // A root without `/etc`: where the scratch is kept, the one that the container gets belongs to no layer, and its
    // root can give it another name.
    let layer = world.folder.path().join("layer");
    let kept = world.folder.path().join("kept");
    fs::create_dir_all(layer.join("bin")).unwrap();
    fs::create_dir(&kept).unwrap();
    fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
    let trapped = format!(
        "run -d --id trapped --network nat --scratch {} --layer {} -- /bin/busybox sleep 1000",
        kept.display(),
        layer.display()
    );
    world.words(&trapped).fine();
    let inside = |line: &str| world.words(&format!("exec trapped -- /bin/busybox {line}"));
    inside("mv /etc /was").fine();
    inside("mkdir /etc").fine();
    inside("ln -s /trap /etc/hosts").fine();
    inside("touch /trap").fine();
    world
        .words("run -d --id other --network nat -- sleep 1000")
        .fine();
    assert_eq!(inside("cat /trap").fine(), "");
    let hosts = inside("cat /was/hosts").fine();
    assert!(hosts.contains("\tother\n"), "{hosts}");
    for name in ["trapped", "other"] {
        world.words(&format!("terminate {name}")).fine();
    }
    world.words("network remove nat").fine();
}

#[test]
fn hosts_and_servers_are_those_that_were_named() {
    let world = World::new();
    let shown = "cat /etc/hosts /etc/resolv.conf";
    let options =
        "--add-host up:192.0.2.9 --dns 192.0.2.53 --dns 192.0.2.54 --dns-search a.example";
    for network in ["", "--network nat "] {
        let said = world.script(&format!("{network}{options}"), shown).fine();
        assert!(said.contains("\n192.0.2.9\tup\n"), "{said}");
        let resolver = "nameserver 192.0.2.53\nnameserver 192.0.2.54\nsearch a.example\n";
        assert!(said.ends_with(resolver), "{said}");
    }
    let bad = world.words("run --add-host localhost:192.0.2.9 -- true");
    assert!(bad.err.contains("cannot be the name of a host"), "{bad:?}");
    let alone = world.words("run --network none --alias x -- true");
    assert!(
        alone
            .err
            .contains("--alias is for a container that is in a network"),
        "{alone:?}"
    );
    world.words("network remove nat").fine();
}

#[test]
fn addresses_are_those_that_were_asked_for_or_the_reason_is_told() {
    let world = World::new();
    world
        .words("network create --subnet 10.20.0.0/24 back")
        .fine();
    let run = |options: &str| world.words(&format!("run {options} -- ip -o addr show dev eth0"));
    let said = run("--network back --ip 10.20.0.77").fine();
    assert!(said.contains("inet 10.20.0.77/24"), "{said}");
    let link = world
        .words("run --network back --mac 02:00:5e:00:53:01 -- ip -o link show dev eth0")
        .fine();
    assert!(link.contains("link/ether 02:00:5e:00:53:01"), "{link}");
    world
        .words(
            "run -d --id here --network back --ip 10.20.0.77 --mac 02:00:5e:00:53:01 -- sleep 1000",
        )
        .fine();
    for (options, said) in [
        ("--ip 10.20.0.77", "10.20.0.77"),
        ("--ip 10.21.0.1", "10.21.0.1"),
        ("--ip 10.20.0.255", "10.20.0.255"),
        ("--ip 10.20.0.1", "10.20.0.1"),
        ("--mac 02:00:5e:00:53:01", "02-00-5E-00-53-01"),
        ("--mac 01:00:5e:00:53:01", "01-00-5E-00-53-01"),
    ] {
        let refused = run(&format!("--network back {options}"));
        let told = refused.code == Some(125) && refused.err.contains(said);
        assert!(
            told && refused.err.contains("/Container/Networking/Endpoints/0/"),
            "{options}: {refused:?}"
        );
    }
    let bad = run("--network back --ip 10.20.0");
    assert!(bad.err.contains("10.20.0"), "{bad:?}");
    world.words("terminate here").fine();
    world.words("network remove back").fine();
}

#[test]
fn what_keeps_packets_from_passing_is_told_until_it_is_mended() {
    let world = World::new();
    let check = |arguments: &[&str]| {
        let mut command = hcs([&["network", "check"], arguments].concat());
        command.env("HCS_ENDPOINT", world.folder.path().join("hcs.sock"));
        within(&world.space, move || ended(&mut command))
    };
    world.shell("ip link add up0 type veth peer name far0; ip addr add 192.0.2.1/24 dev up0; ip link set up0 up; ip link set far0 up; ip route add default via 192.0.2.2");
    world.words("run --network nat -- true").fine();
    assert_eq!(check(&[]).fine(), "nothing is in the way of networks\n");
    // As docker and a firewall of the host's own have theirs.
    world.shell(
        "nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'; \
         nft add chain ip filter DOCKER-USER; nft add rule ip filter FORWARD jump DOCKER-USER; nft add table inet mine; \
         nft add chain inet mine passing '{ type filter hook forward priority 5; policy accept; }'; \
         nft add rule inet mine passing ct state invalid drop; nft add rule inet mine passing reject",
    );
    world.shell(
        "ip route add 10.231.0.128/25 via 192.0.2.2; sysctl -qw net/ipv4/conf/up0/forwarding=0",
    );
    // A bridge whose last port has gone loses its carrier some time later.
    let before = world.shell("nft list ruleset; ip route | sed 's/ linkdown//'");
    let told = check(&["--json"]);
    assert_eq!(told.code, Some(1), "{told:?}");
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let found = told["Findings"].as_array().unwrap();
    let mut kinds: Vec<&str> = found
        .iter()
        .map(|one| one["Kind"].as_str().unwrap())
        .collect();
    kinds.retain(|kind| *kind != "bridge-nf-call-iptables");
    assert_eq!(
        kinds,
        ["firewall", "firewall", "forwarding", "route"],
        "{told}"
    );
    assert_eq!(
        world.shell("nft list ruleset; ip route | sed 's/ linkdown//'"),
        before,
        "nothing is changed"
    );
    let lines = check(&[]).out;
    assert!(
        lines.contains("docker drops what is forwarded: the chain FORWARD of the table ip filter"),
        "{lines}"
    );
    for one in found {
        world.shell(one["Repair"].as_str().unwrap());
    }
    assert_eq!(check(&[]).fine(), "nothing is in the way of networks\n");
    world.words("network remove nat").fine();
}

/// The section about networks does what it says, line by line.
#[test]
fn the_lines_of_the_readme_work() {
    let readme = include_str!("../../../../README.md");
    let section = readme.split("\n## Networks\n").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap();
    let lines: Vec<&str> = block.split("```").next().unwrap().lines().collect();
    assert!(lines.len() > 4, "{lines:?}");
    let world = World::configured("");
    for line in lines {
        if line.contains("wget") {
            // The server needs a moment.
            world.heard(8080);
        }
        let said = match line.strip_prefix("hcs ") {
            Some(words) => world.words(words).fine(),
            None => world.shell(line),
        };
        match line {
            line if line.contains("wget") => {
                assert_eq!(said.lines().count(), 1, "{said}");
            }
            line if line.contains("ip route") => {
                assert!(said.starts_with("default via 10.231.0.1"), "{said}");
            }
            _ => {}
        }
    }
    assert_eq!(world.shell("nft list tables"), "");
}

#[test]
fn the_options_of_networks_are_those_of_a_virtual_machine_too() {
    let world = World::new();
    let images = Images::new();
    let server = "run -d --id web --network nat -- perl -e".split_whitespace();
    let server: Vec<&str> = server.chain([SERVER]).collect();
    world.hcs(&server).fine();
    let options = "--isolation vm --id box --network nat -p 8090:80 --ip 10.231.0.77 --mac 00-15-5D-0A-0B-0C --alias db \
                   --dns 192.0.2.53 --dns-search a.example --add-host up:192.0.2.1 --hostname lodge";
    let script = "ip -o -4 addr show dev eth0; ip link show dev eth0; cat /etc/resolv.conf /etc/hosts; \
                  nc web 80 </dev/null; echo there | nc -l -p 80";
    let machine = images.hcs(&format!("run {options} -- sh -c"));
    let said = thread::scope(|scope| {
        let running = scope.spawn(|| {
            let mut machine = machine;
            machine.arg(script);
            world.ended(machine)
        });
        assert_eq!(world.heard(8090), "there\n");
        running.join().unwrap()
    });
    let said = said.fine();
    for line in [
        "inet 10.231.0.77/24",
        "link/ether 00:15:5d:0a:0b:0c",
        "nameserver 192.0.2.53\n",
        "search a.example\n",
        "192.0.2.1\tup\n",
        "10.231.0.77\tbox\n",
        "10.231.0.77\tdb\n",
        "10.231.0.77\tlodge\n",
        "\tweb\n",
        "\nhere\n",
    ] {
        assert!(said.contains(line), "{line:?}: {said}");
    }
    let none = images.hcs("run --isolation vm --net-namespace x -- true");
    let none = world.ended(none);
    assert!(none.err.contains("--net-namespace"), "{none:?}");
    world.words("terminate web").fine();
    // The link of a container that has ended goes with its namespace, some milliseconds later.
    let end = Instant::now() + Duration::from_secs(60);
    while world.shell("ip -o link show").contains("hce") {
        assert!(Instant::now() < end, "a link is left");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_ordinary_user_is_told_that_networks_are_roots() {
    let user = User::new(NETLESS);
    let lines = [["network", "create", "web"], ["network", "create", "nat-2"]];
    let of_host = user.hcs(&["run", "--network", "host", "--", "true"]);
    assert_eq!(of_host.code, Some(125), "{of_host:?}");
    assert!(of_host.err.contains("network namespace"), "{of_host:?}");
    for line in lines {
        let said = user.hcs(&line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains("ask a service of root"), "{said:?}");
    }
    user.script(&["--network", "none"], "true").fine();
}

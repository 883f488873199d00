//! `hcs network`, `--network` and `-p`, with a service in a network namespace of the test's own: the host stays as it is.

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
    rootless::User,
};

/// A user that no host has.
const NETLESS: u32 = 54_341;

/// A service in a network namespace of its own, and clients beside it.
struct World {
    space: File,
    folder: TempDir,
    service: Child,
}

impl World {
    fn new() -> Self {
        let made = thread::spawn(|| {
            #[expect(
                deprecated,
                reason = "the other function is not safe to call, and no descriptors are unshared here"
            )]
            rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let space = made.join().unwrap();
        let folder = tempfile::Builder::new()
            .prefix("hcs-cli-")
            .tempdir()
            .unwrap();
        let group = format!(
            "cgroup_root = \"hcs-test-cli-net-{}\"\n",
            std::process::id()
        );
        fs::write(folder.path().join("hcsd.toml"), group).unwrap();
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
        let mut service = within(&space, move || command.spawn()).unwrap();
        let mut log = BufReader::new(service.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("serving") {
            let before = said.len();
            log.read_line(&mut said).unwrap();
            assert!(said.len() > before, "the service ended: {said}");
        }
        // What is not read would stop it.
        thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
        let world = Self {
            space,
            folder,
            service,
        };
        world.shell("ip link set lo up");
        world
    }

    fn hcs(&self, arguments: &[&str]) -> Ended {
        let mut command = hcs(arguments);
        command.env("HCS_ENDPOINT", self.folder.path().join("hcs.sock"));
        ended(&mut command)
    }

    /// A line of words for `hcs`.
    fn words(&self, line: &str) -> Ended {
        self.hcs(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// `hcs run` with these options and a script.
    fn script(&self, options: &str, script: &str) -> Ended {
        let options = options.split_whitespace();
        let all = ["run"]
            .into_iter()
            .chain(options)
            .chain(["--", "sh", "-c", script]);
        self.hcs(&all.collect::<Vec<_>>())
    }

    /// Runs a command in the service's network namespace.
    fn shell(&self, script: &str) -> String {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let output = within(&self.space, move || command.output()).unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a server at this port says first, which is waited for.
    fn heard(&self, port: u16) -> String {
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

fn within<T: Send>(space: &File, act: impl FnOnce() -> T + Send) -> T {
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
    let server = "run -d --id web --network nat -p 8080:80 -- perl -e".split_whitespace();
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

    let taken = world.words("run --network nat -p 8080:80 -- true");
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

/// The section about networks does what it says, line by line.
#[test]
fn the_lines_of_the_readme_work() {
    let readme = include_str!("../../../../README.md");
    let section = readme.split("\n## Networks\n").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap();
    let lines: Vec<&str> = block.split("```").next().unwrap().lines().collect();
    assert!(lines.len() > 4, "{lines:?}");
    let world = World::new();
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
fn an_ordinary_user_is_told_that_networks_are_roots() {
    let user = User::new(NETLESS);
    let mut lines = vec![vec!["network", "list"]];
    lines.push(vec!["run", "--network", "nat", "--", "true"]);
    for line in lines {
        let said = user.hcs(&line);
        assert_eq!((said.code, said.out.as_str()), (Some(125), ""), "{said:?}");
        assert!(said.err.contains("ask a service of root"), "{said:?}");
    }
    user.script(&["--network", "none"], "true").fine();
}

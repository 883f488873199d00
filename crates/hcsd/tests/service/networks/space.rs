//! Network namespaces of a test: the place of the service, and the outside. The host of the tests stays as it is.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    process::Command,
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::common::await_that;

/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(30);

/// A network namespace, which ends with this.
pub(super) struct Space(File);

impl Space {
    /// A new one. A thread makes it and ends; the descriptor keeps it.
    pub(super) fn new() -> Self {
        let made = thread::spawn(|| {
            #[expect(
                deprecated,
                reason = "the other function is not safe to call, and no descriptors are unshared here"
            )]
            rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// That of a process.
    pub(super) fn of(pid: i32) -> Self {
        Self(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    /// Does something on a thread that is in this namespace: so are the processes that it starts.
    pub(super) fn run<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.0.as_fd(), kind).unwrap();
                act()
            });
            let done = there.join();
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program there; what it says.
    pub(super) fn program(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        let output = self.run(move || command.output()).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What of ours is there: links, and tables of rules.
    pub(super) fn ours(&self) -> Vec<String> {
        let links = self.program("ip -o link show");
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        let links = names
            .filter(|name| name.starts_with("hc"))
            .map(str::to_owned);
        let tables = self.program("nft list tables");
        links.chain(tables.lines().map(str::to_owned)).collect()
    }

    /// Waits until nothing of ours is there: links of ended containers go a little later.
    #[track_caller]
    pub(super) fn is_cleared(&self) {
        await_that("nothing of ours is there", || self.ours().is_empty());
    }

    /// A server of TCP there, at any address.
    pub(super) fn listen(&self, port: u16) -> TcpListener {
        self.run(|| TcpListener::bind(("0.0.0.0", port)).unwrap())
    }

    /// Connects from there and sends a line, which the server sends back; the client's address as the server sees it.
    #[track_caller]
    pub(super) fn talk(&self, to: (&str, u16), server: &TcpListener) -> String {
        let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
        let connected = self.run(|| TcpStream::connect_timeout(&to, LIMIT));
        let mut client = match connected {
            Ok(client) => client,
            Err(error) => panic!("{to}: {error}; {}", self.program("ip -4 route")),
        };
        let (mut accepted, from) = server.accept().unwrap();
        let mut line = [0; 4];
        client.write_all(b"ping").unwrap();
        accepted.read_exact(&mut line).unwrap();
        accepted.write_all(&line).unwrap();
        client.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"ping");
        from.ip().to_string()
    }

    /// Whether a connection comes to be.
    pub(super) fn connects(&self, to: (&str, u16)) -> bool {
        let address: IpAddr = to.0.parse().unwrap();
        // Longer than a SYN that was lost takes to be sent again.
        let limit = Duration::from_secs(3);
        self.run(|| TcpStream::connect_timeout(&(address, to.1).into(), limit))
            .is_ok()
    }

    /// Whether a connection from there is refused at once: by a host that is reached, and has no such port.
    pub(super) fn is_refused(&self, to: (&str, u16)) -> bool {
        let address: IpAddr = to.0.parse().unwrap();
        let tried = self.run(|| TcpStream::connect_timeout(&(address, to.1).into(), LIMIT));
        tried.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    }
}

/// The address of the service's place on the link to the outside, and that of the outside.
pub(super) const UPLINK: &str = "198.51.100.1";
pub(super) const OUTSIDE: &str = "198.51.100.2";

/// Makes the link between the service's place and the outside.
pub(super) fn connect(host: &Space, outside: &Space) {
    host.program("ip link add up0 type veth peer name out0");
    let (pid, there) = (std::process::id(), outside.0.as_raw_fd());
    host.program(&format!("ip link set out0 netns /proc/{pid}/fd/{there}"));
    for (space, link, address) in [(host, "up0", UPLINK), (outside, "out0", OUTSIDE)] {
        space.program(&format!("ip addr add {address}/24 dev {link}"));
        space.program(&format!("ip link set {link} up"));
    }
}

/// The service's place, and an outside that its default route leads to.
pub(super) fn world() -> (Space, Space) {
    let (host, outside) = (Space::new(), Space::new());
    for space in [&host, &outside] {
        space.program("ip link set lo up");
    }
    connect(&host, &outside);
    host.program(&format!("ip route add default via {OUTSIDE}"));
    (host, outside)
}

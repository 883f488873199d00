//! The network of an ordinary user's containers, which `pasta` makes: in a place with a host, and an outside that
//! another namespace plays.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{Ended, ended},
    networks::{space, within},
    rootless::{User, unprivileged},
};

/// Users that no host has.
const CONNECTED: u32 = 54_364;
const PUBLISHING: u32 = 54_365;
const WITHOUT: u32 = 54_366;
const BOUND: u32 = 54_367;

const HOST: &str = "198.51.100.1";
const OUTSIDE: &str = "198.51.100.2";

/// What a container asks a server with: it prints the first line, or fails.
const ASK: &str = "ask() { perl -MIO::Socket::INET -e \
                   '$s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 3) or exit 1; print $s->getline' $1; }";

/// A server that answers a line of each client by one of its own: releases of `pasta` of 2023 do not let a server speak
/// first to the outside.
const SERVER: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) \
                      or die; while (my $c = $s->accept) { my $l = <$c>; print $c \"here\\n\"; close $c }";

/// Sends to a port of each address that follows, by a socket that is bound to the link, and tells what the kernel lets
/// go; then to loopback by one that is not bound.
const SEND_BY_LINK: &str = r#"use Socket;
    socket(S, PF_INET, SOCK_DGRAM, 0) or die; setsockopt(S, SOL_SOCKET, 25, "eth0\0") or die "bind: $!";
    for (@ARGV) {
        my $to = pack_sockaddr_in(6666, inet_aton($_));
        print((send(S, "hello", 0, $to) ? "sent" : $!) . " $_\n");
    }
    socket(O, PF_INET, SOCK_DGRAM, 0) or die;
    print "own\n" if send(O, "hello", 0, pack_sockaddr_in(6666, inet_aton("127.0.0.1")));"#;

/// A host with a way to the outside, and a user of it.
struct Place {
    host: File,
    outside: File,
    id: u32,
    user: User,
}

impl Place {
    fn new(id: u32, user: User) -> Self {
        let place = Self {
            host: space(),
            outside: space(),
            id,
            user,
        };
        let outside = format!("/proc/{}/fd/{}", process::id(), place.outside.as_raw_fd());
        place.shell(
            &place.host,
            &format!(
                "ip link set lo up; ip link add up0 type veth peer name out0; ip link set out0 netns {outside}; \
                 ip addr add {HOST}/24 dev up0; ip link set up0 up; ip route add default via {OUTSIDE}"
            ),
        );
        place.shell(
            &place.outside,
            &format!("ip link set lo up; ip addr add {OUTSIDE}/24 dev out0; ip link set out0 up"),
        );
        place
    }

    fn shell(&self, space: &File, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-ec", script]);
        let said = within(space, move || command.output()).unwrap();
        assert!(said.status.success(), "{script}: {said:?}");
    }

    fn hcs(&self, arguments: &[&str]) -> Ended {
        let program = self.user.program();
        let mut command = self.user.command(&[&[&*program], arguments].concat());
        within(&self.host, move || ended(&mut command))
    }

    fn listen(&self, space: &File, address: &str) -> TcpListener {
        let address: SocketAddr = address.parse().unwrap();
        within(space, move || TcpListener::bind(address)).unwrap()
    }

    /// What the outside hears at a port of the host; nothing where no server answers.
    fn heard(&self, port: u16) -> String {
        let to: SocketAddr = format!("{HOST}:{port}").parse().unwrap();
        let mut said = String::new();
        if let Ok(mut stream) = within(&self.outside, move || TcpStream::connect(to)) {
            let _gone = stream.write_all(b"hello\n");
            let _as_far_as_it_goes = stream.read_to_string(&mut said);
        }
        said
    }

    /// The processes of the user whose command lines have this word.
    fn lines(&self, word: &str) -> Vec<(String, String)> {
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let of_user = numbers.filter(|entry| entry.metadata().is_ok_and(|of| of.uid() == self.id));
        let lines = of_user.filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(word)
                .then(|| (entry.file_name().into_string().unwrap(), line))
        });
        lines.collect()
    }

    /// Those that connect containers.
    fn connecting(&self) -> Vec<String> {
        let [pasta, keepers] = ["/pasta ", "hcsd-outside"].map(|word| self.lines(word));
        let all = pasta.into_iter().chain(keepers);
        all.map(|(_, line)| line).collect()
    }
}

#[track_caller]
fn await_that(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_users_container_reaches_the_outside_and_no_loopback_of_the_host() {
    if unprivileged() {
        return;
    }
    let place = Place::new(CONNECTED, User::new(CONNECTED).with_tun());
    let outside = place.listen(&place.outside, &format!("{OUTSIDE}:7777"));
    let loopback = place.listen(&place.host, "127.0.0.1:6666");
    let serving = thread::spawn(move || {
        for _ in 0..2 {
            outside.accept().unwrap().0.write_all(b"outside\n").unwrap();
        }
    });
    let script = format!(
        "{ASK}; ask {OUTSIDE}:7777; ask 127.0.0.1:6666 && exit 7; \
         ask $(ip route show default | cut -d' ' -f3):6666 && exit 8; ip -o -4 addr show dev eth0"
    );
    let said = place.hcs(&["run", "--network", "nat", "--", "sh", "-c", &script]);
    assert!(said.out.starts_with("outside\n"), "{said:?}");
    assert!(
        said.out.contains("inet 10.") && said.code == Some(0),
        "{said:?}"
    );
    loopback.set_nonblocking(true).unwrap();
    loopback.accept().unwrap_err();
    // It is the default, and no word is lost on it.
    let script = format!("{ASK}; ask {OUTSIDE}:7777");
    let said = place.hcs(&["run", "--", "sh", "-c", &script]).fine();
    assert_eq!(said, "outside\n");
    serving.join().unwrap();
    let alone = place.hcs(&["run", "--network", "none", "--", "ls", "/sys/class/net"]);
    assert_eq!(alone.fine(), "lo\n");
    assert!(
        place
            .hcs(&["network", "list"])
            .fine()
            .contains("nat   NAT ")
    );
    for refused in [
        &["network", "create", "web"][..],
        &["run", "--network", "nat", "--network", "nat", "--", "true"],
    ] {
        let said = place.hcs(refused);
        assert_eq!(said.code, Some(125), "{said:?}");
    }
    await_that("pasta goes with its container", || {
        place.connecting().is_empty()
    });
}

/// Releases of `pasta` of 2023 take what comes by the link for 127.0.0.0/8 to loopback of the host.
#[test]
fn no_socket_of_a_users_container_sends_to_loopback_by_its_link() {
    if unprivileged() {
        return;
    }
    let place = Place::new(BOUND, User::new(BOUND).with_tun());
    let loopback = within(&place.host, || UdpSocket::bind("127.0.0.1:6666")).unwrap();
    let run = ["run", "--network", "nat", "--", "perl", "-e", SEND_BY_LINK];
    let said = place.hcs(&[&run[..], &["127.0.0.1", "127.0.0.53", OUTSIDE]].concat());
    let refused = "Operation not permitted";
    let expected = format!("{refused} 127.0.0.1\n{refused} 127.0.0.53\nsent {OUTSIDE}\nown\n");
    assert_eq!(said.fine(), expected);
    loopback.set_nonblocking(true).unwrap();
    loopback.recv(&mut [0; 8]).unwrap_err();
    await_that("pasta goes with its container", || {
        place.connecting().is_empty()
    });
}

#[test]
fn a_users_port_is_published_whatever_becomes_of_the_service_until_the_container_ends() {
    if unprivileged() {
        return;
    }
    let place = Place::new(PUBLISHING, User::new(PUBLISHING).with_tun());
    let server = |id: &str, port: &str, program: &str| {
        let published = format!("{port}:80");
        let line = [
            "run", "-d", "--rm", "--id", id, "-p", &published, "--", "perl", "-e", program,
        ];
        assert_eq!(place.hcs(&line).fine(), format!("{id}\n"));
    };
    server("web", "8080", SERVER);
    await_that("the server is heard", || place.heard(8080) == "here\n");
    let taken = place.hcs(&["run", "-p", "8080:80", "--", "true"]);
    assert_eq!(taken.code, Some(125), "{taken:?}");
    assert!(taken.err.contains("8080"), "{taken:?}");
    server("other", "8081", &format!("{SERVER} # other"));
    await_that("the server is heard", || place.heard(8081) == "here\n");
    place.user.end_service(Signal::KILL);
    assert_eq!(place.heard(8080), "here\n", "no service has to be there");
    // One container ends while there is none.
    let inside = place.lines("").into_iter();
    let mut inside =
        inside.filter(|(_, line)| line.contains("# other") && line.starts_with("perl"));
    let (pid, _) = inside.next().unwrap();
    let about = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = about.lines().find_map(|line| line.strip_prefix("PPid:"));
    let first: i32 = parent.unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    let connects = |port: &str| place.connecting().iter().any(|line| line.contains(port));
    await_that("pasta goes with its container", || !connects("8081:80"));
    assert!(connects("8080:80"));
    assert_eq!(place.heard(8080), "here\n");
    // The next service has the other one.
    let again = place.hcs(&["run", "-p", "8080:80", "--", "true"]);
    assert!(again.err.contains("8080"), "{again:?}");
    place.hcs(&["terminate", "web"]).fine();
    // The next one has the port, even where pasta has not gone yet.
    place.hcs(&["run", "-p", "8080:80", "--", "true"]).fine();
    await_that("pasta goes with its container", || {
        place.connecting().is_empty()
    });
}

#[test]
fn a_user_without_what_a_network_takes_is_told_what_helps() {
    if unprivileged() {
        return;
    }
    let place = Place::new(WITHOUT, User::new(WITHOUT).with_closed_tun());
    let named = ["run", "--network", "nat", "--", "true"];
    let said = place.hcs(&named);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("/dev/net/tun"), "{said:?}");
    // By default it goes on with loopback.
    let links = place.hcs(&["run", "--", "ls", "/sys/class/net"]);
    assert_eq!(links.fine(), "lo\n");
    let bare = Place::new(WITHOUT, User::new(WITHOUT).without_pasta());
    let said = bare.hcs(&named);
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("install the package passt"), "{said:?}");
}

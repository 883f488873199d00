//! Traffic of real sockets between namespaces.
//!
//! A packet that has to arrive is waited for as long as it takes, up to a limit that only a failure reaches. A packet
//! that has to be dropped is followed by another on the same way that arrives: when that is there, the first would have
//! been.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, recvfrom, sendto,
    socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use crate::world::Space;

/// Longer than anything takes that works.
const LIMIT: Duration = Duration::from_secs(20);
/// How long a connection that must not come about is tried: the kernel sends its first packet twice in it.
const REFUSED: Duration = Duration::from_millis(1500);

/// A server of TCP in `space`, at any address.
pub(crate) fn listen(space: &Space, port: u16) -> TcpListener {
    space.run(|| TcpListener::bind(("0.0.0.0", port)).unwrap())
}

/// Connects from `space` and sends a line, which the server sees; gives the client's address as the server sees it.
pub(crate) fn talk(space: &Space, to: (&str, u16), server: &TcpListener) -> IpAddr {
    let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
    let mut client = space.run(|| TcpStream::connect_timeout(&to, LIMIT).unwrap());
    let (mut accepted, from) = server.accept().unwrap();
    client.write_all(b"ping").unwrap();
    let mut line = [0; 4];
    accepted.read_exact(&mut line).unwrap();
    accepted.write_all(&line).unwrap();
    client.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ping");
    from.ip()
}

/// Whether a connection from `space` comes about.
pub(crate) fn connects(space: &Space, to: (&str, u16)) -> bool {
    let to = SocketAddr::new(to.0.parse().unwrap(), to.1);
    space.run(|| TcpStream::connect_timeout(&to, REFUSED).is_ok())
}

/// A server of UDP in `space`, at any address.
pub(crate) fn bind(space: &Space, port: u16) -> UdpSocket {
    space.run(|| {
        let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    })
}

/// Sends a datagram from `space` and gets its answer; gives the client's address as the server sees it.
pub(crate) fn exchange(space: &Space, to: (&str, u16), server: &UdpSocket) -> IpAddr {
    let client = bind(space, 0);
    client.send_to(b"ping", to).unwrap();
    let mut bytes = [0; 16];
    let (length, from) = server.recv_from(&mut bytes).unwrap();
    server.send_to(&bytes[..length], from).unwrap();
    let (length, answered) = client.recv_from(&mut bytes).unwrap();
    assert_eq!(
        (&bytes[..length], answered.ip().to_string().as_str()),
        (&b"ping"[..], to.0)
    );
    from.ip()
}

/// Sends an echo request from `space`; whether the answer comes.
pub(crate) fn pings(space: &Space, to: &str) -> bool {
    let to = SocketAddr::new(to.parse().unwrap(), 0);
    space.run(|| {
        let socket = raw(ipproto::ICMP);
        sendto(&socket, &echo_request(7), SendFlags::empty(), &to).unwrap();
        let mut bytes = [0; 128];
        // The kernel gives a raw socket all messages, those of unreachable hosts, too; the header has 20 bytes.
        loop {
            let Ok((_, length)) = recv(&socket, &mut bytes[..], RecvFlags::empty()) else {
                return false;
            };
            match bytes[..length].get(20) {
                Some(0) => return true,
                Some(3) => return false,
                _ => {}
            }
        }
    })
}

fn raw(protocol: rustix::net::Protocol) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(protocol)).unwrap();
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT)).unwrap();
    socket
}

fn echo_request(sequence: u16) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0, 0x12, 0x34];
    packet.extend(sequence.to_be_bytes());
    let sum = checksum(&packet);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Sends a datagram from `space` whose source is `source`, which belongs to another.
pub(crate) fn forge(space: &Space, source: &str, to: (&str, u16), text: &[u8]) {
    let packet = datagram([source, to.0], to.1, text);
    let to = SocketAddr::new(to.0.parse().unwrap(), 0);
    space.run(|| {
        let sent = sendto(raw(ipproto::RAW), &packet, SendFlags::empty(), &to).unwrap();
        assert_eq!(sent, packet.len());
    });
}

/// Sends packets of IPv4 from `space` as they are.
pub(crate) fn forge_packets(
    space: &Space,
    to: std::net::Ipv4Addr,
    packets: impl Iterator<Item = Vec<u8>> + Send,
) {
    send_all(space, to.into(), packets, raw);
}

/// Sends packets of IPv6 from `space` as they are.
pub(crate) fn forge_packets_6(
    space: &Space,
    to: Ipv6Addr,
    packets: impl Iterator<Item = Vec<u8>> + Send,
) {
    send_all(space, to.into(), packets, raw_6);
}

fn send_all(
    space: &Space,
    to: IpAddr,
    packets: impl Iterator<Item = Vec<u8>> + Send,
    socket: fn(rustix::net::Protocol) -> OwnedFd,
) {
    let to = SocketAddr::new(to, 0);
    space.run(|| {
        let socket = socket(ipproto::RAW);
        for packet in packets {
            let sent = sendto(&socket, &packet, SendFlags::empty(), &to).unwrap();
            assert_eq!(sent, packet.len());
        }
    });
}

/// A datagram between two addresses of IPv4, to `port`, without a checksum of its own.
pub(crate) fn datagram(addresses: [&str; 2], port: u16, text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + text.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    for address in addresses {
        packet.extend(address.parse::<std::net::Ipv4Addr>().unwrap().octets());
    }
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(4000_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(text);
    packet
}

pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | two.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// A counter of the kernel for the namespace of `space`, of `/proc/net/snmp` or `/proc/net/netstat`.
pub(crate) fn counter(space: &Space, file: &str, protocol: &str, name: &str) -> u64 {
    let path = format!("/proc/thread-self/net/{file}");
    let text = space.run(|| std::fs::read_to_string(path).unwrap());
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{protocol}:")));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names
        .split_whitespace()
        .position(|found| found == name)
        .unwrap();
    values.split_whitespace().nth(at).unwrap().parse().unwrap()
}

/// Sends a message of ICMPv6 from `space`, whose source and text are whatever is given.
pub(crate) fn forge_icmp6(space: &Space, source: Ipv6Addr, target: Ipv6Addr, message: &[u8]) {
    const NEXT: u8 = 58;
    // Neighbours and routers are believed only if no router has passed the message on.
    const HOPS: u8 = 255;
    let length = u16::try_from(message.len()).unwrap();
    let pseudo = [
        &source.octets()[..],
        &target.octets(),
        &u32::from(length).to_be_bytes(),
        &[0, 0, 0, NEXT],
        message,
    ];
    let sum = checksum(&pseudo.concat());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([NEXT, HOPS]);
    packet.extend(source.octets());
    packet.extend(target.octets());
    packet.extend(message);
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    let to = SocketAddr::new(target.into(), 0);
    space.run(|| {
        let socket = raw_6(ipproto::RAW);
        let sent = sendto(socket, &packet, SendFlags::empty(), &to).unwrap();
        assert_eq!(sent, packet.len());
    });
}

/// All messages of ICMPv6 that reach a namespace.
pub(crate) struct Messages(OwnedFd);

impl Messages {
    pub(crate) fn of(space: &Space) -> Self {
        Self(space.run(|| raw_6(ipproto::ICMPV6)))
    }

    /// The next one, with its source.
    pub(crate) fn next(&self) -> (IpAddr, Vec<u8>) {
        self.take(RecvFlags::empty()).unwrap()
    }

    /// Those that are there.
    pub(crate) fn all_so_far(&self) -> Vec<(IpAddr, Vec<u8>)> {
        std::iter::from_fn(|| self.take(RecvFlags::DONTWAIT)).collect()
    }

    fn take(&self, how: RecvFlags) -> Option<(IpAddr, Vec<u8>)> {
        let mut bytes = [0; 256];
        let (length, _, from) = recvfrom(&self.0, &mut bytes[..], how).ok()?;
        let from: SocketAddr = from.unwrap().try_into().unwrap();
        Some((from.ip(), bytes[..length].to_vec()))
    }
}

fn raw_6(protocol: rustix::net::Protocol) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET6, SocketType::RAW, flags, Some(protocol)).unwrap();
    set_socket_timeout(&socket, Timeout::Recv, Some(LIMIT)).unwrap();
    socket
}

//! Ports of the host that are to lead to endpoints: whether another program has them.
//!
//! A published port takes the packets of any program that listens there: the rules translate them before the program's
//! socket would get them. So a port that is in use is refused when it is to be published. A program that
//! begins to listen later is not hindered, and gets nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hcn::{Mapping, Protocol, intent::Intent};
use hcs_schema::{Failure, HResult};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt},
};

/// Checks the ports that `after` publishes and `before` does not. Runs in the network namespace of the host.
///
/// # Errors
/// `HCN_E_PORT_ALREADY_EXISTS` for one that a program of the host has; `HCN_E_INVALID_IP` for an address that the host
/// has not.
pub(super) fn check(before: &Intent, after: &Intent) -> Result<(), Failure> {
    let mappings = |intent| published(intent).map(place);
    let had: Vec<_> = mappings(before).collect();
    let mut new = mappings(after).filter(|place| !had.contains(place));
    new.try_for_each(try_bind)
}

type Place = (Protocol, u16, Option<IpAddr>);

fn published(intent: &Intent) -> impl Iterator<Item = &Mapping> {
    (intent.endpoints.iter()).flat_map(|endpoint| &endpoint.mappings)
}

const fn place(mapping: &Mapping) -> Place {
    (mapping.protocol, mapping.external, mapping.address)
}

/// Takes the port and gives it back.
fn try_bind((protocol, port, address): Place) -> Result<(), Failure> {
    let name = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    let at = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let (code, message) = match bound(protocol, SocketAddr::new(at, port)) {
        Err(Errno::ADDRINUSE) => (
            HResult::HCN_E_PORT_ALREADY_EXISTS,
            format!(
                "the {name} port {port} of the host is in use by a program (ss -lnp shows which one): end it, or publish another port"
            ),
        ),
        Err(Errno::ADDRNOTAVAIL) => (
            HResult::HCN_E_INVALID_IP,
            format!(
                "the {name} port {port} cannot be published at {at}: it is no address of the host"
            ),
        ),
        // What else may be wrong, such as a right that is missing, says nothing of other programs.
        Ok(()) | Err(_) => return Ok(()),
    };
    Err(Failure::new(code, message.clone()).cause_at("/Policies", message))
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
    // Connections that have ended keep the port of TCP for a minute; a program that listens is refused all the same.
    if protocol == Protocol::Tcp {
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &address)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

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
        let foreign = Some("192.0.2.77".parse().unwrap());
        let refused = try_bind((Protocol::Tcp, 1, foreign)).unwrap_err();
        assert_eq!(refused.hresult, HResult::HCN_E_INVALID_IP);
    }
}

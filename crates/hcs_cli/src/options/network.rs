//! The options about the network of a container: `--network` and `--publish`.

use std::net::IpAddr;

use clap::Args;
use serde_json::{Value, json};

/// The network of a container.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NetworkOptions {
    /// The network to be in: nat, which is made when it is first used, or one of `hcs network create`; none for loopback
    /// only. Takes a service of root [default: none]
    #[arg(long, value_name = "NAME", conflicts_with = "net_namespace")]
    network: Option<String>,

    /// Let a port of this machine lead to one of the container; repeat for more. Without an address at all of this machine's,
    /// but not at ::1
    #[arg(short = 'p', long = "publish", value_name = "[ADDR:]HOST:CTR[/udp]", value_parser = parse,
          requires = "network")]
    published: Vec<Published>,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Published {
    address: Option<IpAddr>,
    host: u16,
    container: u16,
    is_udp: bool,
}

fn parse(text: &str) -> Result<Published, String> {
    let (ports, is_udp) = match text.rsplit_once('/') {
        None => (text, false),
        Some((ports, "tcp")) => (ports, false),
        Some((ports, "udp")) => (ports, true),
        Some((_, other)) => return Err(format!("{other:?} is neither tcp nor udp")),
    };
    let port = |text: &str| {
        let number: Option<u16> = text.parse().ok().filter(|port| *port > 0);
        number.ok_or_else(|| format!("{text:?} is no port: expected a number of 1 to 65535"))
    };
    let (rest, container) = ports.rsplit_once(':').ok_or_else(|| {
        format!(
            "expected a port of this machine and one of the container, as 8080:80, found {text:?}"
        )
    })?;
    let (address, host) = match rest.rsplit_once(':') {
        None => (None, rest),
        Some((address, host)) => {
            let parsed = address.parse().map_err(|_| {
                format!("{address:?} is no address of this machine: expected one as 127.0.0.1")
            });
            (Some(parsed?), host)
        }
    };
    Ok(Published {
        address,
        host: port(host)?,
        container: port(container)?,
        is_udp,
    })
}

impl NetworkOptions {
    /// The network that is named, if any is.
    pub(crate) fn network(&self) -> Option<&str> {
        self.network.as_deref().filter(|name| *name != "none")
    }

    /// The option that was given, if any was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        self.network.as_ref().map(|_| "--network")
    }

    /// Whether ports are published.
    pub(crate) const fn publishes(&self) -> bool {
        !self.published.is_empty()
    }

    /// The document of the endpoint in the network with this id.
    pub(crate) fn endpoint(&self, network: &str) -> Value {
        let policies = self.published.iter().map(|port| {
            let mut settings = json!({
                "Protocol": if port.is_udp { 17 } else { 6 },
                "InternalPort": port.container,
                "ExternalPort": port.host,
            });
            if let Some(address) = port.address {
                settings["VIP"] = address.to_string().into();
            }
            json!({ "Type": "PortMapping", "Settings": settings })
        });
        let policies: Vec<Value> = policies.collect();
        let mut endpoint = json!({
            "SchemaVersion": { "Major": 2, "Minor": 0 },
            "HostComputeNetwork": network,
        });
        if !policies.is_empty() {
            endpoint["Policies"] = policies.into();
        }
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_as_they_are_said_elsewhere() {
        let read =
            |text| parse(text).map(|port| (port.address, port.host, port.container, port.is_udp));
        assert_eq!(read("8080:80"), Ok((None, 8080, 80, false)));
        assert_eq!(read("53:53/udp"), Ok((None, 53, 53, true)));
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(read("127.0.0.1:8080:80/tcp"), Ok((here, 8080, 80, false)));
        for bad in [
            "80",
            "0:80",
            "80:0",
            "80:80/sctp",
            "x:80:80",
            "80:65536",
            ":80",
            "80:",
            "",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_published_becomes_policies() {
        let options = NetworkOptions {
            network: Some("nat".to_owned()),
            published: vec![parse("127.0.0.1:53:54/udp").unwrap()],
        };
        let policy = json!({"Type": "PortMapping", "Settings": {
            "Protocol": 17, "InternalPort": 54, "ExternalPort": 53, "VIP": "127.0.0.1",
        }});
        assert_eq!(options.endpoint("id")["Policies"], json!([policy]));
        let none = NetworkOptions {
            network: Some("none".to_owned()),
            ..NetworkOptions::default()
        };
        assert_eq!(none.network(), None);
    }
}

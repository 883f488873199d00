//! The options about the network of a container: `--network`, `--publish`, and those about addresses and names.

use std::{net::IpAddr, path::Path};

use clap::Args;
use hcs_schema::{
    documents::{HostEntry, Networking},
    rules::names::is_host_name,
};
use serde_json::{Value, json};

pub(crate) use hcs_wire::network::NAT;

/// The network of a container.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NetworkOptions {
    /// The network to be in: nat, which is made when it is first used, or one of `hcs network create`; repeat for more,
    /// of which --publish, --ip and --mac are about the first. What is in nat reaches what this machine reaches, and
    /// programs of it that listen at all addresses. none is loopback only, host the network of the service
    /// itself, ns:PATH the network namespace of a file such as /proc/1234/ns/net; these two are for root, and for a
    /// namespace of the caller's own. An ordinary user has nat, where the package passt is installed, and none
    /// [default: nat, or what default_network in hcsd.toml says; none where this machine or an ordinary user cannot
    /// have it, and for virtual machines unless --publish, --ip, --mac or --alias asks for it]
    #[arg(
        long = "network",
        value_name = "NAME|none|host|ns:PATH",
        conflicts_with = "net_namespace"
    )]
    networks: Vec<String>,

    /// Let a port of this machine lead to one of the container or virtual machine; repeat for more. Without an address
    /// at all of this machine's, but not at ::1
    #[arg(short = 'p', long = "publish", value_name = "[ADDR:]HOST:CTR[/udp]", value_parser = parse,
          conflicts_with = "net_namespace")]
    published: Vec<Published>,

    /// Let free ports of this machine lead to all ports that the image exposes, besides those of --publish; `hcs port`
    /// and `hcs inspect` show which
    #[arg(short = 'P', long, conflicts_with = "net_namespace")]
    publish_all: bool,

    /// The address in the network, of its subnet [default: the next that is free]
    #[arg(long, value_name = "ADDR", conflicts_with = "net_namespace")]
    ip: Option<IpAddr>,

    /// The address of the network card, as 00-15-5D-12-34-56 or with colons [default: the next that is free]
    #[arg(long, value_name = "MAC", value_parser = mac, conflicts_with = "net_namespace")]
    mac: Option<String>,

    /// A further name by which others in the network find it, besides its id and host name; repeat for more
    #[arg(long = "alias", value_name = "NAME", value_parser = host_name, conflicts_with = "net_namespace")]
    aliases: Vec<String>,

    /// A line for /etc/hosts; repeat for more
    #[arg(long = "add-host", value_name = "NAME:ADDR", value_parser = entry)]
    hosts: Vec<HostEntry>,

    /// A server for /etc/resolv.conf, in place of those of this machine; repeat for more
    #[arg(long = "dns", value_name = "ADDR")]
    servers: Vec<IpAddr>,

    /// A domain to try for names without one; repeat for more
    #[arg(long = "dns-search", value_name = "DOMAIN", value_parser = host_name)]
    domains: Vec<String>,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Published {
    address: Option<IpAddr>,
    /// 0 for one that the service chooses.
    host: u16,
    container: u16,
    is_udp: bool,
}

fn host_name(text: &str) -> Result<String, String> {
    match is_host_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} cannot be the name of a host: expected letters, digits, hyphens and underscores, with dots between parts"
        )),
    }
}

fn entry(text: &str) -> Result<HostEntry, String> {
    let expected = || format!("expected a name and an address, as db:192.0.2.1, found {text:?}");
    let (name, address) = text.split_once(':').ok_or_else(expected)?;
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = bare.parse().map_err(|_| expected())?;
    Ok(HostEntry {
        name: Some(host_name(name)?),
        address: Some(address.to_string()),
    })
}

/// An address of a network card, as documents have it.
fn mac(text: &str) -> Result<String, String> {
    let spelled = text.replace(':', "-").to_ascii_uppercase();
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match spelled.split('-').count() == 6 && spelled.split('-').all(is_byte) {
        true => Ok(spelled),
        false => Err(format!(
            "{text:?} is no address of a network card: expected six bytes, as 00-15-5D-12-34-56"
        )),
    }
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

/// A port as the configuration of an image has it: 80/tcp, 53/udp, or 80 for TCP.
fn exposed(text: &str) -> Result<Published, String> {
    let read = |text: &str| text.parse().ok().filter(|port| *port > 0);
    let (port, is_udp) = match text.split_once('/') {
        None => (read(text), false),
        Some((port, "tcp")) => (read(port), false),
        Some((port, "udp")) => (read(port), true),
        Some(_) => (None, false),
    };
    let port = port.ok_or_else(|| {
        format!(
            "the image exposes {text:?}, which --publish-all cannot publish: expected a port of TCP or UDP, as 80/tcp; \
             -p 8080:80 publishes a single one"
        )
    })?;
    Ok(Published {
        address: None,
        host: 0,
        container: port,
        is_udp,
    })
}

/// The namespace of the service's own network, as the service opens it.
const OF_SERVICE: &str = "/proc/self/ns/net";

/// Words for `--network` that are no names of networks.
const NONE: &str = "none";
const HOST: &str = "host";
const NAMESPACE: &str = "ns:";

/// Whether `--network` takes this for something else than the name of a network.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, NONE | HOST) || name.starts_with(NAMESPACE)
}

/// The networks that a system is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// What the service has for containers for which none is named.
    Default,
    /// Loopback only.
    None,
    /// The network namespace at this path.
    Namespace(String),
    /// Those of these names.
    Named(Vec<&'a str>),
}

/// The path of a namespace as the service is to open it: what is relative begins where this program is, and what is of
/// the calling process is that of this program.
fn namespace_path(path: &str) -> String {
    let path = Path::new(path);
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let own = ["/proc/self", "/proc/thread-self"];
    let rest = own.iter().find_map(|own| path.strip_prefix(own).ok());
    match rest {
        Some(rest) => format!("/proc/{}/{}", std::process::id(), rest.display()),
        None => path.display().to_string(),
    }
}

impl NetworkOptions {
    /// What was chosen, or other options ask for.
    ///
    /// # Errors
    /// What cannot be had together, or is no path.
    pub(crate) fn choice(&self) -> Result<Choice<'_>, String> {
        let names: Vec<&str> = self.networks.iter().map(String::as_str).collect();
        match names.as_slice() {
            [] if self.only_in_network().is_some() => Ok(Choice::Named(vec![NAT])),
            [] => Ok(Choice::Default),
            [NONE] => Ok(Choice::None),
            [HOST] => Ok(Choice::Namespace(OF_SERVICE.to_owned())),
            [one] if one.starts_with(NAMESPACE) => match one.strip_prefix(NAMESPACE) {
                None | Some("") => Err(format!(
                    "--network {one} names no file: expected a path as ns:/proc/1234/ns/net"
                )),
                Some(path) => Ok(Choice::Namespace(namespace_path(path))),
            },
            names => match names.iter().find(|name| is_reserved(name)) {
                Some(word) => Err(format!(
                    "--network {word} goes with no other --network: name it alone, or leave it out"
                )),
                None => Ok(Choice::Named(names.to_vec())),
            },
        }
    }

    /// Whether no network is named, and no option asks for one.
    pub(crate) fn names_none(&self) -> bool {
        self.choice() == Ok(Choice::Default)
    }

    /// The first option that was given and means nothing without a network.
    pub(crate) fn only_in_network(&self) -> Option<&'static str> {
        let given = [
            ("--publish", !self.published.is_empty()),
            ("--publish-all", self.publish_all),
            ("--ip", self.ip.is_some()),
            ("--mac", self.mac.is_some()),
            ("--alias", !self.aliases.is_empty()),
        ];
        given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }

    /// Adds what they say of names to the document's part about networks, if they say something.
    pub(crate) fn name(&self, networking: &mut Option<Networking>) {
        let is_silent = self.aliases.is_empty()
            && self.hosts.is_empty()
            && self.servers.is_empty()
            && self.domains.is_empty();
        if is_silent {
            return;
        }
        let networking = networking.get_or_insert_default();
        let servers: Vec<String> = self.servers.iter().map(IpAddr::to_string).collect();
        networking.aliases = (!self.aliases.is_empty()).then(|| self.aliases.clone());
        networking.host_entries = (!self.hosts.is_empty()).then(|| self.hosts.clone());
        networking.dns_server_list = (!servers.is_empty()).then_some(servers);
        networking.dns_search_list = (!self.domains.is_empty()).then(|| self.domains.join(","));
    }

    /// The document of a further endpoint, in the network with this id.
    pub(crate) fn further_endpoint(network: &str) -> Value {
        json!({
            "SchemaVersion": { "Major": 2, "Minor": 0 },
            "HostComputeNetwork": network,
        })
    }

    /// The same options with all ports published that are to be. `exposed` are those of the image; none where there is
    /// no image.
    ///
    /// # Errors
    /// All ports of an image are to be published, and there is none, or it exposes what is no port here.
    pub(crate) fn with_exposed(&self, exposed_ports: Option<&[String]>) -> Result<Self, String> {
        let mut options = self.clone();
        if !self.publish_all {
            return Ok(options);
        }
        let ports = exposed_ports.ok_or(
            "--publish-all publishes the ports that an image exposes, and no image is named: -p 8080:80 publishes a port",
        )?;
        for port in ports {
            let port = exposed(port)?;
            let same =
                |one: &Published| (one.container, one.is_udp) == (port.container, port.is_udp);
            if !options.published.iter().any(same) {
                options.published.push(port);
            }
        }
        Ok(options)
    }

    /// Whether all ports that an image exposes are to be published, and it exposes none.
    pub(crate) const fn publishes_nothing(&self) -> bool {
        self.publish_all && self.published.is_empty()
    }

    /// The document of the first endpoint, in the network with this id.
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
        let mut endpoint = Self::further_endpoint(network);
        if !policies.is_empty() {
            endpoint["Policies"] = policies.into();
        }
        if let Some(address) = self.ip {
            endpoint["IpConfigurations"] = json!([{ "IpAddress": address.to_string() }]);
        }
        if let Some(mac) = &self.mac {
            endpoint["MacAddress"] = mac.as_str().into();
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
            networks: vec!["nat".to_owned()],
            published: vec![parse("127.0.0.1:53:54/udp").unwrap()],
            ip: Some(IpAddr::from([10, 20, 0, 7])),
            mac: Some(mac("00:15:5d:0a:0b:0c").unwrap()),
            ..NetworkOptions::default()
        };
        let policy = json!({"Type": "PortMapping", "Settings": {
            "Protocol": 17, "InternalPort": 54, "ExternalPort": 53, "VIP": "127.0.0.1",
        }});
        let endpoint = options.endpoint("id");
        assert_eq!(endpoint["Policies"], json!([policy]));
        assert_eq!(endpoint["IpConfigurations"][0]["IpAddress"], "10.20.0.7");
        assert_eq!(endpoint["MacAddress"], "00-15-5D-0A-0B-0C");
        assert_eq!(options.only_in_network(), Some("--publish"));
    }

    #[test]
    fn what_an_image_exposes_is_published_where_it_is_not_yet() {
        let options = NetworkOptions {
            published: vec![parse("8080:80").unwrap()],
            publish_all: true,
            ..NetworkOptions::default()
        };
        let ports = ["80/tcp", "80/udp", "443"].map(str::to_owned);
        let all = options.with_exposed(Some(&ports)).unwrap();
        let all: Vec<_> = all
            .published
            .iter()
            .map(|port| (port.host, port.container, port.is_udp))
            .collect();
        assert_eq!(all, [(8080, 80, false), (0, 80, true), (0, 443, false)]);
        assert!(!options.with_exposed(Some(&[])).unwrap().publishes_nothing());
        assert!(
            options
                .with_exposed(None)
                .unwrap_err()
                .contains("no image is named")
        );
        for odd in ["0/tcp", "80/sctp", "80-82/tcp", "http", ""] {
            let told = options.with_exposed(Some(&[odd.to_owned()])).unwrap_err();
            assert!(told.contains(&format!("{odd:?}")), "{told}");
        }
        let plain = NetworkOptions::default();
        assert_eq!(plain.with_exposed(Some(&ports)).unwrap().published, []);
        let only = NetworkOptions {
            publish_all: true,
            ..plain
        };
        assert_eq!(only.choice(), Ok(Choice::Named(vec![NAT])));
        assert!(only.with_exposed(Some(&[])).unwrap().publishes_nothing());
    }

    #[test]
    fn words_of_networks_are_read_and_stand_alone() {
        let of = |networks: &[&str], published: &[&str]| NetworkOptions {
            networks: networks.iter().map(|name| (*name).to_owned()).collect(),
            published: published.iter().map(|one| parse(one).unwrap()).collect(),
            ..NetworkOptions::default()
        };
        let namespace = |path: &str| Ok(Choice::Namespace(path.to_owned()));
        let own = format!("/proc/{}/ns/net", std::process::id());
        assert_eq!(of(&[], &[]).choice(), Ok(Choice::Default));
        assert!(of(&[], &[]).names_none() && !of(&["none"], &[]).names_none());
        assert!(!of(&[], &["80:80"]).names_none());
        assert_eq!(of(&["none"], &["80:80"]).choice(), Ok(Choice::None));
        assert_eq!(of(&[], &["80:80"]).choice(), Ok(Choice::Named(vec![NAT])));
        assert_eq!(of(&["host"], &[]).choice(), namespace(OF_SERVICE));
        assert_eq!(of(&["ns:/run/x"], &[]).choice(), namespace("/run/x"));
        for path in ["ns:/proc/self/ns/net", "ns:/proc/thread-self/ns/net"] {
            assert_eq!(of(&[path], &[]).choice(), namespace(&own));
        }
        let here = std::env::current_dir().unwrap().join("x");
        assert_eq!(
            of(&["ns:x"], &[]).choice(),
            namespace(here.to_str().unwrap())
        );
        let both = of(&["a", "b"], &[]);
        assert_eq!(both.choice(), Ok(Choice::Named(vec!["a", "b"])));
        for bad in [
            &["a", "none"][..],
            &["host", "a"],
            &["ns:/x", "ns:/y"],
            &["ns:"],
        ] {
            of(bad, &[]).choice().unwrap_err();
        }
        assert!(["none", "host", "ns:x"].into_iter().all(is_reserved));
        assert!(!["nat", "hosts", "ns"].into_iter().any(is_reserved));
    }

    #[test]
    fn names_and_addresses_are_read_and_put_into_the_document() {
        let mut networking = None;
        NetworkOptions::default().name(&mut networking);
        assert_eq!(networking, None);
        let options = NetworkOptions {
            aliases: vec![host_name("db").unwrap()],
            hosts: vec![
                entry("up:192.0.2.1").unwrap(),
                entry("six:[fd00::1]").unwrap(),
            ],
            servers: vec![IpAddr::from([192, 0, 2, 53])],
            domains: vec![
                host_name("a.example").unwrap(),
                host_name("b.example").unwrap(),
            ],
            ..NetworkOptions::default()
        };
        options.name(&mut networking);
        let document = serde_json::to_value(networking.unwrap()).unwrap();
        let entries = json!([{ "Name": "up", "Address": "192.0.2.1" }, { "Name": "six", "Address": "fd00::1" }]);
        let expected = json!({
            "Aliases": ["db"], "HostEntries": entries, "DnsServerList": ["192.0.2.53"],
            "DnsSearchList": "a.example,b.example",
        });
        assert_eq!(document, expected);
        for bad in [
            "up",
            "up:",
            ":192.0.2.1",
            "a b:192.0.2.1",
            "up:nowhere",
            "localhost:192.0.2.1",
        ] {
            assert!(entry(bad).is_err(), "{bad}");
        }
        for bad in [
            "",
            "00-15-5D-12-34",
            "00-15-5D-12-34-5G",
            "00155D123456",
            "00-15-5D-12-34-56-78",
        ] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }
}

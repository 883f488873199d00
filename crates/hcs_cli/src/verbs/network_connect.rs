//! `hcs network connect` and `disconnect`: networks of containers that run.

use std::net::IpAddr;

use clap::Args;
use hcs::{
    Failure, HResult,
    network::{self, ObjectKind},
};
use serde_json::{Value, json};

use crate::{
    clock::Clock,
    failure::Stop,
    networks::{self, find_or_make_within, find_within, on},
    options::{limit::Limit, network::NetworkOptions},
    output::printable,
    ports,
};

/// Put a container that runs into a network
///
/// It gets one more network card, which stays until the container ends, or is disconnected. Containers of the network
/// find it by its id.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs network connect back box
  hcs network connect --ip 10.20.0.7 back box")]
pub(super) struct Connect {
    /// The network, by its name or id; nat is made when it is first used
    network: String,

    /// The container
    #[arg(value_name = "ID")]
    id: String,

    /// The address in the network, of its subnet [default: the next that is free]
    #[arg(long, value_name = "ADDR")]
    ip: Option<IpAddr>,

    #[command(flatten)]
    limit: Limit,
}

impl Connect {
    pub(super) fn run(self) -> Result<(), Stop> {
        let clock = self.limit.begin("network connect");
        let system = clock.open(&self.id)?;
        let network = find_or_make_within(&self.network, clock);
        let network = network.map_err(|failure| clock.stop(&self.id, failure))?;
        let mut endpoint = NetworkOptions::further_endpoint(&network);
        if let Some(address) = self.ip {
            endpoint["IpConfigurations"] = json!([{ "IpAddress": address.to_string() }]);
        }
        let request = json!({
            "ResourcePath": "Container/Networking/Endpoints", "RequestType": "Add", "Settings": endpoint,
        });
        clock.wait(&self.id, system.modify(&request))
    }
}

/// Take a container that runs out of a network
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs network disconnect back box")]
pub(super) struct Disconnect {
    /// The network, by its name or id
    network: String,

    /// The container
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    limit: Limit,
}

impl Disconnect {
    pub(super) fn run(self) -> Result<(), Stop> {
        let clock = self.limit.begin("network disconnect");
        let system = clock.open(&self.id)?;
        let network = find_within(&self.network, clock);
        let network = network.map_err(|failure| clock.stop(&self.id, failure))?;
        let namespace = ports::namespace_of(&system, clock);
        let namespace = namespace.map_err(|failure| clock.stop(&self.id, failure))?;
        let endpoints = endpoints_of(&namespace, clock);
        let endpoints = endpoints.map_err(|failure| clock.stop(&self.id, failure))?;
        let of_network = |endpoint: &&Value| {
            let of = endpoint["HostComputeNetwork"].as_str();
            of.is_some_and(|of| of.eq_ignore_ascii_case(&network))
        };
        let mut ids = Vec::new();
        for endpoint in endpoints.iter().filter(of_network) {
            ids.extend(endpoint["ID"].as_str().map(str::to_owned));
        }
        if ids.is_empty() {
            let message = format!(
                "the container \"{}\" is not in the network {:?}; `hcs network list` shows all networks",
                printable(&self.id),
                self.network
            );
            return Err(Failure::new(HResult::HCN_E_ENDPOINT_NOT_FOUND, message).into());
        }
        for id in ids {
            let request = json!({
                "ResourcePath": "Container/Networking/NetworkAdapters", "RequestType": "Remove", "Settings": id,
            });
            clock.wait(&self.id, system.modify(&request))?;
        }
        Ok(())
    }
}

/// The documents of the endpoints in the namespace `wanted`.
fn endpoints_of(wanted: &str, clock: Clock) -> Result<Vec<Value>, Failure> {
    let query = networks::query(&Value::Null);
    let mut found = Vec::new();
    for id in on(clock, network::enumerate(ObjectKind::Endpoint, "")).wait()? {
        let asked = network::query(ObjectKind::Endpoint, &id, &query);
        let document: Value = match on(clock, asked).wait() {
            Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
            // It has ended meanwhile.
            Err(failure) if failure.hresult == HResult::HCN_E_ENDPOINT_NOT_FOUND => continue,
            Err(failure) => return Err(failure),
        };
        let namespace = document["HostComputeNamespace"].as_str();
        if namespace.is_some_and(|namespace| namespace.eq_ignore_ascii_case(wanted)) {
            found.push(document);
        }
    }
    Ok(found)
}

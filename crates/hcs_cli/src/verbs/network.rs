//! `hcs network`: the networks of the service.
//!
//! [`check`](super::network_check) has a file of its own, and so have [`connect` and
//! `disconnect`](super::network_connect).

use clap::{Args, Subcommand, ValueEnum};
use hcs::{
    Failure, HResult,
    network::{self, ObjectKind},
};
use serde_json::{Value, json};

use super::{
    network_check::Check,
    network_connect::{Connect, Disconnect},
};
use crate::{
    failure::Stop,
    networks::{self, LIMIT, find},
    options::network::is_reserved,
    output::{Format, FormatOption, JsonOption, print, print_json, printable, table},
};

/// Make, list and remove networks of containers and virtual machines
///
/// A container is in a network by hcs run --network NAME. Containers of one network reach each other by their names.
/// In a network of type nat they reach what this machine reaches, and -p lets ports of this machine lead to them. The
/// network nat is made when it is first used. Networks are those of a service of root: it makes a bridge of this
/// machine for each, and rules of nf_tables, and removes them with the network.
#[derive(Args, Debug)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs network create --subnet 10.20.0.0/24 web
  hcs run -d --network web -p 8080:80 -- httpd -f
  hcs network list
  hcs network inspect web
  hcs network connect web box
  hcs network remove web
  hcs network check"
)]
pub(crate) struct Network {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    List(List),
    Inspect(Inspect),
    Remove(Remove),
    Connect(Connect),
    Disconnect(Disconnect),
    Check(Check),
}

impl Network {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        match self.action {
            Action::Create(action) => action.run()?,
            Action::List(action) => action.run()?,
            Action::Inspect(action) => action.run()?,
            Action::Remove(action) => action.run()?,
            Action::Connect(action) => action.run()?,
            Action::Disconnect(action) => action.run()?,
            Action::Check(action) => return Ok(action.run()?),
        }
        Ok(0)
    }
}

/// What a network is.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Kind {
    /// Its containers reach what this machine reaches, under this machine's address
    #[default]
    Nat,
    /// Its containers reach each other and this machine
    Internal,
    /// Its containers reach each other only
    Private,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nat => "NAT",
            Self::Internal => "Internal",
            Self::Private => "Private",
        }
    }
}

/// Make a network, and print its id
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs network create web
  hcs network create --type internal --subnet 10.20.0.0/24 backend")]
struct Create {
    /// Its name
    name: String,

    /// What it is
    #[arg(long = "type", value_enum, default_value_t)]
    kind: Kind,

    /// The addresses of its containers [default: the first free /24]
    #[arg(long, value_name = "ADDR/BITS")]
    subnet: Option<String>,
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        if is_reserved(&self.name) {
            let message = format!(
                "a network cannot have the name {:?}, which --network of `hcs run` takes for something else (none, host, \
                 ns:PATH); expected another name",
                self.name
            );
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        let mut settings = json!({
            "SchemaVersion": { "Major": 2, "Minor": 0 },
            "Owner": "hcs",
            "Name": self.name,
            "Type": self.kind.name(),
        });
        if let Some(subnet) = self.subnet {
            settings["Ipams"] = json!([{ "Subnets": [{ "IpAddressPrefix": subnet }] }]);
        }
        let id = networks::create(&settings)?;
        print(&format!("{id}\n"))
    }
}

/// List networks
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  hcs network list
  hcs network list --json"
)]
struct List {
    #[command(flatten)]
    format: FormatOption,
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let ids = network::enumerate(ObjectKind::Network, "")
            .deadline(LIMIT)
            .wait()?;
        let mut documents = Vec::new();
        for id in ids {
            match document(&id) {
                Ok(document) => documents.push((id, document)),
                // Removed meanwhile.
                Err(failure) if failure.hresult == HResult::HCN_E_NETWORK_NOT_FOUND => {}
                Err(failure) => return Err(failure),
            }
        }
        documents.sort_by_key(|(_, document)| text(document, "Name"));
        if self.format.chosen() == Format::Json {
            let documents: Vec<_> = documents
                .into_iter()
                .map(|(_, document)| document)
                .collect();
            return print_json(&documents);
        }
        let mut rows = Vec::new();
        for (id, document) in documents {
            let endpoints = endpoints(&id)?.len().to_string();
            let kind = match text(&document, "Type") {
                // As defaults are left out of documents.
                kind if kind.is_empty() => "NAT".to_owned(),
                kind => kind,
            };
            rows.push([
                text(&document, "Name"),
                kind,
                subnets(&document),
                endpoints,
                id,
            ]);
        }
        print(&table(["NAME", "TYPE", "SUBNET", "ENDPOINTS", "ID"], &rows))
    }
}

/// Show the document of a network, of type HostComputeNetwork
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs network inspect nat")]
struct Inspect {
    /// Its name or id
    name: String,

    #[command(flatten)]
    _json: JsonOption,
}

impl Inspect {
    fn run(self) -> Result<(), Failure> {
        print_json(&document(&find(&self.name)?)?)
    }
}

/// Remove networks that no system is in
#[derive(Args, Debug)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  hcs network remove web backend"
)]
struct Remove {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

impl Remove {
    fn run(self) -> Result<(), Failure> {
        for name in &self.names {
            let id = find(name)?;
            let endpoints = endpoints(&id)?;
            if !endpoints.is_empty() {
                let message = format!(
                    "the network {name:?} still has {} of its endpoints; end the containers that are in it first: `hcs list` shows all",
                    endpoints.len()
                );
                return Err(Failure::new(HResult::HCN_E_ENTITY_HAS_REFERENCES, message));
            }
            // Another container may have come meanwhile.
            network::delete_unused_network(&id).deadline(LIMIT).wait()?;
            print(&format!("{}\n", printable(name)))?;
        }
        Ok(())
    }
}

/// The document of a network.
pub(super) fn document(id: &str) -> Result<Value, Failure> {
    let asked = network::query(ObjectKind::Network, id, &networks::query(&Value::Null));
    let text = asked.deadline(LIMIT).wait()?;
    serde_json::from_str(&text).map_err(|error| {
        let message =
            format!("the service sent a document of the network {id} that cannot be read");
        Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message).because(&error)
    })
}

/// The ids of the endpoints of a network.
fn endpoints(id: &str) -> Result<Vec<String>, Failure> {
    let query = networks::query(&json!({ "HostComputeNetwork": id }));
    network::enumerate(ObjectKind::Endpoint, &query)
        .deadline(LIMIT)
        .wait()
}

fn text(document: &Value, key: &str) -> String {
    document[key].as_str().unwrap_or_default().to_owned()
}

/// The subnets of a network, with spaces between them.
pub(super) fn subnets(document: &Value) -> String {
    let plans = document["Ipams"].as_array().into_iter().flatten();
    let subnets = plans.flat_map(|plan| plan["Subnets"].as_array().into_iter().flatten());
    let prefixes = subnets.filter_map(|subnet| subnet["IpAddressPrefix"].as_str());
    prefixes.collect::<Vec<_>>().join(" ")
}

//! `hcs network check`: reads what the host says of itself, and prints what is in the way. It changes nothing.

use std::{fs, process::Command};

use clap::Args;
use hcs::{Failure, HResult, network::ObjectKind};
use serde_json::{Value, json};

use super::network::{document, subnets};
use crate::{
    network_check::{Facts, Finding, Route, Subnet, check},
    networks::LIMIT,
    output::{Format, FormatOption, print, print_json},
};

/// Find what keeps packets of networks from passing, and the command that mends it
///
/// Looked at are firewalls (docker, ufw, firewalld and others) that drop what is forwarded, settings of interfaces, and
/// routes that lead where containers are. All are those of the network namespace that hcs runs in, and nothing is
/// changed. The exit code is 1 if something was found.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs network check
  hcs network check --json")]
pub(super) struct Check {
    #[command(flatten)]
    format: FormatOption,
}

impl Check {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let found = check(&facts()?);
        match self.format.chosen() {
            Format::Json => print_json(&json!({ "Findings": found })),
            Format::Table => print(&lines(&found)),
        }?;
        Ok(u8::from(!found.is_empty()))
    }
}

fn lines(found: &[Finding]) -> String {
    if found.is_empty() {
        return "nothing is in the way of networks\n".to_owned();
    }
    let line = |one: &Finding| format!("{}\n  {}\n", one.what, one.repair);
    found.iter().map(line).collect()
}

fn facts() -> Result<Facts, Failure> {
    let ids = hcs::network::enumerate(ObjectKind::Network, "")
        .deadline(LIMIT)
        .wait()?;
    let mut translated = Vec::new();
    for id in ids {
        let document = document(&id)?;
        // Defaults are left out of documents.
        let kind = document["Type"].as_str().unwrap_or("NAT");
        if matches!(kind, "NAT" | "ICS") {
            translated.extend(subnets(&document).split(' ').filter_map(Subnet::read));
        }
    }
    let routes = Route::read_all(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    let mut interfaces: Vec<String> = routes.iter().map(|route| route.interface.clone()).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let with = |setting: &'static str, value: &'static str| {
        let found = interfaces
            .iter()
            .filter(move |name| conf(name, setting).as_deref() == Some(value));
        found.cloned().collect::<Vec<_>>()
    };
    // The stricter of both holds, and 2 is the more lenient.
    let strict = match conf("all", "rp_filter").as_deref() {
        Some("2") => Vec::new(),
        Some("1") => {
            let lenient = with("rp_filter", "2");
            interfaces
                .iter()
                .filter(|name| !lenient.contains(name))
                .cloned()
                .collect()
        }
        _ => with("rp_filter", "1"),
    };
    let older = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    let (rules, refused) = match rules() {
        Ok(rules) => (Some(rules), None),
        Err(refused) => (None, refused),
    };
    Ok(Facts {
        rules,
        refused,
        has_older_tables: older.lines().any(|table| table == "filter"),
        filters_bridges: setting("net/bridge/bridge-nf-call-iptables").as_deref() == Some("1"),
        not_forwarding: with("forwarding", "0"),
        strict,
        routes,
        translated,
        not_made: not_made(),
    })
}

/// Why the service could not make the network nat, when it tried last.
fn not_made() -> Option<String> {
    let asked = hcs::network::open_default().deadline(LIMIT).wait();
    let refused = asked
        .err()
        .filter(|failure| failure.hresult == HResult::HCN_E_REQUEST_UNSUPPORTED);
    refused.map(|failure| failure.message.to_string())
}

fn conf(interface: &str, name: &str) -> Option<String> {
    setting(&format!("net/ipv4/conf/{interface}/{name}"))
}

fn setting(path: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{path}")).ok()?;
    Some(text.trim().to_owned())
}

/// The rules of all tables, as the program `nft` lists them. What it says instead, where it can be run.
fn rules() -> Result<Value, Option<String>> {
    // The search path of a user need not lead to programs of the administrator.
    let listed = ["nft", "/usr/sbin/nft"].into_iter().find_map(|program| {
        let listing = Command::new(program)
            .args(["-j", "list", "ruleset"])
            .output();
        listing.ok()
    });
    let listed = listed.ok_or(None)?;
    if !listed.status.success() {
        let said = String::from_utf8_lossy(&listed.stderr);
        let first = said.lines().next().unwrap_or_default();
        return Err(Some(format!("{first} ({})", listed.status)));
    }
    serde_json::from_slice(&listed.stdout).map_err(|e| Some(format!("its list is no JSON: {e}")))
}

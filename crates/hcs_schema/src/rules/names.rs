//! Rules of the documents about names of hosts: what may stand in `/etc/hosts` and `/etc/resolv.conf`.
//!
//! Whatever is written there is read by every program of a container, line by line. So a name has letters, digits,
//! dots, hyphens and underscores only, and is neither an address nor one of the names that mean the machine itself.

use std::net::IpAddr;

use crate::{
    documents::{HostEntry, Networking},
    fault::{Faults, Path, quote},
    rules::required,
};

/// The longest name, and the longest part of one between two dots, in bytes.
const MOST_NAME: usize = 253;
const MOST_LABEL: usize = 63;

/// How many aliases, entries, servers and domains a document may have.
const MOST_ALIASES: usize = 32;
const MOST_ENTRIES: usize = 128;
const MOST_SERVERS: usize = 8;
const MOST_DOMAINS: usize = 32;

/// What a name has to be, for sentences.
const EXPECTED: &str =
    "a name of letters, digits, hyphens and underscores, with dots between its parts";

/// Whether other containers may find a container by this name.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty()
            && label.len() <= MOST_LABEL
            && !label.starts_with('-')
            && label.bytes().all(known)
    };
    let own = name.to_ascii_lowercase();
    // Libraries read other spellings of addresses, too, such as 127.1 and 0x7f.1.
    let last = own.rsplit('.').next().unwrap_or_default();
    let may_be_address = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= MOST_NAME
        && name.split('.').all(is_label)
        && !means_itself(name)
        && !may_be_address
}

/// Whether a name means the machine that a program runs on, or its link, in the files of names of most systems.
#[must_use]
pub fn means_itself(name: &str) -> bool {
    let own = name.to_ascii_lowercase();
    // A dot behind the last part says that nothing is searched for.
    let own = own.strip_suffix('.').unwrap_or(&own);
    // Systems spell it localhost.localdomain, localhost4 and localhost6, too.
    let first = own.split('.').next().unwrap_or_default();
    matches!(first, "localhost" | "localhost4" | "localhost6")
        || own.ends_with(".localhost")
        || own.starts_with("ip6-")
}

/// The domains of a list that commas separate.
pub fn domains(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|domain| !domain.is_empty())
}

/// Names that can be written down, and no more than there is room for.
pub(crate) fn networking(document: &Networking, path: &Path<'_>, faults: &mut Faults) {
    if document.namespace.is_some() {
        required(document.namespace.as_deref(), "Namespace", path, faults);
    }
    let aliases = document.aliases.as_deref().unwrap_or_default();
    at_most(aliases.len(), MOST_ALIASES, &path.key("Aliases"), faults);
    for (at, alias) in aliases.iter().enumerate() {
        host_name(alias, &path.key("Aliases").index(at), faults);
    }
    let entries = document.host_entries.as_ref().map_or(0, Vec::len);
    at_most(entries, MOST_ENTRIES, &path.key("HostEntries"), faults);
    let servers = document.dns_server_list.as_deref().unwrap_or_default();
    at_most(
        servers.len(),
        MOST_SERVERS,
        &path.key("DnsServerList"),
        faults,
    );
    for (at, server) in servers.iter().enumerate() {
        address(server, &path.key("DnsServerList").index(at), faults);
    }
    let searched: Vec<&str> = document
        .dns_search_list
        .as_deref()
        .map_or_else(Vec::new, |list| domains(list).collect());
    let path = path.key("DnsSearchList");
    at_most(searched.len(), MOST_DOMAINS, &path, faults);
    for domain in searched {
        host_name(domain, &path, faults);
    }
}

/// A name, and an address for it.
pub(crate) fn host_entry(document: &HostEntry, path: &Path<'_>, faults: &mut Faults) {
    match &document.name {
        Some(name) => host_name(name, &path.key("Name"), faults),
        None => faults.missing(path, "Name"),
    }
    match &document.address {
        Some(given) => address(given, &path.key("Address"), faults),
        None => faults.missing(path, "Address"),
    }
}

fn host_name(name: &str, path: &Path<'_>, faults: &mut Faults) {
    if is_host_name(name) {
        return;
    }
    let (why, expected) = match means_itself(name) {
        true => (
            "means the machine itself, and cannot be the name of another host",
            "another name",
        ),
        false => ("cannot be the name of a host", EXPECTED),
    };
    faults.rule(path, format!("{} {why}", quote(name)), expected);
}

fn address(text: &str, path: &Path<'_>, faults: &mut Faults) {
    if text.parse::<IpAddr>().is_err() {
        let message = format!("{} is no address", quote(text));
        faults.rule(path, message, "an address such as 192.0.2.1 or 2001:db8::1");
    }
}

fn at_most(count: usize, most: usize, path: &Path<'_>, faults: &mut Faults) {
    if count > most {
        faults.rule(
            path,
            format!("it has {count} entries"),
            format!("at most {most}"),
        );
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{documents::ComputeSystem, parse};

    #[test]
    fn names_are_those_that_no_program_takes_for_something_else() {
        for good in [
            "web",
            "Web-1",
            "db.example.com",
            "a_b",
            "1password.com",
            "x1",
            "0xg.com",
            "localhosts.example",
        ] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a b",
            "a\nb",
            "a\tb",
            "a#b",
            "é",
            "10.0.0.1",
            "127.1",
            "1",
            "0x7f",
            "a.0x1",
            "::1",
            "localhost",
            "LOCALHOST",
            "x.localhost",
            "localhost.localdomain",
            "Localhost6.localdomain6",
            "localhost4",
            "ip6-allnodes",
            "a/b",
            &long,
            &"a.".repeat(130),
        ] {
            assert!(!is_host_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_of_the_machine_itself_are_told_from_others() {
        for itself in [
            "localhost",
            "LocalHost.",
            "a.b.localhost",
            "localhost4.x",
            "ip6-loopback",
        ] {
            assert!(means_itself(itself), "{itself}");
        }
        for other in ["", "web", "localhosts", "local.host", "a.localhost.example"] {
            assert!(!means_itself(other), "{other}");
        }
        let document = json!({
            "Owner": "test", "SchemaVersion": { "Major": 2, "Minor": 1 },
            "Container": { "Networking": { "Aliases": ["localhost"] } },
        });
        let failure = parse::<ComputeSystem>(&document.to_string()).unwrap_err();
        let cause = &failure.causes[0];
        assert!(
            cause
                .message
                .contains("\"localhost\" means the machine itself"),
            "{cause:?}"
        );
    }

    fn faults(networking: &Value) -> Vec<String> {
        let document = json!({
            "Owner": "test", "SchemaVersion": { "Major": 2, "Minor": 1 }, "Container": { "Networking": networking },
        });
        let Err(failure) = parse::<ComputeSystem>(&document.to_string()) else {
            return Vec::new();
        };
        let pointers = failure.causes.into_iter().filter_map(|cause| cause.pointer);
        pointers
            .map(|pointer| pointer.replace("/Container/Networking/", ""))
            .collect()
    }

    #[test]
    fn faults_are_told_by_their_places() {
        let fine = json!({
            "Aliases": ["db", "db.local"], "DnsSearchList": "a.example, b.example",
            "HostEntries": [{ "Name": "up", "Address": "fd00::1" }], "DnsServerList": ["192.0.2.1"],
        });
        assert_eq!(faults(&fine), [""; 0]);
        assert_eq!(
            faults(&json!({ "Aliases": ["fine", "a b"] })),
            ["Aliases/1"]
        );
        assert_eq!(faults(&json!({ "Aliases": vec!["a"; 33] })), ["Aliases"]);
        assert_eq!(
            faults(&json!({ "DnsSearchList": "a,b c" })),
            ["DnsSearchList"]
        );
        assert_eq!(
            faults(&json!({ "DnsServerList": ["ns.example"] })),
            ["DnsServerList/0"]
        );
        let entries = json!([{ "Name": "x", "Address": "y" }, { "Address": "192.0.2.1" }]);
        let told = faults(&json!({ "HostEntries": entries }));
        assert_eq!(told[0], "HostEntries/0/Address");
        assert!(told[1].starts_with("HostEntries/1"), "{told:?}");
    }
}

//! Sockets between programs of the host and of a guest: `Devices/HvSocket` of its document. Pure.
//!
//! 1. [`Rules`]: which ports of vsock may be used in which direction.
//! 2. [`port`]: a service's GUID is a port of vsock.
//! 3. `admits`: a security descriptor, for the one user of the host whom there is to admit.
//!
//! A machine has a folder ([`FOLDER`]) in its directory. Programs of the host connect to [`SOCKET`] in it, say `CONNECT PORT`
//! and read `OK PORT`; those that listen make the socket `vsock_PORT`. So a user of the host is who may use that folder: the
//! service's own, who is what SYSTEM and administrators are to Windows. Other users whom a descriptor admits have no access
//! to the folder; a descriptor that does not admit administrators closes a port.

use std::collections::BTreeMap;

use hcs_schema::documents::{HvSocketServiceConfig, VirtualMachine};
use serde::{Deserialize, Serialize};

use crate::disk::Wrong;

/// Name of the folder of sockets in a machine's directory.
pub(crate) const FOLDER: &str = "hvsocket";
/// Name of the socket that programs connect to; those that they listen on begin with it.
pub(crate) const SOCKET: &str = "vsock";

/// JSON pointer of the rules.
const CONFIG: &str = "/VirtualMachine/Devices/HvSocket/HvSocketConfig";

/// How the GUID of a port ends, which comes before it as eight digits.
const SERVICES: &str = "-facb-11e6-bd58-64006a7986d3";

/// The most services with rules of their own.
const MOST_SERVICES: usize = 1024;
/// The most entries of a security descriptor that are looked at.
const MOST_ENTRIES: usize = 256;

/// How SDDL writes those who are one on the host with the owner of the folder: SYSTEM, administrators, the first of them,
/// and all users, authenticated or interactive ones as well.
const OWNERS: [&str; 14] = [
    "SY",
    "BA",
    "LA",
    "WD",
    "AU",
    "IU",
    "OW",
    "S-1-5-18",
    "S-1-5-32-544",
    "S-1-1-0",
    "S-1-5-11",
    "S-1-5-4",
    "S-1-3-4",
    "CO",
];

/// What may be done with one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    /// A program of the host may listen, and the guest connect to it.
    pub(crate) bind: bool,
    /// A program of the host may connect to the guest.
    pub(crate) connect: bool,
}

/// What a document says of one port; what it leaves out is as for all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    bind: Option<bool>,
    connect: Option<bool>,
    disabled: bool,
}

/// What may be done with which port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// For ports without rules of their own.
    default: Rule,
    services: BTreeMap<u32, Service>,
}

impl Rules {
    /// Those of `machine`; none without the device.
    ///
    /// # Errors
    /// A value is wrong.
    pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Self>, Wrong> {
        let devices = machine.devices.as_ref();
        let Some(device) = devices.and_then(|devices| devices.hv_socket.as_ref()) else {
            return Ok(None);
        };
        let config = device.hv_socket_config.clone().unwrap_or_default();
        let read = |text: Option<&String>, name: &str| {
            let read = text.map(|text| admits(text)).transpose();
            read.map_err(|why| (format!("{CONFIG}/{name}"), why))
        };
        let (bind, connect) = (
            read(
                config.default_bind_security_descriptor.as_ref(),
                "DefaultBindSecurityDescriptor",
            )?,
            read(
                config.default_connect_security_descriptor.as_ref(),
                "DefaultConnectSecurityDescriptor",
            )?,
        );
        let mut rules = Self {
            default: Rule {
                bind: bind.unwrap_or(true),
                connect: connect.unwrap_or(true),
            },
            services: BTreeMap::new(),
        };
        for (guid, config) in config.service_table.iter().flatten() {
            let pointer = format!("{CONFIG}/ServiceTable/{guid}");
            let service = Service::read(config).map_err(|(at, why)| (pointer.clone() + at, why))?;
            if let Some(port) = port(guid).map_err(|why| (pointer.clone(), why))? {
                rules
                    .set(port, Some(service))
                    .map_err(|why| (pointer, why))?;
            }
        }
        Ok(Some(rules))
    }

    /// Gives a port rules of its own, or takes them.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn set(&mut self, port: u32, service: Option<Service>) -> Result<(), String> {
        match service {
            Some(_)
                if self.services.len() >= MOST_SERVICES && !self.services.contains_key(&port) =>
            {
                return Err(format!(
                    "there are too many services: {MOST_SERVICES} can have rules of their own"
                ));
            }
            Some(service) => drop(self.services.insert(port, service)),
            None => drop(self.services.remove(&port)),
        }
        Ok(())
    }

    /// What may be done with a port.
    pub(crate) fn of(&self, port: u32) -> Rule {
        let service = self.services.get(&port).copied().unwrap_or_default();
        Rule {
            bind: !service.disabled && service.bind.unwrap_or(self.default.bind),
            connect: !service.disabled && service.connect.unwrap_or(self.default.connect),
        }
    }
}

impl Service {
    /// What a document says.
    ///
    /// # Errors
    /// A value is wrong: the pointer below that of the service, and the reason.
    pub(crate) fn read(config: &HvSocketServiceConfig) -> Result<Self, (&'static str, String)> {
        let read = |text: Option<&String>, pointer: &'static str| {
            let read = text.map(|text| admits(text)).transpose();
            read.map_err(|why| (pointer, why))
        };
        Ok(Self {
            bind: read(
                config.bind_security_descriptor.as_ref(),
                "/BindSecurityDescriptor",
            )?,
            connect: read(
                config.connect_security_descriptor.as_ref(),
                "/ConnectSecurityDescriptor",
            )?,
            disabled: config.disabled == Some(true),
        })
    }
}

/// The port of vsock that a service's GUID stands for. Others are none that a Linux guest could use: rules about them are
/// kept by themselves.
///
/// # Errors
/// It is no GUID.
pub(crate) fn port(guid: &str) -> Result<Option<u32>, String> {
    let guid = guid.to_ascii_lowercase();
    let bare = guid
        .strip_prefix('{')
        .and_then(|guid| guid.strip_suffix('}'))
        .unwrap_or(&guid);
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = bare.split('-').collect();
    let is_guid = parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
    if !is_guid {
        return Err(format!(
            "{guid:?} is no GUID of a service; that of the vsock port 80 is 00000050{SERVICES}"
        ));
    }
    let digits = bare.strip_suffix(SERVICES);
    Ok(digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()))
}

/// Whether a security descriptor admits the owner of the folder. As on Windows the first entry about a user counts, none is
/// a refusal, and without a list (`D:` is missing) all are admitted.
fn admits(sddl: &str) -> Result<bool, String> {
    let is_none = || {
        format!(
            "{sddl:?} is no security descriptor; \"D:P(A;;FA;;;SY)(A;;FA;;;BA)\" admits SYSTEM and administrators"
        )
    };
    let Some((_, list)) = sddl.split_once("D:") else {
        let is_other = ["O:", "G:", "S:"].iter().any(|it| sddl.starts_with(it));
        return match sddl.is_empty() || is_other {
            true => Ok(true),
            false => Err(is_none()),
        };
    };
    // What is to be written down of accesses comes behind.
    let list = list.split_once("S:").map_or(list, |(list, _)| list);
    if list.starts_with("NO_ACCESS_CONTROL") {
        return Ok(true);
    }
    let flags = list.find('(').unwrap_or(list.len());
    if !list[..flags].chars().all(|c| c.is_ascii_uppercase()) {
        return Err(is_none());
    }
    let mut rest = &list[flags..];
    for _ in 0..MOST_ENTRIES {
        if rest.is_empty() {
            return Ok(false);
        }
        let (entry, behind) = rest
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(is_none)?;
        let fields: Vec<&str> = entry.split(';').collect();
        match fields.as_slice() {
            [kind @ ("A" | "D"), _, _, _, _, user] if OWNERS.contains(user) => {
                return Ok(*kind == "A");
            }
            [_, _, _, _, _, _, ..] => {}
            _ => return Err(is_none()),
        }
        rest = behind;
    }
    Err(format!(
        "the security descriptor has more than {MOST_ENTRIES} entries"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn rules(config: &Value) -> Result<Option<Rules>, Wrong> {
        let machine =
            json!({"VirtualMachine": {"Devices": {"HvSocket": {"HvSocketConfig": config}}}});
        let document: hcs_schema::documents::ComputeSystem =
            hcs_schema::parse(&machine.to_string()).unwrap();
        Rules::of_machine(&document.virtual_machine.unwrap())
    }

    #[test]
    fn a_service_has_the_rules_of_its_entry_and_else_those_of_all() {
        let rules = rules(&json!({
            "DefaultBindSecurityDescriptor": "D:P(A;;FA;;;SY)(A;;FA;;;BA)",
            "DefaultConnectSecurityDescriptor": "D:P",
            "ServiceTable": {
                "00000050-FACB-11E6-BD58-64006A7986D3": {"ConnectSecurityDescriptor": "D:(A;;GA;;;WD)"},
                "{00000051-facb-11e6-bd58-64006a7986d3}": {"Disabled": true},
                "0b52781f-b24d-5685-ddf6-69830ed40ec3": {"Disabled": true},
            },
        }));
        let rules = rules.unwrap().unwrap();
        let rule = |bind, connect| Rule { bind, connect };
        assert_eq!(rules.of(79), rule(true, false));
        assert_eq!(rules.of(0x50), rule(true, true));
        assert_eq!(rules.of(0x51), rule(false, false));
        let all = Rules::of_machine(&VirtualMachine::default()).unwrap();
        assert_eq!(all, None);
    }

    #[test]
    fn services_are_ports() {
        let port = |guid: &str| port(guid).unwrap();
        assert_eq!(port("40000000-facb-11e6-bd58-64006a7986d3"), Some(1 << 30));
        assert_eq!(
            port("{FFFFFFFF-facb-11e6-bd58-64006a7986d3}"),
            Some(u32::MAX)
        );
        assert_eq!(port("0b52781f-b24d-5685-ddf6-69830ed40ec3"), None);
        for none in ["", "80", "+0000050-facb-11e6-bd58-64006a7986d3"] {
            assert!(super::port(none).is_err(), "{none}");
        }
    }

    #[test]
    fn a_descriptor_admits_the_owner_or_closes() {
        for (sddl, admitted) in [
            ("", true),
            ("O:BAG:BA", true),
            ("D:NO_ACCESS_CONTROL", true),
            ("D:", false),
            ("D:P", false),
            ("O:BAG:SYD:PAI(A;;FA;;;BA)S:(AU;FA;GA;;;WD)", true),
            ("D:P(D;;FA;;;WD)(A;;FA;;;SY)", false),
            ("D:(A;;FA;;;S-1-5-21-1-2-3-1001)", false),
            ("D:(A;;FA;;;S-1-5-21-1-2-3-1001)(A;;FA;;;S-1-5-18)", true),
            ("D:(D;;FA;;;NU)(A;;FA;;;SY)", true),
        ] {
            assert_eq!(admits(sddl), Ok(admitted), "{sddl}");
        }
        for none in [
            "nonsense",
            "D:(A;;FA;;;SY",
            "D:(A;;SY)",
            "D:p(A;;FA;;;SY)",
            "D:(A;;FA;;;SY)x",
        ] {
            let answer = admits(none);
            assert!(answer.is_err() || none.ends_with('x'), "{none}: {answer:?}");
        }
        let long = format!("D:{}", "(A;;FA;;;NU)".repeat(MOST_ENTRIES + 1));
        assert!(admits(&long).is_err());
    }

    #[test]
    fn what_is_wrong_is_told_by_pointer() {
        let pointer = |config: Value| rules(&config).unwrap_err().0;
        let wrong = json!("nonsense");
        let name = "DefaultBindSecurityDescriptor";
        assert_eq!(pointer(json!({name: wrong})), format!("{CONFIG}/{name}"));
        let table = |guid: &str, service: Value| json!({"ServiceTable": {guid: service}});
        assert_eq!(
            pointer(table("80", json!({}))),
            format!("{CONFIG}/ServiceTable/80")
        );
        let guid = format!("00000050{SERVICES}");
        let service = json!({"ConnectSecurityDescriptor": wrong});
        let expected = format!("{CONFIG}/ServiceTable/{guid}/ConnectSecurityDescriptor");
        assert_eq!(pointer(table(&guid, service)), expected);
    }

    proptest! {
        #[test]
        fn any_descriptor_is_survived(text in "[OGDS:P();A-Z0-9äx-]{0,60}") {
            let _any = (admits(&text), port(&text));
        }
    }
}

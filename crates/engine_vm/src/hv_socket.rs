//! Sockets between programs of the host and of a guest: `Devices/HvSocket` of its document. Pure.
//!
//! 1. [`Rules`]: which ports of vsock may be used in which direction.
//! 2. [`port`]: a service's GUID is a port of vsock.
//! 3. `admits`: a security descriptor, for the one user of the host whom there is to admit.
//!
//! A machine has a folder ([`FOLDER`]) in its directory. Programs of the host connect to [`SOCKET`] in it, say
//! `CONNECT PORT` and read `OK PORT`; those that listen make the socket `vsock_PORT`. So a user of the host is who may
//! use that folder: the service's own, who is what SYSTEM and administrators are to Windows. Other users whom a
//! descriptor admits have no access to the folder; a descriptor that does not admit administrators closes a port.

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

/// The most services with rules of their own: with the most disks they fit into one message to the worker.
pub(crate) const MOST_SERVICES: usize = 256;
/// The most entries of a security descriptor that are looked at.
const MOST_ENTRIES: usize = 256;

/// How SDDL writes those who are one on the host with the owner of the folder: SYSTEM, administrators, the first of
/// them, and all users, authenticated or interactive ones as well.
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

/// Flags of a list: protected, and how it is inherited; the last one means that there is none.
const LIST_FLAGS: [&str; 4] = ["P", "AI", "AR", NO_LIST];
const NO_LIST: &str = "NO_ACCESS_CONTROL";

/// Flags of an entry; the first one means that it is only for objects made below.
const ENTRY_FLAGS: [&str; 9] = [INHERIT_ONLY, "CI", "OI", "NP", "ID", "SA", "FA", "TP", "CR"];
const INHERIT_ONLY: &str = "IO";

/// Rights by their names in SDDL: generic ones, those of files, those of any object, and those of the object's own
/// kind.
const RIGHTS: [(&str, u32); 21] = [
    ("GA", 1 << 28),
    ("GX", 1 << 29),
    ("GW", 1 << 30),
    ("GR", 1 << 31),
    ("FA", 0x001f_01ff),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00a0),
    ("SD", 1 << 16),
    ("RC", 1 << 17),
    ("WD", 1 << 18),
    ("WO", 1 << 19),
    ("CC", 1),
    ("DC", 1 << 1),
    ("LC", 1 << 2),
    ("SW", 1 << 3),
    ("RP", 1 << 4),
    ("WP", 1 << 5),
    ("DT", 1 << 6),
    ("LO", 1 << 7),
    ("CR", 1 << 8),
];

/// Rights to use an object: generic ones, and those of its own kind.
const TO_USE: u32 = 0xf000_ffff;

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
                if rules.services.contains_key(&port) {
                    let message =
                        "another service of the document has the same GUID in other letters";
                    return Err((pointer, message.to_owned()));
                }
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

/// The port of vsock that a service's GUID stands for. Others are none that a Linux guest could use: rules about them
/// are kept by themselves.
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

/// Whether a security descriptor admits the owner of the folder. As on Windows the first entry about a user counts,
/// none is a refusal, and without a list (`D:` is missing) all are admitted. All of the list is read before.
fn admits(sddl: &str) -> Result<bool, String> {
    let is_none = || {
        format!(
            "{sddl:?} is no security descriptor; \"D:P(A;;FA;;;SY)(A;;FA;;;BA)\" admits SYSTEM and administrators"
        )
    };
    let (head, list) = match sddl.split_once("D:") {
        Some((head, list)) => (head, Some(list)),
        None => (sddl, None),
    };
    let begins = ["O:", "G:", "S:"].iter().any(|it| head.starts_with(it));
    if !head.is_empty() && !begins {
        return Err(is_none());
    }
    let Some(mut rest) = list else {
        return Ok(true);
    };
    let mut is_open = false;
    while let Some((flag, behind)) = LIST_FLAGS
        .iter()
        .find_map(|flag| Some((*flag, rest.strip_prefix(flag)?)))
    {
        is_open |= flag == NO_LIST;
        rest = behind;
    }
    let mut decided = None;
    let mut entries = 0;
    while let Some(entry) = rest.strip_prefix('(') {
        let (entry, behind) = entry.split_once(')').ok_or_else(is_none)?;
        let said = about_owner(entry).map_err(|why| why.unwrap_or_else(is_none))?;
        decided = decided.or(said);
        rest = behind;
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(format!(
                "the security descriptor has more than {MOST_ENTRIES} entries"
            ));
        }
    }
    // What is to be written down of accesses comes behind.
    if !rest.is_empty() && !rest.starts_with("S:") {
        return Err(is_none());
    }
    Ok(is_open || decided.unwrap_or(false))
}

/// Whether an entry admits the owner of the folder or refuses it; none for one that is not about that.
///
/// # Errors
/// It is no entry (none), or of a kind that is not supported.
fn about_owner(entry: &str) -> Result<Option<bool>, Option<String>> {
    let fields: Vec<&str> = entry.split(';').collect();
    let [kind, flags, rights, object, inherited, user, more @ ..] = fields.as_slice() else {
        return Err(None);
    };
    if !OWNERS.contains(user) {
        return Ok(None);
    }
    let is_plain = [object, inherited].iter().all(|field| field.is_empty()) && more.is_empty();
    if !matches!(*kind, "A" | "D") || !is_plain {
        return Err(Some(format!(
            "the entry ({entry}) is not supported: only those of the kinds \"A\" and \"D\" are, without objects and conditions"
        )));
    }
    let flags = pairs(flags).ok_or(None)?;
    if !flags.iter().all(|flag| ENTRY_FLAGS.contains(flag)) {
        return Err(None);
    }
    let mask = mask(rights).ok_or(None)?;
    // An entry that is only for objects made below, or about other rights, does not count.
    let counts = !flags.contains(&INHERIT_ONLY) && mask & TO_USE != 0;
    Ok(counts.then_some(*kind == "A"))
}

/// The bits of an entry's rights.
fn mask(rights: &str) -> Option<u32> {
    if let Some(digits) = rights.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    let bit = |name: &str| RIGHTS.iter().find(|(known, _)| *known == name);
    pairs(rights)?
        .into_iter()
        .try_fold(0, |mask, name| Some(mask | bit(name)?.1))
}

/// A text in pieces of two letters.
fn pairs(text: &str) -> Option<Vec<&str>> {
    let is_whole = text.is_ascii() && text.len().is_multiple_of(2);
    is_whole.then(|| {
        (0..text.len())
            .step_by(2)
            .map(|at| &text[at..at + 2])
            .collect()
    })
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
            ("D:(XA;;FA;;;NU)(A;;GR;;;SY)", true),
            ("D:(A;IO;FA;;;SY)", false),
            ("D:(A;OICIIO;FA;;;SY)(A;CI;GX;;;SY)", true),
            ("D:(A;;RCWD;;;SY)", false),
            ("D:(D;;WD;;;SY)(A;;0x10000000;;;BA)", true),
            ("D:(A;;0x20000;;;SY)", false),
            ("D:(A;;;;;SY)", false),
        ] {
            assert_eq!(admits(sddl), Ok(admitted), "{sddl}");
        }
        for none in [
            "nonsense",
            "D:(A;;FA;;;SY",
            "D:(A;;SY)",
            "D:p(A;;FA;;;SY)",
            "D:(A;;FA;;;SY)x",
            "D:(A;;FA;;;SY)(",
            "D:(A;;FA;;;SY)(A;;SY)",
            "xD:(A;;FA;;;SY)",
            "D:NO_ACCESS_CONTROLx",
            "D:(A;;XX;;;SY)",
            "D:(A;;0xg;;;SY)",
            "D:(A;I;FA;;;SY)",
            "D:(A;;FA;;;SY)(OA;;FA;;;BA)",
            "D:(A;;FA;;;SY)(XD;;FA;;;WD;(x))",
            "D:(D;;FA;;;SY;x)",
        ] {
            let answer = admits(none);
            assert!(answer.is_err(), "{none}: {answer:?}");
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
        let twice = json!({"ServiceTable": {format!("{{{guid}}}"): {}, guid: {}}});
        let twice = pointer(twice);
        assert!(twice.contains(SERVICES), "{twice}");
    }

    proptest! {
        #[test]
        fn any_descriptor_is_survived(text in "[OGDS:P();A-Z0-9äx-]{0,60}") {
            let _any = (admits(&text), port(&text));
        }
    }
}

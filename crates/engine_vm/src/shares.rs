//! Directories of the host that a guest sees by 9P: `Devices/Plan9` of its document. Pure.
//!
//! A guest dials the port of a share (`vsock(7)`) and names it by its `AccessName`. Several may have one port.

use engine_container::shared::Identity;
use hcs_schema::documents::{Plan9Share, VirtualMachine};
use hcs_wire::guest::{BRIDGE_PORT, LEFT_PORT};
use serde::{Deserialize, Serialize};

use crate::{disk::Wrong, protocol::STDIO_PORTS};

/// JSON pointer of the shares.
const SHARES: &str = "/VirtualMachine/Devices/Plan9/Shares";

/// The most shares of one machine.
pub(crate) const MOST: usize = 64;
/// The most connections for them at one time: each mount keeps one, and some guests look at a share before.
pub(crate) const MOST_CONNECTIONS: usize = MOST + 16;
/// The most files that one share names.
const MOST_FILES: usize = 64;
/// The longest name and path, in bytes.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;

/// Bits of `Flags` that are carried out: the guest only reads, and it sees only the files that are named. The files are
/// seen as Linux has them, by their exact names, on any number of connections, whether that is asked for or not.
const READ_ONLY: u32 = 1;
const ALLOWED_ONLY: u32 = 128;
const AS_IT_IS: u32 = 4 | 8 | 256;

/// Bits of `Flags` that change what is shared, and why they are refused.
const REFUSED: [(u32, &str); 4] = [
    (2, "no document says what it means"),
    (16, "the files belong to the user who asked for the machine"),
    (32, "a share has no options in the name that a guest gives"),
    (64, "a guest names a whole share, not a directory below it"),
];

/// A directory that is shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// By which it is removed.
    pub(crate) name: String,
    /// By which the guest mounts it.
    pub(crate) access_name: String,
    /// The directory.
    pub(crate) path: String,
    /// The port that the guest dials.
    pub(crate) port: u32,
    /// Whether the guest can only read.
    pub(crate) read_only: bool,
    /// The only entries of the directory that the guest sees, by their names; none where it sees all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) only: Option<Vec<String>>,
    /// What the service found at the path. The process that serves it cannot see the marks of containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<Identity>,
}

/// A user of the host, whose rights a guest has to what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

impl Share {
    /// Reads one.
    ///
    /// # Errors
    /// A value is missing or wrong; the pointer is that inside of the share.
    pub(crate) fn read(share: &Plan9Share) -> Result<Self, Wrong> {
        let name = name(share)?;
        let access_name = match share.access_name.as_deref() {
            None | Some("") => name.clone(),
            Some(long) if long.len() > LONGEST_NAME => {
                return Err(wrong("/AccessName", too_long(long, LONGEST_NAME)));
            }
            Some(name) => name.to_owned(),
        };
        let path = share.path.clone().unwrap_or_default();
        if !path.starts_with('/') {
            let message = format!("{path:?} is no absolute path of a directory, as /srv/data is");
            return Err(wrong("/Path", message));
        }
        if path.len() > LONGEST_PATH {
            return Err(wrong("/Path", too_long(&path, LONGEST_PATH)));
        }
        let port = port(share.port.unwrap_or_default())?;
        let flags = flags(share.flags.unwrap_or_default())?;
        Ok(Self {
            name,
            access_name,
            path,
            port,
            read_only: flags & READ_ONLY != 0,
            only: allowed(share, flags)?,
            seen: None,
        })
    }
}

/// The only files that a guest is to see.
fn allowed(share: &Plan9Share, flags: u32) -> Result<Option<Vec<String>>, Wrong> {
    let refused = |why: String| Err(wrong("/AllowedFiles", why));
    let names = share.allowed_files.clone().unwrap_or_default();
    if flags & ALLOWED_ONLY == 0 {
        return match names.is_empty() {
            true => Ok(None),
            false => refused(format!(
                "they count with the flag {ALLOWED_ONLY} alone, and without it all files are shared: add it to \"Flags\""
            )),
        };
    }
    if !(1..=MOST_FILES).contains(&names.len()) {
        return refused(format!(
            "{} are named; a share with the flag {ALLOWED_ONLY} has 1 to {MOST_FILES}",
            names.len()
        ));
    }
    let is_name = |name: &String| {
        let special = matches!(name.as_str(), "" | "." | "..");
        !special && name.len() <= LONGEST_NAME && !name.contains(['/', '\0'])
    };
    match names.iter().find(|name| !is_name(name)) {
        Some(path) => refused(format!(
            "{path:?} is no name of a file in the directory: a path is none"
        )),
        None => Ok(Some(names)),
    }
}

/// The name of a share.
///
/// # Errors
/// It is missing or too long.
pub(crate) fn name(share: &Plan9Share) -> Result<String, Wrong> {
    match share.name.as_deref().unwrap_or_default() {
        "" => Err(wrong(
            "/Name",
            "a share needs a name, by which it is removed".to_owned(),
        )),
        long if long.len() > LONGEST_NAME => Err(wrong("/Name", too_long(long, LONGEST_NAME))),
        name => Ok(name.to_owned()),
    }
}

fn port(port: u32) -> Result<u32, Wrong> {
    let message = match port {
        0 => "a share needs a port that the guest dials, such as 564".to_owned(),
        BRIDGE_PORT | LEFT_PORT => {
            format!("{port} is a port of the guest agent; 564 is usual")
        }
        _ if STDIO_PORTS.contains(&port) => {
            format!("{port} is one of the ports of processes in the guest; 564 is usual")
        }
        port => return Ok(port),
    };
    Err(wrong("/Port", message))
}

/// Checks that all flags can be carried out.
fn flags(flags: u32) -> Result<u32, Wrong> {
    if let Some((bit, why)) = REFUSED.iter().find(|(bit, _)| flags & bit != 0) {
        return Err(wrong("/Flags", format!("{bit} is not supported: {why}")));
    }
    match flags & !(READ_ONLY | ALLOWED_ONLY | AS_IT_IS) {
        0 => Ok(flags),
        unknown => Err(wrong(
            "/Flags",
            format!("{unknown} is no flag of a share; 1 makes it read-only"),
        )),
    }
}

/// The shares of `machine`, each with its pointer; none without the device, which others may be added to later.
///
/// # Errors
/// A value is wrong, or two shares cannot be told apart.
pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Vec<(Share, String)>>, Wrong> {
    let devices = machine.devices.as_ref();
    let Some(device) = devices.and_then(|devices| devices.plan9.as_ref()) else {
        return Ok(None);
    };
    let mut shares: Vec<(Share, String)> = Vec::new();
    for (index, share) in device.shares.iter().flatten().enumerate() {
        let pointer = format!("{SHARES}/{index}");
        let share = Share::read(share).map_err(|(at, why)| (format!("{pointer}{at}"), why))?;
        if let Some(twin) = twin(&share, shares.iter().map(|(share, _)| share)) {
            return Err((pointer, twin));
        }
        if shares.len() == MOST {
            return Err((pointer, too_many()));
        }
        shares.push((share, pointer));
    }
    Ok(Some(shares))
}

/// Why a share cannot be beside `others`.
pub(crate) fn twin<'a>(
    share: &Share,
    mut others: impl Iterator<Item = &'a Share>,
) -> Option<String> {
    let twin = others.find(|other| {
        let is_found_as = |it: &Share| (it.port, it.access_name.clone());
        other.name == share.name || is_found_as(other) == is_found_as(share)
    });
    twin.map(|twin| {
        format!(
            "there is the share {:?} already, with the access name {:?} at port {}",
            twin.name, twin.access_name, twin.port
        )
    })
}

/// The refusal of one share more than there may be.
pub(crate) fn too_many() -> String {
    format!("a machine has at most {MOST} shares")
}

fn too_long(text: &str, most: usize) -> String {
    format!("it has {} bytes; at most {most} are possible", text.len())
}

fn wrong(pointer: &str, message: String) -> Wrong {
    (pointer.to_owned(), message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shares(shares: &Value) -> Result<Option<Vec<(Share, String)>>, Wrong> {
        let machine = json!({"Devices": {"Plan9": {"Shares": shares}}});
        let machine: VirtualMachine = hcs_schema::parse(&machine.to_string()).unwrap();
        of_machine(&machine)
    }

    #[test]
    fn shares_are_read() {
        let all = shares(&json!([
            {"Name": "0", "AccessName": "a", "Path": "/srv", "Port": 564, "Flags": 5},
            {"Name": "1", "Path": "/home/me", "Port": 50001},
        ]));
        let share = |name: &str, access_name: &str, path: &str, port, read_only| Share {
            name: name.to_owned(),
            access_name: access_name.to_owned(),
            path: path.to_owned(),
            port,
            read_only,
            only: None,
            seen: None,
        };
        let expected = vec![
            (share("0", "a", "/srv", 564, true), format!("{SHARES}/0")),
            (
                share("1", "1", "/home/me", 50001, false),
                format!("{SHARES}/1"),
            ),
        ];
        assert_eq!(all, Ok(Some(expected)));
        let empty = json!({"Devices": {"Plan9": {}}});
        let empty: VirtualMachine = hcs_schema::parse(&empty.to_string()).unwrap();
        assert_eq!(of_machine(&empty), Ok(Some(Vec::new())));
        assert_eq!(of_machine(&VirtualMachine::default()), Ok(None));
    }

    #[test]
    fn files_that_are_named_are_shared_alone_where_the_flag_says_so() {
        let share = |flags: u32, files: Value| {
            let share = json!({
                "Name": "0", "Path": "/srv", "Port": 564, "Flags": flags, "AllowedFiles": files,
            });
            let read = shares(&json!([share]));
            read.map(|all| all.unwrap().remove(0).0.only)
        };
        let named = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(
            share(133, json!(["a.txt", "b"])),
            Ok(named(&["a.txt", "b"]))
        );
        assert_eq!(share(5, json!([])), Ok(None));
        let many: Vec<String> = (0..=MOST_FILES).map(|name| name.to_string()).collect();
        for (flags, files) in [
            (0, json!(["a.txt"])),
            (128, json!([])),
            (128, json!(["a", "b/c"])),
            (128, json!([".."])),
            (128, json!([""])),
            (128, json!(["x".repeat(256)])),
            (128, json!(many)),
        ] {
            let (pointer, why) = share(flags, files).unwrap_err();
            assert_eq!(pointer, format!("{SHARES}/0/AllowedFiles"), "{why}");
        }
    }

    #[test]
    fn what_cannot_be_shared_is_told_by_pointer() {
        let good = || json!({"Name": "0", "Path": "/srv", "Port": 564});
        for (property, value) in [
            ("Name", json!("")),
            ("Name", json!("x".repeat(256))),
            ("AccessName", json!("x".repeat(256))),
            ("Path", json!(r"C:\share")),
            ("Path", json!("share")),
            ("Path", json!(format!("/{}", "x".repeat(4095)))),
            ("Port", json!(0)),
            ("Port", json!(BRIDGE_PORT)),
            ("Port", json!(LEFT_PORT)),
            ("Port", json!(STDIO_PORTS.start())),
            ("Flags", json!(2)),
            ("Flags", json!(5 | 16)),
            ("Flags", json!(32)),
            ("Flags", json!(64)),
            ("Flags", json!(512)),
        ] {
            let mut share = good();
            share[property] = value;
            let (pointer, why) = shares(&json!([share])).unwrap_err();
            assert_eq!(pointer, format!("{SHARES}/0/{property}"), "{why}");
        }
        let mut other = good();
        other["Name"] = json!("1");
        other["AccessName"] = json!("0");
        for twin in [good(), other] {
            let (pointer, _) = shares(&json!([good(), twin])).unwrap_err();
            assert_eq!(pointer, format!("{SHARES}/1"));
        }
        let many: Vec<Value> = (0..=MOST)
            .map(|name| json!({"Name": name.to_string(), "Path": "/srv", "Port": 564}))
            .collect();
        assert!(shares(&json!(many)).is_err());
    }
}

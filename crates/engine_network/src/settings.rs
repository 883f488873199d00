//! Settings of interfaces below `/proc/sys/net`: those of the calling thread's network namespace.

use std::{fmt, fs, io::ErrorKind, path::PathBuf};

use hcs_schema::{Failure, HResult};

/// The protocol that settings are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        })
    }
}

/// The name under which a setting counts for all interfaces, in its own way each.
pub(crate) const ALL: &str = "all";

/// Names of interfaces hold no slash and are neither `.` nor `..`; what a record says is checked all the same.
fn path(family: Family, link: &str, setting: &str) -> PathBuf {
    let plain = |name: &str| !name.contains('/') && !matches!(name, "" | "." | "..");
    let link = if plain(link) { link } else { "-" };
    let setting = if plain(setting) { setting } else { "-" };
    let folder = format!("/proc/sys/net/{family}/conf");
    [&folder, link, setting].iter().collect()
}

/// Whether there is such a setting: an interface that is gone took its own along.
pub(crate) fn exists(family: Family, link: &str, setting: &str) -> bool {
    path(family, link, setting).exists()
}

pub(crate) fn read(family: Family, link: &str, setting: &str) -> Result<String, Failure> {
    let path = path(family, link, setting);
    let value = fs::read_to_string(&path).map_err(|error| {
        let message = format!("the setting {} cannot be read", path.display());
        Failure::new(HResult::E_FAIL, message).because(&error)
    })?;
    Ok(value.trim().to_owned())
}

pub(crate) fn write(family: Family, link: &str, setting: &str, value: &str) -> Result<(), Failure> {
    let path = path(family, link, setting);
    fs::write(&path, value).map_err(|error| {
        // This room does not reach `hcs_wire::errno`. A read-only /proc/sys, too, is a right that the service lacks.
        let code = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => HResult::E_ACCESSDENIED,
            _ => HResult::E_FAIL,
        };
        let message = format!("the setting {} cannot be set to {value}", path.display());
        Failure::new(code, message).because(&error)
    })
}

/// Whether the host forwards packets of a family as a whole. A write to it sets each interface, too, once.
pub(crate) fn forwards_as_a_whole(family: Family) -> bool {
    let value = read(family, ALL, "forwarding").unwrap_or_default();
    match family {
        Family::V4 => value == "1",
        // Any other number means it as well.
        Family::V6 => !matches!(&*value, "" | "0"),
    }
}

/// The ports that programs of the host are given, the last one included.
pub(crate) fn ports_of_programs() -> Option<(u16, u16)> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ports = text.split_whitespace().map(str::parse);
    match (ports.next(), ports.next()) {
        (Some(Ok(first)), Some(Ok(last))) => Some((first, last)),
        _ => None,
    }
}

//! Boot by firmware: `Chipset/Uefi` of a document, and the files of the host for it.
//!
//! 1. [`FirmwareBoot`]: the disk to boot, and the file for what the firmware keeps. Pure.
//! 2. [`find`]: the firmware of this host, OVMF.
//! 3. [`open`]: its code, and its variables: those of the guest state file, else a copy that goes with the machine.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::{Path, PathBuf},
};

use engine_container::shared::{open_file, open_file_to_write};
use hcs_schema::{
    Failure, HResult,
    documents::{Uefi, UefiBootDevice, VirtualMachine},
};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::Errno,
};

use crate::{
    disk::{self, Attached, Controllers, Place, Wrong},
    grants::Grantee,
    plan::Named,
};

/// JSON pointers of properties.
const BOOT_THIS: &str = "/VirtualMachine/Chipset/Uefi/BootThis";
const STATE: &str = "/VirtualMachine/GuestState/GuestStateFilePath";

/// Where distributions put the firmware's code, and the variables that it begins with.
const PLACES: [(&str, &str); 5] = [
    // Debian, Ubuntu.
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
    ),
    // Fedora.
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    // Arch.
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
    (
        "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
        "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd",
    ),
];

/// The most that the variables of firmware may have, in bytes.
const MOST_VARIABLES: u64 = 4 << 20;

/// `ERROR_SHARING_VIOLATION`.
const IN_USE: u16 = 32;
/// `ERROR_FILE_CORRUPT`.
const CORRUPT: u16 = 1392;

/// Firmware, as a document asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FirmwareBoot {
    /// Disks in the order in which they are to be booted.
    pub(crate) order: Vec<Place>,
    /// The file that keeps what the firmware stores.
    pub(crate) state: Option<Named>,
    /// Whether that file is only read.
    pub(crate) is_transient: bool,
}

impl FirmwareBoot {
    /// What `uefi` of `machine` asks for, which has `disks`.
    ///
    /// # Errors
    /// A value is wrong.
    pub(crate) fn of_machine(
        machine: &VirtualMachine,
        uefi: &Uefi,
        disks: &[Attached],
    ) -> Result<Self, Wrong> {
        let all = disks.iter().map(|attached| attached.disk.place);
        let controllers = Controllers::of_machine(machine)?;
        let order = match chosen(uefi, &controllers)? {
            Some(place) if all.clone().any(|known| known == place) => vec![place],
            Some(Place { controller, slot }) => {
                let message = format!(
                    "the document has no disk at this place, which is /VirtualMachine/Devices/Scsi/{controller}/Attachments/{slot}"
                );
                return Err((BOOT_THIS.to_owned(), message));
            }
            None => all.collect(),
        };
        let state = machine.guest_state.as_ref();
        let path = state.and_then(|state| state.guest_state_file_path.clone());
        Ok(Self {
            order,
            state: path.filter(|path| !path.is_empty()).map(|path| Named {
                path,
                pointer: STATE,
            }),
            is_transient: state.and_then(|state| state.force_transient_state) == Some(true),
        })
    }
}

/// The disk that is to be booted: `Scsi(0,1)`, or the name of a controller with the number of the disk.
fn chosen(uefi: &Uefi, controllers: &Controllers) -> Result<Option<Place>, Wrong> {
    let Some(entry) = &uefi.boot_this else {
        return Ok(None);
    };
    if entry.device_type != Some(UefiBootDevice::ScsiDrive) {
        let message = "a kind of device is to be named: \"ScsiDrive\"";
        return Err((format!("{BOOT_THIS}/DeviceType"), message.to_owned()));
    }
    let path = entry.device_path.as_deref().unwrap_or_default();
    let inner = path
        .strip_prefix("Scsi(")
        .and_then(|it| it.strip_suffix(')'));
    let numbers = inner.and_then(|inner| inner.split_once(','));
    let (controller, slot) = match (path, numbers) {
        (_, Some((controller, slot))) => (controller.trim(), slot.trim().to_owned()),
        (path, None) => {
            let controller = if path.is_empty() { "0" } else { path };
            (
                controller,
                entry.disk_number.unwrap_or_default().to_string(),
            )
        }
    };
    let wrong = |why: String| (format!("{BOOT_THIS}/DevicePath"), why);
    Ok(Some(Place {
        controller: controllers.number(controller).map_err(wrong)?,
        slot: disk::slot(&slot).map_err(wrong)?,
    }))
}

/// The firmware of this host: its code and its variables.
fn find() -> Result<(PathBuf, PathBuf), Failure> {
    let places = PLACES.map(|(code, variables)| (PathBuf::from(code), PathBuf::from(variables)));
    let is_there = |(code, variables): &(PathBuf, PathBuf)| code.is_file() && variables.is_file();
    places.into_iter().find(is_there).ok_or_else(|| {
        Failure::new(
            HResult::HCS_E_HYPERV_NOT_INSTALLED,
            "virtual machines that boot by UEFI need its firmware, which is not installed: apt-get install ovmf (Debian, Ubuntu), \
             dnf install edk2-ovmf (Fedora), pacman -S edk2-ovmf (Arch)",
        )
    })
}

/// Opens the code of the firmware, only to be read, and its variables, to be written.
///
/// # Errors
/// The host has no firmware, or the guest state file cannot be used, by pointer.
pub(crate) fn open(firmware: &FirmwareBoot, machine: &Grantee) -> Result<[OwnedFd; 2], Failure> {
    let (code, template) = find()?;
    let unread = |path: &Path, error: &io::Error| {
        Failure::new(
            HResult::E_FAIL,
            format!("{} cannot be read", path.display()),
        )
        .because(error)
    };
    let code = File::open(&code).map_err(|error| unread(&code, &error))?;
    let initial = read(&template).map_err(|error| unread(&template, &error))?;
    let variables = match &firmware.state {
        Some(state) => kept(state, machine, firmware.is_transient, &initial)?,
        None => copy(&initial)?,
    };
    Ok([code.into(), variables])
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MOST_VARIABLES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Variables that end with the machine.
fn copy(bytes: &[u8]) -> Result<OwnedFd, Failure> {
    let made = memfd_create("variables", MemfdFlags::CLOEXEC).map_err(io::Error::from);
    let written = made.and_then(|memory| {
        let mut file = File::from(memory);
        file.write_all(bytes)?;
        Ok(file.into())
    });
    written.map_err(|error| {
        Failure::new(HResult::E_FAIL, "the firmware's variables cannot be copied").because(&error)
    })
}

/// The guest state file, which is empty before its first use, or has the beginning of what is written to it then. It is
/// locked for the life of its descriptors.
fn kept(
    state: &Named,
    machine: &Grantee,
    is_transient: bool,
    initial: &[u8],
) -> Result<OwnedFd, Failure> {
    let Named { path, pointer } = state;
    let refused = |code: HResult, message: String| {
        Failure::new(code, message.clone()).cause_at(*pointer, message)
    };
    let opened = match is_transient {
        true => open_file(path, pointer)?,
        false => open_file_to_write(path, pointer)?,
    };
    machine.check(&opened, (path, pointer), is_transient)?;
    disk::lock(&opened, is_transient).map_err(|errno| match errno {
        Errno::WOULDBLOCK => refused(
            HResult::from_win32(IN_USE),
            format!("{path} is in use: it has the state of another virtual machine"),
        ),
        errno => refused(HResult::E_FAIL, format!("{path} cannot be locked: {errno}")),
    })?;
    let file = File::from(opened);
    let unusable =
        |error: io::Error| refused(HResult::E_FAIL, format!("{path} cannot be used: {error}"));
    let length = file.metadata().map_err(unusable)?.len();
    let is_none = |why: String| {
        let message = format!(
            "{path} is no guest state file: {why}; a new one is empty, and one that was used has {} bytes",
            initial.len()
        );
        refused(HResult::from_win32(CORRUPT), message)
    };
    let known = usize::try_from(length)
        .ok()
        .filter(|length| *length <= initial.len());
    let known = known.ok_or_else(|| is_none(format!("it has {length} bytes")))?;
    let is_new = known < initial.len();
    let mut bytes = initial.to_vec();
    file.read_exact_at(&mut bytes[..known], 0)
        .map_err(unusable)?;
    // The first use of a file may have ended half-way, with the host for one.
    if is_new && bytes != initial {
        return Err(is_none(format!("it has {length} bytes of something else")));
    }
    if is_transient {
        return copy(&bytes);
    }
    if is_new && let Err(error) = file.write_all_at(&bytes, 0) {
        // It is as new as before.
        let _again_next_time = file.set_len(0);
        return Err(unusable(error));
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn firmware(entry: &Value, scsi: &Value) -> Result<FirmwareBoot, Wrong> {
        let machine = json!({"VirtualMachine": {
            "Chipset": {"Uefi": entry}, "Devices": {"Scsi": scsi},
            "GuestState": {"GuestStateFilePath": "/s", "ForceTransientState": true},
        }});
        let document: hcs_schema::documents::ComputeSystem =
            hcs_schema::parse(&machine.to_string()).unwrap();
        let machine = document.virtual_machine.unwrap();
        let uefi = machine.chipset.clone().unwrap().uefi.unwrap();
        FirmwareBoot::of_machine(&machine, &uefi, &disk::of_machine(&machine)?.1)
    }

    #[test]
    fn the_disk_to_boot_is_named_in_the_ways_of_clients() {
        let scsi = json!({"0": {"Attachments": {"0": {"Path": "/a"}, "2": {"Path": "/b"}}}, "1": {"Attachments": {"1": {"Path": "/c"}}}});
        let order = |entry: Value| {
            let order = firmware(&entry, &scsi).unwrap().order;
            order.iter().map(|place| place.node()).collect::<Vec<_>>()
        };
        assert_eq!(order(json!({})), ["disk0-0", "disk0-2", "disk1-1"]);
        let this = |path: &str, number: u16| json!({"BootThis": {"DeviceType": "ScsiDrive", "DevicePath": path, "DiskNumber": number}});
        assert_eq!(order(this("Scsi(1,1)", 0)), ["disk1-1"]);
        assert_eq!(order(this("0", 2)), ["disk0-2"]);
        assert_eq!(order(this("", 0)), ["disk0-0"]);
        let named = json!({"Primary disk": {"Attachments": {"0": {"Path": "/a"}}}, "cloud-init": {"Attachments": {"0": {"Path": "/b"}}}});
        let chosen = |path: &str| firmware(&this(path, 0), &named).map(|firmware| firmware.order);
        assert_eq!(chosen("cloud-init").unwrap()[0].node(), "disk1-0");
        assert_eq!(
            chosen("Secondary").unwrap_err().0,
            format!("{BOOT_THIS}/DevicePath")
        );
        let firmware = firmware(&this("", 0), &scsi).unwrap();
        assert!(firmware.is_transient && firmware.state.unwrap().path == "/s");
    }

    #[test]
    fn a_disk_that_is_not_there_is_told_by_pointer() {
        let pointer = |entry: Value| {
            firmware(&json!({"BootThis": entry}), &json!({}))
                .unwrap_err()
                .0
        };
        let this = |path: &str| json!({"DeviceType": "ScsiDrive", "DevicePath": path});
        assert_eq!(pointer(this("Scsi(0,0)")), BOOT_THIS);
        assert_eq!(
            pointer(this("Scsi(9,0)")),
            format!("{BOOT_THIS}/DevicePath")
        );
        assert_eq!(pointer(this("x")), format!("{BOOT_THIS}/DevicePath"));
        assert_eq!(pointer(json!({})), format!("{BOOT_THIS}/DeviceType"));
    }

    #[test]
    fn a_state_file_is_new_or_was_used_and_belongs_to_one_machine() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state");
        let state = Named {
            path: path.display().to_string(),
            pointer: STATE,
        };
        let machine = &Grantee::of_tests();
        let missing = kept(&state, machine, false, b"new").unwrap_err();
        assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND);
        fs::write(&path, "").unwrap();
        let first = kept(&state, machine, false, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let second = kept(&state, machine, false, b"new").unwrap_err();
        assert_eq!(second.hresult, HResult::from_win32(IN_USE));
        drop(first);
        fs::write(&path, "old").unwrap();
        let copied = File::from(kept(&state, machine, true, b"new").unwrap());
        copied.write_all_at(b"x", 0).unwrap();
        drop(kept(&state, machine, false, b"new").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        // A first use that ended half-way.
        fs::write(&path, "ne").unwrap();
        drop(kept(&state, machine, false, b"new").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        for other in ["longer", "ol"] {
            fs::write(&path, other).unwrap();
            let refused = kept(&state, machine, false, b"new").unwrap_err();
            assert_eq!(refused.hresult, HResult::from_win32(CORRUPT));
            assert_eq!(fs::read(&path).unwrap(), other.as_bytes());
        }
    }
}

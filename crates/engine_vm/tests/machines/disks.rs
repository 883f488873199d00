//! Disks that are plugged into and pulled out of a machine that stands still.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::Path,
};

use hcs_engine::{
    engine::{Exit, Machine},
    modification::HostChange,
};
use hcs_schema::{Failure, HResult, documents::PauseOptions};
use hcs_wire::holds::{self, Kind};
use serde_json::{Value, json};

use crate::{
    cases::Case,
    host::{Host, host_change},
};

pub(crate) const CASES: &[Case] = &[(
    "a_disk_leaves_a_paused_machine_as_soon_as_qemu_lets_it_go",
    a_disk_leaves_a_paused_machine_as_soon_as_qemu_lets_it_go,
)];

fn request(kind: &str, settings: &Value) -> HostChange {
    let path = "VirtualMachine/Devices/Scsi/0/Attachments/1";
    let request = json!({"ResourcePath": path, "RequestType": kind, "Settings": settings});
    host_change(&request).unwrap()
}

pub(crate) fn add(machine: &dyn Machine, path: &Path) -> Result<(), Failure> {
    machine.modify(&request(
        "Add",
        &json!({"Type": "VirtualDisk", "Path": path}),
    ))
}

fn remove(machine: &dyn Machine) -> Result<(), Failure> {
    machine.modify(&request("Remove", &Value::Null))
}

/// Whether another machine could have the file.
fn is_free(path: &Path) -> bool {
    let file = File::options().write(true).open(path).unwrap();
    holds::lock_disk(file.as_fd(), Kind::Alone).is_ok()
}

fn a_disk_leaves_a_paused_machine_as_soon_as_qemu_lets_it_go() {
    let host = Host::new();
    let running = host.start_with(|machine| machine["Devices"]["Scsi"] = json!({"0": {}}));
    host.com().booted();
    let machine = &*running.machine;
    let disk = host.place.path().join("disk.raw");
    fs::write(&disk, [0; 4096]).unwrap();
    // Its header says VHDX; QEMU finds out that nothing else does.
    let broken = host.place.path().join("broken.vhdx");
    fs::write(&broken, [b"vhdxfile".as_slice(), &[0; 4096]].concat()).unwrap();

    host.grant("a machine", &disk);
    host.grant("a machine", &broken);

    machine.pause(&PauseOptions::default()).unwrap();
    add(machine, &broken).unwrap_err();
    add(machine, &disk).unwrap();
    assert!(!is_free(&disk));
    match remove(machine) {
        // QEMU 9.1 and newer.
        Ok(()) => {
            assert!(is_free(&disk) && is_free(&broken));
            machine.resume().unwrap();
        }
        Err(refused) => {
            assert_eq!(refused.hresult, HResult::HCS_E_INVALID_STATE, "{refused}");
            assert!(refused.causes[0].message.contains("resume it"), "{refused}");
            assert!(!is_free(&disk));
            machine.resume().unwrap();
            assert!(is_free(&broken), "it is let go when QEMU can");
            remove(machine).unwrap();
        }
    }
    assert!(is_free(&disk) && is_free(&broken));
    add(machine, &disk).unwrap();
    remove(machine).unwrap();
    assert!(is_free(&disk));
    running.machine.kill().unwrap();
    assert_eq!(running.end(), Exit::Killed);
}

//! Block devices of the host as disks of a Linux guest (`PassThru`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hcs_schema::HResult;
use hcs_wire::{
    access::{Holder, Identity, READ, WRITE, grant, revoke},
    service::Call,
};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
};
use serde_json::{Value, json};

use crate::{
    common::{Client, Service, client::create_system},
    guests::{Guest, find, said},
};

/// `ERROR_SHARING_VIOLATION`.
const IN_USE: u16 = 32;

/// A file as a block device; gone when dropped.
struct LoopDevice(PathBuf);

impl LoopDevice {
    fn of(image: &Path) -> Self {
        let made = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(image)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self(String::from_utf8(made.stdout).unwrap().trim().into())
    }

    /// Opens it as a file system of the host would.
    fn claim(&self) -> Result<rustix::fd::OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::EXCL | OFlags::CLOEXEC;
        open(&self.0, flags, Mode::empty())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _gone = Command::new("losetup")
            .arg("--detach")
            .arg(&self.0)
            .status();
    }
}

fn change(kind: &str, settings: &Value) -> Call {
    let path = "VirtualMachine/Devices/Scsi/0/Attachments/5";
    let request = json!({ "ResourcePath": path, "RequestType": kind, "Settings": settings });
    Call::ModifySystem {
        system: 1,
        settings: request.to_string(),
    }
}

/// The user that stands for the machine `id`.
fn holder(client: &mut Client, id: &str) -> Holder {
    let told = client.call(&Call::GetVmIdentity { id: id.to_owned() }).ok();
    let identity: Identity = serde_json::from_str(told.reply.document.as_deref().unwrap()).unwrap();
    Holder::User(identity.user)
}

#[track_caller]
fn refused(client: &mut Client, call: &Call, code: HResult, words: &str) {
    let answer = client.call(call);
    let told = format!("{:?}", answer.reply);
    answer.failed(code);
    assert!(told.contains(words), "{told}");
}

#[test]
fn a_guest_has_a_block_device_of_the_host_for_itself() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("disk.vhdx");
    fs::write(&image, vec![b'x'; 1 << 20]).unwrap();
    let device = LoopDevice::of(&image);
    let service = Service::new();
    let mut client = service.client();
    let path = device.0.to_str().unwrap();
    let disk = |read_only: bool| json!({ "Type": "PassThru", "Path": path, "ReadOnly": read_only });

    // Of a machine that is made, without a grant and with one.
    let document = guest.document_with(|machine| {
        machine["Devices"]["Scsi"] = json!({ "0": { "Attachments": { "5": disk(true) } } });
    });
    let create = create_system(1, "guest", &document.to_string());
    let pointer = "/VirtualMachine/Devices/Scsi/0/Attachments/5/Path";
    refused(&mut client, &create, HResult::E_ACCESSDENIED, pointer);
    let holder = holder(&mut client, "guest");
    grant(&device.0, holder, READ).unwrap();
    guest.start_with(&mut client, |machine| {
        machine["Devices"]["Scsi"] = json!({ "0": { "Attachments": { "5": disk(true) } } });
    });
    let read = find(0, 5)
        + "busybox head -c 3 $d; cat /sys/block/${d##*/}/ro; busybox blockdev --getsize64 $d";
    assert_eq!(
        said(&mut client, "root", &read),
        format!("xxx1\n{}\n", 1 << 20)
    );
    assert_eq!(device.claim().map(drop), Err(Errno::BUSY));
    client.call(&change("Remove", &Value::Null)).ok();

    // Of one that runs.
    let add = change("Add", &disk(false));
    let denied = HResult::E_ACCESSDENIED;
    refused(&mut client, &add, denied, "HcsGrantVmAccess");
    grant(&device.0, holder, READ | WRITE).unwrap();
    let held = device.claim().unwrap();
    let in_use = HResult::from_win32(IN_USE);
    refused(&mut client, &add, in_use, "is in use");
    drop(held);
    client.call(&add).ok();
    assert_eq!(device.claim().map(drop), Err(Errno::BUSY));
    let write =
        find(0, 5) + "echo written | busybox dd of=$d bs=512 seek=1 conv=sync,fsync 2>/dev/null";
    said(&mut client, "root", &write);
    client.call(&change("Remove", &Value::Null)).ok();
    drop(device.claim().unwrap());
    assert_eq!(fs::read(&image).unwrap()[512..520], *b"written\n");

    // What is no block device.
    for other in [image.to_str().unwrap(), r"\\.\PHYSICALDRIVE2"] {
        let add = change("Add", &json!({ "Type": "PassThru", "Path": other }));
        refused(&mut client, &add, HResult::E_INVALIDARG, "/Settings/Path");
    }
    revoke(&device.0, holder).unwrap();
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

//! Persistent memory of a machine: `Devices/VirtualPMem` of its document. The guest has an image as `/dev/pmem0`, which
//! it can only read.
//!
//! The image is mapped, so its bytes are those of the device, one after the other, and machines that have the same
//! image share its pages. A guest's kernel maps such devices in pieces of 2 MB: an image of another size is copied, and
//! filled up with zeros.

use std::{
    fs::{File, Permissions},
    io::{self, Read as _},
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt as _, fs::PermissionsExt as _},
    },
};

use hcs_schema::{
    Failure, HResult,
    documents::{VirtualMachine, VirtualPMemDevice, VirtualPMemImageFormat},
};
use hcs_wire::access::{self, READ};
use rustix::fs::{MemfdFlags, SealFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, Attached, Disk, Place, Wrong, format::Format},
    grants::Grantee,
};

/// JSON pointer of the devices.
const DEVICES: &str = "/VirtualMachine/Devices/VirtualPMem/Devices";

/// The name of the device that there can be.
const ONLY: &str = "0";
/// The largest image: 4 GB. A copy of one is in the machine's memory.
const LARGEST: u64 = 4 << 30;
/// What a guest's kernel maps at a time.
const PIECE: u64 = 2 << 20;
/// What a VHD of fixed size has behind its bytes.
const FOOTER: u64 = 512;
/// How a VHD begins that is not of fixed size.
const VHD: &[u8] = b"conectix";

/// The device as QEMU has to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PersistentMemory {
    /// So many bytes of the file are the image.
    image: u64,
}

/// The image that a document names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    attached: Attached,
    /// The most bytes that it may have.
    most: u64,
}

impl PersistentMemory {
    /// What the guest has, in bytes.
    pub(crate) const fn size(self) -> u64 {
        self.image.next_multiple_of(PIECE)
    }

    /// That of an image with so many bytes.
    #[cfg(test)]
    pub(crate) const fn of_tests(image: u64) -> Self {
        Self { image }
    }

    /// A file that QEMU can map as this user: `file`, or a copy of it.
    pub(crate) fn mappable(self, mut file: File, user: u32) -> io::Result<File> {
        let machine = access::Identity { user, group: user };
        if self.image == self.size() && machine.may(&file, READ)? {
            return Ok(file);
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut copy = File::from(memfd_create("persistent-memory", flags)?);
        let copied = io::copy(&mut (&mut file).take(self.image), &mut copy)?;
        if copied < self.image {
            let message = format!(
                "the image has {copied} bytes now, and had {} before",
                self.image
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        copy.set_len(self.size())?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        hcs_wire::sealing::seal(&copy, seals)?;
        copy.set_permissions(Permissions::from_mode(0o444))?;
        Ok(copy)
    }
}

/// The image that `machine` has.
///
/// # Errors
/// A value is wrong, or there is more than one device.
pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Image>, Wrong> {
    let devices = machine.devices.as_ref();
    let Some(asked) = devices.and_then(|devices| devices.virtual_pmem.as_ref()) else {
        return Ok(None);
    };
    let mut image = None;
    for (name, device) in asked.devices.iter().flatten() {
        if name != ONLY {
            let message = format!(
                "{name:?} is no place for persistent memory; \"{ONLY}\" is, and the only one: QEMU lists several in an order of \
                 its own, so the guest could not tell them apart. Plug further images in as disks (\"Scsi\")"
            );
            return Err((format!("{DEVICES}/{name}"), message));
        }
        image = read(device)?;
    }
    let most = asked.maximum_size_bytes.filter(|most| *most > 0);
    Ok(image.map(|attached| Image {
        attached,
        most: most.map_or(LARGEST, |most| most.min(LARGEST)),
    }))
}

fn read(device: &VirtualPMemDevice) -> Result<Option<Attached>, Wrong> {
    let pointer = format!("{DEVICES}/{ONLY}/HostPath");
    let path = device.host_path.clone().filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| {
        let message = "no file is named: give the path of an image of this host";
        (pointer.clone(), message.to_owned())
    })?;
    if device.read_only == Some(false) {
        let message = "persistent memory can only be read: leave this out, or plug the image in as a disk (\"Scsi\")";
        return Err((format!("{DEVICES}/{ONLY}/ReadOnly"), message.to_owned()));
    }
    let format = match device.image_format {
        Some(VirtualPMemImageFormat::Vhd1) => Format::Vhd,
        _ => Format::of_name(&path).map_err(|why| (pointer.clone(), why))?,
    };
    if !matches!(format, Format::Raw | Format::Vhd) {
        let message = format!(
            "{path} has its bytes in another order than a disk has, so it cannot be mapped: `qemu-img convert -O vpc -o \
             subformat=fixed,force_size=on` makes a VHD of fixed size of it"
        );
        return Err((pointer, message));
    }
    Ok(Some(Attached {
        disk: Disk {
            // No controller has it.
            place: Place {
                controller: 0,
                slot: 0,
            },
            format,
            optical: false,
            read_only: true,
            ignores_flushes: false,
            limited: false,
            device: false,
        },
        path,
        pointer,
    }))
}

/// Opens an image with the care that those of disks get, and looks at how much of it the guest is to see.
///
/// # Errors
/// It is not there, is not granted to the machine, is in use or cannot be mapped; by pointer.
pub(crate) fn open(
    image: &Image,
    machine: &Grantee,
) -> Result<(OwnedFd, PersistentMemory), Failure> {
    let Attached {
        path,
        pointer,
        disk,
    } = &image.attached;
    let refused = |message: String| {
        Failure::new(HResult::E_INVALIDARG, message.clone()).cause_at(pointer, message)
    };
    let file = File::from(disk::open(&image.attached, machine)?);
    let unread = |e: io::Error| refused(format!("{path} cannot be read: {e}"));
    let length = file.metadata().map_err(unread)?.len();
    let mut start = [0; VHD.len()];
    file.read_exact_at(&mut start, 0).map_err(unread)?;
    let bytes = match disk.format {
        Format::Vhd if start == VHD => {
            return Err(refused(format!(
                "{path} is a VHD that grows, which cannot be mapped: `qemu-img convert -O vpc -o \
                 subformat=fixed,force_size=on` makes one of fixed size of it"
            )));
        }
        Format::Vhd => length.saturating_sub(FOOTER),
        _ => length,
    };
    if bytes == 0 || bytes > image.most {
        return Err(refused(format!(
            "{path} has {bytes} bytes; 1 to {} are possible for persistent memory",
            image.most
        )));
    }
    Ok((file.into(), PersistentMemory { image: bytes }))
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use serde_json::{Value, json};

    use super::*;

    fn image(memory: &Value) -> Result<Option<Image>, Wrong> {
        let machine = json!({"Devices": {"VirtualPMem": memory}});
        of_machine(&hcs_schema::parse(&machine.to_string()).unwrap())
    }

    fn one(device: &Value) -> Result<Option<Image>, Wrong> {
        image(&json!({"Devices": {"0": device}}))
    }

    #[test]
    fn a_machine_may_have_room_and_one_image() {
        assert_eq!(
            image(&json!({"MaximumCount": 64, "MaximumSizeBytes": 4_294_967_296_u64})),
            Ok(None)
        );
        let vhd = json!({"HostPath": "/rootfs", "ReadOnly": true, "ImageFormat": "Vhd1"});
        let found = one(&vhd).unwrap().unwrap();
        assert_eq!(
            (found.attached.disk.format, found.attached.disk.read_only),
            (Format::Vhd, true)
        );
        let found = one(&json!({"HostPath": "/rootfs.img"})).unwrap().unwrap();
        assert_eq!(
            (found.attached.disk.format, found.most),
            (Format::Raw, LARGEST)
        );
    }

    #[test]
    fn what_cannot_be_mapped_is_told_by_pointer() {
        let pointer = |device: Value| one(&device).unwrap_err().0;
        let at = |name: &str| format!("{DEVICES}/0/{name}");
        assert_eq!(pointer(json!({})), at("HostPath"));
        for path in ["/a.vhdx", "/a.qcow2", "/a.vmdk"] {
            assert_eq!(pointer(json!({"HostPath": path})), at("HostPath"));
        }
        assert_eq!(
            pointer(json!({"HostPath": "/a", "ReadOnly": false})),
            at("ReadOnly")
        );
        let two = json!({"Devices": {"0": {"HostPath": "/a"}, "1": {"HostPath": "/b"}}});
        assert_eq!(image(&two).unwrap_err().0, format!("{DEVICES}/1"));
    }

    /// A VHD of this type, as its footer says it, with so many bytes.
    fn vhd(kind: u8, bytes: usize) -> Vec<u8> {
        let mut footer = [0; 512];
        footer[..8].copy_from_slice(VHD);
        footer[63] = kind;
        let mut image = vec![7; bytes];
        if kind != 2 {
            image[..512].copy_from_slice(&footer);
        }
        image.extend(footer);
        image
    }

    #[test]
    fn an_image_has_the_bytes_of_its_disk() {
        let place = tempfile::tempdir().unwrap();
        let machine = Grantee::of_tests();
        let opened = |name: &str, bytes: &[u8], memory: Value| {
            let path = place.path().join(name);
            fs::write(&path, bytes).unwrap();
            let mut memory = memory;
            memory["Devices"]["0"]["HostPath"] = json!(path);
            open(&image(&memory).unwrap().unwrap(), &machine)
        };
        let (_, memory) = opened("raw", &[1; 4096], json!({})).unwrap();
        assert_eq!((memory.image, memory.size()), (4096, PIECE));
        let (_, memory) = opened("fixed.vhd", &vhd(2, 2 << 20), json!({})).unwrap();
        assert_eq!((memory.image, memory.size()), (PIECE, PIECE));
        let small = json!({"MaximumSizeBytes": 4095});
        for (name, bytes, memory) in [
            ("growing.vhd", vhd(3, 4096), json!({})),
            ("none.vhd", vec![0; 4096], json!({})),
            ("large", vec![0; 4096], small),
        ] {
            let refused = opened(name, &bytes, memory).unwrap_err();
            let pointer = refused.causes[0].pointer.as_deref();
            assert_eq!(
                pointer,
                Some(&*format!("{DEVICES}/0/HostPath")),
                "{refused}"
            );
        }
    }

    #[test]
    fn an_image_of_another_size_is_copied_and_filled_up() {
        let own = rustix::process::geteuid().as_raw();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[9; 5000]).unwrap();
        let opened = |file: &File| {
            use std::io::Seek as _;
            let mut file = file.try_clone().unwrap();
            file.rewind().unwrap();
            file
        };
        let memory = PersistentMemory { image: 4096 };
        let copy = memory.mappable(opened(&file), own).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), PIECE);
        let mut around = [0; 2];
        copy.read_exact_at(&mut around, 4095).unwrap();
        assert_eq!(around, [9, 0]);
        assert!(copy.set_len(0).is_err(), "it could be changed");
        let short = PersistentMemory { image: 6000 };
        assert!(short.mappable(opened(&file), own).is_err());
        // A whole one is itself.
        file.set_len(PIECE + 512).unwrap();
        let whole = PersistentMemory { image: PIECE };
        let mapped = whole.mappable(opened(&file), own).unwrap();
        assert_eq!(mapped.metadata().unwrap().len(), PIECE + 512);
    }
}

//! Boot by firmware, from a disk with a program of 74 bytes.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hcs_engine::engine::{Exit, Machine};
use hcs_schema::{
    HResult,
    documents::{PauseOptions, SystemPropertyType},
};
use serde_json::json;

use crate::{cases::Case, host::Host, media};

pub(crate) const CASES: &[Case] = &[
    (
        "firmware_boots_the_disk_that_is_named_and_keeps_its_variables",
        firmware_boots_the_disk_that_is_named_and_keeps_its_variables,
    ),
    (
        "firmware_boots_images_of_every_kind_on_controllers_that_clients_name",
        firmware_boots_images_of_every_kind_on_controllers_that_clients_name,
    ),
];

const SECTOR: usize = 512;

/// The screen.
const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

/// A file system of 8 MB: reserved sector, two tables, the root directory, clusters of a sector each.
const SECTORS: u16 = 16_384;
const TABLE: usize = 64;
const ROOT: usize = 1 + 2 * TABLE;
const CLUSTERS: usize = ROOT + 32;

#[rustfmt::skip]
const CODE: [u8; 74] = [
    0xfa,                                     // cli: the firmware would read what is for us
    0x48, 0x8d, 0x35, 0x3a, 0x00, 0x00, 0x00, // lea rsi, [text]
    0x66, 0xba, 0xf8, 0x03,                   // mov dx, COM1
    0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, // write it until it is 0
    0x66, 0xba, 0xfd, 0x03,                   // again: mov dx, the port's status
    0xec, 0xa8, 0x01, 0x74, 0xfb,             // until there is a byte
    0x66, 0xba, 0xf8, 0x03, 0xec,             // read it
    0x3c, b'o', 0x74, 0x07,                   // je off
    0x3c, b'r', 0x74, 0x0f,                   // je reset
    0xee, 0xeb, 0xe7,                         // echo it; jmp again
    0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20, 0x66, 0xef, 0xeb, 0xdb, // off: the register for power
    0x66, 0xba, 0x64, 0x00, 0xb0, 0xfe, 0xee, 0xeb, 0xd2, // reset: the keyboard's controller
    // The text, which ends with 0.
    0, 0, 0, 0, 0, 0, 0, 0,
];
const TEXT: usize = CODE.len() - 8;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The code with its text as a program for UEFI: PE32+ with one section, which needs no relocation.
fn program(text: &[u8; 7]) -> Vec<u8> {
    let mut file = vec![0; 2 * SECTOR];
    put(&mut file, 0, b"MZ");
    file[0x3c] = 0x40;
    put(&mut file, 0x40, b"PE\0\0\x64\x86\x01");
    put(&mut file, 0x54, &[0xf0, 0, 0x2e, 2]);
    let optional = 0x58;
    let mut word = |at: usize, value: u32| put(&mut file, optional + at, &value.to_le_bytes());
    word(0, 0x20b);
    // Sizes of the code, and where it begins in memory.
    word(4, 0x200);
    word(16, 0x1000);
    word(20, 0x1000);
    // Alignment in memory and in the file; sizes of the image and of the headers.
    word(32, 0x1000);
    word(36, 0x200);
    word(56, 0x2000);
    word(60, 0x200);
    // A program of UEFI, and the number of directories, which are empty.
    word(68, 10);
    word(108, 16);
    let section = optional + 0xf0;
    put(&mut file, section, b".text");
    let mut word = |at: usize, value: u32| put(&mut file, section + at, &value.to_le_bytes());
    word(8, 0x200);
    word(12, 0x1000);
    word(16, 0x200);
    word(20, 0x200);
    word(36, 0x6000_0020);
    put(&mut file, SECTOR, &CODE);
    put(&mut file, SECTOR + TEXT, text);
    file
}

/// A disk without partitions that has it as `EFI/BOOT/BOOTX64.EFI`.
fn disk(text: &[u8; 7]) -> Vec<u8> {
    let mut disk = vec![0; usize::from(SECTORS) * SECTOR];
    put(&mut disk, 0, b"\xeb\x3c\x90MSDOS5.0");
    put(&mut disk, 11, &[0, 2, 1, 1, 0, 2, 0, 2]);
    put(&mut disk, 19, &SECTORS.to_le_bytes());
    put(&mut disk, 21, &[0xf8, 64, 0, 32, 0, 2]);
    put(&mut disk, 36, &[0x80, 0, 0x29]);
    put(&mut disk, 43, b"NO NAME    FAT16   ");
    put(&mut disk, 510, b"\x55\xaa");
    for table in [1, 1 + TABLE] {
        // Directories in clusters 2 and 3, the program in 4 and 5.
        let entries = [0xfff8_u16, 0xffff, 0xffff, 0xffff, 5, 0xffff];
        for (number, entry) in entries.iter().enumerate() {
            put(&mut disk, table * SECTOR + 2 * number, &entry.to_le_bytes());
        }
    }
    let cluster = |number: usize| (CLUSTERS + number - 2) * SECTOR;
    let mut entry = |at: usize, name: &[u8; 11], is_directory: bool, first: u8, size: u32| {
        put(&mut disk, at, name);
        disk[at + 11] = if is_directory { 0x10 } else { 0x20 };
        disk[at + 26] = first;
        put(&mut disk, at + 28, &size.to_le_bytes());
    };
    entry(ROOT * SECTOR, b"EFI        ", true, 2, 0);
    for (number, own, above) in [(2, 2, 0), (3, 3, 2)] {
        entry(cluster(number), b".          ", true, own, 0);
        entry(cluster(number) + 32, b"..         ", true, above, 0);
    }
    entry(cluster(2) + 64, b"BOOT       ", true, 3, 0);
    entry(cluster(3) + 64, b"BOOTX64 EFI", false, 4, 1024);
    put(&mut disk, cluster(4), &program(text));
    disk
}

fn firmware_boots_the_disk_that_is_named_and_keeps_its_variables() {
    let host = Host::new();
    let path = |name: &str| host.place.path().join(name);
    fs::write(path("first.raw"), disk(b"first \n")).unwrap();
    fs::write(path("second.raw"), disk(b"second\n")).unwrap();
    host.grant("a machine", &path("first.raw"));
    host.grant("a machine", &path("second.raw"));
    let document = |named: u8, machine: &mut serde_json::Value| {
        let named = format!("Scsi(0,{named})");
        machine["Chipset"] =
            json!({"Uefi": {"BootThis": {"DeviceType": "ScsiDrive", "DevicePath": named}}});
        machine["ComputeTopology"]["Memory"]["SizeInMB"] = json!(128);
        machine["Devices"]["Scsi"] = json!({"0": {"Attachments": {
            "0": {"Type": "VirtualDisk", "Path": path("first.raw")},
            "1": {"Type": "VirtualDisk", "Path": path("second.raw")},
        }}});
        machine["GuestState"] = json!({"GuestStateFilePath": path("state")});
    };
    let second = |machine: &mut serde_json::Value| document(1, machine);
    let missing = host.refused(&host.document(second));
    assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND, "{missing}");
    fs::write(path("state"), "").unwrap();
    let refused = host.refused(&host.document(second));
    assert_eq!(refused.hresult, HResult::E_ACCESSDENIED, "{refused}");
    host.grant("a machine", &path("state"));
    let boot = |named: u8, text: &str| {
        let running = host.start_with(|machine| document(named, machine));
        let mut com = host.com();
        com.read_to(text);
        com.say("o");
        assert_eq!(running.end(), Exit::PowerOff);
    };
    boot(1, "second\n");
    // The firmware has written down what it found to boot, by the name of its device.
    let state = fs::read(path("state")).unwrap();
    let name: Vec<u8> = "UEFI QEMU"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(state.windows(name.len()).any(|bytes| bytes == name));
    // With what it has kept it boots the disk that is named as well.
    boot(0, "first \n");
    assert_eq!(fs::read(path("state")).unwrap().len(), state.len());
}

/// The machine as multipass and HelloHCS describe it: a disk, and an optical disk on a controller of its own.
fn firmware_boots_images_of_every_kind_on_controllers_that_clients_name() {
    let host = Host::new();
    let path = |name: &str| host.place.path().join(name);
    let kinds = [
        ("vhdx", b"vhdx  \n"),
        ("vpc", b"vhd   \n"),
        ("qcow2", b"qcow2 \n"),
    ];
    for (format, text) in kinds {
        let name = String::from_utf8_lossy(text);
        fs::write(path("raw"), disk(text)).unwrap();
        media::convert(
            &path("raw"),
            format,
            &path(&format!("disk.{}", name.trim())),
        );
    }
    fs::write(path("disc.iso"), media::optical(&disk(b"iso   \n"))).unwrap();
    let boot = |controller: &str, image: &str, text: &str| {
        for name in [image, "disc.iso"] {
            host.grant("a machine", &path(name));
        }
        let running = host.start_with(|machine| {
            let this = json!({"DeviceType": "ScsiDrive", "DevicePath": controller, "DiskNumber": 0});
            machine["Chipset"] = json!({"Uefi": {"BootThis": this, "Console": "ComPort1"}});
            machine["ComputeTopology"]["Memory"]["SizeInMB"] = json!(128);
            let memory = &mut machine["ComputeTopology"]["Memory"];
            memory["Backing"] = json!("Virtual");
            machine["Devices"]["Keyboard"] = json!({});
            machine["Devices"]["Mouse"] = json!({});
            machine["Devices"]["VideoMonitor"] =
                json!({"HorizontalResolution": WIDTH, "VerticalResolution": HEIGHT});
            machine["Devices"]["Scsi"] = json!({
                "Primary disk": {"Attachments": {"0": {"Type": "VirtualDisk", "Path": path(image)}}},
                "cloud-init iso file": {"Attachments": {"0": {"Type": "Iso", "Path": path("disc.iso"), "ReadOnly": true}}},
            });
        });
        let mut com = host.com();
        com.read_to(text);
        check_pictures(&*running.machine);
        com.say("o");
        assert_eq!(running.end(), Exit::PowerOff);
    };
    boot("Primary disk", "disk.vhdx", "vhdx  \n");
    boot("Primary disk", "disk.vhd", "vhd   \n");
    boot("cloud-init iso file", "disk.qcow2", "iso   \n");
}

/// What is on the screen: a picture each time it is asked for, the same one while nothing changes, and also of a
/// machine that stands still, whose QEMU closes no files.
fn check_pictures(machine: &dyn Machine) {
    let picture = || {
        let properties = machine.property(SystemPropertyType::ConsoleImage).unwrap();
        let image = properties.unwrap().console_image.unwrap().image.unwrap();
        STANDARD.decode(image).unwrap()
    };
    let first = picture();
    assert_eq!(first[..8], *b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes(first[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (WIDTH, HEIGHT));
    machine.pause(&PauseOptions::default()).unwrap();
    for _ in 0..20 {
        assert!(picture() == first, "the picture is another one");
    }
    machine.resume().unwrap();
}

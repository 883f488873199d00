//! A Linux guest that firmware boots: Debian's kernel as a program of UEFI, from a disk, up to its agent.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{
    common::Service,
    guests::{Guest, said},
    images,
};

const SECTOR: usize = 512;
/// A file system of 64 MB: reserved sector, two tables, the root directory, clusters of four sectors.
const SECTORS: usize = 131_072;
const TABLE: usize = 128;
const ROOT: usize = 1 + 2 * TABLE;
const DATA: usize = ROOT + 32;
const CLUSTER: usize = 4 * SECTOR;
/// Attributes of a directory and of a file.
const DIRECTORY: u8 = 0x10;
const FILE: u8 = 0x20;

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A disk without partitions, to which files are added from the first cluster on.
struct Disk {
    bytes: Vec<u8>,
    /// The next cluster that is free.
    next: usize,
}

impl Disk {
    fn new() -> Self {
        let mut bytes = vec![0; SECTORS * SECTOR];
        put(&mut bytes, 0, b"\xeb\x3c\x90MSDOS5.0");
        put(
            &mut bytes,
            11,
            &[0, 2, 4, 1, 0, 2, 0, 2, 0, 0, 0xf8, 128, 0, 32, 0, 2],
        );
        put(
            &mut bytes,
            32,
            &u32::try_from(SECTORS).unwrap().to_le_bytes(),
        );
        put(&mut bytes, 36, &[0x80, 0, 0x29]);
        put(&mut bytes, 43, b"NO NAME    FAT16   ");
        put(&mut bytes, 510, b"\x55\xaa");
        let mut disk = Self { bytes, next: 2 };
        disk.chain(0, 0xfff8);
        disk.chain(1, 0xffff);
        disk
    }

    /// What comes after a cluster.
    fn chain(&mut self, cluster: usize, after: u16) {
        for table in [1, 1 + TABLE] {
            let at = table * SECTOR + 2 * cluster;
            put(&mut self.bytes, at, &after.to_le_bytes());
        }
    }

    /// Puts a file or directory into the next clusters; answers its first one, and how long it is.
    fn add(&mut self, content: &[u8]) -> (usize, usize) {
        let first = self.next;
        let count = content.len().div_ceil(CLUSTER);
        self.next += count;
        for cluster in first..self.next {
            let after = u16::try_from(cluster + 1).unwrap();
            let is_last = cluster + 1 == self.next;
            self.chain(cluster, if is_last { 0xffff } else { after });
        }
        put(
            &mut self.bytes,
            DATA * SECTOR + (first - 2) * CLUSTER,
            content,
        );
        (first, content.len())
    }
}

/// An entry of a directory.
fn entry(name: &[u8; 11], kind: u8, (first, length): (usize, usize)) -> [u8; 32] {
    let mut entry = [0; 32];
    put(&mut entry, 0, name);
    entry[11] = kind;
    put(&mut entry, 26, &u16::try_from(first).unwrap().to_le_bytes());
    let length = if kind == FILE { length } else { 0 };
    put(
        &mut entry,
        28,
        &u32::try_from(length).unwrap().to_le_bytes(),
    );
    entry
}

/// A directory within the directory `above`, with one entry. It will be in this cluster.
fn directory(own: usize, above: usize, only: [u8; 32]) -> Vec<u8> {
    let own = entry(b".          ", DIRECTORY, (own, 0));
    let above = entry(b"..         ", DIRECTORY, (above, 0));
    [own, above, only].concat()
}

/// The program `boot.c` for UEFI: PE32+ with one section, which needs no relocation.
fn program(place: &Path) -> Vec<u8> {
    let script = "SECTIONS { . = 0x1000; .all : { *(.start) *(.text*) *(.rodata*) *(.data*) *(.bss*) } \
                  /DISCARD/ : { *(*) } }";
    let (script_file, flat) = (place.join("script"), place.join("flat"));
    fs::write(&script_file, script).unwrap();
    let mut compile = Command::new("gcc");
    compile
        .args([
            "-Os",
            "-Wall",
            "-Werror",
            "-ffreestanding",
            "-fshort-wchar",
            "-fpie",
        ])
        .args([
            "-fno-stack-protector",
            "-fcf-protection=none",
            "-mno-red-zone",
            "-mgeneral-regs-only",
        ])
        .args([
            "-nostdlib",
            "-static",
            "-Wl,--oformat=binary,--build-id=none,-e,start",
            "-T",
        ])
        .arg(&script_file)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/boot.c"))
        .arg("-o")
        .arg(&flat);
    assert!(compile.status().unwrap().success());
    let code = fs::read(flat).unwrap();
    let size = u32::try_from(code.len().next_multiple_of(SECTOR)).unwrap();
    let mut file = vec![0; SECTOR + usize::try_from(size).unwrap()];
    put(&mut file, 0, b"MZ");
    file[0x3c] = 0x40;
    put(&mut file, 0x40, b"PE\0\0\x64\x86\x01");
    put(&mut file, 0x54, &[0xf0, 0, 0x2e, 2]);
    let optional = 0x58;
    let mut word = |at: usize, value: u32| put(&mut file, at, &value.to_le_bytes());
    word(optional, 0x20b);
    // The size of the code, where it begins in memory, and where it is entered.
    for (at, value) in [(4, size), (16, 0x1000), (20, 0x1000)] {
        word(optional + at, value);
    }
    // Alignment in memory and in the file; sizes of the image and of the headers; a program; no directories of data.
    for (at, value) in [
        (32, 0x1000),
        (36, 0x200),
        (56, 0x3000),
        (60, 0x200),
        (68, 10),
        (108, 16),
    ] {
        word(optional + at, value);
    }
    let section = optional + 0xf0;
    for (at, value) in [
        (8, size),
        (12, 0x1000),
        (16, size),
        (20, 0x200),
        (36, 0x6000_0020),
    ] {
        word(section + at, value);
    }
    put(&mut file, section, b".text");
    put(&mut file, SECTOR, &code);
    file
}

/// A disk that boots `kernel` with `initrd`.
fn disk(program: &[u8], kernel: &[u8], initrd: &[u8]) -> Vec<u8> {
    let mut disk = Disk::new();
    let (efi, boot) = (disk.next, disk.next + 1);
    // The two directories come first; what they name is known when they are written.
    let program_at = (boot + 1, program.len());
    let inner = directory(boot, efi, entry(b"BOOTX64 EFI", FILE, program_at));
    let outer = directory(efi, 0, entry(b"BOOT       ", DIRECTORY, (boot, 0)));
    for content in [&outer, &inner] {
        disk.add(content);
    }
    assert_eq!(disk.add(program), program_at);
    let kernel = disk.add(kernel);
    let initrd = disk.add(initrd);
    let root = [
        entry(b"EFI        ", DIRECTORY, (efi, 0)),
        entry(b"LINUX   EFI", FILE, kernel),
        entry(b"INITRD     ", FILE, initrd),
    ];
    put(&mut disk.bytes, ROOT * SECTOR, &root.concat());
    disk.bytes
}

#[test]
fn firmware_boots_a_kernel_of_debian_up_to_its_agent() {
    let guest = Guest::new();
    let place = tempfile::tempdir().unwrap();
    let (kernel, initrd) = guest.boot_files();
    let image = place.path().join("disk.raw");
    let bytes = disk(
        &program(place.path()),
        &fs::read(kernel).unwrap(),
        &fs::read(initrd).unwrap(),
    );
    fs::write(&image, bytes).unwrap();
    images::let_all_use(&image);
    let service = Service::new();
    let mut client = service.client();
    guest.start_with(&mut client, |machine| {
        let this = json!({ "DeviceType": "ScsiDrive", "DevicePath": "Scsi(0,0)" });
        machine["Chipset"] = json!({ "Uefi": { "BootThis": this } });
        machine["ComputeTopology"]["Memory"]["SizeInMB"] = json!(384);
        let disk = json!({ "Type": "VirtualDisk", "Path": image, "ReadOnly": true });
        machine["Devices"]["Scsi"] = json!({ "0": { "Attachments": { "0": disk } } });
    });
    let script = "busybox ls -d /sys/firmware/efi; busybox cat /proc/cmdline";
    let seen = said(&mut client, "root", script);
    assert!(seen.starts_with("/sys/firmware/efi\n"), "{seen}");
    assert!(seen.contains("initrd=\\INITRD"), "{seen}");
    client.terminate(1);
    assert_eq!(client.system_exit(1), "ForcedExit");
}

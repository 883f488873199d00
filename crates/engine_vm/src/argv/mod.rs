//! The command line of QEMU: a pure function of what a machine is to be and of the numbers of its descriptors.
//!
//! One file per switch, named after it. [`parts`] lists the parts of a machine, [`argv`] writes them down. QEMU reaches
//! every input by an inherited descriptor, so that it needs no path of the host.

mod accel;
mod action;
pub(crate) mod blockdev;
mod device_bochs_display;
mod device_isa_serial;
mod device_nvdimm;
mod device_pvpanic;
mod device_vhost_user_vsock_pci;
mod device_virtio_scsi_pci;
mod device_virtserialport;
pub(crate) mod hot_memory_port;
mod kernel;
mod m;
mod machine;
mod mon;
pub(crate) mod network_ports;
mod object_throttle_group;
mod pflash;
mod sandbox;
mod smp;

use std::os::fd::RawFd;

use serde::{Deserialize, Serialize};

use crate::{
    disk::{Disk, Place},
    persistent_memory::PersistentMemory,
    screen::Screen,
    storage::StorageLimits,
    virtio_serial::VirtioPort,
};
pub(crate) use accel::{Accelerator, TRANSLATIONS_MB};

/// Memory of the board that is not the guest's own, in megabytes.
pub(crate) const BOARD_MEMORY_MB: u64 = 64;

/// What a machine is to be, as far as QEMU has to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Board {
    /// The name that QEMU's process shows: the runtime id.
    pub(crate) name: String,
    /// What executes the guest's instructions.
    pub(crate) accelerator: Accelerator,
    /// Memory in megabytes (2^20 bytes).
    pub(crate) memory_mb: u64,
    /// Processors.
    pub(crate) processors: u32,
    /// What it begins with.
    pub(crate) boot: BoardBoot,
    /// Whether a reset of the guest ends the machine.
    pub(crate) stops_on_reset: bool,
    /// The numbers of its SCSI controllers.
    pub(crate) controllers: Vec<u8>,
    /// Its disks, each on one of these.
    pub(crate) disks: Vec<Disk>,
    /// Places for network cards.
    #[serde(default)]
    pub(crate) network_ports: usize,
    /// Its screen.
    #[serde(default)]
    pub(crate) screen: Option<Screen>,
    /// Whether all of its memory is taken from the host before it starts, and kept.
    #[serde(default)]
    pub(crate) holds_memory: bool,
    /// The most megabytes of memory that come on top while it runs.
    #[serde(default)]
    pub(crate) most_added_mb: u64,
    /// Whether a guest that crashed is left where it is, so that its memory can be written to a file.
    #[serde(default)]
    pub(crate) keeps_crashed: bool,
    /// Limits on the input and output of its disks, where it can have some.
    #[serde(default)]
    pub(crate) storage_limits: Option<StorageLimits>,
    /// Its virtio serial ports, where it has a device for them.
    #[serde(default)]
    pub(crate) virtio_ports: Option<Vec<VirtioPort>>,
    /// Its persistent memory.
    #[serde(default)]
    pub(crate) persistent: Option<PersistentMemory>,
}

impl Board {
    /// The most bytes of the memory that it begins with, with all that describes it, as it is written after a crash of
    /// the guest.
    pub(crate) fn crash_bytes(&self) -> u64 {
        let screen = self.screen.map_or(0, Screen::memory_mb);
        (self.memory_mb + screen + BOARD_MEMORY_MB) << 20
    }

    /// The most memory that the guest can have, in megabytes.
    pub(crate) const fn most_memory_mb(&self) -> u64 {
        self.memory_mb + self.most_added_mb
    }
}

/// What the board begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BoardBoot {
    /// A kernel with this command line.
    Kernel(String),
    /// Firmware, which boots these disks, the first one first.
    Firmware(Vec<Place>),
}

/// The numbers under which QEMU has its descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// The memory of the guest.
    pub(crate) memory: RawFd,
    /// The kernel, or the code of the firmware.
    pub(crate) kernel: RawFd,
    /// The initial RAM disk, or the variables of the firmware.
    pub(crate) initrd: Option<RawFd>,
    /// The file of each disk, in the order of the disks.
    pub(crate) disks: Vec<RawFd>,
    /// The file of the persistent memory.
    pub(crate) persistent: Option<RawFd>,
    /// The stream of the monitor.
    pub(crate) monitor: RawFd,
    /// The stream of each serial port, with its number from 0.
    pub(crate) ports: Vec<(u8, RawFd)>,
    /// The stream of each virtio serial port, in their order.
    pub(crate) virtio_ports: Vec<RawFd>,
    /// The stream of the device for sockets between guest and host.
    pub(crate) vsock: Option<RawFd>,
}

/// One part of a machine.
pub(crate) trait Switch {
    /// The words on QEMU's command line.
    fn words(&self) -> Vec<String>;
}

/// Plain words.
struct Words(&'static [&'static str]);

impl Switch for Words {
    fn words(&self) -> Vec<String> {
        self.0.iter().map(|word| (*word).to_owned()).collect()
    }
}

/// No devices, files or windows but those that are named, and no instruction before the start.
const BARE: Words = Words(&["-nodefaults", "-no-user-config", "-display", "none", "-S"]);

/// The parts of a machine, in the order of the command line.
pub(crate) fn parts<'a>(board: &'a Board, numbers: &Numbers) -> Vec<Box<dyn Switch + 'a>> {
    let mut parts: Vec<Box<dyn Switch + 'a>> = vec![
        Box::new(BARE),
        Box::new(sandbox::Sandbox),
        Box::new(machine::Machine {
            name: board.name.clone(),
            has_firmware: matches!(board.boot, BoardBoot::Firmware(_)),
            has_nvdimm: board.persistent.is_some(),
        }),
        Box::new(accel::Accel(board.accelerator)),
        Box::new(smp::Smp(board.processors)),
        Box::new(m::Memory {
            megabytes: board.memory_mb,
            most_added_mb: board.most_added_mb,
            persistent: board.persistent,
            descriptor: numbers.memory,
        }),
        boot(board, numbers),
        Box::new(action::Action {
            stops_on_reset: board.stops_on_reset,
            keeps_crashed: board.keeps_crashed,
        }),
        Box::new(mon::Monitor(numbers.monitor)),
        Box::new(device_pvpanic::PvPanic),
    ];
    parts.extend(serial_ports(board, numbers));
    for number in &board.controllers {
        parts.push(Box::new(device_virtio_scsi_pci::Controller(*number)));
    }
    if let Some(limits) = board.storage_limits {
        parts.push(Box::new(object_throttle_group::ThrottleGroup(limits)));
    }
    for (disk, descriptor) in board.disks.iter().zip(&numbers.disks) {
        parts.push(Box::new(blockdev::ScsiDisk {
            disk: *disk,
            descriptor: *descriptor,
            boot_index: boot_index(board, disk.place),
        }));
    }
    if let (Some(memory), Some(descriptor)) = (board.persistent, numbers.persistent) {
        parts.push(Box::new(device_nvdimm::Nvdimm { memory, descriptor }));
    }
    if let Some(descriptor) = numbers.vsock {
        parts.push(Box::new(device_vhost_user_vsock_pci::VsockDevice(
            descriptor,
        )));
    }
    parts.push(Box::new(network_ports::NetworkPorts(board.network_ports)));
    if board.most_added_mb > 0 {
        parts.push(Box::new(hot_memory_port::HotMemoryPort));
    }
    if let Some(screen) = board.screen {
        parts.push(Box::new(device_bochs_display::Display(screen)));
    }
    parts
}

/// Serial ports, and those of virtio.
fn serial_ports<'a>(board: &'a Board, numbers: &Numbers) -> Vec<Box<dyn Switch + 'a>> {
    let mut parts: Vec<Box<dyn Switch + 'a>> = Vec::new();
    for (number, descriptor) in &numbers.ports {
        parts.push(Box::new(device_isa_serial::IsaSerial {
            number: *number,
            descriptor: *descriptor,
        }));
    }
    if let Some(ports) = &board.virtio_ports {
        parts.push(Box::new(device_virtserialport::VirtioSerial));
        for (port, descriptor) in ports.iter().zip(&numbers.virtio_ports) {
            parts.push(Box::new(device_virtserialport::VirtioSerialPort {
                port,
                descriptor: *descriptor,
            }));
        }
    }
    parts
}

fn boot(board: &Board, numbers: &Numbers) -> Box<dyn Switch> {
    match (&board.boot, numbers.initrd) {
        (BoardBoot::Firmware(_), Some(variables)) => Box::new(pflash::FirmwareFlash {
            code: numbers.kernel,
            variables,
        }),
        (BoardBoot::Kernel(command_line), initrd) => Box::new(kernel::Kernel {
            kernel: numbers.kernel,
            initrd,
            command_line: command_line.clone(),
        }),
        // A worker is always given them; QEMU says that a machine has no code.
        (BoardBoot::Firmware(_), None) => Box::new(Words(&[])),
    }
}

/// When the firmware looks at a disk.
fn boot_index(board: &Board, place: Place) -> Option<usize> {
    match &board.boot {
        BoardBoot::Firmware(order) => order.iter().position(|known| *known == place),
        BoardBoot::Kernel(_) => None,
    }
}

/// The command line, without the program's own name.
pub(crate) fn argv(board: &Board, numbers: &Numbers) -> Vec<String> {
    let parts = parts(board, numbers);
    parts.iter().flat_map(|part| part.words()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::disk::{Place, format::Format};

    fn disk(slot: u8, format: Format, optical: bool) -> Disk {
        Disk {
            place: Place {
                controller: 0,
                slot,
            },
            format,
            optical,
            read_only: optical,
            ignores_flushes: !optical,
            limited: false,
            device: false,
        }
    }

    /// The drivers are named, nothing else is opened, and files are there by number.
    fn check_disks(objects: &[Value]) {
        let file = |set: u8, read_only: bool| {
            json!({
                "driver": "file", "node-name": format!("disk0-{}-file", set - 1), "filename": format!("/dev/fdset/{set}"), "locking": "off", "read-only": read_only,
                "cache": {"direct": false, "no-flush": !read_only}, "discard": "unmap",
            })
        };
        let expected = [
            json!({
                "driver": "qcow2", "node-name": "disk0-0", "read-only": false, "backing": null,
                "cache": {"direct": false, "no-flush": true}, "discard": "unmap", "file": file(1, false),
            }),
            json!({
                "driver": "scsi-hd", "id": "scsi0-0", "bus": "scsi0.0", "channel": 0, "scsi-id": 0, "lun": 0,
                "drive": "disk0-0", "serial": "disk0-0",
            }),
            json!({
                "driver": "raw", "node-name": "disk0-3", "read-only": true,
                "cache": {"direct": false, "no-flush": false}, "discard": "unmap", "file": file(4, true),
            }),
            json!({
                "driver": "scsi-cd", "id": "scsi0-3", "bus": "scsi0.0", "channel": 0, "scsi-id": 0, "lun": 3,
                "drive": "disk0-3", "serial": "disk0-3",
            }),
        ];
        assert_eq!(objects, expected);
    }

    #[test]
    fn a_machine_is_written_down() {
        let board = Board {
            name: "3f2504e0-4f89-11d3-9a0c-0305e82c3301".to_owned(),
            accelerator: Accelerator::Tcg,
            memory_mb: 256,
            processors: 2,
            boot: BoardBoot::Kernel("console=ttyS0 a=1,b=2".to_owned()),
            stops_on_reset: true,
            controllers: vec![0, 2],
            disks: vec![disk(0, Format::Qcow2, false), disk(3, Format::Raw, true)],
            network_ports: 1,
            screen: Some(Screen {
                width: 1280,
                height: 720,
            }),
            holds_memory: true,
            most_added_mb: 0,
            keeps_crashed: false,
            storage_limits: None,
            virtio_ports: None,
            persistent: None,
        };
        let numbers = Numbers {
            memory: 5,
            kernel: 6,
            initrd: Some(7),
            disks: vec![12, 13],
            persistent: None,
            monitor: 8,
            ports: vec![(0, 9), (1, 10)],
            virtio_ports: Vec::new(),
            vsock: Some(11),
        };
        let expected = "-nodefaults -no-user-config -display none -S \
            -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
            -name 3f2504e0-4f89-11d3-9a0c-0305e82c3301 -machine q35,memory-backend=m0,vmport=off \
            -accel tcg,thread=multi,tb-size=128 -cpu max,-erms,-fsrm \
            -smp 2,sockets=1,cores=2,threads=1,maxcpus=2 \
            -m 256M -object memory-backend-file,id=m0,size=256M,share=on,mem-path=/dev/fd/5 \
            -kernel /dev/fd/6 -append console=ttyS0_a=1,b=2 -initrd /dev/fd/7 \
            -action reboot=shutdown,shutdown=poweroff,panic=shutdown \
            -chardev socket,id=qmp,fd=8 -mon chardev=qmp,mode=control \
            -device pvpanic \
            -chardev socket,id=com0,fd=9 -device isa-serial,index=0,chardev=com0 \
            -chardev socket,id=com1,fd=10 -device isa-serial,index=1,chardev=com1 \
            -device virtio-scsi-pci,id=scsi0 -device virtio-scsi-pci,id=scsi2 \
            -add-fd fd=12,set=1 -blockdev QCOW2 -device DISK \
            -add-fd fd=13,set=4 -blockdev RAW -device OPTICAL \
            -device pcie-root-port,id=rp0,chassis=1,slot=1 \
            -chardev socket,id=vs0,fd=11 -device vhost-user-vsock-pci,id=vsk0,chardev=vs0,bus=rp0 \
            -device pcie-root-port,id=np0,chassis=2,slot=2 \
            -device bochs-display,id=screen,xres=1280,yres=720,vgamem=16M";
        let words: Vec<String> = argv(&board, &numbers);
        let objects = words.iter().filter(|word| word.starts_with('{'));
        let objects = objects.map(|word| serde_json::from_str(word).unwrap());
        check_disks(&objects.collect::<Vec<Value>>());
        let named = ["QCOW2", "DISK", "RAW", "OPTICAL"];
        let mut names = named.iter();
        let written: Vec<String> = words
            .iter()
            .map(|word| match word.starts_with('{') {
                true => (*names.next().unwrap()).to_owned(),
                false => word.replace(' ', "_"),
            })
            .collect();
        let expected: Vec<&str> = expected.split_whitespace().collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn a_guest_that_may_reset_does_and_has_no_initrd_of_no_file() {
        let board = Board {
            name: "x".to_owned(),
            accelerator: Accelerator::Kvm,
            memory_mb: 64,
            processors: 1,
            boot: BoardBoot::Kernel(String::new()),
            stops_on_reset: false,
            controllers: Vec::new(),
            disks: Vec::new(),
            network_ports: 0,
            screen: None,
            holds_memory: false,
            most_added_mb: 128,
            keeps_crashed: true,
            storage_limits: None,
            virtio_ports: None,
            persistent: Some(PersistentMemory::of_tests(3 << 20)),
        };
        let numbers = Numbers {
            memory: 5,
            kernel: 6,
            initrd: None,
            disks: Vec::new(),
            persistent: Some(12),
            monitor: 8,
            ports: Vec::new(),
            virtio_ports: Vec::new(),
            vsock: None,
        };
        let words = argv(&board, &numbers);
        let has = |word: &str| words.iter().any(|known| known == word);
        assert!(has("reboot=reset,shutdown=poweroff,panic=pause") && has("kvm") && has("host"));
        assert!(!has("-initrd") && !has("-append"), "{words:?}");
        assert!(has("q35,memory-backend=m0,vmport=off,nvdimm=on"));
        assert!(has(
            "memory-backend-file,id=pm0,size=4194304,align=2M,share=on,readonly=on,mem-path=/dev/fd/12"
        ));
        assert!(has("nvdimm,id=pmem0,memdev=pm0,unarmed=on"));
        assert!(has("64M,maxmem=196M,slots=1") && has("pcie-root-port,id=mp0,chassis=64,slot=64"));
    }

    #[test]
    fn firmware_has_its_files_and_boots_disks_in_order() {
        let board = Board {
            name: "x".to_owned(),
            accelerator: Accelerator::Tcg,
            memory_mb: 64,
            processors: 1,
            boot: BoardBoot::Firmware(vec![Place {
                controller: 0,
                slot: 3,
            }]),
            stops_on_reset: true,
            controllers: vec![0],
            disks: vec![disk(0, Format::Raw, false), disk(3, Format::Raw, true)],
            network_ports: 0,
            screen: None,
            holds_memory: false,
            most_added_mb: 0,
            keeps_crashed: false,
            storage_limits: None,
            virtio_ports: None,
            persistent: None,
        };
        let numbers = Numbers {
            memory: 5,
            kernel: 6,
            initrd: Some(7),
            disks: vec![12, 13],
            persistent: None,
            monitor: 8,
            ports: Vec::new(),
            virtio_ports: Vec::new(),
            vsock: None,
        };
        let words = argv(&board, &numbers);
        let has = |word: &str| words.iter().any(|known| known == word);
        assert!(
            has("fd=6,set=1000") && has("fd=7,set=1001") && !has("-kernel"),
            "{words:?}"
        );
        assert!(has(
            "q35,memory-backend=m0,vmport=off,pflash0=code,pflash1=variables"
        ));
        let objects = words
            .iter()
            .filter_map(|word| serde_json::from_str::<Value>(word).ok());
        let devices = objects.filter(|object| object.get("bus").is_some());
        let order: Vec<Value> = devices.map(|device| device["bootindex"].clone()).collect();
        assert_eq!(order, [Value::Null, json!(0)]);
    }

    #[test]
    fn limits_stand_between_disks_and_their_images() {
        let limited = Disk {
            limited: true,
            ..disk(0, Format::Raw, true)
        };
        let words = blockdev::ScsiDisk {
            disk: limited,
            descriptor: 9,
            boot_index: None,
        }
        .words();
        let objects = words
            .iter()
            .filter_map(|word| serde_json::from_str::<Value>(word).ok());
        let objects: Vec<Value> = objects.collect();
        assert_eq!(objects[1]["file"], objects[0]["node-name"]);
        assert_eq!(objects[2]["drive"], objects[1]["node-name"]);
        assert_eq!(objects[1]["read-only"], true);
    }
}

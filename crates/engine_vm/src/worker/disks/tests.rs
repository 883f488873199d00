//! Images and a QEMU that opens them, without a jail and a guest.

use std::{
    fs::File,
    os::unix::{fs::FileExt as _, net::UnixListener},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::*;
use crate::disk::format::Format;

const LIMIT: Duration = Duration::from_secs(60);

/// QEMU before the first instruction of a guest, with a SCSI controller.
struct Qemu {
    process: Child,
    monitor: Client,
    place: TempDir,
}

impl Qemu {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("monitor");
        let listener = UnixListener::bind(&socket).unwrap();
        let words = "-machine q35 -accel tcg -nodefaults -no-user-config -display none -S -device virtio-scsi-pci,id=scsi0";
        let process = Command::new("qemu-system-x86_64")
            .args(words.split(' '))
            .arg("-qmp")
            .arg(format!("unix:{}", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        let (monitor, _) = Client::greet(stream, LIMIT).unwrap();
        Self {
            process,
            monitor,
            place,
        }
    }

    /// A qcow2 image of one cluster whose data is in the file `data`, if there is one.
    fn image(&self, data: Option<&str>) -> OwnedFd {
        const CLUSTER: u64 = 1 << 16;
        let path = self.place.path().join("image.qcow2");
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .unwrap();
        file.set_len(4 * CLUSTER).unwrap();
        let put = |at: u64, bytes: &[u8]| file.write_all_at(bytes, at).unwrap();
        put(0, b"QFI\xfb");
        put(4, &3_u32.to_be_bytes());
        put(20, &16_u32.to_be_bytes());
        put(24, &CLUSTER.to_be_bytes());
        // The table of clusters, and the table and the block of references to the four of the file.
        put(36, &1_u32.to_be_bytes());
        put(40, &(3 * CLUSTER).to_be_bytes());
        put(48, &CLUSTER.to_be_bytes());
        put(56, &1_u32.to_be_bytes());
        put(96, &4_u32.to_be_bytes());
        put(100, &104_u32.to_be_bytes());
        put(CLUSTER, &(2 * CLUSTER).to_be_bytes());
        put(2 * CLUSTER, &[0, 1, 0, 1, 0, 1, 0, 1]);
        if let Some(data) = data {
            put(72, &4_u64.to_be_bytes());
            put(104, &0x4441_5441_u32.to_be_bytes());
            put(108, &u32::try_from(data.len()).unwrap().to_be_bytes());
            put(112, data.as_bytes());
        }
        file.into()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

const DISK: Disk = Disk {
    place: Place {
        controller: 0,
        slot: 0,
    },
    format: Format::Qcow2,
    optical: false,
    read_only: false,
    ignores_flushes: false,
    limited: false,
    device: false,
};

/// As it is when the owner of an image changes its header after the service has looked at it.
#[test]
fn an_image_that_has_qemu_open_another_file_is_not_plugged_in() {
    let mut qemu = Qemu::start();
    let mut held = HeldFiles::default();
    let data = qemu.place.path().join("data");
    std::fs::write(&data, [7; 1 << 16]).unwrap();
    let image = qemu.image(data.to_str());
    let refused = attach(&mut qemu.monitor, &mut held, &DISK, &image).unwrap_err();
    assert!(
        matches!(&refused, DiskError::NamesAnother(other) if other.contains("/data")),
        "{refused}"
    );
    // As at the start of a machine, whose images QEMU opens on its own.
    let image = qemu.image(data.to_str());
    let (set, file) = (DISK.place.file(), image.as_fd());
    qemu.monitor.execute(&AddFd { set, file }, LIMIT).unwrap();
    let add = BlockdevAdd(blockdev::image(&DISK));
    qemu.monitor.execute(&add, LIMIT).unwrap();
    assert!(check_files(&mut qemu.monitor).is_err());
    let node = json!(DISK.place.node());
    qemu.monitor.execute(&BlockdevDel(node), LIMIT).unwrap();
    check_files(&mut qemu.monitor).unwrap();
    let image = qemu.image(None);
    attach(&mut qemu.monitor, &mut held, &DISK, &image).unwrap();
}

//! Kernel modules that the image brings along: the files named in `/modules/order`, loaded in that order.
//!
//! 1. [`load_needed`]: those without which nothing works, and those of devices that are there. The machine serves its
//!    host after that.
//! 2. [`load_rest`], [`load_network`]: others. They may run in several processes at the same time.
//! 3. [`is_later`]: which is which. Pure.

use std::{collections::BTreeSet, fs, path::Path};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    system::finit_module,
};

use hcs_wire::errno;

use crate::agent::log;

/// Where they are.
pub(super) const FOLDER: &str = "/modules";
/// The list of their names, one a line, each after those it depends on.
const ORDER: &str = "order";
/// The most modules.
const MOST: usize = 512;
/// Modules for persistent memory, which few machines have: others do not take the time for them.
const PERSISTENT_MEMORY: [&str; 4] = ["libnvdimm.ko", "nfit.ko", "nd_btt.ko", "nd_pmem.ko"];
/// The table of the board that tells of it.
const ITS_TABLE: &str = "/sys/firmware/acpi/tables/NFIT";
/// The devices of virtio that are there: a directory each, with their number in the file `device`.
const DEVICES: &str = "/sys/bus/virtio/devices";

/// Those for network cards.
const NETWORK: [&str; 3] = ["failover.ko", "net_failover.ko", "virtio_net.ko"];

/// Modules that a machine can do without at first: the number of the device of virtio that they are for, and all that
/// they depend on beyond what is loaded in any case. File systems are for no device.
const LATER: [(Option<u32>, &[&str]); 12] = [
    (Some(1), &NETWORK),
    (Some(2), &["virtio_blk.ko"]),
    (Some(3), &["virtio_console.ko"]),
    (Some(4), &["rng_core.ko", "virtio_rng.ko"]),
    (Some(5), &["virtio_balloon.ko"]),
    (
        Some(8),
        &[
            "scsi_common.ko",
            "scsi_mod.ko",
            "virtio_scsi.ko",
            "sd_mod.ko",
            "cdrom.ko",
            "sr_mod.ko",
            "isofs.ko",
        ],
    ),
    (Some(24), &["virtio_mem.ko"]),
    (Some(26), &["fuse.ko", "virtiofs.ko"]),
    (
        None,
        &["fscache.ko", "netfs.ko", "9pnet.ko", "9p.ko", "9pnet_fd.ko"],
    ),
    (None, &["overlay.ko"]),
    (None, &["libcrc32c.ko", "erofs.ko"]),
    (None, &["crc16.ko", "mbcache.ko", "jbd2.ko", "ext4.ko"]),
];

/// What was done with the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    /// How many were loaded, or there already.
    pub(super) count: usize,
    /// How many are left for later.
    pub(super) left: usize,
}

/// Loads those that have to be there before the machine serves its host. Where one of them lacks another, all are.
pub(super) fn load_needed() -> Loaded {
    let mut loaded = Loaded::default();
    let mut devices = None;
    for name in list() {
        let has_device = |number| {
            devices
                .get_or_insert_with(|| present(Path::new(DEVICES)))
                .contains(&number)
        };
        if is_later(&name, has_device) {
            loaded.left += 1;
            continue;
        }
        match load_one(&name) {
            Ok(was_left) => loaded.count += usize::from(was_left),
            // It depends on one that was to come later.
            Err(Errno::NOENT) if loaded.left > 0 => {
                loaded.count += load_rest();
                loaded.left = 0;
                return loaded;
            }
            Err(errno) => unloadable(&name, errno),
        }
    }
    loaded
}

/// Loads all that are left; returns how many that were.
pub(super) fn load_rest() -> usize {
    load_those(|_| true)
}

/// Loads those for network cards, if they are left.
pub(super) fn load_network() {
    load_those(|name| NETWORK.contains(&name));
}

fn load_those(wanted: impl Fn(&str) -> bool) -> usize {
    let loads = |name: &String| {
        let loaded = load_one(name);
        loaded.unwrap_or_else(|errno| {
            unloadable(name, errno);
            false
        })
    };
    let names = list().into_iter().filter(|name| wanted(name));
    names.filter(loads).count()
}

/// What cannot be loaded is said and left out: the agent's work may not need it.
fn unloadable(name: &str, errno: Errno) {
    let why = errno::words(errno);
    log(&format!("the module {name} cannot be loaded: {why}"));
}

/// Those of the image that are of use on this board.
fn list() -> Vec<String> {
    let list = fs::read_to_string(Path::new(FOLDER).join(ORDER)).unwrap_or_default();
    let has_table = Path::new(ITS_TABLE).exists();
    let names = names(&list).filter(|name| is_of_use(name, has_table));
    names.map(str::to_owned).collect()
}

/// The names in `list` that are file names.
fn names(list: &str) -> impl Iterator<Item = &str> {
    let names = list.lines().map(str::trim);
    names
        .filter(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'))
        .take(MOST)
}

/// Whether a machine whose board has that table, or has not, has a use for the module.
fn is_of_use(name: &str, has_table: bool) -> bool {
    has_table || !PERSISTENT_MEMORY.contains(&name)
}

/// Whether the machine can do without the module until it serves its host.
fn is_later(name: &str, mut has_device: impl FnMut(u32) -> bool) -> bool {
    let group = LATER.iter().find(|(_, names)| names.contains(&name));
    group.is_some_and(|(device, _)| !device.is_some_and(&mut has_device))
}

/// The numbers of the devices of virtio in the directory `devices`.
fn present(devices: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("device")).ok()?;
        u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    entries.filter_map(number).collect()
}

/// Loads one, unless its file is gone: another process has loaded it a moment ago, or the image has none. Returns
/// whether it was left. The file is removed, as it is in memory then; one that stays takes a little of it.
fn load_one(name: &str) -> Result<bool, Errno> {
    let path = Path::new(FOLDER).join(name);
    let Ok(file) = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return Ok(false);
    };
    match finit_module(&file, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => {
            let _stays = fs::remove_file(path);
            Ok(true)
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_files_are_loaded() {
        let list = "a.ko\n\n  b.ko  \n../c.ko\n.\n/d.ko\n";
        assert!(names(list).eq(["a.ko", "b.ko"]));
    }

    #[test]
    fn modules_for_persistent_memory_are_left_out_where_there_is_none() {
        assert!(is_of_use("nfit.ko", true) && !is_of_use("nfit.ko", false));
        assert!(is_of_use("virtio.ko", false));
    }

    #[test]
    fn a_device_that_is_there_has_its_modules_at_once() {
        let none = |_| false;
        for always in ["virtio_pci.ko", "vsock.ko", "pvpanic.ko", "mine.ko"] {
            assert!(!is_later(always, none), "{always}");
        }
        for later in [
            "virtio_net.ko",
            "net_failover.ko",
            "scsi_mod.ko",
            "overlay.ko",
        ] {
            assert!(is_later(later, none), "{later}");
        }
        let network = |number| number == 1;
        assert!(!is_later("failover.ko", network) && !is_later("virtio_net.ko", network));
        assert!(is_later("scsi_mod.ko", network) && is_later("erofs.ko", network));
    }

    #[test]
    fn devices_are_told_by_their_numbers() {
        let place = tempfile::tempdir().unwrap();
        for (name, text) in [("virtio0", "0x0013\n"), ("virtio1", "0x0001\n"), ("x", "?")] {
            fs::create_dir(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("device"), text).unwrap();
        }
        fs::create_dir(place.path().join("virtio2")).unwrap();
        assert!(present(place.path()).into_iter().eq([1, 0x13]));
        assert!(present(&place.path().join("none")).is_empty());
    }
}

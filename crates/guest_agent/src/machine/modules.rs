//! Kernel modules that the image brings along: the files named in `/modules/order`, loaded in that order.

use std::{fs, path::Path};

use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    system::finit_module,
};

use hcs_wire::errno;

use crate::agent::log;

/// Where they are.
const FOLDER: &str = "/modules";
/// The list of their names, one a line, each after those it depends on.
const ORDER: &str = "order";
/// The most modules.
const MOST: usize = 512;
/// Modules for persistent memory, which few machines have: others do not take the time for them.
const PERSISTENT_MEMORY: [&str; 4] = ["libnvdimm.ko", "nfit.ko", "nd_btt.ko", "nd_pmem.ko"];
/// The table of the board that tells of it.
const ITS_TABLE: &str = "/sys/firmware/acpi/tables/NFIT";

/// Loads all; returns how many were loaded or there already. What cannot be loaded is said and left out: the agent's
/// work may not need it.
pub(super) fn load() -> usize {
    let folder = Path::new(FOLDER);
    let list = fs::read_to_string(folder.join(ORDER)).unwrap_or_default();
    let mut loaded = 0;
    let has_table = Path::new(ITS_TABLE).exists();
    for name in names(&list).filter(|name| is_of_use(name, has_table)) {
        match load_one(&folder.join(name)) {
            Ok(()) => {
                loaded += 1;
                // Its file is in memory. A file that cannot be removed takes a little of it.
                let _stays = fs::remove_file(folder.join(name));
            }
            Err(errno) => log(&format!(
                "the module {name} cannot be loaded: {}",
                errno::words(errno)
            )),
        }
    }
    loaded
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

fn load_one(path: &Path) -> Result<(), Errno> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    match finit_module(&file, c"", 0) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
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
}

//! Kernel modules for an initial ramdisk: those that are wanted, with those they need, in the order to load them.
//!
//! 1. [`WANTED`]: what a guest of ours uses.
//! 2. `info`: what a module says of itself. `order`: the order. Both pure.
//! 3. [`select`]: reads the modules of a kernel's directory, as a package unpacks it. Lists that `depmod(8)` writes are
//!    not needed, as a package that is not installed has none.

mod info;
mod order;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};

use crate::unpack::Format;

/// What a guest uses, where its kernel has it as a module. Of those in the first list at least one way to the host is
/// needed; what a kernel lacks of the others is left out.
pub const WANTED: [&str; 21] = [
    "virtio_pci",
    "vmw_vsock_virtio_transport",
    "virtio_console",
    "virtio_blk",
    "virtio_net",
    "virtio_scsi",
    "sd_mod",
    "sr_mod",
    "isofs",
    "virtiofs",
    "9p",
    "9pnet_fd",
    "virtio_balloon",
    "virtio_mem",
    "overlay",
    "erofs",
    "ext4",
    "virtio_rng",
    "pvpanic_pci",
    "nfit",
    "nd_pmem",
];
/// Without these, as modules or in the kernel itself, no agent can reach its host.
const NEEDED: [&str; 2] = ["virtio_pci", "vmw_vsock_virtio_transport"];

/// The largest file of a module, and what may come out of it.
const MAX_MODULE: u64 = 64 << 20;
/// The most files below a directory of modules that are looked at, and how deep.
const MAX_FILES: usize = 50_000;
const MAX_DEPTH: usize = 12;

/// A module, ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `_` for `-`.
    pub name: String,
    /// Its bytes, unpacked.
    pub bytes: Vec<u8>,
}

/// The modules of a kernel.
#[derive(Debug)]
struct Directory {
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

/// The modules in `directory` (`/lib/modules/RELEASE`) that are [`WANTED`] or in `more`, in the order to load them.
///
/// # Errors
/// A module of `more`, or one without which an agent cannot reach its host, is not there; a file cannot be read.
pub fn select(directory: &Path, more: &[String]) -> Result<Vec<Module>, Failure> {
    let directory = Directory::read(directory)?;
    let needed = NEEDED.iter().map(|name| (*name).to_owned());
    for name in needed.chain(more.iter().map(|name| info::plain(name))) {
        directory.check(&name)?;
    }
    let mut read = BTreeMap::new();
    let mut failure = None;
    let wanted = WANTED.iter().map(|name| (*name).to_owned());
    let wanted: Vec<String> = wanted
        .chain(more.iter().map(|name| info::plain(name)))
        .collect();
    let order = order::order(&wanted, |name| {
        let (resolved, path) = directory.resolve(name)?;
        match load(path) {
            Ok(bytes) => {
                let needs = info::Needs::read(&bytes);
                read.insert(resolved.clone(), bytes);
                Some((resolved, needs))
            }
            Err(reason) => {
                failure.get_or_insert(reason);
                None
            }
        }
    });
    if let Some(failure) = failure {
        return Err(failure);
    }
    let mut take = |name: String| {
        let bytes = read.remove(&name)?;
        Some(Module { name, bytes })
    };
    Ok(order.into_iter().filter_map(&mut take).collect())
}

/// Tells the modules in `directory` from those of another build of the same kernel: the names, sizes and times of their
/// files, one a line, in order.
///
/// # Errors
/// A directory cannot be read, or has no modules.
pub(crate) fn listing(directory: &Path) -> Result<String, Failure> {
    let mut listing = String::new();
    for path in Directory::read(directory)?.files.values() {
        let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let (size, seconds) = (about.len(), about.mtime());
        // Where they are does not matter.
        let name = path.strip_prefix(directory).unwrap_or(path);
        listing += &format!("{} {size} {seconds}\n", name.display());
    }
    Ok(listing)
}

impl Directory {
    fn read(root: &Path) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        let mut folders = vec![(root.join("kernel"), 0), (root.join("updates"), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(&folder, &error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| unreadable(&folder, &error))?;
                let kind = entry
                    .file_type()
                    .map_err(|error| unreadable(&folder, &error))?;
                if kind.is_dir() && depth < MAX_DEPTH {
                    folders.push((entry.path(), depth + 1));
                } else if let (true, Some(name)) = (
                    kind.is_file(),
                    info::of_file(&entry.file_name().to_string_lossy()),
                ) {
                    files.insert(name, entry.path());
                }
                if files.len() > MAX_FILES {
                    let message = format!("{} has more than {MAX_FILES} modules", root.display());
                    return Err(Failure::new(HResult::E_INVALIDARG, message));
                }
            }
        }
        let list = fs::read_to_string(root.join("modules.builtin")).unwrap_or_default();
        let names = list
            .lines()
            .filter_map(|line| info::of_file(line.rsplit('/').next()?));
        if files.is_empty() {
            let message = format!("{} has no kernel modules", root.display());
            return Err(Failure::new(HResult::FILE_NOT_FOUND, message));
        }
        Ok(Self {
            files,
            builtin: names.collect(),
        })
    }

    /// The file of a module by its name, or by what modules with a soft dependency call it: `crc32c` may be
    /// `crc32c_generic`.
    fn resolve(&self, name: &str) -> Option<(String, &Path)> {
        let generic = format!("{name}_generic");
        let mut names = [name, generic.as_str()].into_iter();
        names.find_map(|name| Some((name.to_owned(), self.files.get(name)?.as_path())))
    }

    fn check(&self, name: &str) -> Result<(), Failure> {
        if self.files.contains_key(name) || self.builtin.contains(name) {
            return Ok(());
        }
        let message = format!("the kernel has no module {name}, neither as a file nor built in");
        Err(Failure::new(HResult::FILE_NOT_FOUND, message))
    }
}

/// Reads a module as far as its bytes matter.
#[cfg(fuzzing)]
pub(crate) fn read_only(bytes: &[u8]) {
    let _needs = info::Needs::read(bytes);
    let _section = info::Needs::parse(bytes);
}

/// The bytes of a module, unpacked.
fn load(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = crate::find::read(path, MAX_MODULE)?;
    match Format::of(&bytes) {
        None => Ok(bytes),
        Some(format) => format.unpack(&bytes, MAX_MODULE).map_err(|error| {
            let message = format!("the module {} cannot be unpacked", path.display());
            Failure::new(HResult::E_INVALIDARG, message).because(&error)
        }),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{} cannot be read", path.display());
    Failure::new(HResult::FILE_NOT_FOUND, message).because(error)
}

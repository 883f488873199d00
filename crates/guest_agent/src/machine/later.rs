//! Modules that are loaded once the machine serves its host, in a process of their own.
//!
//! 1. [`Later`]: made while there are modules left; [`Later::begin`] starts that process. Until it is done, the kernel
//!    asks this program for what it lacks.
//! 2. [`load`]: the process.
//! 3. [`lacking`]: what the kernel runs when a program of the guest asks for a file system that is not there yet.
//! 4. [`wish`], [`is_ours`]: which of the kernel's wishes are granted. Pure.

use std::{
    fs,
    io::Error,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::{
    fs::{CWD, FileType, Mode, makedev, mknodat},
    process::nice,
};

use super::modules;
use crate::agent::log;

/// The argument of that process. The kernel's own program for modules, which it had before, comes behind it.
pub(super) const WORD: &str = "--load-modules";
/// Names the kernel's program for modules.
const SETTING: &str = "/proc/sys/kernel/modprobe";
/// That program, where the root of the guest has one.
const USUAL: &str = "/sbin/modprobe";
/// What the kernel calls it with before the name.
const KERNELS_WORDS: [&str; 2] = ["-q", "--"];
/// How long the first process of a client has the processor to itself.
const DELAY: Duration = Duration::from_millis(250);
/// The least share of the processor.
const NICE: i32 = 19;
/// The device of fuse: its file, its numbers, and its module.
const FUSE: (&str, u32, u32, &str) = ("/dev/fuse", 10, 229, "fuse.ko");

/// Modules are left. The kernel asks this program for them.
#[derive(Debug)]
pub(super) struct Later {
    program: PathBuf,
    /// The kernel's own program for modules.
    before: String,
}

impl Later {
    /// Has the kernel ask this program. Where that cannot be, all modules are loaded now, and none are left.
    pub(super) fn new() -> Option<Self> {
        // Opening it loads the module, as it does on a host with all of its files.
        let (path, major, minor, module) = FUSE;
        if Path::new(modules::FOLDER).join(module).exists() {
            let mode = Mode::RUSR | Mode::WUSR;
            let device = makedev(major, minor);
            let _there = mknodat(CWD, path, FileType::CharacterDevice, mode, device);
        }
        let asked = std::env::current_exe().and_then(|program| {
            let before = fs::read_to_string(SETTING)?.trim().to_owned();
            fs::write(SETTING, program.as_os_str().as_encoded_bytes())?;
            Ok(Self { program, before })
        });
        asked.inspect_err(not_later).ok()
    }

    /// Has the modules loaded a little later.
    pub(super) fn begin(self) {
        let mut loader = Command::new(&self.program);
        loader.args([WORD, &self.before]).stdin(Stdio::null());
        // It is reaped like any other process.
        if let Err(error) = loader.spawn() {
            not_later(&error);
            set(&self.before);
        }
    }
}

fn not_later(error: &Error) {
    log(&format!("modules cannot be loaded later: {error}"));
    modules::load_rest();
}

/// Has the kernel ask `program`. A kernel that does not obey asks this one in vain.
fn set(program: &str) {
    let _kept = fs::write(SETTING, program);
}

/// Loads all that is left; `before` is the kernel's own program for modules.
pub(super) fn load(before: &str) -> u8 {
    // With a larger share it is as well done.
    let _is_not_nice = nice(NICE);
    thread::sleep(DELAY);
    let loaded = modules::load_rest();
    set(before);
    log(&format!("{loaded} more modules loaded"));
    0
}

/// Whether `words` are those of the kernel, which lacks something; its name.
pub(super) fn wish<'a>(words: &[&'a str]) -> Option<&'a str> {
    match words {
        [first, second, name] if [*first, *second] == KERNELS_WORDS => Some(name),
        _ => None,
    }
}

/// The kernel lacks `name`: loads what is left, if that may have it. Then the usual program has its turn.
pub(super) fn lacking(name: &str) -> u8 {
    if is_ours(name) {
        modules::load_rest();
    }
    let mut usual = Command::new(USUAL);
    // Most guests have none.
    let _has_none = usual.args(KERNELS_WORDS).arg(name).status();
    0
}

/// Whether what is left may have what the kernel calls `name`. Modules ask for others while they are loaded (ciphers):
/// they wait for the answer, so nothing is loaded for them, which would wait for them.
fn is_ours(name: &str) -> bool {
    let (_, major, minor, _) = FUSE;
    name.starts_with("fs-") || name == format!("char-major-{major}-{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_from_a_user() {
        assert_eq!(wish(&["-q", "--", "fs-overlay"]), Some("fs-overlay"));
        for other in [
            &["-q", "fs-overlay"][..],
            &["--version"],
            &[],
            &["-q", "--"],
        ] {
            assert_eq!(wish(other), None, "{other:?}");
        }
    }

    #[test]
    fn nothing_is_loaded_for_what_a_module_asks_for() {
        assert!(is_ours("fs-ext4") && is_ours("char-major-10-229"));
        for other in ["crypto-crc32c", "net-pf-40", "char-major-10-2", "9p"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}

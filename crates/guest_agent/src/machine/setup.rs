//! What the first process of a virtual machine does before it serves.
//!
//! Nothing here ends the machine: an agent that the host can reach tells more than a machine that has stopped. What
//! fails is said on the console.

use std::{fs, os::unix::fs::symlink, time::Instant};

use engine_network::set_loopback_up;
use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
    process::{Resource, Rlimit, setrlimit},
    system::{RebootCommand, reboot, sethostname, uname},
};

use super::{later::Later, modules};
use hcs_wire::errno;

use crate::agent::log;

/// A file system: its kind, where it goes, flags, options.
type Mount = (&'static str, &'static str, MountFlags, &'static str);

const STRICT: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);
const DATA: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// In this order: some lie in others.
const MOUNTS: [Mount; 8] = [
    ("proc", "/proc", STRICT, ""),
    ("sysfs", "/sys", STRICT, ""),
    ("devtmpfs", "/dev", MountFlags::NOSUID, "mode=0755"),
    (
        "devpts",
        "/dev/pts",
        MountFlags::NOSUID.union(MountFlags::NOEXEC),
        "ptmxmode=0666,mode=0620,gid=5",
    ),
    ("tmpfs", "/dev/shm", DATA, "mode=1777"),
    ("tmpfs", "/run", DATA, "mode=0755"),
    ("tmpfs", "/tmp", DATA, "mode=1777"),
    ("cgroup2", "/sys/fs/cgroup", STRICT, ""),
];

/// Links that programs expect in `/dev`.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
];

/// Settings of the kernel: memory that comes while the machine runs is used at once, in a way that it can go again.
const MEMORY: [(&str, &str); 2] = [
    (
        "/sys/module/memory_hotplug/parameters/online_policy",
        "auto-movable",
    ),
    ("/sys/devices/system/memory/auto_online_blocks", "online"),
];

/// Open files of the agent, which has six for each process.
const AGENT_FILES: u64 = 1 << 20;
/// The longest name of a machine.
const MAX_NAME: usize = 64;

/// Makes the machine usable. Some modules may be left, see [`Later`].
pub(super) fn machine() -> Option<Later> {
    for (kind, target, flags, options) in MOUNTS {
        told(
            &format!("{target} cannot be mounted"),
            put(kind, target, flags, options),
        );
    }
    for (to, link) in LINKS {
        // A link that is there may stay.
        let _there = symlink(to, link);
    }
    for (setting, value) in MEMORY {
        // A kernel without it takes no such memory.
        let _has_none = fs::write(setting, value);
    }
    let began = Instant::now();
    let loaded = modules::load_needed();
    log(&format!(
        "{} modules loaded in {} ms, {} left for later",
        loaded.count,
        began.elapsed().as_millis(),
        loaded.left
    ));
    let later = (loaded.left > 0).then(Later::new).flatten();
    if let Err(failure) = set_loopback_up() {
        log(&failure.log_line());
    }
    told("the machine cannot be named", name());
    let most = Some(AGENT_FILES);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    told(
        "the limit of open files cannot be raised",
        setrlimit(Resource::Nofile, limit),
    );
    // Without this the keys would reset the machine; now they are a signal to the agent, which blocks all.
    told(
        "ctrl-alt-del cannot be disabled",
        reboot(RebootCommand::CadOff),
    );
    later
}

fn told(what: &str, done: Result<(), Errno>) {
    if let Err(errno) = done {
        log(&format!("{what}: {}", errno::words(errno)));
    }
}

fn put(kind: &str, target: &str, flags: MountFlags, options: &str) -> Result<(), Errno> {
    // The kernel's own directories below /sys are there, and cannot be made.
    let made = fs::create_dir_all(target);
    let options = std::ffi::CString::new(options).unwrap_or_default();
    match mount(kind, target, kind, flags, options.as_c_str()) {
        // It is there: the kernel has mounted it.
        Err(Errno::BUSY) => Ok(()),
        Err(Errno::NOENT) if made.is_err() => Err(Errno::NOENT),
        other => other,
    }
}

/// Names the machine after `/etc/hostname`, if the kernel's command line has not (`hostname=`).
fn name() -> Result<(), Errno> {
    if uname().nodename().to_bytes() != b"(none)" {
        return Ok(());
    }
    let text = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = text.trim();
    let usable = !name.is_empty() && name.len() <= MAX_NAME;
    sethostname(if usable { name } else { "localhost" }.as_bytes())
}

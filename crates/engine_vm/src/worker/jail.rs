//! What QEMU's process gives up before it executes QEMU: the host's files, network, processes and users.
//!
//! Its root is a small file system in memory with views of the host's programs and libraries, read-only, a `/proc` of
//! its own pid namespace, and `/dev/null`. So a guest that takes QEMU over finds no data of the host and no other
//! process.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Component, Path, PathBuf},
};

use engine_container::shared::limit_system_calls;
use rustix::{
    fs::{Gid, Uid},
    io::Errno,
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change,
        mount_remount, unmount,
    },
    process::{Resource, Rlimit, Signal, pivot_root, set_parent_process_death_signal, setrlimit},
    thread::{
        CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs, set_thread_groups,
        set_thread_res_gid, set_thread_res_uid,
    },
};

use crate::sys::process;

/// Directories of the host that hold programs and libraries. What is a link on the host is one in the jail.
const PROGRAMS: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];

/// Directories that are shown as a whole to a QEMU that is in one of them: its libraries are anywhere in it.
const STORES: [&str; 2] = ["/nix/store", "/gnu/store"];

/// Directory of which a QEMU is shown what it is in itself, as `/opt/qemu`: other programs keep their data there.
const OPTIONAL: &str = "/opt";

/// Files that QEMU's loader reads.
const FILES: [&str; 1] = ["/etc/ld.so.cache"];

/// What a process gives up.
#[derive(Debug)]
pub(super) struct Jail {
    /// An empty directory.
    pub(super) root: PathBuf,
    /// QEMU, by an absolute path without links.
    pub(super) program: PathBuf,
    /// The path that QEMU was named by, which may lead there through links: it may look for its own files by it.
    pub(super) named: PathBuf,
    /// The user and group it becomes.
    pub(super) user: u32,
    /// Whether it needs `/dev/kvm`.
    pub(super) with_kvm: bool,
}

/// What is shown for the program at `path`, besides [`PROGRAMS`].
fn around(path: &Path) -> Option<PathBuf> {
    let mut stores = STORES.iter().map(Path::new);
    if let Some(store) = stores.find(|store| path.starts_with(store)) {
        return Some(store.to_owned());
    }
    let inside = path.strip_prefix(OPTIONAL).ok()?;
    match inside.components().next()? {
        Component::Normal(name) => Some(Path::new(OPTIONAL).join(name)),
        _ => None,
    }
}

impl Jail {
    /// Enters it, in the child that is to execute QEMU. The step that failed is written to standard error, which the
    /// worker reads.
    pub(super) fn enter(&self) -> io::Result<()> {
        let step = |name: &str, done: io::Result<()>| {
            done.inspect_err(|e| {
                let sentence = format!("{name}: {e}\n");
                let _unheard = rustix::io::write(rustix::stdio::stderr(), sentence.as_bytes());
            })
        };
        step(
            "making namespaces",
            process::new_namespaces().map_err(Into::into),
        )?;
        // Looked at before the host is out of sight.
        let kvm_group = self.with_kvm.then(kvm_group).flatten();
        step("making a root of its own", self.make_root())?;
        step("entering that root", self.enter_root())?;
        let groups: Vec<Gid> = kvm_group.map(Gid::from_raw).into_iter().collect();
        step(
            "giving up privileges",
            become_user(self.user, self.user, &groups),
        )?;
        // QEMU's own filter comes on top of it, and looks at no socket family.
        step("limiting system calls", limit_system_calls())
    }

    fn make_root(&self) -> io::Result<()> {
        // Nothing that is mounted here shows on the host.
        mount_change(
            "/",
            MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
        )?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount(
            "tmpfs",
            &self.root,
            "tmpfs",
            flags,
            Some(c"size=64k,nr_inodes=64,mode=0755"),
        )?;
        for place in PROGRAMS {
            self.show(Path::new(place))?;
        }
        let places = [&self.program, &self.named].map(|path| around(path));
        for place in places.into_iter().flatten().collect::<BTreeSet<_>>() {
            self.show(&place)?;
        }
        for file in FILES {
            self.show(Path::new(file))?;
        }
        let proc = self.below("/proc");
        fs::create_dir(&proc)?;
        let flags = flags | MountFlags::NOEXEC;
        mount("proc", &proc, "proc", flags, None)?;
        fs::create_dir(self.below("/dev"))?;
        symlink("/proc/self/fd", self.below("/dev/fd"))?;
        self.show_device("/dev/null")?;
        if self.with_kvm {
            self.show_device("/dev/kvm")?;
        }
        Ok(())
    }

    fn below(&self, place: &str) -> PathBuf {
        self.root.join(place.trim_start_matches('/'))
    }

    /// Shows something of the host read-only, if it is there.
    fn show(&self, place: &Path) -> io::Result<()> {
        let target = self.root.join(place.strip_prefix("/").unwrap_or(place));
        let Ok(found) = fs::symlink_metadata(place) else {
            return Ok(());
        };
        if let Some(above) = target.parent() {
            fs::create_dir_all(above)?;
        }
        if found.is_symlink() {
            return symlink(fs::read_link(place)?, target);
        }
        if found.is_dir() {
            fs::create_dir(&target)?;
        } else {
            fs::write(&target, "")?;
        }
        mount_bind(place, &target)?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        Ok(mount_remount(&target, flags, "")?)
    }

    fn show_device(&self, place: &str) -> io::Result<()> {
        let target = self.below(place);
        fs::write(&target, "")?;
        Ok(mount_bind(place, &target)?)
    }

    fn enter_root(&self) -> io::Result<()> {
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        rustix::process::chdir(&self.root)?;
        pivot_root(".", ".")?;
        // The host's root lies on top of the new one now.
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")?;
        Ok(mount_remount("/", flags, "")?)
    }
}

/// Becomes a user with these groups, without any capability and with none to be had, and is killed when the thread that
/// has started this process ends.
pub(super) fn become_user(user: u32, group: u32, more: &[Gid]) -> io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            // One past the last that this kernel knows.
            Err(Errno::INVAL) => break,
            answer => answer?,
        }
    }
    set_thread_groups(more)?;
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    set_no_new_privs(true)?;
    // A change of the user clears it, so it comes last.
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// The group that may use the kernel's hypervisor.
fn kvm_group() -> Option<u32> {
    let found = fs::metadata("/dev/kvm").ok()?;
    Some(found.gid()).filter(|group| *group != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_is_shown_what_it_is_in_and_no_other_program() {
        let shown =
            |program: &str| around(Path::new(program)).map(|place| place.display().to_string());
        assert_eq!(shown("/usr/bin/qemu-system-x86_64"), None);
        assert_eq!(shown("/opt/qemu/bin/qemu").as_deref(), Some("/opt/qemu"));
        assert_eq!(shown("/opt/qemu").as_deref(), Some("/opt/qemu"));
        assert_eq!(shown("/opt"), None);
        assert_eq!(shown("/opt/../qemu"), None);
        assert_eq!(shown("/optional/qemu"), None);
        let store = shown("/nix/store/abc-qemu/bin/qemu");
        assert_eq!(store.as_deref(), Some("/nix/store"));
        assert_eq!(shown("/home/of/qemu"), None);
    }
}

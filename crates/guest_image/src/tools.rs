//! The programs of a guest whose image has no root file system of its own: busybox where the host has it, else some of
//! the host's programs with their libraries.

use std::path::{Path, PathBuf};

use hcs_schema::{Failure, HResult};

use crate::{cpio::Archive, program};

/// Where a host has its programs.
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// What busybox can be called.
const APPLETS: [&str; 92] = [
    "[",
    "arp",
    "ash",
    "awk",
    "basename",
    "blkid",
    "bunzip2",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "clear",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "fdisk",
    "find",
    "free",
    "getopt",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "hostname",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "less",
    "ln",
    "ls",
    "lsmod",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mv",
    "nc",
    "nproc",
    "od",
    "ping",
    "pgrep",
    "pkill",
    "poweroff",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "sync",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "tty",
    "umount",
    "uname",
    "uniq",
    "vi",
    "wc",
];

/// What is taken of a host without busybox, where it is there.
const PROGRAMS: [&str; 31] = [
    "sh", "blkid", "cat", "chmod", "cp", "date", "dd", "df", "dmesg", "echo", "env", "free",
    "grep", "head", "hostname", "id", "kill", "ls", "mkdir", "mount", "mv", "ps", "rm", "rmdir",
    "sed", "sleep", "sync", "tail", "true", "umount", "uname",
];

/// Adds them to `archive`, in its directory `bin`.
///
/// # Errors
/// The host has neither busybox nor a shell that could be taken along.
pub fn add(archive: &mut Archive) -> Result<(), Failure> {
    add_of(archive, on_host)
}

fn on_host(name: &str) -> Option<PathBuf> {
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
    places.find(|place| place.is_file())
}

fn add_of(archive: &mut Archive, find: impl Fn(&str) -> Option<PathBuf>) -> Result<(), Failure> {
    let busybox = find("busybox");
    if busybox.is_some_and(|path| program::add(archive, &path, "bin/busybox").is_ok()) {
        let linked = APPLETS
            .iter()
            .try_for_each(|name| archive.link(&format!("bin/{name}"), "busybox"));
        return linked.map_err(|error| {
            Failure::new(
                HResult::E_UNEXPECTED,
                "the links to busybox cannot be added",
            )
            .because(&error)
        });
    }
    let mut found = PROGRAMS
        .iter()
        .filter_map(|name| Some((*name, find(name)?)));
    let (shell, path) = found
        .next()
        .filter(|(name, _)| *name == PROGRAMS[0])
        .ok_or_else(without_shell)?;
    program::add(archive, &path, &format!("bin/{shell}"))?;
    for (name, path) in found {
        // A script, or a program whose libraries are elsewhere: the guest does without.
        let _left_out = program::add(archive, &path, &format!("bin/{name}"));
    }
    Ok(())
}

fn without_shell() -> Failure {
    let message = "this host has neither busybox nor a shell for the guest";
    Failure::new(HResult::FILE_NOT_FOUND, message)
        .cause("apt-get install busybox-static, or name a root file system with --root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_busybox_gives_its_own_programs_with_their_libraries() {
        let mut archive = Archive::default();
        add_of(&mut archive, |name| {
            (name != "busybox").then(|| on_host(name))?
        })
        .unwrap();
        assert!(archive.has("bin/sh") && archive.has("bin/cat") && !archive.has("bin/busybox"));
        let interpreter = "lib64/ld-linux-x86-64.so.2";
        assert_eq!(
            archive.has(interpreter),
            Path::new("/").join(interpreter).exists()
        );
    }

    #[test]
    fn busybox_has_a_name_for_each_of_its_programs() {
        let mut archive = Archive::default();
        add_of(&mut archive, |name| {
            // Any program will do.
            (name == "busybox").then(|| on_host("true"))?
        })
        .unwrap();
        assert!(archive.has("bin/busybox") && archive.has("bin/sh") && archive.has("bin/wc"));
    }

    #[test]
    fn a_host_without_programs_is_told_what_to_install() {
        let refused = add_of(&mut Archive::default(), |_| None).unwrap_err();
        assert!(
            refused.causes[0].message.contains("busybox-static"),
            "{refused}"
        );
        let refused = add_of(&mut Archive::default(), |name| {
            (name == "cat").then(|| on_host(name))?
        });
        assert!(refused.is_err());
    }
}

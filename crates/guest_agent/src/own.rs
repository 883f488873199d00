//! The agent's own view of the kernel: descriptors of `/proc` and `/dev/pts`, taken before anything of the system has
//! run.
//!
//! What is found below the paths `/proc` and `/dev` is up to the system: its image may have links there, and its root
//! may replace whatever it can write. So the agent goes by these descriptors, and makes sure that what it opens is of
//! the same file system: neither a link nor a mount leads it anywhere else.

use std::{
    cell::OnceCell,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{
        MemfdFlags, Mode, OFlags, SealFlags, fstat, fstatfs, memfd_create, open, openat, sendfile,
    },
    io::Errno,
};

use crate::files::{self, ReadError};

/// Magic numbers of file systems (`linux/magic.h`).
pub(crate) const PROC_SUPER_MAGIC: i64 = 0x9fa0;
const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// File systems of the kernel that the agent works with. All descriptors close on exec.
#[derive(Debug, Default)]
pub struct Own {
    proc: Option<OwnedFd>,
    terminals: Option<OwnedFd>,
    /// Where the names of networks go: the system's `/etc/hosts` as it was made, wherever that path leads.
    hosts: Option<OwnedFd>,
    /// `self/fd` of procfs, opened by the first use: each start of a process opens something in it.
    descriptors: OnceCell<OwnedFd>,
}

impl Own {
    /// `proc` and `terminals` are directories, opened with `O_PATH`: the roots of a procfs of the agent's pid
    /// namespace, and of the devpts that its consoles are to be made in.
    #[must_use]
    pub const fn new(proc: OwnedFd, terminals: OwnedFd) -> Self {
        Self {
            proc: Some(proc),
            terminals: Some(terminals),
            hosts: None,
            descriptors: OnceCell::new(),
        }
    }

    /// Those at `/proc` and `/dev/pts`. For a system whose root file system is trusted; what is missing, or of another
    /// kind, is left out.
    #[must_use]
    pub fn at_usual_places() -> Self {
        Self {
            proc: root_of("/proc", PROC_SUPER_MAGIC),
            terminals: root_of("/dev/pts", DEVPTS_SUPER_MAGIC),
            hosts: None,
            descriptors: OnceCell::new(),
        }
    }

    /// With a file for the names of networks, open for reading and writing.
    #[must_use]
    pub fn with_hosts(self, hosts: Option<OwnedFd>) -> Self {
        Self { hosts, ..self }
    }

    /// The file for the names of networks.
    pub(crate) fn hosts(&self) -> Option<BorrowedFd<'_>> {
        self.hosts.as_ref().map(|hosts| hosts.as_fd())
    }

    /// The directory of procfs, for a child that is to open something in it.
    pub(crate) fn proc(&self) -> Option<BorrowedFd<'_>> {
        self.proc.as_ref().map(|proc| proc.as_fd())
    }

    /// The text of a file of procfs; empty where there is none.
    pub(crate) fn read(&self, path: &str) -> Result<String, ReadError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match open_in(self.proc.as_ref(), path, flags) {
            Ok(file) => files::read_open(&file, files::MAX_PROC_BYTES),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::SRCH) => Ok(String::new()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a file or directory of procfs.
    pub(crate) fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        open_in(self.proc.as_ref(), path, flags)
    }

    /// Opens what `descriptor` of this process leads to once more, with other flags. A process made by fork(2) must not
    /// use it: the directory is that of the process that used it first.
    pub(crate) fn reopen(
        &self,
        descriptor: BorrowedFd<'_>,
        flags: OFlags,
    ) -> Result<OwnedFd, Errno> {
        let directory = match self.descriptors.get() {
            Some(directory) => directory,
            None => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let opened = open_in(self.proc.as_ref(), "self/fd", flags)?;
                self.descriptors.get_or_init(|| opened)
            }
        };
        let number = descriptor.as_raw_fd().to_string();
        openat(directory, number, flags | OFlags::CLOEXEC, Mode::empty())
    }

    /// A sealed copy of the program that this process runs, to be executed in the system. It is not the program's own
    /// file: root of the system can reach what it executes, and could change the mode of a file that all agents have.
    pub(crate) fn executable(&self) -> Result<OwnedFd, Errno> {
        const NAME: &str = "hcs-archive";
        let proc = self.proc.as_ref().ok_or(Errno::NOENT)?;
        // The link leads to a file of another file system.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let program = openat(proc, "self/exe", flags, Mode::empty())?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let copy = match memfd_create(NAME, flags | MemfdFlags::EXEC) {
            // Kernels before 6.3 do not know the flag.
            Err(Errno::INVAL) => memfd_create(NAME, flags),
            made => made,
        }?;
        let mut left = usize::try_from(fstat(&program)?.st_size).map_err(|_| Errno::FBIG)?;
        while left > 0 {
            match sendfile(&copy, &program, None, left)? {
                0 => return Err(Errno::IO),
                count => left = left.saturating_sub(count),
            }
        }
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        hcs_wire::sealing::seal(&copy, seals)?;
        Ok(copy)
    }

    /// Opens the multiplexer of pseudo-terminals (`pts(4)`), non-blocking.
    pub(crate) fn terminal(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK;
        open_in(self.terminals.as_ref(), "ptmx", flags)
    }
}

/// Opens `path` below `directory`, of whose file system it has to be.
fn open_in(directory: Option<&OwnedFd>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let directory = directory.ok_or(Errno::NOENT)?;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = openat(directory, path, flags, Mode::empty())?;
    if fstat(&opened)?.st_dev == fstat(directory)?.st_dev {
        return Ok(opened);
    }
    // Something was mounted over it.
    Err(Errno::NODEV)
}

fn root_of(path: &str, magic: i64) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = open(path, flags, Mode::empty()).ok()?;
    let found = fstatfs(&opened).ok()?;
    (found.f_type == magic).then_some(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_empty() {
        let own = Own::at_usual_places();
        assert!(own.read("self/stat").unwrap().contains(')'));
        assert_eq!(own.read("4194305/stat"), Ok(String::new()));
        assert_eq!(Own::default().read("self/stat"), Ok(String::new()));
    }

    #[test]
    fn the_copy_of_the_program_is_whole_and_sealed() {
        let copy = Own::at_usual_places().executable().unwrap();
        let program = std::fs::metadata("/proc/self/exe").unwrap().len();
        assert_eq!(u64::try_from(fstat(&copy).unwrap().st_size), Ok(program));
        assert_eq!(rustix::io::pwrite(&copy, b"x", 0), Err(Errno::PERM));
    }

    #[test]
    fn links_and_other_file_systems_are_not_followed() {
        let own = Own::at_usual_places();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let opened = |path| open_in(own.proc.as_ref(), path, flags).map(drop);
        assert_eq!(opened("self/root"), Err(Errno::LOOP));
        // A link on the way leads to another file system.
        assert_eq!(opened("self/root/etc"), Err(Errno::NODEV));
    }
}

//! What the agent finds out about its own process when it begins, while nothing of the system has run yet.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};

use hcs_schema::privileges::Capabilities;
use rustix::{
    fs::{FileType, Mode, OFlags, fcntl_getfl, fstat, makedev},
    io::{Errno, fcntl_dupfd_cloexec},
    thread::{CapabilitySet, capability_is_in_bounding_set},
};

use crate::{files::TextFile, own::Own};

/// Facts for the whole life of the agent.
#[derive(Debug)]
pub(crate) struct GuestFacts {
    null: OwnedFd,
    /// The agent's way into file systems of the kernel.
    pub(crate) own: Own,
    /// The system's users.
    pub(crate) passwd: TextFile,
    /// The system's groups.
    pub(crate) group: TextFile,
    /// Whether programs must get their OOM score reset: the agent's is below 0, which is for the agent alone.
    pub(crate) reset_oom_score: bool,
    /// Whether supplementary groups may be set; in some user namespaces no process may.
    pub(crate) may_set_groups: bool,
    /// The capabilities that programs can have at most.
    pub(crate) bounding: Capabilities,
}

impl GuestFacts {
    /// Finds them out. Makes sure that descriptors 0, 1 and 2 are taken, so that none the host sends becomes one.
    pub(crate) fn gather(own: Own) -> Result<Self, Errno> {
        let null = loop {
            let null = open_null()?;
            if null.as_raw_fd() > 2 {
                break null;
            }
            // It fills a hole among the first three, and stays there for the agent's life.
            let _filled = null.into_raw_fd();
        };
        // Empty where there is no procfs.
        let read = |file| own.read(file).unwrap_or_default();
        Ok(Self {
            null,
            reset_oom_score: read("self/oom_score_adj").trim_start().starts_with('-'),
            may_set_groups: read("self/setgroups").trim() != "deny",
            bounding: bounding(),
            own,
            passwd: TextFile::new("/etc/passwd"),
            group: TextFile::new("/etc/group"),
        })
    }

    /// `/dev/null` as it was when the agent began.
    pub(crate) fn null(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

/// The agent's bounding set.
pub(crate) fn bounding() -> Capabilities {
    let numbers = (0..u64::BITS).filter(|number| {
        let one = CapabilitySet::from_bits_retain(1 << number);
        capability_is_in_bounding_set(one).unwrap_or(false)
    });
    numbers.fold(Capabilities::NONE, |all, number| {
        all.union(Capabilities::of_number(number))
    })
}

/// The null device: standard input, as an engine leaves it. Otherwise what is at `/dev/null` has to be it.
fn open_null() -> Result<OwnedFd, Errno> {
    let stdin = rustix::stdio::stdin();
    if is_null(stdin) {
        return fcntl_dupfd_cloexec(stdin, 3);
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty())?;
    if is_null(null.as_fd()) {
        return Ok(null);
    }
    Err(Errno::NODEV)
}

/// Whether this is the null device, for reading and writing.
fn is_null(descriptor: BorrowedFd<'_>) -> bool {
    let right_file = fstat(descriptor).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
            && found.st_rdev == makedev(1, 3)
    });
    right_file && fcntl_getfl(descriptor).is_ok_and(|flags| flags.contains(OFlags::RDWR))
}

//! What the agent finds out about its own process when it begins, while nothing of the system has run yet.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, IntoRawFd as _, OwnedFd};

use hcs_schema::privileges::Capabilities;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    thread::{CapabilitySet, capability_is_in_bounding_set},
};

use crate::files;

/// Facts for the whole life of the agent.
#[derive(Debug)]
pub(crate) struct Facts {
    null: OwnedFd,
    /// Whether programs must get their OOM score reset: the agent's is below 0, which is for the agent alone.
    pub(crate) reset_oom_score: bool,
    /// Whether supplementary groups may be set; in some user namespaces nobody may.
    pub(crate) may_set_groups: bool,
    /// The capabilities that programs can have at most.
    pub(crate) bounding: Capabilities,
}

impl Facts {
    /// Finds them out. Makes sure that descriptors 0, 1 and 2 are taken, so that none the host sends becomes one.
    pub(crate) fn gather() -> Result<Self, Errno> {
        let null = loop {
            let null = open_null()?;
            if null.as_raw_fd() > 2 {
                break null;
            }
            // It fills a hole among the first three, and stays there for the agent's life.
            let _filled = null.into_raw_fd();
        };
        let oom_score = read_own("/proc/self/oom_score_adj");
        Ok(Self {
            null,
            reset_oom_score: oom_score.trim_start().starts_with('-'),
            bounding: bounding(),
            may_set_groups: read_own("/proc/self/setgroups").trim() != "deny",
        })
    }

    /// `/dev/null` as it was when the agent began.
    pub(crate) fn null(&self) -> BorrowedFd<'_> {
        self.null.as_fd()
    }
}

/// The agent's bounding set.
fn bounding() -> Capabilities {
    let numbers = (0..u64::BITS).filter(|number| {
        let one = CapabilitySet::from_bits_retain(1 << number);
        capability_is_in_bounding_set(one).unwrap_or(false)
    });
    numbers.fold(Capabilities::NONE, |all, number| {
        all.union(Capabilities::of_number(number))
    })
}

fn open_null() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Contents of a file of our own process; empty where `/proc` does not have it.
fn read_own(path: &str) -> String {
    files::read(path, files::MAX_PROC_BYTES)
        .unwrap_or_default()
        .unwrap_or_default()
}

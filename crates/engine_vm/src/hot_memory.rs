//! Memory that comes and goes while a machine runs: which sizes are possible. No I/O.
//!
//! The guest keeps what it began with. A device (`virtio-mem`) has what comes on top, which the driver of the guest
//! takes into use and gives back. QEMU plugs the device in when it is needed first, as the host pays for its largest
//! size.

use serde::{Deserialize, Serialize};

/// The most that comes on top, for each megabyte that a guest begins with: the guest keeps a description of each page,
/// of 64 bytes, in what it began with.
const TIMES: u64 = 15;
/// The most that comes on top of all, in megabytes: 256 GB. A board has addresses for as much.
const MOST_ADDED: u64 = 256 << 10;
/// A Linux guest takes memory by such blocks, in megabytes, so the device has whole ones.
const BLOCK: u64 = 128;
/// What the device can have changes by so many megabytes.
const STEP: u64 = 4;
/// Of so many bytes of memory, at most one more is for what the host's kernel keeps of them.
const TABLES: u64 = 64;

/// What QEMU was allowed to give its guest on top. It says itself how much that is, so it may lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// What was asked for last, in megabytes.
    asked_mb: u64,
    /// The most that the guest may still have.
    most_mb: u64,
}

impl Granted {
    /// The guest is to have so many megabytes on top. It keeps more until it has given that back.
    pub(crate) fn ask(&mut self, megabytes: u64) {
        self.most_mb = self.most_mb.max(megabytes);
        self.asked_mb = megabytes;
    }

    /// What the guest has at most, where QEMU says that it has so many megabytes.
    pub(crate) fn has(&mut self, said_mb: u64) -> u64 {
        let has = said_mb.min(self.most_mb);
        if has <= self.asked_mb {
            self.most_mb = self.asked_mb;
        }
        has
    }

    /// The most that the guest may have, in bytes.
    pub(crate) const fn most_bytes(self) -> u64 {
        self.most_mb.saturating_mul(1 << 20)
    }
}

/// The most megabytes that can come on top for a guest that begins with so many.
pub(crate) fn most_added(boot_mb: u64) -> u64 {
    let most = boot_mb.saturating_mul(TIMES).min(MOST_ADDED);
    (most - most % BLOCK).max(BLOCK)
}

/// The memory of a machine that can be resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HotMemory {
    /// What the guest began with, in megabytes.
    pub(crate) boot_mb: u64,
    /// The same with all that is beside the guest.
    pub(crate) whole_mb: u64,
    /// The most that comes on top.
    pub(crate) most_added_mb: u64,
}

impl HotMemory {
    /// What has to come on top for a guest with so many megabytes.
    ///
    /// # Errors
    /// The size is not possible; in words.
    pub(crate) fn added(&self, wanted_mb: u64) -> Result<u64, String> {
        let (least, most) = (self.boot_mb, self.boot_mb + self.most_added_mb);
        if !(least..=most).contains(&wanted_mb) {
            return Err(format!(
                "{wanted_mb} MB are not possible: the guest began with {least} MB, which it keeps, and can have up to {most} MB"
            ));
        }
        let added = (wanted_mb - self.boot_mb).next_multiple_of(STEP);
        Ok(added.min(self.most_added_mb))
    }

    /// The limit of the machine's control group with so many megabytes on top, in bytes: with room for the tables of
    /// their pages.
    pub(crate) fn limit(&self, added_mb: u64) -> u64 {
        let with_tables = added_mb.saturating_add(added_mb / TABLES);
        let megabytes = self.whole_mb.saturating_add(with_tables);
        megabytes.saturating_mul(1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_grows_in_steps_up_to_a_multiple_and_keeps_what_it_had() {
        let memory = HotMemory {
            boot_mb: 256,
            whole_mb: 1000,
            most_added_mb: most_added(256),
        };
        assert_eq!(memory.most_added_mb, 15 * 256);
        assert_eq!((memory.added(256), memory.added(257)), (Ok(0), Ok(4)));
        assert_eq!(memory.added(4096), Ok(3840));
        for wrong in [0, 255, 4097, u64::MAX] {
            let why = memory.added(wrong).unwrap_err();
            assert!(why.contains("256 MB") && why.contains("4096 MB"), "{why}");
        }
        assert_eq!(memory.limit(24), 1024 << 20);
        assert_eq!(memory.limit(640), (1000 + 640 + 10) << 20);
        assert_eq!(memory.limit(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_guest_has_no_more_than_was_asked_for_whatever_is_said() {
        let mut granted = Granted::default();
        assert_eq!(granted.has(u64::MAX), 0);
        granted.ask(100);
        assert_eq!((granted.has(40), granted.has(u64::MAX)), (40, 100));
        // It gives back slowly.
        granted.ask(20);
        assert_eq!((granted.has(70), granted.has(1000)), (70, 100));
        assert_eq!((granted.has(20), granted.has(1000)), (20, 20));
        assert_eq!(granted.most_bytes(), 20 << 20);
    }

    #[test]
    fn a_device_has_whole_blocks_within_the_addresses_of_a_board() {
        assert_eq!((most_added(1), most_added(16)), (BLOCK, BLOCK));
        assert_eq!(most_added(17), BLOCK);
        assert_eq!(most_added(1 << 20), MOST_ADDED);
        assert_eq!(most_added(u64::MAX), MOST_ADDED);
    }
}

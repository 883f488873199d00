//! `-m` and its `-object`: the memory, which is a memory file that QEMU inherits.

use std::os::fd::RawFd;

use super::Switch;
use crate::persistent_memory::PersistentMemory;

pub(super) struct Memory {
    pub(super) megabytes: u64,
    /// The most that comes on top while the machine runs.
    pub(super) most_added_mb: u64,
    /// What is plugged in beside it.
    pub(super) persistent: Option<PersistentMemory>,
    pub(super) descriptor: RawFd,
}

impl Switch for Memory {
    fn words(&self) -> Vec<String> {
        let (size, descriptor) = (self.megabytes, self.descriptor);
        let beside = self.persistent.map_or(0, |memory| memory.size() >> 20);
        let sizes = match self.most_added_mb + beside {
            0 => format!("{size}M"),
            more => format!("{size}M,maxmem={}M", size + more),
        };
        let slots = if beside > 0 { ",slots=1" } else { "" };
        vec![
            "-m".to_owned(),
            sizes + slots,
            "-object".to_owned(),
            format!(
                "memory-backend-file,id=m0,size={size}M,share=on,mem-path=/dev/fd/{descriptor}"
            ),
        ]
    }
}

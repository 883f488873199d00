//! `-m` and its `-object`: the memory, which is a memory file that QEMU inherits.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct Memory {
    pub(super) megabytes: u64,
    /// The most that comes on top while the machine runs.
    pub(super) most_added_mb: u64,
    pub(super) descriptor: RawFd,
}

impl Switch for Memory {
    fn words(&self) -> Vec<String> {
        let (size, descriptor) = (self.megabytes, self.descriptor);
        let sizes = match self.most_added_mb {
            0 => format!("{size}M"),
            added => format!("{size}M,maxmem={}M", size + added),
        };
        vec![
            "-m".to_owned(),
            sizes,
            "-object".to_owned(),
            format!(
                "memory-backend-file,id=m0,size={size}M,share=on,mem-path=/dev/fd/{descriptor}"
            ),
        ]
    }
}

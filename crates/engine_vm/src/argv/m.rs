//! `-m` and its `-object`: the memory, which is a memory file that QEMU inherits.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct Memory {
    pub(super) megabytes: u64,
    pub(super) descriptor: RawFd,
}

impl Switch for Memory {
    fn words(&self) -> Vec<String> {
        let (size, descriptor) = (self.megabytes, self.descriptor);
        vec![
            "-m".to_owned(),
            format!("{size}M"),
            "-object".to_owned(),
            format!(
                "memory-backend-file,id=m0,size={size}M,share=on,mem-path=/dev/fd/{descriptor}"
            ),
        ]
    }
}

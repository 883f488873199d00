//! `-device nvdimm` and its `-object`: persistent memory, which is a file that QEMU inherits and only reads.

use std::os::fd::RawFd;

use super::Switch;
use crate::persistent_memory::PersistentMemory;

/// What the board needs for it.
pub(super) const PROPERTIES: &str = ",nvdimm=on";

/// A guest's kernel wants it to begin at a multiple of so many bytes.
const ALIGNED: &str = "2M";

pub(super) struct Nvdimm {
    pub(super) memory: PersistentMemory,
    pub(super) descriptor: RawFd,
}

impl Switch for Nvdimm {
    fn words(&self) -> Vec<String> {
        let (size, descriptor) = (self.memory.size(), self.descriptor);
        vec![
            "-object".to_owned(),
            format!(
                "memory-backend-file,id=pm0,size={size},align={ALIGNED},share=on,readonly=on,mem-path=/dev/fd/{descriptor}"
            ),
            "-device".to_owned(),
            // What is not armed is not written to: the guest's kernel has it as a disk that is only read.
            "nvdimm,id=pmem0,memdev=pm0,unarmed=on".to_owned(),
        ]
    }
}

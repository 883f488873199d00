//! Guest memory that is a piece of our own, for tests of what works on bytes: rings and packets.

use std::{cell::RefCell, rc::Rc};

use crate::memory::{AccessError, GuestMemory};

/// Memory from address 0 on. Clones are the same memory.
#[derive(Debug, Clone)]
pub(crate) struct Plain(Rc<RefCell<Vec<u8>>>);

impl Plain {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(bytes)))
    }
}

/// The range of `length` bytes at `address` in memory of `size` bytes.
fn range(address: u64, length: usize, size: usize) -> Result<std::ops::Range<usize>, AccessError> {
    usize::try_from(address)
        .ok()
        .and_then(|start| Some(start..start.checked_add(length)?))
        .filter(|range| range.end <= size)
        .ok_or(AccessError::Outside { address, length })
}

impl GuestMemory for Plain {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), AccessError> {
        let memory = self.0.borrow();
        bytes.copy_from_slice(&memory[range(address, bytes.len(), memory.len())?]);
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), AccessError> {
        let mut memory = self.0.borrow_mut();
        let range = range(address, bytes.len(), memory.len())?;
        memory[range].copy_from_slice(bytes);
        Ok(())
    }
}

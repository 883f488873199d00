//! Memory for a child to stand on between `clone` and `execve`.
#![expect(unsafe_code, reason = "anonymous memory with a guard page")]

use std::{ffi::c_void, ptr};

use rustix::io::Errno;

/// Pages above the guard: more than ten times what the child's few frames need.
const USABLE_BYTES: usize = 64 << 10;
/// Larger than any page size of the machines this runs on.
const GUARD_BYTES: usize = 64 << 10;

/// A stack with an inaccessible area below it. Only the pages a child really touches cost memory.
#[derive(Debug)]
pub(super) struct Stack {
    base: *mut c_void,
}

impl Stack {
    /// Maps a stack (`mmap(2)`).
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let length = GUARD_BYTES + USABLE_BYTES;
        // SAFETY: a new mapping where the kernel likes; it overlaps nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(last());
        }
        let stack = Self { base };
        let usable = base.wrapping_byte_add(GUARD_BYTES);
        // SAFETY: the upper part of the mapping just made, which no code uses yet.
        let result =
            unsafe { libc::mprotect(usable, USABLE_BYTES, libc::PROT_READ | libc::PROT_WRITE) };
        if result == -1 {
            return Err(last());
        }
        Ok(stack)
    }

    /// The address past its highest byte, aligned as every ABI wants it.
    pub(super) fn top(&self) -> *mut c_void {
        self.base.wrapping_byte_add(GUARD_BYTES + USABLE_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made by `new`; a child that used it has executed or exited (CLONE_VFORK), so
        // nothing points into it. Unmapping a mapping of our own cannot fail.
        unsafe { libc::munmap(self.base, GUARD_BYTES + USABLE_BYTES) };
    }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOMEM)
}

//! Raw system calls that no dependency wraps. The only unsafe code of this crate; every function here is safe to call.

pub(crate) mod descriptors;
pub(crate) mod memory;
pub(crate) mod packet;
pub(crate) mod process;
pub(crate) mod tap;

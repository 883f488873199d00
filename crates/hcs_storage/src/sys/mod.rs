//! System calls that no dependency wraps. The only unsafe code of this crate; every function here is safe to call.

pub mod loop_device;

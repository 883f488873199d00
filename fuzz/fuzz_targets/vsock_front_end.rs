//! What a front end of the vsock device may send, with which descriptors, and what its guest does with the memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vhost_vsock::fuzzing::front_end(data));

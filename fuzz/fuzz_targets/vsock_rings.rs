//! What a guest may put into the rings of its vsock device, and what its host does with the streams.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vhost_vsock::fuzzing::rings(data));

//! What an untrusted agent may answer, as the service takes it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| hcsd::fuzzing::answers(data));

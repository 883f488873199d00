//! What a host may send to an agent: bytes in any pieces, descriptors anywhere, requests of any kind.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| guest_agent::fuzzing::requests(data));

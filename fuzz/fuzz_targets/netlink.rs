//! Answers of netlink, as they reach the engine of networks.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine_network::fuzzing::answers(data));

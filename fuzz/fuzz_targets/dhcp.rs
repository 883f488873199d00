//! Frames of a guest without an agent, as they reach the worker that answers its questions by DHCP.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine_vm::fuzzing::dhcp(data));

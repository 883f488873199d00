//! Changes that a client asks for in a running container.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| engine_container::fuzzing::modify(data));

//! Files of the kernel that the engine reads; names in them were chosen by others.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| engine_container::fuzzing::kernel_files(data));

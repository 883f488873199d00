//! The bytes of a QEMU that its guest has taken over, as they reach the monitor of a worker: in two pieces, of which
//! the first byte says the length of the first.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((length, bytes)) = data.split_first() {
        let (first, second) = bytes.split_at(usize::from(*length).min(bytes.len()));
        engine_vm::fuzzing::monitor(first, second);
    }
});

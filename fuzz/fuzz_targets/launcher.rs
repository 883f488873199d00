//! What passes between service, launcher and the child that becomes a container.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 3 {
        0 => engine_container::fuzzing::report(bytes),
        1 => engine_container::fuzzing::instructions(bytes),
        _ => engine_container::fuzzing::launcher(bytes, usize::from(kind >> 4)),
    }
});

//! Archives of layers, compressed or not: read, written, unpacked.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((way, archive)) = data.split_first() else {
        return;
    };
    if way & 1 == 0 {
        hcs_storage::fuzzing::archive(archive);
    } else {
        hcs_storage::fuzzing::layer(archive);
    }
});

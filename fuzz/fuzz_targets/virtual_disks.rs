//! A virtual disk of another program: what of it is read before it is formatted or mounted.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((way, rest)) = data.split_first() else {
        return;
    };
    if way & 1 == 0 {
        hcs_storage::fuzzing::changed_disk(rest);
    } else {
        hcs_storage::fuzzing::disk(rest);
    }
});

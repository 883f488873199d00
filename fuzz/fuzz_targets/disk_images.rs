//! The beginning and the end of a disk image that a guest has written, of which the first two bytes say the length of
//! the first.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(([high, low], bytes)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (start, end) = bytes.split_at(length.min(bytes.len()));
        engine_vm::fuzzing::disk_images(start, end);
    }
});

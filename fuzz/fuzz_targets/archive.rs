//! A tar stream of a container, read as `hcs cp` reads it: whatever comes, an entry names a path below the destination,
//! and data is no longer than announced.

#![no_main]

use std::path::Component;

use hcs_archive::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut reader = Reader::new(data);
    let mut buffer = [0; 700];
    while let Ok(Some(entry)) = reader.next_entry() {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        assert!(entry.path.components().all(plain));
        assert!(entry.mode <= 0o7777);
        let mut left = entry.size;
        // Every other one is skipped by the reader.
        while entry.mode & 1 == 0 {
            match reader.read_data(&mut buffer) {
                Ok(count) if count > 0 => left -= count as u64,
                _ => break,
            }
        }
    }
});

//! Files that a service finds when it starts: its configuration, the state of systems, their journals, and what their
//! agents have left.

#![no_main]

use hcs_wire::guest::LeftRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    if kind % 4 == 0 {
        let left = LeftRecord::read(bytes);
        assert_eq!(LeftRecord::read(&left.line()), left);
        return hcsd::fuzzing::journal(bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match kind % 4 {
        1 => hcsd::fuzzing::state(text),
        2 => engine_container::fuzzing::record(text),
        _ => hcsd::fuzzing::config(text),
    }
});

//! Files that root of a compute system may have written, read by its agent, and command lines.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let mut parts = data.splitn(3, '\0');
    let (Some(user), Some(passwd)) = (parts.next(), parts.next()) else {
        guest_agent::fuzzing::command_line(data);
        return;
    };
    guest_agent::fuzzing::accounts(user, passwd, parts.next().unwrap_or(passwd));
    guest_agent::fuzzing::proc_files(passwd);
    guest_agent::fuzzing::names(data.as_bytes(), user);
});

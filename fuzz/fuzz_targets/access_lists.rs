//! Access control lists of files, as a file system gives them.

#![no_main]

use hcs_wire::access::{Holder, List, READ, WRITE};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(mut list) = List::parse(data) else {
        return;
    };
    assert_eq!(List::parse(&list.bytes()).as_ref(), Some(&list));
    list.grant(Holder::User(7), READ | WRITE);
    assert!(list.permits(7, &[7], (0, 0), READ | WRITE));
});

//! `-mon`: the monitor, on a stream that QEMU inherits.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct Monitor(pub(super) RawFd);

impl Switch for Monitor {
    fn words(&self) -> Vec<String> {
        vec![
            "-chardev".to_owned(),
            format!("socket,id=qmp,fd={}", self.0),
            "-mon".to_owned(),
            "chardev=qmp,mode=control".to_owned(),
        ]
    }
}

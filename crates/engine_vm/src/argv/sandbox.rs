//! `-sandbox`: the system calls that QEMU gives up, so that a guest that takes it over has few.

use super::Switch;

pub(super) struct Sandbox;

impl Switch for Sandbox {
    fn words(&self) -> Vec<String> {
        vec![
            "-sandbox".to_owned(),
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".to_owned(),
        ]
    }
}

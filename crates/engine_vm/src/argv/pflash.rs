//! `-add-fd`, `-blockdev` for `pflash0` and `pflash1`: the code of firmware, and its variables, which QEMU inherits.

use std::os::fd::RawFd;

use serde_json::json;

use super::Switch;

/// The numbers of their files, beyond those of disks.
const CODE: u32 = 1000;
const VARIABLES: u32 = 1001;

/// What `-machine` says of them.
pub(super) const PROPERTIES: &str = ",pflash0=code,pflash1=variables";

pub(super) struct FirmwareFlash {
    pub(super) code: RawFd,
    pub(super) variables: RawFd,
}

impl Switch for FirmwareFlash {
    fn words(&self) -> Vec<String> {
        let files = [
            ("code", CODE, self.code, true),
            ("variables", VARIABLES, self.variables, false),
        ];
        let words = files.map(|(name, set, descriptor, read_only)| {
            let image = json!({
                "driver": "raw", "node-name": name, "read-only": read_only,
                "file": {
                    "driver": "file", "node-name": format!("{name}-file"), "filename": format!("/dev/fdset/{set}"),
                    "locking": "off", "read-only": read_only,
                },
            });
            [
                "-add-fd".to_owned(),
                format!("fd={descriptor},set={set}"),
                "-blockdev".to_owned(),
                image.to_string(),
            ]
        });
        words.concat()
    }
}

//! `-machine` and `-name`: the board.

use super::{Switch, device_nvdimm, pflash};

pub(super) struct Machine {
    pub(super) name: String,
    pub(super) has_firmware: bool,
    pub(super) has_nvdimm: bool,
}

impl Switch for Machine {
    fn words(&self) -> Vec<String> {
        let firmware = if self.has_firmware {
            pflash::PROPERTIES
        } else {
            ""
        };
        let nvdimm = if self.has_nvdimm {
            device_nvdimm::PROPERTIES
        } else {
            ""
        };
        vec![
            "-name".to_owned(),
            // The only text here that is not of this program; a comma would begin another option.
            self.name.replace(',', ",,"),
            "-machine".to_owned(),
            format!("q35,memory-backend=m0,vmport=off{firmware}{nvdimm}"),
        ]
    }
}

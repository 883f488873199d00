//! `-machine` and `-name`: the board.

use super::{Switch, pflash};

pub(super) struct Machine {
    pub(super) name: String,
    pub(super) has_firmware: bool,
}

impl Switch for Machine {
    fn words(&self) -> Vec<String> {
        let firmware = if self.has_firmware {
            pflash::PROPERTIES
        } else {
            ""
        };
        vec![
            "-name".to_owned(),
            // The only text here that is not of this program; a comma would begin another option.
            self.name.replace(',', ",,"),
            "-machine".to_owned(),
            format!("q35,memory-backend=m0,vmport=off{firmware}"),
        ]
    }
}

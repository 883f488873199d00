//! `-machine` and `-name`: the board.

use super::Switch;

pub(super) struct Machine {
    pub(super) name: String,
}

impl Switch for Machine {
    fn words(&self) -> Vec<String> {
        vec![
            "-name".to_owned(),
            // The only text here that is not of this program; a comma would begin another option.
            self.name.replace(',', ",,"),
            "-machine".to_owned(),
            "q35,memory-backend=m0,vmport=off".to_owned(),
        ]
    }
}

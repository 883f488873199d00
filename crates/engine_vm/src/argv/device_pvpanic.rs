//! `-device pvpanic`: by it the guest's kernel says that it crashed, where it has the driver.

use super::Switch;

pub(super) struct PvPanic;

impl Switch for PvPanic {
    fn words(&self) -> Vec<String> {
        vec!["-device".to_owned(), "pvpanic".to_owned()]
    }
}

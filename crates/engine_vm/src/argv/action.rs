//! `-action`: what QEMU does when the guest resets, powers off or crashes.

use super::Switch;

pub(super) struct Action {
    /// Whether a reset ends the machine.
    pub(super) stops_on_reset: bool,
    /// Whether a guest that crashed is left where it is.
    pub(super) keeps_crashed: bool,
}

impl Switch for Action {
    fn words(&self) -> Vec<String> {
        let reboot = if self.stops_on_reset {
            "shutdown"
        } else {
            "reset"
        };
        let panic = if self.keeps_crashed {
            "pause"
        } else {
            "shutdown"
        };
        let actions = format!("reboot={reboot},shutdown=poweroff,panic={panic}");
        vec!["-action".to_owned(), actions]
    }
}

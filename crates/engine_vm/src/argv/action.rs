//! `-action`: what QEMU does when the guest resets, powers off or crashes.

use super::Switch;

pub(super) struct Action {
    /// Whether a reset ends the machine.
    pub(super) stops_on_reset: bool,
}

impl Switch for Action {
    fn words(&self) -> Vec<String> {
        let reboot = if self.stops_on_reset {
            "shutdown"
        } else {
            "reset"
        };
        let actions = format!("reboot={reboot},shutdown=poweroff,panic=shutdown");
        vec!["-action".to_owned(), actions]
    }
}

//! Which devices a container may use, whatever nodes it makes.

use super::{ControlGroups, Home, detect::Controller, files};
use crate::{failure::StepError, parts::devices::NODES};

/// Devices besides those with a node from the start: terminals of `/dev/pts` and the door to them.
const ALSO: [&str; 4] = [
    // Any node may be made; using it is another matter.
    "c *:* m",
    "b *:* m",
    "c 136:* rwm",
    "c 5:2 rwm",
];

impl ControlGroups {
    /// Allows the devices of `/dev` and no others.
    ///
    /// # Errors
    /// The kernel refused.
    pub(crate) fn limit_devices(&self) -> Result<(), StepError> {
        let Some(Home::V1(directory)) = self.home(Controller::Devices) else {
            return Ok(());
        };
        files::write(directory, "devices.deny", "a")?;
        for rule in ALSO {
            files::write(directory, "devices.allow", rule)?;
        }
        for (_, major, minor) in NODES {
            files::write(
                directory,
                "devices.allow",
                &format!("c {major}:{minor} rwm"),
            )?;
        }
        Ok(())
    }
}

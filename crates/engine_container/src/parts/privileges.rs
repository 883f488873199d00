//! What the processes of a container get, as its document says.

use hcs_schema::{
    Failure, HResult,
    documents::Container,
    privileges::{Capabilities, Privileges},
};

use crate::cgroup::DeviceControl;

/// JSON pointer of the property.
const POINTER: &str = "/Container/AddCapabilities";

/// Reads it.
///
/// # Errors
/// Device nodes are to be made, and nothing on this host says which devices the container may use by them.
pub(crate) fn check(
    container: &Container,
    devices: &DeviceControl,
    own_user: bool,
) -> Result<Privileges, Failure> {
    let mut privileges = Privileges::of_container(container)?;
    let nodes = Capabilities::MKNOD;
    // In a user namespace the kernel lets no process make any.
    let open = !own_user && matches!(devices, DeviceControl::None);
    if !open || !privileges.possible.contains(nodes) {
        return Ok(privileges);
    }
    if privileges.possible != Capabilities::ALL {
        let message = "CAP_MKNOD cannot be given: this host has no control group that says which devices the container \
                       may use by the nodes it makes; leave it out, or mount a hierarchy with the controller \"devices\"";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message).cause_at(POINTER, message));
    }
    privileges.possible = privileges.possible.difference(nodes);
    privileges.root = privileges.root.difference(nodes);
    privileges.others = privileges.others.difference(nodes);
    Ok(privileges)
}

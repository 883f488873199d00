//! The capabilities that a service has no use for (`capabilities(7)`).

use rustix::{
    io::Errno,
    process::geteuid,
    thread::{CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities},
};

/// Over the machine itself, its kernel and its clock, other than by containers. What may be given to a container is not
/// among them: a launcher that is started again has no more than the service.
const USELESS: CapabilitySet = CapabilitySet::SYS_MODULE
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYS_TTY_CONFIG)
    .union(CapabilitySet::WAKE_ALARM)
    .union(CapabilitySet::BLOCK_SUSPEND)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::AUDIT_CONTROL)
    .union(CapabilitySet::AUDIT_READ);

/// Gives them up for good: the calling process, which has one thread, and what it executes later.
///
/// # Errors
/// The kernel refused. Root without `CAP_SETPCAP` may not.
pub fn give_up() -> Result<(), Errno> {
    if !geteuid().is_root() {
        return Ok(());
    }
    for one in USELESS.iter() {
        match remove_capability_from_bounding_set(one) {
            // One that this kernel does not know.
            Err(Errno::INVAL) => {}
            answer => answer?,
        }
    }
    let mut sets = capabilities(None)?;
    sets.effective -= USELESS;
    sets.permitted -= USELESS;
    sets.inheritable -= USELESS;
    set_capabilities(None, sets)
}

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
    give_up_these(USELESS)
}

/// The same with the capability to load profiles, which neither launcher nor container has any use for: with it a
/// container could replace its own.
///
/// # Errors
/// As for [`give_up`].
pub fn give_up_profiles() -> Result<(), Errno> {
    give_up_these(CapabilitySet::MAC_ADMIN)
}

/// Leaves nothing to programs with inheritable capabilities of their own. The ambient set goes along with it.
///
/// # Errors
/// The kernel refused, which it has no reason to.
pub(super) fn inherit_none() -> Result<(), Errno> {
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)
}

fn give_up_these(useless: CapabilitySet) -> Result<(), Errno> {
    if !geteuid().is_root() {
        return Ok(());
    }
    for one in useless.iter() {
        match remove_capability_from_bounding_set(one) {
            // This kernel does not know the capability.
            Err(Errno::INVAL) => {}
            answer => answer?,
        }
    }
    let mut sets = capabilities(None)?;
    sets.effective -= useless;
    sets.permitted -= useless;
    sets.inheritable -= useless;
    set_capabilities(None, sets)
}

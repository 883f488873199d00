//! The capabilities a container keeps (`capabilities(7)`).

use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities,
    },
};

use crate::failure::{Attempt, StepError};

/// What container users expect root to be able to: the set that Docker and containerd grant.
pub(crate) const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// Takes everything but [`DEFAULT`] from what the calling process can ever pass on: bounding and ambient set. Its own
/// capabilities stay. Done once, by the launcher, since all its children inherit it; again by a child in a user namespace,
/// which begins with all of them over what the namespace owns.
pub(crate) fn limit() -> Result<(), StepError> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if DEFAULT.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            // One past the last that this kernel knows.
            Err(Errno::INVAL) => break,
            answer => answer.step("reducing the capability bounding set")?,
        }
    }
    clear_ambient_capability_set().step("clearing ambient capabilities")
}

/// Reduces the calling process to what its bounding set allows; nothing inheritable. Nodes may be made only where
/// `trusts_nodes`.
pub(crate) fn apply(trusts_nodes: bool) -> Result<(), StepError> {
    let mut keep = DEFAULT;
    if !trusts_nodes {
        keep = keep.difference(CapabilitySet::MKNOD);
        remove_capability_from_bounding_set(CapabilitySet::MKNOD)
            .step("reducing the capability bounding set")?;
    }
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).step("setting capabilities")
}

//! The capabilities of the agent, and the most that what it starts can have (`capabilities(7)`).
//!
//! What a process gets is decided when it is started, by the agent. The bounding set is what no process can exceed.

use hcs_schema::privileges::{Capabilities, Privileges};
use rustix::{
    io::Errno,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities,
    },
};

use crate::failure::{Attempt, StepError};

/// JSON pointer of the property.
const POINTER: &str = "/Container/AddCapabilities";

/// What the agent has beside what its processes can have. The kernel lets no process without `CAP_SYS_NICE` touch the
/// scheduling of a process that has more than the caller, nor trace it. The first is of use as well: the agent sets
/// limits above its own. The second is there where the service has not got the first. By the third the agent gives
/// pipes to the user of the process that they are for.
const AGENT: Capabilities = Capabilities::SYS_RESOURCE
    .union(Capabilities::WAKE_ALARM)
    .union(Capabilities::CHOWN);

/// What the container's processes can have on this host: `ALL` is what the service has itself.
///
/// # Errors
/// `EPERM` for one that is named, and that the service has not.
pub(crate) fn check(asked: Privileges) -> Result<Privileges, StepError> {
    let own = own()?;
    // What the service left out of all is nodes, where nothing controls devices.
    if asked.possible.union(Capabilities::MKNOD) == Capabilities::ALL {
        return Ok(Privileges {
            possible: asked.possible.intersection(own),
            root: asked.root.intersection(own),
            others: asked.others.intersection(own),
            ..asked
        });
    }
    let missing = asked.possible.difference(own);
    if missing.is_empty() {
        return Ok(asked);
    }
    let error = StepError::new("giving a capability that the service has not:", Errno::PERM);
    Err(error.at(missing.to_string()).asked_by(POINTER))
}

fn own() -> Result<Capabilities, StepError> {
    let own = capabilities(None).step("looking at the capabilities")?;
    Ok(Capabilities::from_bits(own.permitted.bits()))
}

/// Takes all but `possible` from what the calling process can pass on, and from itself all that is not the agent's.
pub(crate) fn apply(possible: Capabilities) -> Result<(), StepError> {
    let agent = possible.union(AGENT.intersection(own()?));
    for number in 0..u64::BITS {
        if possible.contains(Capabilities::of_number(number)) {
            continue;
        }
        let one = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(one) {
            // One past the last that this kernel knows.
            Err(Errno::INVAL) => break,
            answer => answer.step("reducing the capability bounding set")?,
        }
    }
    clear_ambient_capability_set().step("clearing ambient capabilities")?;
    let keep = CapabilitySet::from_bits_retain(agent.bits());
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).step("setting capabilities")
}

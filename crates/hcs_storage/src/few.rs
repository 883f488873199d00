//! Work on what others have made, on a thread with no more rights than it needs.
//!
//! Whatever a layer makes a mistake here do, it cannot trace processes, load modules, change users, networks or the
//! clock, nor reach memory and devices by number. `CAP_SYS_ADMIN` stays for layers of root alone: the kernel asks for
//! it where an attribute `trusted.*` is set, which marks an opaque directory.

use std::{panic, thread};

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};

use crate::{StorageError, layer::Rights};

/// Does `work` on a thread of its own, which has what layers with these `rights` need, as far as this thread has it.
///
/// # Errors
/// As of `work`; or there can be no such thread.
pub(crate) fn with_few<T: Send>(
    rights: Rights,
    work: impl FnOnce() -> Result<T, StorageError> + Send,
) -> Result<T, StorageError> {
    let failed = |source| StorageError::Stream {
        action: "giving up rights before unpacking",
        source,
    };
    let limited = || {
        give_up(rights).map_err(|errno| failed(errno.into()))?;
        work()
    };
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, limited);
        match started.map_err(failed)?.join() {
            Ok(done) => done,
            Err(panic) => panic::resume_unwind(panic),
        }
    })
}

/// What is needed for files that may be anything that layers with these rights have.
const fn needed(rights: Rights) -> CapabilitySet {
    // A process of root in a user namespace has some of them, too.
    let files = CapabilitySet::CHOWN
        .union(CapabilitySet::DAC_OVERRIDE)
        .union(CapabilitySet::DAC_READ_SEARCH)
        .union(CapabilitySet::FOWNER)
        .union(CapabilitySet::FSETID);
    match rights {
        Rights::Content | Rights::User(_) => files,
        Rights::Root => files
            .union(CapabilitySet::SETFCAP)
            .union(CapabilitySet::MKNOD)
            .union(CapabilitySet::SYS_ADMIN),
    }
}

/// Gives up all else, for this thread and what it may become.
fn give_up(rights: Rights) -> Result<(), rustix::io::Errno> {
    set_no_new_privs(true)?;
    let found = capabilities(None)?;
    let needed = needed(rights);
    set_capabilities(
        None,
        CapabilitySets {
            effective: found.effective & needed,
            permitted: found.permitted & needed,
            inheritable: CapabilitySet::empty(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Special;

    #[test]
    fn a_thread_keeps_what_it_needs_and_the_others_keep_all() {
        let before = capabilities(None).unwrap();
        for rights in [Rights::Root, Rights::Content, Rights::User(Special::Refuse)] {
            let found = with_few(rights, || Ok(capabilities(None).unwrap())).unwrap();
            assert_eq!(found.effective, before.effective & needed(rights));
            assert_eq!(found.permitted, before.permitted & needed(rights));
            assert_eq!(found.inheritable, CapabilitySet::empty());
        }
        let again = with_few(Rights::Root, || {
            Ok(set_capabilities(None, capabilities(None).unwrap()).is_ok())
        });
        assert!(again.unwrap());
        assert_eq!(capabilities(None).unwrap().effective, before.effective);
    }
}

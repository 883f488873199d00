//! What the host has for virtual machines: QEMU's program, memory, and users.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use hcs_engine::memory::{HostMemory, host_memory};
use hcs_schema::{Failure, HResult};

use crate::{config::EngineConfig, shares::Owner};

/// Where distributions put it.
const PLACES: [&str; 3] = [
    "/usr/bin/qemu-system-x86_64",
    "/usr/local/bin/qemu-system-x86_64",
    "/usr/libexec/qemu-kvm",
];

/// QEMU's program.
///
/// # Errors
/// `HCS_E_HYPERV_NOT_INSTALLED`, with the package and the command that installs it.
pub(crate) fn qemu(config: &EngineConfig) -> Result<PathBuf, Failure> {
    if !cfg!(target_arch = "x86_64") {
        let message = "virtual machines are supported on hosts with x86-64 processors only";
        return Err(Failure::new(HResult::NOT_SUPPORTED, message));
    }
    if let Some(named) = &config.qemu {
        if named.is_file() {
            return Ok(named.clone());
        }
        let message = format!(
            "QEMU is not at {}, which the configuration names (qemu, in [vm])",
            named.display()
        );
        return Err(Failure::new(HResult::HCS_E_HYPERV_NOT_INSTALLED, message));
    }
    let found = PLACES.iter().map(Path::new).find(|place| place.is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        Failure::new(
            HResult::HCS_E_HYPERV_NOT_INSTALLED,
            "virtual machines need QEMU, which is not installed: apt-get install qemu-system-x86 (Debian, Ubuntu), \
             dnf install qemu-kvm (Fedora), or name the program in the configuration (qemu, in [vm])",
        )
    })
}

/// The part of the host's memory that no machine holds: one of so many.
const RESERVE: u64 = 32;

/// Megabytes that machines are about to take from the host, which does not count them as used yet.
#[derive(Debug, Default)]
pub(crate) struct Promised(Mutex<u64>);

/// The memory of one machine among those of [`Promised`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    all: &'a Promised,
    megabytes: u64,
}

impl Promised {
    /// Promises so much of what the host has now.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY`: it has less, without its reserve and what was promised before.
    pub(crate) fn promise(&self, megabytes: u64, pointer: &str) -> Result<Promise<'_>, Failure> {
        // What the kernel does not tell is no reason to refuse.
        self.promise_of(host_memory().ok(), megabytes, pointer)
    }

    fn promise_of(
        &self,
        memory: Option<HostMemory>,
        megabytes: u64,
        pointer: &str,
    ) -> Result<Promise<'_>, Failure> {
        let mut promised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = memory {
            let kept = (memory.total >> 20) / RESERVE + *promised;
            let free = (memory.available >> 20).saturating_sub(kept);
            if megabytes > free {
                let message = format!(
                    "the virtual machine is to hold {megabytes} MB of memory with what it needs beside its guest's, and the \
                     host has {free} MB to give: ask for less, or leave \"Physical\" out"
                );
                let failure = Failure::new(HResult::E_OUTOFMEMORY, message.clone());
                return Err(failure.cause_at(pointer, message));
            }
        }
        *promised += megabytes;
        Ok(Promise {
            all: self,
            megabytes,
        })
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        *self.all.0.lock().unwrap_or_else(PoisonError::into_inner) -= self.megabytes;
    }
}

/// The group of users that are in none.
const NO_GROUP: u32 = 65534;

/// A user of the host with the first of its groups. Users that only a directory service knows have none: fewer rights,
/// but none of another user.
pub(crate) fn owner(user: u32) -> Owner {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Owner {
        user,
        group: group(&users, user),
    }
}

fn group(users: &str, user: u32) -> u32 {
    if user == 0 {
        return 0;
    }
    let found = users.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let of_user = fields.next()?.parse() == Ok(user);
        fields.next()?.parse().ok().filter(|_| of_user)
    });
    found.unwrap_or(NO_GROUP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_group_that_the_host_says() {
        let users = "root:x:1:1::/:\nme:x:1000:100::/:\nbad:x\n\nother:x:1001:x:/:\n";
        let groups = [0, 1000, 1001, 7].map(|user| group(users, user));
        assert_eq!(groups, [0, 100, NO_GROUP, NO_GROUP]);
    }

    #[test]
    fn memory_is_promised_once_and_a_part_of_it_is_kept() {
        let memory = Some(HostMemory {
            total: 3200 << 20,
            available: 1000 << 20,
        });
        let promised = Promised::default();
        let promise = |megabytes| promised.promise_of(memory, megabytes, "/p");
        let refused = promise(901).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_OUTOFMEMORY);
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/p"));
        assert!(refused.message.contains("900 MB to give"), "{refused}");
        let first = promise(600).unwrap();
        promise(301).unwrap_err();
        let second = promise(300).unwrap();
        drop(first);
        promise(601).unwrap_err();
        drop(second);
        drop(promise(900).unwrap());
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let config = EngineConfig {
            qemu: Some(PathBuf::from("/nowhere/qemu")),
            ..EngineConfig::default()
        };
        let failure = qemu(&config).unwrap_err();
        assert_eq!(failure.hresult, HResult::HCS_E_HYPERV_NOT_INSTALLED);
        assert!(failure.message.contains("/nowhere/qemu"), "{failure}");
    }
}

//! What the host has for virtual machines: QEMU's program, and users.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hcs_engine::memory::host_memory;
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

/// Whether the host has so much memory now.
///
/// # Errors
/// `E_OUTOFMEMORY`: it has less.
pub(crate) fn has_memory(megabytes: u64, pointer: &str) -> Result<(), Failure> {
    // What the kernel does not tell is no reason to refuse.
    let Ok(memory) = host_memory() else {
        return Ok(());
    };
    let available = memory.available >> 20;
    if megabytes <= available {
        return Ok(());
    }
    let message = format!(
        "the virtual machine is to hold {megabytes} MB of memory, and the host has {available} MB: ask for less, or leave \
         \"Physical\" out"
    );
    Err(Failure::new(HResult::E_OUTOFMEMORY, message.clone()).cause_at(pointer, message))
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

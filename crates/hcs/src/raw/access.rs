//! The functions that say which virtual machine may use a file, and those that make files for one.
//!
//! They work on the file with the rights of this program; the service is only asked what stands for the machine.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use hcs_schema::{Failure, HResult, check_id, win32};
use hcs_wire::{
    access::{self, Holder, Identity, READ, TemporaryGrant, WRITE},
    errno::{hresult, words},
    service::Call,
};
use rustix::io::Errno;

use super::{OperationKind, request::PendingCall};
use crate::endpoint::Endpoint;

/// `ERROR_FILE_EXISTS`.
const FILE_EXISTS: u16 = 80;

/// Any id asks for the group of all machines.
const ANY: &str = "any";

/// `HcsGrantVmAccess`: the virtual machine `vm_id`, which need not be there yet, may read and write the file.
///
/// # Errors
/// There is no such regular file or block device, the caller neither owns it nor is root, or the service makes no
/// virtual machines.
pub fn grant_vm_access(vm_id: &str, path: &Path) -> Result<(), Failure> {
    Endpoint::from_environment()?.grant_vm_access(vm_id, path)
}

/// `HcsRevokeVmAccess`.
///
/// # Errors
/// As for [`grant_vm_access`].
pub fn revoke_vm_access(vm_id: &str, path: &Path) -> Result<(), Failure> {
    Endpoint::from_environment()?.revoke_vm_access(vm_id, path)
}

/// `HcsGrantVmGroupAccess`: all virtual machines of the service may read and write the file.
///
/// # Errors
/// As for [`grant_vm_access`].
pub fn grant_vm_group_access(path: &Path) -> Result<(), Failure> {
    let group = Endpoint::from_environment()?.vm_identity(ANY)?.group;
    done(
        path,
        access::grant(path, Holder::Group(group), READ | WRITE),
    )
}

/// `HcsRevokeVmGroupAccess`.
///
/// # Errors
/// As for [`grant_vm_access`].
pub fn revoke_vm_group_access(path: &Path) -> Result<(), Failure> {
    let group = Endpoint::from_environment()?.vm_identity(ANY)?.group;
    done(path, access::revoke(path, Holder::Group(group)))
}

/// `HcsCreateEmptyGuestStateFile` and `HcsCreateEmptyRuntimeStateFile`: an empty file, which only its owner may use.
/// What first uses it gives it its contents.
///
/// # Errors
/// Something is there already, whatever it is, or cannot be made there.
pub fn create_empty_state_file(path: &Path) -> Result<(), Failure> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Ok(_empty) => Ok(()),
        Err(error) => Err(unmade(path, &error)),
    }
}

fn unmade(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{} cannot be made", path.display());
    match Errno::from_io_error(error) {
        Some(Errno::EXIST) => {
            let message = format!("{message}: it is there already, and no file is overwritten");
            Failure::new(HResult::from_win32(FILE_EXISTS), message)
        }
        Some(errno) => Failure::new(hresult(errno), format!("{message}: {}", words(errno))),
        None => Failure::new(HResult::E_INVALIDARG, message).because(error),
    }
}

impl Endpoint {
    /// [`grant_vm_access`] to a machine of the service there.
    ///
    /// # Errors
    /// As for [`grant_vm_access`].
    pub fn grant_vm_access(&self, vm_id: &str, path: &Path) -> Result<(), Failure> {
        let user = self.vm_identity(vm_id)?.user;
        done(path, access::grant(path, Holder::User(user), READ | WRITE))
    }

    /// [`Endpoint::grant_vm_access`] of what the machine has to do with the file, until the answer is ended: only to
    /// read with `read_only`. `None` where the machine may do that already.
    ///
    /// # Errors
    /// As for [`grant_vm_access`].
    pub fn lend_to_vm(
        &self,
        vm_id: &str,
        path: &Path,
        read_only: bool,
    ) -> Result<Option<TemporaryGrant>, Failure> {
        let identity = self.vm_identity(vm_id)?;
        let wanted = if read_only { READ } else { READ | WRITE };
        TemporaryGrant::begin(path, identity, wanted).map_err(|errno| unchanged(path, errno))
    }

    /// [`revoke_vm_access`] from a machine of the service there.
    ///
    /// # Errors
    /// As for [`grant_vm_access`].
    pub fn revoke_vm_access(&self, vm_id: &str, path: &Path) -> Result<(), Failure> {
        let user = self.vm_identity(vm_id)?.user;
        done(path, access::revoke(path, Holder::User(user)))
    }

    /// What stands for the machine `vm_id` in access control lists.
    fn vm_identity(&self, vm_id: &str) -> Result<Identity, Failure> {
        check_id(vm_id)?;
        let call = Call::GetVmIdentity {
            id: vm_id.to_owned(),
        };
        let told = PendingCall::on_service(self.clone(), OperationKind::None, call).run();
        let told = told.map_err(|error| Failure::from(&error))?;
        let identity = serde_json::from_str(told.as_deref().unwrap_or_default());
        identity.map_err(|error| {
            let message = "the service did not tell what stands for the virtual machine";
            Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message).because(&error)
        })
    }
}

fn done(path: &Path, changed: Result<(), Errno>) -> Result<(), Failure> {
    changed.map_err(|errno| unchanged(path, errno))
}

fn unchanged(path: &Path, errno: Errno) -> Failure {
    let path = path.display();
    let (code, why) = match errno {
        Errno::INVAL => (
            HResult::E_INVALIDARG,
            "it is neither a regular file nor a block device".to_owned(),
        ),
        Errno::PERM => (
            HResult::E_ACCESSDENIED,
            "only its owner and root may do that".to_owned(),
        ),
        Errno::OPNOTSUPP => (
            HResult::from_win32(win32::ERROR_NOT_SUPPORTED),
            "its file system has no access control lists".to_owned(),
        ),
        Errno::LOOP => (
            HResult::E_ACCESSDENIED,
            "it leads through a symbolic link in a directory that a container may write to, or could, or through too \
             many (name what it leads to)"
                .to_owned(),
        ),
        errno => (hresult(errno), words(errno)),
    };
    let message = format!("the access of virtual machines to {path} cannot be changed: {why}");
    Failure::new(code, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_state_file_is_new_and_its_owners() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state.vmgs");
        create_empty_state_file(&path).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.len(), made.permissions().mode() & 0o777), (0, 0o600));
        fs::write(&path, "kept").unwrap();
        std::os::unix::fs::symlink("missing", place.path().join("link")).unwrap();
        for (name, code) in [
            ("state.vmgs", HResult::from_win32(FILE_EXISTS)),
            ("link", HResult::from_win32(FILE_EXISTS)),
            ("", HResult::E_ACCESSDENIED),
            ("none/state", HResult::FILE_NOT_FOUND),
        ] {
            let refused = create_empty_state_file(&place.path().join(name)).unwrap_err();
            assert_eq!(refused.hresult, code, "{name}: {refused}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(!place.path().join("missing").exists());
    }
}

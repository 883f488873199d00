//! Which files of the host a machine may use: those that are granted to it in their access control lists.
//!
//! The service opens the files of a machine as root, wherever they are, and hands QEMU the descriptors. So it looks
//! here whether the owner of a disk has granted it (`HcsGrantVmAccess`), by the descriptor and not by the path: what
//! was looked at is what is used. Kernels and what goes with them need no grant; QEMU only reads them, or a copy.

use std::os::fd::OwnedFd;

use hcs_engine::engine::Identity;
use hcs_schema::{Failure, HResult};
use hcs_wire::access::{self, READ, WRITE};

use crate::identity::HeldUser;

/// A machine, as files are granted to it.
#[derive(Debug)]
pub(crate) struct Grantee {
    identity: Identity,
    /// The id clients know it by, for messages.
    id: String,
    /// Its user; `None` for a machine of an earlier service that gave all machines the same one.
    held: Option<HeldUser>,
}

impl Grantee {
    /// The machine `id`.
    pub(crate) fn new(identity: Identity, id: &str, held: Option<HeldUser>) -> Self {
        Self {
            identity,
            id: id.to_owned(),
            held,
        }
    }

    /// The user that is held for it.
    pub(crate) fn user(&self) -> Option<u32> {
        self.held.as_ref().map(HeldUser::user)
    }

    /// Whether it may use this file of the document, for writing as well unless it is only read.
    ///
    /// # Errors
    /// `E_ACCESSDENIED`, by pointer, with the function and the command that grant it.
    pub(crate) fn check(
        &self,
        file: &OwnedFd,
        (path, pointer): (&str, &str),
        read_only: bool,
    ) -> Result<(), Failure> {
        let (wanted, letters) = match read_only {
            true => (READ, "r"),
            false => (READ | WRITE, "rw"),
        };
        let Identity { user, group } = self.identity;
        let granted = access::Identity { user, group }.may(file, wanted);
        let granted = granted.map_err(|errno| {
            let message = format!("the access control list of {path} cannot be read: {errno}");
            Failure::new(hcs_wire::errno::hresult(errno), message.clone())
                .cause_at(pointer, message)
        })?;
        if granted {
            return Ok(());
        }
        let message = format!(
            "the virtual machine {:?} may not use {path}: its owner grants that by HcsGrantVmAccess, or by \
             `setfacl -m u:{user}:{letters} {path}`",
            self.id
        );
        Err(Failure::new(HResult::E_ACCESSDENIED, message.clone()).cause_at(pointer, message))
    }

    /// One who owns what the calling process makes.
    #[cfg(test)]
    pub(crate) fn of_tests() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let identity = Identity { user, group: user };
        Self::new(identity, "a machine", None)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_that_is_not_granted_is_told_with_what_grants_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let file: OwnedFd = fs::File::open(&path).unwrap().into();
        let identity = Identity {
            user: 2_057_201_435,
            group: 0x7740_0000,
        };
        let machine = Grantee::new(identity, "box", None);
        let named = (path.to_str().unwrap(), "/Path");
        machine.check(&file, named, true).unwrap();
        let refused = machine.check(&file, named, false).unwrap_err();
        assert_eq!(refused.hresult, HResult::E_ACCESSDENIED);
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/Path"));
        let command = format!("setfacl -m u:2057201435:rw {}", path.display());
        assert!(refused.message.contains(&command), "{refused}");
        assert!(refused.message.contains("\"box\""), "{refused}");
        access::grant(&path, access::Holder::User(identity.user), READ | WRITE).unwrap();
        machine.check(&file, named, false).unwrap();
    }
}

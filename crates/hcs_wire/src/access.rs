//! Access of virtual machines to files: the entries of access control lists that say which machine may use a file.
//!
//! 1. [`Identity`]: the user and the group that stand for a machine in such a list, as the service tells them.
//! 2. [`List`]: a list, as `acl(5)` has it. Pure: what it permits, and what is granted and revoked.
//! 3. [`list_of`], [`grant`], [`revoke`]: that of a file. The kernel decides whether the caller may change it: the
//!    owner of the file may, and root.
//! 4. [`TemporaryGrant`]: a grant that its maker takes back.
//!
//! The library changes lists with the rights of its program, so no other process follows a path for a client. A grant
//! can be made before the machine exists, and lasts as long as the file. `getfacl` shows it, and `setfacl` takes it
//! back, too.

mod list;

use std::{
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{FileType, Stat, XattrFlags, fstat, getxattr, setxattr},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::written;

pub use list::{Holder, List, READ, WRITE};

/// The attribute that the kernel keeps a list in.
const ATTRIBUTE: &str = "system.posix_acl_access";

/// Lists are shorter; that of ext4 has one block at most.
const LONGEST: usize = 64 << 10;

/// What stands for a virtual machine in lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identity {
    /// The user: no other machine of the service has it.
    pub user: u32,
    /// The group of all machines of the service.
    pub group: u32,
}

impl Identity {
    /// Whether the machine may use a file in this way: by an entry of its own, by one of all machines, or because every
    /// user may.
    ///
    /// # Errors
    /// The errno of reading the list.
    pub fn may(self, file: impl AsFd, wanted: u8) -> Result<bool, Errno> {
        let (list, stat) = list_of(file)?;
        let groups = [self.user, self.group];
        Ok(list.permits(self.user, &groups, (stat.st_uid, stat.st_gid), wanted))
    }
}

/// The list of an open file, and what the kernel says of that file. A file without a list has that of its mode.
///
/// # Errors
/// The errno of `fstat(2)` or `getxattr(2)`; `EBADMSG` for a list that cannot be read.
pub fn list_of(file: impl AsFd) -> Result<(List, Stat), Errno> {
    let stat = fstat(&file)?;
    let mut bytes = vec![0; LONGEST];
    let list = match getxattr(path_of(&file), ATTRIBUTE, &mut bytes[..]) {
        Ok(length) => List::parse(&bytes[..length]).ok_or(Errno::BADMSG)?,
        // Nothing but a mode; or a file system that has no lists.
        Err(Errno::NODATA | Errno::OPNOTSUPP) => List::of_mode(stat.st_mode),
        Err(errno) => return Err(errno),
    };
    Ok((list, stat))
}

/// Whether nothing but its mode says who may use an open file. One that cannot be looked at counts as one with a list.
pub(crate) fn has_mode_alone(file: impl AsFd) -> bool {
    let mut nothing = [0_u8; 0];
    let found = getxattr(path_of(&file), ATTRIBUTE, &mut nothing[..]);
    matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Gives `holder` these rights to the regular file or block device at `path`, beside those it has. Others keep theirs.
///
/// # Errors
/// `EINVAL` where there is neither; `ELOOP` for a link that a container may have made, or too many;
/// `EPERM` for a caller who neither owns it nor is root; `EOPNOTSUPP` on a file system without lists.
pub fn grant(path: &Path, holder: Holder, rights: u8) -> Result<(), Errno> {
    change(grantable(path)?, |list| list.grant(holder, rights))
}

/// Takes all rights of `holder` to the regular file or block device at `path`; where it has none that is fine. Others
/// keep theirs.
///
/// # Errors
/// As for [`grant`].
pub fn revoke(path: &Path, holder: Holder) -> Result<(), Errno> {
    change(grantable(path)?, |list| list.revoke(holder))
}

/// A grant that its maker takes back. It is of the file, wherever that is renamed to.
#[derive(Debug)]
#[must_use = "a grant that is not ended stays"]
pub struct TemporaryGrant {
    file: OwnedFd,
    holder: Holder,
    /// The rights by name before the grant, if there was an entry.
    before: Option<u8>,
    /// Those that the grant left.
    given: u8,
}

impl TemporaryGrant {
    /// Gives the machine what it lacks of `wanted` rights to the file or device at `path`. `None` where it lacks
    /// nothing.
    ///
    /// # Errors
    /// As for [`grant`].
    pub fn begin(path: &Path, machine: Identity, wanted: u8) -> Result<Option<Self>, Errno> {
        let file = grantable(path)?;
        if machine.may(&file, wanted)? {
            return Ok(None);
        }
        let holder = Holder::User(machine.user);
        let before = list_of(&file)?.0.named(holder);
        change(&file, |list| list.grant(holder, wanted))?;
        let given = before.unwrap_or_default() | wanted;
        Ok(Some(Self {
            file,
            holder,
            before,
            given,
        }))
    }

    /// Gives the entry the rights that it had before, without the service. An entry that changed since then stays: it
    /// is another grant's.
    ///
    /// # Errors
    /// The errno of reading or changing the list.
    pub fn end(self) -> Result<(), Errno> {
        change(&self.file, |list| {
            if list.named(self.holder) == Some(self.given) {
                list.revoke(self.holder);
                if let Some(before) = self.before {
                    list.grant(self.holder, before);
                }
            }
        })
    }
}

fn change(file: impl AsFd, change: impl FnOnce(&mut List)) -> Result<(), Errno> {
    let (mut list, _) = list_of(&file)?;
    let before = list.clone();
    change(&mut list);
    if list == before {
        return Ok(());
    }
    // A list without names becomes the file's mode.
    let bytes = list.bytes();
    setxattr(path_of(&file), ATTRIBUTE, &bytes, XattrFlags::empty())
}

/// The regular file or block device at `path`, as a mere path: a FIFO is not waited for, no device notices, and no
/// right to read is needed. No link that a container may have made is followed.
fn grantable(path: &Path) -> Result<OwnedFd, Errno> {
    let file = written::reach(path)?;
    match FileType::from_raw_mode(fstat(&file)?.st_mode) {
        FileType::RegularFile | FileType::BlockDevice => Ok(file),
        _ => Err(Errno::INVAL),
    }
}

/// By the descriptor, so that it is the file that was looked at.
fn path_of(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use rustix::fs::{Mode, OFlags, open};

    use super::*;

    const MACHINE: Identity = Identity {
        user: 0x7400_0001,
        group: 0x7400_0000,
    };

    /// Row K7.
    #[test]
    fn no_link_that_a_container_may_have_made_is_granted_by() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("tree")).unwrap();
        fs::write(at("private"), "").unwrap();
        fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("../private", at("tree/disk")).unwrap();
        std::os::unix::fs::symlink(at("tree/disk"), at("link")).unwrap();
        let mode = || fs::metadata(at("private")).unwrap().permissions().mode() & 0o777;
        let holder = Holder::User(MACHINE.user);
        let opened = fs::File::open(at("private")).unwrap();
        for path in [at("tree/disk"), at("link"), path_of(&opened).into()] {
            grant(&path, holder, READ).unwrap();
            assert_eq!(mode(), 0o640);
            revoke(&path, holder).unwrap();
        }
        let tree = fs::File::open(at("tree")).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if !written::mark(tree.as_fd(), is_root).unwrap() {
            return;
        }
        for path in [at("tree/disk"), at("link"), at("tree/../tree/disk")] {
            assert_eq!(grant(&path, holder, READ), Err(Errno::LOOP));
            assert_eq!(revoke(&path, holder), Err(Errno::LOOP));
            let lent = TemporaryGrant::begin(&path, MACHINE, READ);
            assert_eq!(lent.unwrap_err(), Errno::LOOP);
        }
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_grant_is_an_entry_of_the_file_and_goes_with_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, "").unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let may = |wanted| {
            let file = fs::File::open(&path).unwrap();
            MACHINE.may(file, wanted).unwrap()
        };
        for holder in [Holder::User(MACHINE.user), Holder::Group(MACHINE.group)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(!may(READ) && !may(WRITE));
            grant(&path, holder, READ).unwrap();
            assert!(may(READ) && !may(WRITE));
            grant(&path, holder, READ | WRITE).unwrap();
            assert!(may(READ | WRITE));
            let renamed = place.path().join("renamed");
            fs::rename(&path, &renamed).unwrap();
            fs::rename(&renamed, &path).unwrap();
            assert!(may(READ | WRITE));
            revoke(&path, holder).unwrap();
            revoke(&path, holder).unwrap();
            assert!(!may(READ) && !may(WRITE));
            assert_eq!(mode(), 0o640, "as it was");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(may(READ) && !may(WRITE), "every user may read it");
    }

    #[test]
    fn a_temporary_grant_ends_with_the_rights_of_before() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let holder = Holder::User(MACHINE.user);
        let named = || {
            list_of(fs::File::open(&path).unwrap())
                .unwrap()
                .0
                .named(holder)
        };
        let begin = || TemporaryGrant::begin(&path, MACHINE, READ | WRITE).unwrap();
        for before in [None, Some(READ)] {
            if let Some(rights) = before {
                grant(&path, holder, rights).unwrap();
            }
            let lent = begin().unwrap();
            assert_eq!(named(), Some(READ | WRITE));
            assert!(begin().is_none(), "nothing is lacking");
            // What is at the path now is another file.
            let renamed = place.path().join("renamed");
            fs::rename(&path, &renamed).unwrap();
            fs::write(&path, "").unwrap();
            lent.end().unwrap();
            assert_eq!(named(), None);
            fs::rename(&renamed, &path).unwrap();
            assert_eq!(named(), before);
        }
        let lent = begin().unwrap();
        revoke(&path, holder).unwrap();
        grant(&path, holder, WRITE).unwrap();
        lent.end().unwrap();
        assert_eq!(named(), Some(WRITE), "that of another grant");
    }

    /// As root, who alone can be another user.
    #[test]
    fn another_users_file_is_not_granted() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, "").unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        // The ids of this thread alone.
        let changed = std::thread::scope(|scope| {
            let of_other = scope.spawn(|| {
                let user = rustix::fs::Uid::from_raw(1234);
                rustix::thread::set_thread_res_uid(user, user, user).unwrap();
                let holder = Holder::User(MACHINE.user);
                (grant(&path, holder, READ), revoke(&path, holder))
            });
            of_other.join().unwrap()
        });
        assert_eq!(
            changed,
            (Err(Errno::PERM), Ok(())),
            "nothing was to be revoked"
        );
        let (list, _) = list_of(fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(list, List::of_mode(0o666));
    }

    /// An owner who may not read the file, as root may everything.
    fn grants_without_the_right_to_read(place: &Path) {
        let path = place.join("unreadable");
        fs::write(&path, "").unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o200)).unwrap();
        std::os::unix::fs::chown(&path, Some(1234), None).unwrap();
        let thread = std::thread::spawn(move || {
            let user = rustix::fs::Uid::from_raw(1234);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            grant(&path, Holder::User(MACHINE.user), READ)
        });
        assert_eq!(thread.join().unwrap(), Ok(()));
    }

    #[test]
    fn only_files_and_block_devices_are_granted() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        // With both ends open, none that opens it has to wait for another.
        let _both = open(path("fifo"), OFlags::RDWR, Mode::empty()).unwrap();
        let holder = Holder::User(MACHINE.user);
        for (name, errno) in [
            ("", Errno::INVAL),
            ("fifo", Errno::INVAL),
            ("missing", Errno::NOENT),
        ] {
            assert_eq!(grant(&path(name), holder, READ), Err(errno), "{name}");
            assert_eq!(revoke(&path(name), holder), Err(errno), "{name}");
        }
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        if rustix::process::geteuid().is_root() {
            grants_without_the_right_to_read(place.path());
            let (kind, device) = (FileType::BlockDevice, rustix::fs::makedev(7, 0));
            rustix::fs::mknodat(rustix::fs::CWD, path("device"), kind, Mode::RUSR, device).unwrap();
            grant(&path("device"), holder, READ | WRITE).unwrap();
        }
        grant(&path("link"), holder, READ | WRITE).unwrap();
        let file = fs::File::open(path("file")).unwrap();
        assert!(
            MACHINE.may(file, READ | WRITE).unwrap(),
            "links are followed"
        );
    }
}

//! What the kernel tells of a namespace by its file (`ioctl_ns(2)`).
#![expect(unsafe_code, reason = "ioctl")]

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::checked;

const GET_USER_NAMESPACE: libc::Ioctl = 0xb701;
const GET_TYPE: libc::Ioctl = 0xb703;
const GET_OWNER: libc::Ioctl = 0xb704;

/// Whether the file is that of a network namespace.
pub(crate) fn is_of_network(namespace: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: the request takes no argument.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_TYPE) };
    Ok(checked(kind.into())? == libc::c_long::from(libc::CLONE_NEWNET))
}

/// The user whose user namespace owns a namespace: besides root it is this one who may join it.
pub(crate) fn owner(namespace: BorrowedFd<'_>) -> Result<u32, Errno> {
    // SAFETY: the request takes no argument, and answers a new descriptor, which closes on exec.
    let user = unsafe { libc::ioctl(namespace.as_raw_fd(), GET_USER_NAMESPACE) };
    let user = checked(user.into())?;
    let user = i32::try_from(user).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made it for this caller.
    let user = unsafe { OwnedFd::from_raw_fd(user) };
    let mut uid: libc::uid_t = 0;
    // SAFETY: the request writes one number of this type to where the pointer leads, which lives until it returns.
    let told = unsafe { libc::ioctl(user.as_fd().as_raw_fd(), GET_OWNER, &raw mut uid) };
    checked(told.into())?;
    Ok(uid)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_kind_and_the_owner_of_a_namespace_are_told() {
        let network = File::open("/proc/self/ns/net").unwrap();
        assert_eq!(is_of_network(network.as_fd()), Ok(true));
        owner(network.as_fd()).unwrap();
        let mounts = File::open("/proc/self/ns/mnt").unwrap();
        assert_eq!(is_of_network(mounts.as_fd()), Ok(false));
        let other = File::open("/dev/null").unwrap();
        assert_eq!(is_of_network(other.as_fd()), Err(Errno::NOTTY));
    }
}

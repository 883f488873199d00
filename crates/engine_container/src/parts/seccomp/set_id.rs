//! The second filter, of containers whose files on the host must give no power there ([`crate::parts::sharing`]): no
//! call sets a set-user-ID or set-group-ID bit, or makes one that is there count.
//!
//! A set-group-ID bit of a file whose group may not execute it survives a change of the group, and counts as soon as
//! the group may execute it. A mode without the bit takes it away, an access control list does not: so no attribute is
//! set, and programs that copy attributes go on without them (`EOPNOTSUPP`). None is removed either: one of them says
//! that containers may write to a directory ([`hcs_wire::written`]).
//!
//! Nor is a lease taken: it holds up each program of the host that opens the file, for as long as `fs.lease-break-time`
//! says. One for reading is to be had of a file that is mapped read-only.
//!
//! `mkdir` is not here: the kernel takes these bits out of its mode. Nor are device nodes, which need a capability that
//! such a container lacks, as capabilities of files do. `io_uring`, which could open files past a filter, is refused to
//! all.

use libc::{ENOSYS, EOPNOTSUPP, EPERM, c_long};

use super::policy::Action;

/// The bits of a mode.
const BITS: u32 = libc::S_ISUID | libc::S_ISGID;

/// The flags of `open` with which it has a mode. Of `O_TMPFILE` the bit that no other flag has.
const MAKES: u32 = (libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY).cast_unsigned();

/// A number that libc does not name yet; the same on every architecture.
const SYS_FCHMODAT2: c_long = 452;
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;

/// Commands of `fcntl` that take a lease: `F_SETLEASE`, and `F_SETDELEG` for directories, of Linux 6.19.
const LEASES: &[u32] = &[1024, 1040];

/// Calls that set attributes, access control lists among them, or remove them.
const ATTRIBUTES: [c_long; 8] = [
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SYS_SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_REMOVEXATTRAT,
];

/// Argument `argument` is a mode.
const fn mode(argument: u32) -> Action {
    Action::RefuseBits {
        argument,
        mask: BITS,
        errno: EPERM,
    }
}

/// Argument `argument` is a mode if the one before, the flags, says that a file may be made.
const fn mode_after_flags(argument: u32) -> Action {
    Action::RefuseBitsIf {
        argument,
        mask: BITS,
        flags: argument - 1,
        has: MAKES,
        errno: EPERM,
    }
}

/// Everything that is not simply allowed.
pub(super) fn exceptions() -> Vec<(c_long, Action)> {
    let mut all = vec![
        (libc::SYS_fchmod, mode(1)),
        (libc::SYS_fchmodat, mode(2)),
        (SYS_FCHMODAT2, mode(2)),
        (libc::SYS_mknodat, mode(2)),
        (libc::SYS_openat, mode_after_flags(3)),
        // Its mode is in memory, where a filter cannot look; programs fall back to openat.
        (libc::SYS_openat2, Action::Refuse(ENOSYS)),
        (
            libc::SYS_fcntl,
            Action::RefuseValues {
                argument: 1,
                values: LEASES,
                errno: EPERM,
            },
        ),
    ];
    all.extend(ATTRIBUTES.map(|number| (number, Action::Refuse(EOPNOTSUPP))));
    all.extend(OLDER);
    all
}

/// Calls that only some architectures have.
#[cfg(target_arch = "x86_64")]
const OLDER: [(c_long, Action); 4] = [
    (libc::SYS_chmod, mode(1)),
    (libc::SYS_creat, mode(1)),
    (libc::SYS_mknod, mode(1)),
    (libc::SYS_open, mode_after_flags(2)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [(c_long, Action); 0] = [];

//! Which system calls a container may make.
//!
//! Every call up to [`NEWEST`] was looked at: those that a container has no business with are listed here, the others
//! are allowed and left to the usual permission checks. A call that is newer than that, of the x32 ABI or unknown,
//! answers `ENOSYS`, as an older kernel would, so that programs fall back. Programs of another architecture (32-bit)
//! are ended: none of their calls was looked at.
//!
//! Much of what is listed needs capabilities that the container does not have. The filter is the second wall: it
//! keeps container processes away from kernel code that has had holes.

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_long};

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It answers this errno.
    Refuse(i32),
    /// It answers the errno if argument `argument` has one of the bits of `mask`.
    RefuseBits {
        argument: u32,
        mask: u32,
        errno: i32,
    },
    /// It answers the errno unless argument `argument` is one of the values.
    AllowValues {
        argument: u32,
        values: &'static [u32],
        errno: i32,
    },
    /// It answers the errno if argument `argument` is one of the values.
    RefuseValues {
        argument: u32,
        values: &'static [u32],
        errno: i32,
    },
}

/// The newest call that was looked at: `file_setattr` of Linux 6.17.
pub(super) const NEWEST: c_long = 469;

/// Numbers that libc does not name yet; the same on every architecture.
const SYS_OPEN_TREE_ATTR: c_long = 467;

/// `CLONE_NEWTIME` is left out for `clone`, where its bit is part of the exit signal.
const NEW_NAMESPACE: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

const CLONE_NEWTIME: u32 = 0x80;

/// Execution domains that change nothing that matters: Linux, with 32-bit addresses or an old version number, and the
/// question for the present one.
const PERSONALITIES: &[u32] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Socket families: vsock reaches past the container's network namespace, the kernel's crypto is not needed.
const FAMILIES: &[u32] = &[libc::AF_VSOCK.cast_unsigned(), libc::AF_ALG.cast_unsigned()];

/// Everything that is not simply allowed, in any order.
pub(super) fn exceptions() -> Vec<(c_long, Action)> {
    let refuse = |number: &c_long| (*number, Action::Refuse(EPERM));
    let mut all: Vec<(c_long, Action)> = REFUSED.iter().map(refuse).collect();
    #[cfg(target_arch = "x86_64")]
    all.extend(REFUSED_X86_64.iter().map(refuse));
    all.extend([
        // Its flags are in memory, where a filter cannot look; libraries fall back to clone.
        (libc::SYS_clone3, Action::Refuse(ENOSYS)),
        (
            libc::SYS_clone,
            Action::RefuseBits {
                argument: CLONE_FLAGS,
                mask: NEW_NAMESPACE,
                errno: EPERM,
            },
        ),
        (
            libc::SYS_unshare,
            Action::RefuseBits {
                argument: 0,
                mask: NEW_NAMESPACE | CLONE_NEWTIME,
                errno: EPERM,
            },
        ),
        (
            libc::SYS_personality,
            Action::AllowValues {
                argument: 0,
                values: PERSONALITIES,
                errno: EPERM,
            },
        ),
        (
            libc::SYS_socket,
            Action::RefuseValues {
                argument: 0,
                values: FAMILIES,
                errno: EAFNOSUPPORT,
            },
        ),
    ]);
    all
}

/// Which argument of `clone` has the flags.
const CLONE_FLAGS: u32 = 0;

const REFUSED: &[c_long] = &[
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    // Files by handle, past directories and mounts.
    libc::SYS_open_by_handle_at,
    // The host's kernel, clock, swap, accounting, quotas and log.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_nfsservctl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Large and often broken surfaces.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_lookup_dcookie,
    libc::SYS_kcmp,
    // Keyrings have no namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Placement on the host's memory nodes.
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];

/// Calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const REFUSED_X86_64: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];

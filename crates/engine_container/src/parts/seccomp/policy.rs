//! Which system calls a container may make.
//!
//! Every call up to [`NEWEST`] was looked at: those that a container has no business with are listed here, the others
//! are allowed and left to the usual permission checks. A call that is newer than that, of the x32 ABI or unknown,
//! answers `ENOSYS`, as an older kernel would, so that programs fall back. Programs of another architecture (32-bit)
//! are ended: none of their calls was looked at.
//!
//! Much of what is listed needs capabilities that the container does not have. The filter is the second wall: it
//! keeps container processes away from kernel code that has had holes. A container that was given the capability by
//! name may make the call ([`OPENED`]).

use hcs_schema::privileges::Capabilities;
use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT, c_long};

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
    /// It answers the errno if argument `argument` has one of the bits of `mask`, and argument `flags` one of those of
    /// `has`.
    RefuseBitsIf {
        argument: u32,
        mask: u32,
        flags: u32,
        has: u32,
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
    /// It answers `EAFNOSUPPORT` unless the bit of argument 0, a socket family, is set in `families`, and for netlink
    /// `EPROTONOSUPPORT` unless that of argument 2 is set in `netlink`.
    Sockets { families: u64, netlink: u32 },
}

/// What sockets of families without a bit answer.
pub(super) const NO_FAMILY: i32 = EAFNOSUPPORT;
/// What netlink sockets without one answer. Libraries take it for a kernel without that protocol.
pub(super) const NO_PROTOCOL: i32 = EPROTONOSUPPORT;

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

/// Socket families that every container has. Not among them: packets and XDP (frames of whole interfaces), vsock (past
/// the container's network namespace), the kernel's crypto, and what is rare and often broken.
const FAMILIES: &[i32] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Protocols of netlink that every container has: routes and addresses, messages between processes, sockets of its
/// network namespace, events of devices, and what is found by name.
const NETLINK: &[i32] = &[
    libc::NETLINK_ROUTE,
    libc::NETLINK_USERSOCK,
    libc::NETLINK_INET_DIAG,
    libc::NETLINK_KOBJECT_UEVENT,
    libc::NETLINK_GENERIC,
];

/// What a capability adds to both.
const FAMILIES_OPENED: &[(Capabilities, i32)] = &[(Capabilities::NET_RAW, libc::AF_PACKET)];
const NETLINK_OPENED: &[(Capabilities, i32)] = &[
    (Capabilities::NET_ADMIN, libc::NETLINK_NFLOG),
    (Capabilities::NET_ADMIN, libc::NETLINK_XFRM),
    (Capabilities::NET_ADMIN, libc::NETLINK_FIB_LOOKUP),
    (Capabilities::NET_ADMIN, libc::NETLINK_NETFILTER),
    (Capabilities::AUDIT_WRITE, libc::NETLINK_AUDIT),
];

/// Pid 1, the agent: no process inside changes its limits or its scheduling. Other processes have other numbers, as no
/// process gets into another pid namespace.
const AGENT: &[u32] = &[1];

/// Everything that is not simply allowed in a container whose processes can have `possible`, in any order.
pub(super) fn exceptions(possible: Capabilities) -> Vec<(c_long, Action)> {
    let mut refused = REFUSED.to_vec();
    #[cfg(target_arch = "x86_64")]
    refused.extend(REFUSED_X86_64);
    let opened: Vec<c_long> = OPENED
        .iter()
        .filter(|(capability, _)| possible.contains(*capability))
        .flat_map(|(_, calls)| calls.iter().copied())
        .collect();
    refused.retain(|number| !opened.contains(number));
    let mut all: Vec<(c_long, Action)> = refused
        .into_iter()
        .map(|number| (number, Action::Refuse(EPERM)))
        .collect();
    if !possible.contains(Capabilities::SYS_ADMIN) {
        all.extend(namespaces());
    }
    all.extend([
        // Its flags are in memory, where a filter cannot look; libraries fall back to clone.
        (libc::SYS_clone3, Action::Refuse(ENOSYS)),
        (
            libc::SYS_personality,
            Action::AllowValues {
                argument: 0,
                values: PERSONALITIES,
                errno: EPERM,
            },
        ),
    ]);
    all.extend(sockets(possible));
    all.extend(OF_ANOTHER.map(|number| {
        let action = Action::RefuseValues {
            argument: 0,
            values: AGENT,
            errno: EPERM,
        };
        (number, action)
    }));
    all
}

/// Calls that make namespaces.
fn namespaces() -> [(c_long, Action); 2] {
    [
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
    ]
}

/// Calls that make sockets.
fn sockets(possible: Capabilities) -> [(c_long, Action); 2] {
    let all = |usual: &[i32], opened: &[(Capabilities, i32)]| {
        let mut numbers = usual.to_vec();
        let given = opened.iter().filter(|(with, _)| possible.contains(*with));
        numbers.extend(given.map(|(_, number)| *number));
        numbers
            .iter()
            .fold(0, |bits, number| bits | 1_u64 << number)
    };
    let action = Action::Sockets {
        families: all(FAMILIES, FAMILIES_OPENED),
        // Their numbers are below 32.
        netlink: u32::try_from(all(NETLINK, NETLINK_OPENED)).unwrap_or_default(),
    };
    [(libc::SYS_socket, action), (libc::SYS_socketpair, action)]
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
    // Memory of others, and pages that two processes have at once.
    libc::SYS_process_madvise,
    libc::SYS_vmsplice,
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

/// Calls whose first argument is the pid of the process that is changed.
const OF_ANOTHER: [c_long; 5] = [
    libc::SYS_prlimit64,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
];

/// Refused calls that may be made in a container with a capability that they are for.
const OPENED: &[(Capabilities, &[c_long])] = &[
    (
        Capabilities::SYS_ADMIN,
        &[
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
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_syslog,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_fanotify_init,
            libc::SYS_fanotify_mark,
            libc::SYS_lookup_dcookie,
        ],
    ),
    (Capabilities::SYSLOG, &[libc::SYS_syslog]),
    (Capabilities::BPF, &[libc::SYS_bpf]),
    (Capabilities::PERFMON, &[libc::SYS_perf_event_open]),
    (
        Capabilities::SYS_MODULE,
        &[
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
        ],
    ),
    (Capabilities::SYS_PACCT, &[libc::SYS_acct]),
    (
        Capabilities::SYS_PTRACE,
        &[libc::SYS_kcmp, libc::SYS_process_madvise],
    ),
    #[cfg(target_arch = "x86_64")]
    (Capabilities::SYS_RAWIO, &[libc::SYS_iopl, libc::SYS_ioperm]),
    (
        Capabilities::SYS_TIME,
        &[libc::SYS_settimeofday, libc::SYS_clock_settime],
    ),
    (Capabilities::SYS_TTY_CONFIG, &[libc::SYS_vhangup]),
    (Capabilities::SYS_BOOT, &[libc::SYS_reboot]),
    (
        Capabilities::SYS_NICE,
        &[
            libc::SYS_mbind,
            libc::SYS_set_mempolicy,
            libc::SYS_get_mempolicy,
            libc::SYS_set_mempolicy_home_node,
            libc::SYS_migrate_pages,
            libc::SYS_move_pages,
        ],
    ),
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

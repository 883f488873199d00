//! The policy as a program of the kernel's filter machine (classic BPF).
//!
//! The kernel runs the program for each call whose answer depends on arguments and, once at installation, for every
//! call number to find out which do. So it is a binary search over ranges of numbers, some eight steps deep, where a
//! list of comparisons would be hundreds long.
//!
//! ```text
//! architecture? ── other ──▶ end the process
//! number < k? ──▶ … ──▶ allow │ refuse │ look at an argument
//! ```

use hcs_schema::privileges::Capabilities;
use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};

use super::{
    policy::{self, Action},
    set_id,
};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: u32 = 0xC000_00B7;

/// The call numbers from `first` up to the next range, and what happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    action: Action,
}

/// The filter of containers whose processes can have `possible`. Allocates; that of the usual ones is made once, by the
/// launcher.
pub(crate) fn program(possible: Capabilities) -> Vec<sock_filter> {
    build(policy::exceptions(possible), Some(policy::NEWEST))
}

/// The further filter of a container that may set no set-user-ID and set-group-ID bits.
pub(crate) fn no_set_id() -> Vec<sock_filter> {
    build(set_id::exceptions(), None)
}

fn build(
    exceptions: Vec<(libc::c_long, Action)>,
    newest: Option<libc::c_long>,
) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(BPF_JEQ, NATIVE, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    search(&ranges(exceptions, newest), &mut program);
    program.shrink_to_fit();
    program
}

/// The whole number line cut into ranges, in order; there are no calls past `newest`, where that is known.
fn ranges(exceptions: Vec<(libc::c_long, Action)>, newest: Option<libc::c_long>) -> Vec<Range> {
    let mut exceptions: Vec<(u32, Action)> = exceptions
        .into_iter()
        .filter_map(|(number, action)| Some((u32::try_from(number).ok()?, action)))
        .collect();
    exceptions.sort_by_key(|(number, _)| *number);
    let mut ranges: Vec<Range> = Vec::with_capacity(exceptions.len() * 2 + 2);
    let mut push = |first: u32, action: Action| {
        let before = ranges.last().copied();
        if before.is_some_and(|before: Range| before.first == first) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|before| before.action != action) {
            ranges.push(Range { first, action });
        }
    };
    push(0, Action::Allow);
    for (number, action) in exceptions {
        push(number, action);
        push(number + 1, Action::Allow);
    }
    if let Some(newest) = newest {
        let unknown = u32::try_from(newest).unwrap_or_default() + 1;
        push(unknown, Action::Refuse(libc::ENOSYS));
    }
    ranges
}

/// Emits the search for the range of the number in the accumulator.
fn search(ranges: &[Range], program: &mut Vec<sock_filter>) {
    let [only] = ranges else {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let Some(first) = high.first() else { return };
        let mut below = Vec::new();
        search(low, &mut below);
        // Conditional jumps reach 255 instructions, plain ones any distance.
        match u8::try_from(below.len()) {
            Ok(distance) => program.push(jump(BPF_JGE, first.first, distance, 0)),
            Err(_) => {
                program.push(jump(BPF_JGE, first.first, 0, 1));
                program.push(jump_always(below.len()));
            }
        }
        program.append(&mut below);
        search(high, program);
        return;
    };
    emit(only.action, program);
}

/// Emits what happens to a call whose range was found.
fn emit(action: Action, program: &mut Vec<sock_filter>) {
    match action {
        Action::Allow => program.push(allow()),
        Action::Refuse(errno) => program.push(refuse(errno)),
        Action::RefuseBits {
            argument,
            mask,
            errno,
        } => program.extend([
            load(low_half(argument)),
            jump(BPF_JSET, mask, 0, 1),
            refuse(errno),
            allow(),
        ]),
        Action::RefuseBitsIf {
            argument,
            mask,
            flags,
            has,
            errno,
        } => program.extend([
            load(low_half(flags)),
            jump(BPF_JSET, has, 0, 3),
            load(low_half(argument)),
            jump(BPF_JSET, mask, 0, 1),
            refuse(errno),
            allow(),
        ]),
        Action::AllowValues {
            argument,
            values,
            errno,
        } => {
            compare(argument, values, program);
            program.extend([refuse(errno), allow()]);
        }
        Action::RefuseValues {
            argument,
            values,
            errno,
        } => {
            compare(argument, values, program);
            program.extend([allow(), refuse(errno)]);
        }
        Action::Sockets { families, netlink } => sockets(families, netlink, program),
    }
}

/// Emits the two looks at the arguments of a call that makes sockets.
fn sockets(families: u64, netlink: u32, program: &mut Vec<sock_filter>) {
    const NETLINK: u32 = libc::AF_NETLINK.cast_unsigned();
    let bits = |set: u64| (0..u64::BITS).filter(move |bit| set & (1 << bit) != 0);
    let plain: Vec<u32> = bits(families & !(1 << NETLINK)).collect();
    let protocols: Vec<u32> = bits(netlink.into()).collect();
    // The last instruction allows. Before it: netlink's comparisons with a load and a refusal, and before these one
    // comparison and a refusal.
    let after = protocols.len() + 4;
    let far = |instructions: usize| u8::try_from(instructions).unwrap_or(u8::MAX);
    program.push(load(low_half(0)));
    for (index, family) in plain.iter().enumerate() {
        program.push(jump(
            BPF_JEQ,
            *family,
            far(plain.len() - 1 - index + after),
            0,
        ));
    }
    program.push(jump(BPF_JEQ, NETLINK, 1, 0));
    program.push(refuse(policy::NO_FAMILY));
    program.push(load(low_half(2)));
    for (index, protocol) in protocols.iter().enumerate() {
        program.push(jump(BPF_JEQ, *protocol, far(protocols.len() - index), 0));
    }
    program.push(refuse(policy::NO_PROTOCOL));
    program.push(allow());
}

/// Emits: if the argument is one of `values`, go to the second instruction from here, else to the first.
fn compare(argument: u32, values: &[u32], program: &mut Vec<sock_filter>) {
    program.push(load(low_half(argument)));
    let mut left = u8::try_from(values.len()).unwrap_or(u8::MAX);
    for value in values {
        program.push(jump(BPF_JEQ, *value, left, 0));
        left -= 1;
    }
}

/// Offset of the low 32 bits of an argument. The kernel looks at no more for the calls examined here, whose
/// parameters are ints or flags in the low half.
fn low_half(argument: u32) -> u32 {
    let high_first = u32::from(cfg!(target_endian = "big"));
    ARGUMENTS + argument * 8 + high_first * 4
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0)
}

fn jump(condition: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(BPF_JMP | condition | BPF_K, value, if_true, if_false)
}

fn jump_always(distance: usize) -> sock_filter {
    let distance = u32::try_from(distance).unwrap_or(u32::MAX);
    instruction(BPF_JMP | BPF_JA, distance, 0, 0)
}

fn allow() -> sock_filter {
    answer(libc::SECCOMP_RET_ALLOW)
}

fn refuse(errno: i32) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned() & libc::SECCOMP_RET_DATA)
}

fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, value, 0, 0)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    // Codes are 16 bits wide; libc types them wider.
    let code = u16::try_from(code).unwrap_or_default();
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use libc::{EAFNOSUPPORT, ENOSYS, EPERM, c_long};

    use super::{super::machine, *};

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    const fn errno(number: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
    }

    fn run(program: &[sock_filter], architecture: u32, number: u32, first: u64) -> (u32, usize) {
        machine::run(program, architecture, number, [first, 0, 0])
    }

    fn usual() -> Vec<sock_filter> {
        program(Capabilities::USUAL)
    }

    fn answer_to(number: c_long, first: u64) -> u32 {
        run(&usual(), NATIVE, u32::try_from(number).unwrap(), first).0
    }

    #[test]
    fn every_number_gets_what_the_policy_says() {
        let program = usual();
        let exceptions = policy::exceptions(Capabilities::USUAL);
        for number in 0..=1024 {
            let (answer, steps) = run(&program, NATIVE, number, 0);
            let exception = exceptions
                .iter()
                .find(|(known, _)| *known == c_long::from(number));
            let expected = match exception {
                Some((_, Action::Refuse(code))) => errno(*code),
                // Of no family.
                Some((_, Action::Sockets { .. })) => errno(EAFNOSUPPORT),
                _ if c_long::from(number) > policy::NEWEST => errno(ENOSYS),
                _ => ALLOW,
            };
            assert_eq!(answer, expected, "call {number}");
            assert!(steps < 24, "call {number} takes {steps} instructions");
        }
    }

    #[test]
    fn each_exception_is_named_once() {
        for exceptions in [
            policy::exceptions(Capabilities::USUAL),
            set_id::exceptions(),
        ] {
            let mut numbers: Vec<c_long> = exceptions.iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            let count = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), count);
        }
    }

    #[test]
    fn the_second_filter_refuses_bits_of_modes_and_nothing_else() {
        let program = no_set_id();
        let answer = |number: c_long, arguments: &[u64]| {
            let mut all = [0; 6];
            all[..arguments.len()].copy_from_slice(arguments);
            let number = u32::try_from(number).unwrap();
            machine::run(&program, NATIVE, number, all).0
        };
        let (refused, makes) = (errno(EPERM), u64::from(libc::O_CREAT.cast_unsigned()));
        let unnamed = u64::from(libc::O_TMPFILE.cast_unsigned());
        for bits in [0o4755, 0o2755, 0o6000] {
            assert_eq!(answer(libc::SYS_fchmod, &[3, bits]), refused);
            assert_eq!(answer(libc::SYS_fchmodat, &[3, 0, bits]), refused);
            assert_eq!(answer(452, &[3, 0, bits, 0]), refused);
            assert_eq!(
                answer(libc::SYS_mknodat, &[3, 0, bits | 0o10_0000]),
                refused
            );
            for flags in [makes, unnamed, makes | 1] {
                assert_eq!(answer(libc::SYS_openat, &[3, 0, flags, bits]), refused);
            }
            // A mode that the kernel does not look at is any number.
            let directory = u64::from(libc::O_DIRECTORY.cast_unsigned());
            for flags in [0, 2, directory] {
                assert_eq!(answer(libc::SYS_openat, &[3, 0, flags, bits]), ALLOW);
            }
            // The kernel looks at 32 bits, or fewer, of it.
            assert_eq!(answer(libc::SYS_fchmod, &[3, 1 << 40 | bits]), refused);
        }
        assert_eq!(answer(libc::SYS_fchmod, &[3, 0o1777]), ALLOW);
        assert_eq!(answer(libc::SYS_openat, &[3, 0, makes, 0o777]), ALLOW);
        assert_eq!(answer(libc::SYS_openat2, &[]), errno(ENOSYS));
        assert_eq!(answer(libc::SYS_fcntl, &[3, 1024, 0]), refused);
        let get_flags = u64::from(libc::F_GETFL.cast_unsigned());
        assert_eq!(answer(libc::SYS_fcntl, &[3, get_flags]), ALLOW);
        let named = set_id::exceptions();
        for number in (0..=1024).filter(|n| named.iter().all(|(named, _)| named != n)) {
            assert_eq!(answer(number, &[u64::MAX; 6]), ALLOW, "call {number}");
        }
    }

    #[test]
    fn what_a_shell_needs_is_allowed_and_what_breaks_out_is_not() {
        let needed = [
            libc::SYS_read,
            libc::SYS_execve,
            libc::SYS_wait4,
            libc::SYS_kill,
            libc::SYS_setuid,
            libc::SYS_epoll_pwait,
            libc::SYS_pidfd_open,
            libc::SYS_ptrace,
            libc::SYS_chroot,
            libc::SYS_mknodat,
        ];
        for number in needed {
            assert_eq!(answer_to(number, 0), ALLOW, "call {number}");
        }
        for number in [
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_setns,
            libc::SYS_keyctl,
        ] {
            assert_eq!(answer_to(number, 0), errno(EPERM), "call {number}");
        }
        assert_eq!(answer_to(libc::SYS_clone3, 0), errno(ENOSYS));
    }

    #[test]
    fn processes_are_cloned_but_not_into_namespaces() {
        let plain = u64::from((libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD).cast_unsigned());
        assert_eq!(answer_to(libc::SYS_clone, plain), ALLOW);
        for flag in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWCGROUP,
        ] {
            let flags = plain | u64::from(flag.cast_unsigned());
            assert_eq!(answer_to(libc::SYS_clone, flags), errno(EPERM), "{flag:#x}");
            assert_eq!(
                answer_to(libc::SYS_unshare, flags),
                errno(EPERM),
                "{flag:#x}"
            );
        }
        assert_eq!(answer_to(libc::SYS_unshare, 0x80), errno(EPERM));
        assert_eq!(
            answer_to(
                libc::SYS_unshare,
                u64::from(libc::CLONE_FILES.cast_unsigned())
            ),
            ALLOW
        );
    }

    #[test]
    fn arguments_are_looked_at_where_they_matter() {
        let family = |family: i32| answer_to(libc::SYS_socket, u64::from(family.cast_unsigned()));
        assert_eq!(family(libc::AF_INET), ALLOW);
        assert_eq!(family(libc::AF_UNIX), ALLOW);
        assert_eq!(family(libc::AF_VSOCK), errno(EAFNOSUPPORT));
        assert_eq!(family(libc::AF_ALG), errno(EAFNOSUPPORT));
        assert_eq!(family(libc::AF_PACKET), errno(EAFNOSUPPORT));
        assert_eq!(family(libc::AF_XDP), errno(EAFNOSUPPORT));
        assert_eq!(family(63), errno(EAFNOSUPPORT));
        assert_eq!(answer_to(libc::SYS_personality, 0xffff_ffff), ALLOW);
        assert_eq!(answer_to(libc::SYS_personality, 0x20000), ALLOW);
        assert_eq!(answer_to(libc::SYS_personality, 0x40000), errno(EPERM));
    }

    #[test]
    fn netlink_has_protocols_and_capabilities_add_some() {
        let socket = u32::try_from(libc::SYS_socket).unwrap();
        let answer = |possible, family: i32, protocol: i32| {
            let arguments = [family, libc::SOCK_RAW, protocol].map(|a| a.unsigned_abs().into());
            machine::run(&program(possible), NATIVE, socket, arguments).0
        };
        let none = errno(libc::EPROTONOSUPPORT);
        let cases = [
            (Capabilities::NONE, libc::NETLINK_ROUTE, ALLOW),
            (Capabilities::NONE, libc::NETLINK_GENERIC, ALLOW),
            (Capabilities::NONE, libc::NETLINK_AUDIT, none),
            (Capabilities::AUDIT_WRITE, libc::NETLINK_AUDIT, ALLOW),
            (Capabilities::NONE, libc::NETLINK_NETFILTER, none),
            (Capabilities::NET_ADMIN, libc::NETLINK_NETFILTER, ALLOW),
            (Capabilities::ALL, 31, none),
        ];
        for (possible, protocol, expected) in cases {
            let found = answer(possible, libc::AF_NETLINK, protocol);
            assert_eq!(found, expected, "{possible}, protocol {protocol}");
        }
        // Of other families any protocol.
        assert_eq!(answer(Capabilities::NONE, libc::AF_INET6, 58), ALLOW);
        assert_eq!(answer(Capabilities::NET_RAW, libc::AF_PACKET, 3), ALLOW);
        assert_eq!(
            answer(Capabilities::ALL, libc::AF_VSOCK, 0),
            errno(EAFNOSUPPORT)
        );
    }

    #[test]
    fn capabilities_that_are_named_open_calls() {
        let answer = |possible, number: c_long, first| {
            let number = u32::try_from(number).unwrap();
            run(&program(possible), NATIVE, number, first).0
        };
        let clone = u64::from(libc::CLONE_NEWNS.cast_unsigned());
        for (possible, number, first) in [
            (Capabilities::SYS_ADMIN, libc::SYS_mount, 0),
            (Capabilities::SYS_ADMIN, libc::SYS_clone, clone),
            (Capabilities::SYS_PTRACE, libc::SYS_kcmp, 0),
            (Capabilities::SYS_TIME, libc::SYS_clock_settime, 0),
            (Capabilities::ALL, libc::SYS_finit_module, 0),
        ] {
            assert_eq!(answer(possible, number, first), ALLOW, "call {number}");
            let usual = answer(Capabilities::USUAL, number, first);
            assert_eq!(usual, errno(EPERM), "call {number}");
        }
        assert_eq!(answer(Capabilities::ALL, libc::SYS_keyctl, 0), errno(EPERM));
    }

    #[test]
    fn pid_1_is_out_of_reach_whatever_was_given() {
        for possible in [Capabilities::USUAL, Capabilities::ALL] {
            let program = program(possible);
            for number in [
                libc::SYS_prlimit64,
                libc::SYS_sched_setaffinity,
                libc::SYS_sched_setscheduler,
            ] {
                let number = u32::try_from(number).unwrap();
                assert_eq!(run(&program, NATIVE, number, 1).0, errno(EPERM));
                assert_eq!(run(&program, NATIVE, number, 1 << 32 | 1).0, errno(EPERM));
                assert_eq!(run(&program, NATIVE, number, 0).0, ALLOW);
                assert_eq!(run(&program, NATIVE, number, 2).0, ALLOW);
            }
        }
    }

    #[test]
    fn the_kernel_reads_32_bits_and_so_does_the_filter() {
        let hidden = 1 << 40 | u64::from(libc::AF_ALG.cast_unsigned());
        assert_eq!(answer_to(libc::SYS_socket, hidden), errno(EAFNOSUPPORT));
    }

    #[test]
    fn other_architectures_are_ended_and_x32_does_not_exist() {
        let program = usual();
        assert_eq!(
            run(&program, 0x4000_0003, 1, 0).0,
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(run(&program, NATIVE, 0x4000_0001, 0).0, errno(ENOSYS));
        assert_eq!(run(&program, NATIVE, u32::MAX, 0).0, errno(ENOSYS));
    }
}

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

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};

use super::policy::{self, Action};

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of `linux/audit.h`.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xC000_00B7;

/// The call numbers from `first` up to the next range, and what happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    action: Action,
}

/// The filter of every container. Allocates; made once, by the launcher.
pub(crate) fn program() -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCHITECTURE),
        jump(BPF_JEQ, NATIVE, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    search(&ranges(), &mut program);
    program.shrink_to_fit();
    program
}

/// The whole number line cut into ranges, in order.
fn ranges() -> Vec<Range> {
    let mut exceptions: Vec<(u32, Action)> = policy::exceptions()
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
    let unknown = u32::try_from(policy::NEWEST).unwrap_or_default() + 1;
    push(unknown, Action::Refuse(libc::ENOSYS));
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
    }
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

    use super::*;

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

    const fn errno(number: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
    }

    /// What the kernel would do: runs the program on a `struct seccomp_data`. Also counts the instructions.
    fn run(program: &[sock_filter], architecture: u32, number: u32, first: u64) -> (u32, usize) {
        let mut data = [0_u8; 64];
        data[0..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&architecture.to_ne_bytes());
        data[16..24].copy_from_slice(&first.to_ne_bytes());
        let (mut accumulator, mut at, mut steps) = (0_u32, 0_usize, 0);
        loop {
            let now = program[at];
            at += 1;
            steps += 1;
            let jump = |condition: bool| usize::from(if condition { now.jt } else { now.jf });
            match u32::from(now.code) {
                code if code == BPF_RET | BPF_K => return (now.k, steps),
                code if code == BPF_LD | BPF_W | BPF_ABS => {
                    let offset = now.k as usize;
                    accumulator = u32::from_ne_bytes(data[offset..offset + 4].try_into().unwrap());
                }
                code if code == BPF_JMP | BPF_JA => at += now.k as usize,
                code if code == BPF_JMP | BPF_JEQ | BPF_K => at += jump(accumulator == now.k),
                code if code == BPF_JMP | BPF_JGE | BPF_K => at += jump(accumulator >= now.k),
                code if code == BPF_JMP | BPF_JSET | BPF_K => at += jump(accumulator & now.k != 0),
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn answer_to(number: c_long, first: u64) -> u32 {
        run(&program(), NATIVE, u32::try_from(number).unwrap(), first).0
    }

    #[test]
    fn every_number_gets_what_the_policy_says() {
        let program = program();
        let exceptions = policy::exceptions();
        for number in 0..=1024 {
            let (answer, steps) = run(&program, NATIVE, number, 0);
            let exception = exceptions
                .iter()
                .find(|(known, _)| *known == c_long::from(number));
            let expected = match exception {
                Some((_, Action::Refuse(code))) => errno(*code),
                _ if c_long::from(number) > policy::NEWEST => errno(ENOSYS),
                _ => ALLOW,
            };
            assert_eq!(answer, expected, "call {number}");
            assert!(steps < 24, "call {number} takes {steps} instructions");
        }
    }

    #[test]
    fn each_exception_is_named_once() {
        let mut numbers: Vec<c_long> = policy::exceptions()
            .iter()
            .map(|(number, _)| *number)
            .collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
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
        assert_eq!(answer_to(libc::SYS_personality, 0xffff_ffff), ALLOW);
        assert_eq!(answer_to(libc::SYS_personality, 0x20000), ALLOW);
        assert_eq!(answer_to(libc::SYS_personality, 0x40000), errno(EPERM));
    }

    #[test]
    fn the_kernel_reads_32_bits_and_so_does_the_filter() {
        let hidden = 1 << 40 | u64::from(libc::AF_ALG.cast_unsigned());
        assert_eq!(answer_to(libc::SYS_socket, hidden), errno(EAFNOSUPPORT));
    }

    #[test]
    fn other_architectures_are_ended_and_x32_does_not_exist() {
        let program = program();
        assert_eq!(
            run(&program, 0x4000_0003, 1, 0).0,
            libc::SECCOMP_RET_KILL_PROCESS
        );
        assert_eq!(run(&program, NATIVE, 0x4000_0001, 0).0, errno(ENOSYS));
        assert_eq!(run(&program, NATIVE, u32::MAX, 0).0, errno(ENOSYS));
    }
}

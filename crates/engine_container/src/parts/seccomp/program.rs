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

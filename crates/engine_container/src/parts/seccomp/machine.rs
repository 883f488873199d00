//! The kernel's filter machine, as far as our programs use it, for tests.

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W,
    sock_filter,
};

/// What the kernel would do: runs the program on a `struct seccomp_data`. Also counts the instructions.
pub(super) fn run<const N: usize>(
    program: &[sock_filter],
    architecture: u32,
    number: u32,
    arguments: [u64; N],
) -> (u32, usize) {
    let mut data = [0_u8; 64];
    data[0..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&architecture.to_ne_bytes());
    for (index, argument) in arguments.iter().enumerate() {
        data[16 + index * 8..24 + index * 8].copy_from_slice(&argument.to_ne_bytes());
    }
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

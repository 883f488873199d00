//! Loading and attaching a small BPF program (`bpf(2)`), for device rules on the unified hierarchy.
#![expect(unsafe_code, reason = "no dependency wraps bpf")]

use std::{
    mem::size_of,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::io::Errno;

use super::checked;

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;

/// One instruction: `struct bpf_insn` of `linux/bpf.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// Operation.
    pub(crate) code: u8,
    /// Destination register in the low half, source register in the high half (little endian).
    pub(crate) registers: u8,
    /// Where to jump or load from.
    pub(crate) offset: i16,
    /// Operand.
    pub(crate) immediate: i32,
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; what follows is zero.
#[repr(C)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The same for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Has the kernel verify and load a program that decides on access to devices.
///
/// # Errors
/// The errno of `bpf(2)`: `EPERM` without the right to, `EINVAL` on a kernel without such programs.
pub(crate) fn load_device_program(instructions: &[Instruction]) -> Result<OwnedFd, Errno> {
    let request = Load {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: instructions.as_ptr().addr() as u64,
        license: c"MIT".as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: the request and what it points to outlive the call; the kernel only reads them.
    let program = checked(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const request,
            size_of::<Load>(),
        )
    })?;
    let program = RawFd::try_from(program).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(program) })
}

/// Attaches such a program to the control group with directory `group`, until the group is removed.
///
/// # Errors
/// The errno of `bpf(2)`.
pub(crate) fn attach_device_program(
    program: BorrowedFd<'_>,
    group: BorrowedFd<'_>,
) -> Result<(), Errno> {
    let request = Attach {
        target: group.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: the request outlives the call; the kernel only reads it.
    checked(unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const request,
            size_of::<Attach>(),
        )
    })
    .map(drop)
}

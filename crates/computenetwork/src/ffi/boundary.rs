//! The calls from the library into a callback of the program.
//!
//! They are made from a frame without unwind information, as those of `computecore` are: a C++ exception that leaves a
//! callback then ends the program by `std::terminate`, which shows its type and text.

use std::ffi::c_void;

use c_border::types::{HRESULT, PCWSTR};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod bare {
    use std::{arch::global_asm, ffi::c_void};

    use c_border::types::{HRESULT, PCWSTR};

    // No `.cfi` directives: that is the point. Weak, so that two of these libraries can be linked into one program.
    #[cfg(target_arch = "x86_64")]
    global_asm!(
        ".pushsection .text.computenetwork_call_back, \"ax\", @progbits",
        ".weak computenetwork_call_back",
        ".hidden computenetwork_call_back",
        ".type computenetwork_call_back, @function",
        "computenetwork_call_back:",
        "endbr64",
        "push rbp",
        "mov rbp, rsp",
        "call r8",
        "pop rbp",
        "ret",
        ".size computenetwork_call_back, . - computenetwork_call_back",
        ".popsection",
    );
    #[cfg(target_arch = "aarch64")]
    global_asm!(
        ".pushsection .text.computenetwork_call_back, \"ax\", %progbits",
        ".weak computenetwork_call_back",
        ".hidden computenetwork_call_back",
        ".type computenetwork_call_back, %function",
        "computenetwork_call_back:",
        "hint #34",
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "blr x4",
        "ldp x29, x30, [sp], #16",
        "ret",
        ".size computenetwork_call_back, . - computenetwork_call_back",
        ".popsection",
    );

    unsafe extern "C" {
        pub(super) fn computenetwork_call_back(
            kind: u32,
            context: *mut c_void,
            status: HRESULT,
            data: PCWSTR,
            callback: *const c_void,
        );
    }
}

/// An `HCN_NOTIFICATION_CALLBACK` that is not NULL.
pub(super) type Callback = unsafe extern "C" fn(u32, *mut c_void, HRESULT, PCWSTR);

/// Calls `callback(kind, context, status, data)`.
///
/// # Safety
/// `callback` may be called with these now.
pub(super) unsafe fn call(
    callback: Callback,
    kind: u32,
    context: *mut c_void,
    status: HRESULT,
    data: PCWSTR,
) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: the assembly passes its first four arguments on to the fifth, which the caller vouches for.
    unsafe {
        bare::computenetwork_call_back(kind, context, status, data, callback as *const c_void);
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    // SAFETY: the caller vouches for the call.
    unsafe {
        callback(kind, context, status, data);
    }
}

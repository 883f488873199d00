//! The calls from the library into a callback of the program.
//!
//! A C++ exception must not leave a callback. The unwinder looks for a handler before it unwinds anything, and where it
//! comes to a frame that has no unwind information it says that there is none: then the C++ runtime ends the program by
//! `std::terminate`, which shows the exception's type and text. Frames of Rust, above which the exception would be
//! foreign, would end the program too, but without a message about it. So callbacks are called from a frame without
//! unwind information; it is nothing but a call.

use std::ffi::c_void;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod bare {
    use std::{arch::global_asm, ffi::c_void};

    // No `.cfi` directives: that is the point. Weak, so that two of these libraries can be linked into one program.
    #[cfg(target_arch = "x86_64")]
    global_asm!(
        ".pushsection .text.computecore_call_back, \"ax\", @progbits",
        ".weak computecore_call_back",
        ".hidden computecore_call_back",
        ".type computecore_call_back, @function",
        "computecore_call_back:",
        "endbr64",
        "push rbp",
        "mov rbp, rsp",
        "call rdx",
        "pop rbp",
        "ret",
        ".size computecore_call_back, . - computecore_call_back",
        ".popsection",
    );
    #[cfg(target_arch = "aarch64")]
    global_asm!(
        ".pushsection .text.computecore_call_back, \"ax\", %progbits",
        ".weak computecore_call_back",
        ".hidden computecore_call_back",
        ".type computecore_call_back, %function",
        "computecore_call_back:",
        "hint #34",
        "stp x29, x30, [sp, #-16]!",
        "mov x29, sp",
        "blr x2",
        "ldp x29, x30, [sp], #16",
        "ret",
        ".size computecore_call_back, . - computecore_call_back",
        ".popsection",
    );

    unsafe extern "C" {
        pub(super) fn computecore_call_back(
            first: *const c_void,
            second: *mut c_void,
            callback: *const c_void,
        );
    }
}

/// Calls `callback(first, second)`.
///
/// # Safety
/// `callback` is a C function of two pointers that returns nothing, and may be called with these now.
pub(crate) unsafe fn call(callback: *const c_void, first: *const c_void, second: *mut c_void) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: the assembly passes its first two arguments on to the third, which the caller vouches for.
    unsafe {
        bare::computecore_call_back(first, second, callback);
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        type Callback = unsafe extern "C" fn(*const c_void, *mut c_void);
        // SAFETY: the caller says that it is such a function.
        let callback = unsafe { std::mem::transmute::<*const c_void, Callback>(callback) };
        // SAFETY: the caller vouches for the call.
        unsafe { callback(first, second) };
    }
}

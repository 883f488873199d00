//! The two names of the function that releases strings.

use std::{ffi::c_void, ptr};

use c_border::string;

/// Releases a string of this library; always answers NULL. See `ComputeWin32.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn LocalFree(memory: *mut c_void) -> *mut c_void {
    // SAFETY: the caller passes NULL or a string of this library that is not released yet.
    unsafe { string::release(memory) };
    ptr::null_mut()
}

/// Releases a string of this library. See `ComputeWin32.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn CoTaskMemFree(memory: *mut c_void) {
    // SAFETY: the caller passes NULL or a string of this library that is not released yet.
    unsafe { string::release(memory) };
}

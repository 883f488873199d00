//! The types that C strings and handles have.

use std::ffi::c_void;

/// `HRESULT`.
pub type HRESULT = i32;
/// `PCWSTR`: NUL-terminated UTF-16, owned by the caller of the C function.
pub type PCWSTR = *const u16;
/// `PWSTR`: NUL-terminated UTF-16.
pub type PWSTR = *mut u16;
/// A handle: a number in the clothes of a pointer; never followed.
pub type Handle = *mut c_void;

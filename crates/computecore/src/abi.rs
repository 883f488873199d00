//! The types of `ComputeDefs.h`, as C lays them out.
//!
//! Only data: a test compares sizes, offsets and values with the `windows-sys` crate. Enumerations are plain `i32`
//! because C may pass any number.

use std::ffi::c_void;

/// `HRESULT`.
pub type HRESULT = i32;
/// `PCWSTR`: NUL-terminated UTF-16, owned by the caller of the C function.
pub type PCWSTR = *const u16;
/// `PWSTR`: NUL-terminated UTF-16.
pub type PWSTR = *mut u16;
/// `HCS_SYSTEM`, `HCS_PROCESS` and `HCS_OPERATION`: a number in the clothes of a pointer; never followed.
pub type Handle = *mut c_void;
/// `HANDLE`: a file descriptor in the clothes of a pointer, NULL for none.
pub type HANDLE = *mut c_void;

/// `SECURITY_DESCRIPTOR`: never looked into.
#[derive(Debug)]
pub enum SECURITY_DESCRIPTOR {}

/// `HCS_INVALID_OPERATION_ID`.
pub const HCS_INVALID_OPERATION_ID: u64 = u64::MAX;
/// `HcsOperationTypeNone`.
pub const OPERATION_TYPE_NONE: i32 = -1;
/// `INFINITE`.
pub const INFINITE: u32 = u32::MAX;
/// `HcsEventOptionEnableOperationCallbacks`.
pub const EVENT_OPTION_OPERATION_CALLBACKS: i32 = 1;

/// `HCS_OPERATION_COMPLETION`.
pub type HCS_OPERATION_COMPLETION = Option<unsafe extern "C" fn(Handle, *mut c_void)>;
/// `HCS_EVENT_CALLBACK`.
pub type HCS_EVENT_CALLBACK = Option<unsafe extern "C" fn(*const HCS_EVENT, *mut c_void)>;

/// `HCS_EVENT`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HCS_EVENT {
    /// `HCS_EVENT_TYPE`.
    pub Type: i32,
    /// JSON, or NULL.
    pub EventData: PCWSTR,
    /// The completed operation, or NULL.
    pub Operation: Handle,
}

/// `HCS_PROCESS_INFORMATION`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HCS_PROCESS_INFORMATION {
    /// Pid inside the compute system.
    pub ProcessId: u32,
    /// Always 0.
    pub Reserved: u32,
    /// Write end of standard input.
    pub StdInput: HANDLE,
    /// Read end of standard output.
    pub StdOutput: HANDLE,
    /// Read end of standard error.
    pub StdError: HANDLE,
}

/// `HCS_CREATE_OPTIONS_1`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HCS_CREATE_OPTIONS_1 {
    /// `HcsCreateOptions_1`.
    pub Version: i32,
    /// An identity; there is none on Linux.
    pub UserToken: HANDLE,
    /// Must be NULL.
    pub SecurityDescriptor: *mut SECURITY_DESCRIPTOR,
    /// `HCS_EVENT_OPTIONS`.
    pub CallbackOptions: i32,
    /// For the callback.
    pub CallbackContext: *mut c_void,
    /// Receives the events.
    pub Callback: HCS_EVENT_CALLBACK,
}

//! Values of `HCS_EVENT_TYPE`, as the service sends them and clients see them.

/// `HcsEventSystemExited`: a system has exited; data is a `SystemExitStatus`.
pub const SYSTEM_EXITED: u32 = 0x0000_0001;
/// `HcsEventSystemCrashInitiated`: the guest has begun to crash; data is a `CrashReport`.
pub const SYSTEM_CRASH_INITIATED: u32 = 0x0000_0002;
/// `HcsEventSystemCrashReport`: the guest's crash was recorded; data is a `CrashReport`.
pub const SYSTEM_CRASH_REPORT: u32 = 0x0000_0003;
/// `HcsEventSystemGuestConnectionClosed`: the connection to the guest is lost, though no request ended the system; no
/// data.
pub const SYSTEM_GUEST_CONNECTION_CLOSED: u32 = 0x0000_0006;
/// `HcsEventProcessExited`: a process has exited; data is a `ProcessStatus`.
pub const PROCESS_EXITED: u32 = 0x0001_0000;
/// `HcsEventOperationCallback`: an operation on the handle has completed. Made by the library.
pub const OPERATION_CALLBACK: u32 = 0x0100_0000;
/// `HcsEventServiceDisconnect`: the service went away. Made by the library.
pub const SERVICE_DISCONNECT: u32 = 0x0200_0000;

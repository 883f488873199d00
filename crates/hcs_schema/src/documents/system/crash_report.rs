//! [`CrashReport`].

use crate::{
    documents::{GuestCrashSaveInfo, WindowsCrashReport},
    shape::format::Guid,
};

document! {
    /// A crash of a guest. Comes with the crash events, and is read by `HcsSubmitWerReport`.
    CrashReport {
        /// Id of the system that crashed.
        system_id: String = "SystemId", 2.1;
        /// Ties the report to traces.
        activity_id: String as Guid = "ActivityId", 2.1;
        /// The part that only Windows guests report.
        windows_crash_info: WindowsCrashReport = "WindowsCrashInfo", 2.1;
        /// Numbers the guest gave; a Windows guest's stop code and its four parameters.
        crash_parameters: Vec<u64> = "CrashParameters", 2.1;
        /// Text the guest gave, as Linux guests do.
        crash_log: String = "CrashLog", 2.1;
        /// HRESULT of taking the report.
        status: i32 = "Status", 2.4;
        /// Says which boot program crashed.
        pre_os_id: u32 = "PreOSId", 2.4;
        /// Whether the guest could not make a dump.
        crash_stack_unavailable: bool = "CrashStackUnavailable", 2.4;
        /// What was kept of the guest. It is in no published schema, but clients of HCS read it.
        guest_crash_save_info: GuestCrashSaveInfo = "GuestCrashSaveInfo", "extension";
    }
}

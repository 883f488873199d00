//! [`DebugOptions`].

document! {
    /// The data saved when a guest crashes.
    DebugOptions {
        /// File for the state when a Windows guest stopped itself.
        bugcheck_saved_state_file_name: String = "BugcheckSavedStateFileName", 2.7;
        /// The same, where the guest could not make a dump.
        bugcheck_no_crashdump_saved_state_file_name: String = "BugcheckNoCrashdumpSavedStateFileName", 2.7;
        /// File for the state when the processor gave up.
        triple_fault_saved_state_file_name: String = "TripleFaultSavedStateFileName", 2.7;
        /// File for the firmware's dump.
        firmware_dump_file_name: String = "FirmwareDumpFileName", 2.7;
    }
}

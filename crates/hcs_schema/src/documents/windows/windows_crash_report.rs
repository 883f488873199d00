//! [`WindowsCrashReport`], [`WindowsCrashPhase`].

document! {
    /// The part of a crash report that only Windows guests give.
    WindowsCrashReport {
        /// The dump's file on the host; there once `FinalPhase` is `Complete`.
        dump_file: String = "DumpFile", 2.1;
        /// Major version of the guest.
        os_major_version: u32 = "OsMajorVersion", 2.1;
        /// Minor version of the guest.
        os_minor_version: u32 = "OsMinorVersion", 2.1;
        /// Build of the guest.
        os_build_number: u32 = "OsBuildNumber", 2.1;
        /// Major version of its service pack.
        os_service_pack_major_version: u32 = "OsServicePackMajorVersion", 2.1;
        /// Minor version of its service pack.
        os_service_pack_minor_version: u32 = "OsServicePackMinorVersion", 2.1;
        /// Its edition, as bits.
        os_suite_mask: u32 = "OsSuiteMask", 2.1;
        /// Its kind: workstation, domain controller or server.
        os_product_type: u32 = "OsProductType", 2.1;
        /// HRESULT of the dump.
        status: i32 = "Status", 2.1;
        /// How far the dump came.
        final_phase: WindowsCrashPhase = "FinalPhase", 2.1;
    }
}

schema_enum! {
    /// How far a Windows dump came.
    WindowsCrashPhase {
        /// It was not begun.
        Inactive = "Inactive", 2.1;
        /// The stop code is known.
        CrashValues = "CrashValues", 2.1;
        /// It is about to begin.
        Starting = "Starting", 2.1;
        /// It began.
        Started = "Started", 2.1;
        /// It is being written.
        Writing = "Writing", 2.1;
        /// It is done.
        Complete = "Complete", 2.1;
    }
}

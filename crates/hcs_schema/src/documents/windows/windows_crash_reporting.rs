//! [`WindowsCrashReporting`].

document! {
    /// Where a Windows guest's dump goes.
    WindowsCrashReporting {
        /// The file on the host.
        dump_file_name: String = "DumpFileName", 2.0;
        /// Most bytes.
        max_dump_size: i64 = "MaxDumpSize", 2.0;
    }
}

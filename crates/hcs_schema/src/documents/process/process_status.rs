//! [`ProcessStatus`].

document! {
    /// Whether a process has ended, and how. Comes with `HcsEventProcessExited`, and from `HcsWaitForProcessExit`.
    ProcessStatus {
        /// Its pid inside the system.
        process_id: u32 = "ProcessId", 2.1;
        /// Whether it has ended.
        exited: bool = "Exited", 2.1;
        /// Its exit code; 128 + N when signal N killed it. Valid when `Exited` is true and `LastWaitResult` is 0.
        exit_code: u32 = "ExitCode", 2.1;
        /// HRESULT of waiting for it.
        last_wait_result: i32 = "LastWaitResult", 2.1;
        /// The kernel killed it because its system had no memory left (our extension). Only there when it is true.
        out_of_memory: bool = "OutOfMemory", "extension";
        /// How much memory its system might have, in megabytes (our extension); with `OutOfMemory`, where there was
        /// such a limit.
        memory_limit_in_mb: u64 = "MemoryLimitInMB", "extension";
        /// How many processes and threads its system may have (our extension). Only there when it failed and its system
        /// had been refused another one since a process failed last.
        reached_process_limit: u64 = "ReachedProcessLimit", "extension";
    }
}

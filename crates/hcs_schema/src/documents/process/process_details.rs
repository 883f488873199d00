//! [`ProcessDetails`].

use crate::shape::format::DateTime;

document! {
    /// One process of a compute system.
    ProcessDetails {
        /// Its pid inside the system.
        process_id: u32 = "ProcessId", 2.1;
        /// Name of its executable.
        image_name: String = "ImageName", 2.1;
        /// When it was created.
        create_timestamp: String as DateTime = "CreateTimestamp", 2.1;
        /// Processor time in user mode, in 100 ns.
        user_time100ns: u64 = "UserTime100ns", 2.1;
        /// Processor time in the kernel, in 100 ns.
        kernel_time100ns: u64 = "KernelTime100ns", 2.1;
        /// Memory promised to it.
        memory_commit_bytes: u64 = "MemoryCommitBytes", 2.1;
        /// Memory that only it uses.
        memory_working_set_private_bytes: u64 = "MemoryWorkingSetPrivateBytes", 2.1;
        /// Memory that it shares with others.
        memory_working_set_shared_bytes: u64 = "MemoryWorkingSetSharedBytes", 2.1;
        /// Whether `HcsCreateProcess` made it (our extension). Others were started inside, by a process of the system,
        /// and cannot be opened.
        created_by_host: bool = "CreatedByHost", "extension";
        /// Its arguments, from the name it was called by on, as it has them now: a process may change them (our
        /// extension). At most the first 4096 bytes, and less where a system has very many processes.
        command_args: Vec<String> = "CommandArgs", "extension";
    }
}

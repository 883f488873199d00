//! [`ProcessParameters`].

use std::collections::BTreeMap;

use serde_json::Value;

use crate::documents::{Archive, ResourceLimit};

document! {
    /// A process to create in a compute system. Exactly one of `CommandLine`, `CommandArgs` and `Archive` is given.
    /// Read by `HcsCreateProcess`.
    ProcessParameters, checked by crate::rules::process::parameters {
        /// The executable, where it is not the first word of the command.
        application_name: String = "ApplicationName", 2.0;
        /// The command as one line. On Linux it is split into words as a POSIX shell does, without any expansion.
        command_line: String = "CommandLine", 2.0;
        /// The command as a list of arguments, the program's name first.
        command_args: Vec<String> = "CommandArgs", 2.0;
        /// The user to run as. On Linux a name or number, or `user:group`, resolved inside the system.
        user: String = "User", 2.0;
        /// The directory to start in.
        working_directory: String = "WorkingDirectory", 2.0;
        /// Environment variables.
        environment: BTreeMap<String, String> = "Environment", 2.0;
        /// Whether it runs with fewer rights than its user has.
        restricted_token: bool = "RestrictedToken", 2.0;
        /// Whether its standard streams are a terminal. It then has no separate standard error.
        emulate_console: bool = "EmulateConsole", 2.0;
        /// Whether the caller gets a pipe to its standard input.
        create_std_in_pipe: bool = "CreateStdInPipe", 2.0;
        /// Whether the caller gets a pipe from its standard output.
        create_std_out_pipe: bool = "CreateStdOutPipe", 2.0;
        /// Whether the caller gets a pipe from its standard error.
        create_std_err_pipe: bool = "CreateStdErrPipe", 2.0;
        /// Size of the terminal: height, then width, in characters.
        console_size: Vec<u16> = "ConsoleSize", 2.0;
        /// Whether it joins a logon session that its user already has.
        use_existing_login: bool = "UseExistingLogin", 2.0;
        /// Whether Windows uses its older console.
        use_legacy_console: bool = "UseLegacyConsole", 2.0;
        /// A process as the OCI runtime specification describes it, in place of the command above. Clients of Linux
        /// guests send it.
        oci_process: Value = "OciProcess", "extension";
        /// Capabilities that it has beside its container's (our extension): those that its container drops, or all that
        /// are possible in it by `ALL`.
        add_capabilities: Vec<String> = "AddCapabilities", "extension";
        /// Capabilities of its container's that it has not (our extension).
        drop_capabilities: Vec<String> = "DropCapabilities", "extension";
        /// Whether no program that it runs gives it more rights (our extension). Without it the container's document
        /// decides.
        no_new_privileges: bool = "NoNewPrivileges", "extension";
        /// Limits on its own resources (our extension), in place of its container's of the same names.
        resource_limits: Vec<ResourceLimit> = "ResourceLimits", "extension";
        /// Whether it is detached from its caller (our extension): the caller gets no pipes, and the agent of its
        /// system keeps what it writes, as far as `CreateStdOutPipe` and `CreateStdErrPipe` ask for these streams.
        /// `hcs logs` reads that. With `CreateStdInPipe` it has a standard input that `hcs attach` writes to.
        detached: bool = "Detached", "extension";
        /// Whether the compute system ends with it (our extension): what else runs in the system is killed then.
        ends_system: bool = "EndsSystem", "extension";
        /// Files to be packed or unpacked (our extension), in place of a command: the process is a program of the
        /// agent's.
        archive: Archive = "Archive", "extension";
    }
}

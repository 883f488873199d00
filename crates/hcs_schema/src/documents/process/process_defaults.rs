//! [`ProcessDefaults`].

use std::collections::BTreeMap;

document! {
    /// What processes of a container get where their own documents say nothing of it (our extension): what the
    /// configuration of an image says, for example. Programs of the agent's (`Archive`) take none of it.
    ProcessDefaults, checked by crate::rules::process::defaults {
        /// The user to run as: a name or number, or `user:group`, resolved inside the container.
        user: String = "User", "extension";
        /// The directory to start in.
        working_directory: String = "WorkingDirectory", "extension";
        /// Environment variables. Those of a process are set beside and above them. Names and values have at most
        /// 131072 bytes in all.
        environment: BTreeMap<String, String> = "Environment", "extension";
    }
}

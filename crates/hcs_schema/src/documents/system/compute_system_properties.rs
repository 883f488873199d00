//! [`ComputeSystemProperties`].

use crate::{
    documents::{OsType, ProcessStatus, State, SystemType},
    shape::format::Guid,
};

document! {
    /// The basic properties of a compute system, as enumerations report them.
    ComputeSystemProperties {
        /// Its id.
        id: String = "Id", 2.5;
        /// Its name.
        name: String = "Name", 2.5;
        /// Its kind.
        system_type: SystemType = "SystemType", 2.5;
        /// Its state.
        state: State = "State", 2.5;
        /// The owner its document named.
        owner: String = "Owner", 2.5;
        /// GUID that the service gave it.
        runtime_id: String as Guid = "RuntimeId", 2.5;
        /// The operating system its processes run on.
        runtime_os_type: OsType = "RuntimeOsType", 2.5;
        /// The system it runs in.
        hosting_system_id: String = "HostingSystemId", 2.5;
        /// Whether it stands for something that is no compute system.
        is_dummy: bool = "IsDummy", 2.5;
        /// Root of its Windows object names.
        ob_root: String = "ObRoot", 2.5;
        /// The template it was cloned from.
        runtime_template_id: String = "RuntimeTemplateId", 2.5;
        /// The image that it was made from, by a name or its digest (our extension).
        image: String = "Image", "extension";
        /// Its first detached process (our extension), as it is or as it ended. Without a `ProcessId` the service does
        /// not know whether there is one, as an earlier service made the system; where the member is missing, there is
        /// none.
        detached_process: ProcessStatus = "DetachedProcess", "extension";
        /// The command of that process (our extension): the first 256 bytes of its arguments, or of its command line.
        detached_command: Vec<String> = "DetachedCommand", "extension";
    }
}

//! Parts of this crate that other engines on the same host use, so that the host's control groups and paths are handled
//! in one way.
//!
//! 1. [`MachineGroups`]: the control groups of one machine. [`has_control_groups`]: whether there can be any.
//! 2. [`open_file`], [`open_file_to_write`], [`find_device`]: a file or device that a document names; [`open_in_view`]:
//!    one that is only read. [`look_at`], [`open_directory`]: a directory. [`open_seen`]: one that a process with more
//!    rights has looked at.
//! 3. [`resolver`]: how names are resolved in a system with a network of its own. 4. [`ProcessName`]: a process, told
//!    from a later one with the same pid. [`Made`]: when a machine was made. 5. [`limit_system_calls`]: of a
//!    program that a guest may take over. 6. [`make_left`], [`read_left`]: what an agent leaves.

mod files;
mod groups;
mod left;
mod process;
mod system_calls;

pub use files::{
    find_device, look_at, open_directory, open_file, open_file_to_write, open_in_view, open_seen,
};
pub use groups::{MachineGroups, MachineLimits, has_control_groups};
pub use left::{make_left, read_left};
pub use process::ProcessName;
pub use system_calls::limit_system_calls;

pub use crate::parts::names::own_resolver as resolver;
pub use crate::{record::Made, source::Identity};

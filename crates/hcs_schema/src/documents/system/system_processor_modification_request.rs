//! [`SystemProcessorModificationRequest`].

use crate::shape::format::Guid;

document! {
    /// Moves a virtual machine to a group of host processors.
    SystemProcessorModificationRequest {
        /// Id of the group.
        group_id: String as Guid = "GroupId", 2.1;
    }
}

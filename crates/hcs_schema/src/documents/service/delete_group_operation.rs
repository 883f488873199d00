//! [`DeleteGroupOperation`].

use crate::shape::format::Guid;

document! {
    /// Removes a group of host processors.
    DeleteGroupOperation {
        /// Its id.
        group_id: String as Guid = "GroupId", 2.1;
    }
}

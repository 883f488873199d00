//! [`CpuGroup`].

use crate::shape::format::Guid;

document! {
    /// The group of host processors that a virtual machine runs on.
    CpuGroup {
        /// Its id.
        id: String as Guid = "Id", 2.1;
    }
}

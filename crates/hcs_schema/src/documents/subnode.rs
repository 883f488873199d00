//! [`Subnode`].

use crate::documents::SubnodeType;

document! {
    /// A group of processors below a NUMA node.
    Subnode {
        /// The resource that they share.
        r#type: SubnodeType = "Type", 2.4;
        /// Its number.
        id: u64 = "Id", 2.4;
    }
}

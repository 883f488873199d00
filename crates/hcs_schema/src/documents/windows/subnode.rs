//! [`Subnode`], [`SubnodeType`].

document! {
    /// A group of processors below a NUMA node.
    Subnode {
        /// The resource that they share.
        r#type: SubnodeType = "Type", 2.4;
        /// Its number.
        id: u64 = "Id", 2.4;
    }
}

schema_enum! {
    /// The resource that processors of a group share.
    SubnodeType {
        /// Not said.
        Any = "Any", 2.4;
        /// The socket.
        Socket = "Socket", 2.4;
        /// The cluster.
        Cluster = "Cluster", 2.4;
        /// The cache of level 3.
        L3 = "L3", 2.4;
    }
}

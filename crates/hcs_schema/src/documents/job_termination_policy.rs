//! [`JobTerminationPolicy`].

schema_enum! {
    /// The event that ends a Windows container.
    JobTerminationPolicy {
        /// That nothing runs in it.
        PermanentQuiescent = "PermanentQuiescent", 2.3;
        /// That its last handle is closed.
        KillOnHandleClose = "KillOnHandleClose", 2.3;
    }
}

//! [`JobNamespace`], [`JobTerminationPolicy`].

use crate::documents::{JobCpu, JobMemory, JobSystemRoot};

document! {
    /// The job object of a Windows container.
    JobNamespace {
        /// Processor limits.
        cpu: JobCpu = "cpu", 2.3;
        /// Memory limit.
        memory: JobMemory = "memory", 2.3;
        /// Its Windows directory.
        systemroot: JobSystemRoot = "systemroot", 2.3;
        /// The event that ends it.
        terminationpolicy: JobTerminationPolicy = "terminationpolicy", 2.3;
        /// Whether threads take on the container's identity.
        threadimpersonation: bool = "threadimpersonation", 2.3;
    }
}

schema_enum! {
    /// The event that ends a Windows container.
    JobTerminationPolicy {
        /// That nothing runs in it.
        PermanentQuiescent = "PermanentQuiescent", 2.3;
        /// That its last handle is closed.
        KillOnHandleClose = "KillOnHandleClose", 2.3;
    }
}

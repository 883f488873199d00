//! [`AttributionRecord`].

use crate::documents::{
    GuestCrash, InjectNonMaskableInterrupt, OperationFailure, SystemExit, TripleFault,
    VirtualDeviceFailure, WorkerExit,
};

document! {
    /// The origin of a failure or an end; one of its properties is given.
    AttributionRecord {
        /// The process that runs the virtual machine ended.
        worker_exit: WorkerExit = "WorkerExit", 2.4;
        /// The guest crashed.
        guest_crash: GuestCrash = "GuestCrash", 2.4;
        /// The guest's processor gave up.
        triple_fault: TripleFault = "TripleFault", 2.4;
        /// A non-maskable interrupt was injected.
        inject_non_maskable_interrupt: InjectNonMaskableInterrupt = "InjectNonMaskableInterrupt", 2.4;
        /// A step of the service's work failed.
        operation_failure: OperationFailure = "OperationFailure", 2.4;
        /// The system ended.
        system_exit: SystemExit = "SystemExit", 2.4;
        /// A virtual device failed.
        virtual_device_failure: VirtualDeviceFailure = "VirtualDeviceFailure", 2.4;
    }
}

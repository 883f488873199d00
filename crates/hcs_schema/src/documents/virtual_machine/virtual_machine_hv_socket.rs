//! [`VirtualMachineHvSocket`], `VirtualMachine_HvSocket` in the schema.

use crate::documents::HvSocketSystemConfig;

document! {
    /// Sockets between a virtual machine and its host.
    VirtualMachineHvSocket = "VirtualMachine_HvSocket" {
        /// The users who may bind and connect.
        hv_socket_config: HvSocketSystemConfig = "HvSocketConfig", 2.1;
    }
}

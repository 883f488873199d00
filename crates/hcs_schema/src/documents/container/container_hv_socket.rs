//! [`ContainerHvSocket`], `Container_HvSocket` in the schema.

use crate::documents::HvSocketSystemConfig;

document! {
    /// Sockets between a container and its host by way of the hypervisor.
    ContainerHvSocket = "Container_HvSocket" {
        /// The users who may bind and connect.
        config: HvSocketSystemConfig = "Config", 2.0;
        /// Whether remote PowerShell may use them.
        enable_power_shell_direct: bool = "EnablePowerShellDirect", 2.0;
    }
}

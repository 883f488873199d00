//! [`VirtualPciDevice`].

use crate::documents::VirtualPciFunction;

document! {
    /// PCI functions of the host that a virtual machine gets as one device.
    VirtualPciDevice {
        /// The functions.
        functions: Vec<VirtualPciFunction> = "Functions", 2.3;
        /// Whether the guest is told which NUMA node the device is near to.
        propagate_numa_affinity: bool = "PropagateNumaAffinity", 2.7;
    }
}

//! [`VirtioSerial`].

use std::collections::BTreeMap;

use crate::documents::VirtioSerialPort;

document! {
    /// Virtio serial ports of a virtual machine.
    VirtioSerial {
        /// The ports, by number.
        ports: BTreeMap<String, VirtioSerialPort> = "Ports", 2.2;
    }
}

//! `-device virtio-serial-pci`, `virtserialport` and `virtconsole`: virtio serial ports.

use std::os::fd::RawFd;

use serde_json::json;

use super::Switch;
use crate::virtio_serial::{MOST_PORTS, VirtioPort};

/// The device that ports are of.
pub(super) struct VirtioSerial;

impl Switch for VirtioSerial {
    fn words(&self) -> Vec<String> {
        let device = format!("virtio-serial-pci,id=vser,max_ports={}", MOST_PORTS + 1);
        vec!["-device".to_owned(), device]
    }
}

/// A port.
pub(super) struct VirtioSerialPort<'a> {
    pub(super) port: &'a VirtioPort,
    pub(super) descriptor: RawFd,
}

impl Switch for VirtioSerialPort<'_> {
    fn words(&self) -> Vec<String> {
        let VirtioPort {
            number,
            name,
            is_console,
        } = self.port;
        let driver = if *is_console {
            "virtconsole"
        } else {
            "virtserialport"
        };
        let chardev = format!("vport{number}");
        let mut device = json!({
            // The first number is for the console of an older guest.
            "driver": driver, "bus": "vser.0", "nr": number + 1, "chardev": chardev,
        });
        if !name.is_empty() {
            device["name"] = name.as_str().into();
        }
        vec![
            "-chardev".to_owned(),
            format!("socket,id={chardev},fd={}", self.descriptor),
            "-device".to_owned(),
            device.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_and_a_console_are_written_down() {
        let words = |is_console| {
            let port = VirtioPort {
                number: 4,
                name: "a,b".to_owned(),
                is_console,
            };
            let port = VirtioSerialPort {
                port: &port,
                descriptor: 9,
            };
            port.words()
        };
        let port = words(false);
        assert_eq!(port[1], "socket,id=vport4,fd=9");
        let device: serde_json::Value = serde_json::from_str(&port[3]).unwrap();
        let expected = json!({
            "driver": "virtserialport", "bus": "vser.0", "nr": 5, "chardev": "vport4", "name": "a,b",
        });
        assert_eq!(device, expected);
        assert!(words(true)[3].contains("virtconsole"));
    }
}

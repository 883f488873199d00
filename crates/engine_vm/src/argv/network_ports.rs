//! `-device pcie-root-port` for network cards, which are plugged into these by the monitor: a device that is on the
//! board's own bus could not be unplugged.

use serde_json::{Value, json};

use super::Switch;

/// Chassis 1 is that of the device for vsock.
const FIRST_CHASSIS: usize = 2;

/// The ports for so many cards.
pub(super) struct NetworkPorts(pub(super) usize);

impl Switch for NetworkPorts {
    fn words(&self) -> Vec<String> {
        let port = |number: usize| {
            let chassis = FIRST_CHASSIS + number;
            let words = format!(
                "pcie-root-port,id={},chassis={chassis},slot={chassis}",
                bus(number)
            );
            ["-device".to_owned(), words]
        };
        (0..self.0).flat_map(port).collect()
    }
}

fn bus(port: usize) -> String {
    format!("np{port}")
}

/// The name of the card at a port.
pub(crate) fn card(port: usize) -> String {
    format!("nic{port}")
}

/// The name of a card's connection with the host.
pub(crate) fn netdev(port: usize) -> String {
    format!("net{port}")
}

/// What plugs the connection in, whose descriptor the monitor knows by the same name. No header before frames
/// says that the kernel may complete them: it reads frames alone from the guest.
pub(crate) fn connection(port: usize) -> Value {
    json!({ "type": "tap", "id": netdev(port), "fd": netdev(port), "vhost": false })
}

/// What plugs the card in. It has no program to boot from.
pub(crate) fn device(port: usize, mac: [u8; 6]) -> Value {
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    json!({
        "driver": "virtio-net-pci", "id": card(port), "netdev": netdev(port), "mac": mac, "bus": bus(port), "romfile": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_a_chassis_of_its_own_and_a_card_its_address() {
        let words = NetworkPorts(2).words().join(" ");
        let expected = "-device pcie-root-port,id=np0,chassis=2,slot=2 -device pcie-root-port,id=np1,chassis=3,slot=3";
        assert_eq!(words, expected);
        let device = device(1, [0, 0x15, 0x5d, 1, 2, 0xff]);
        assert_eq!(device["mac"], "00:15:5d:01:02:ff");
        assert_eq!(
            (&device["bus"], &device["netdev"]),
            (&json!("np1"), &json!("net1"))
        );
    }
}

//! `-device pcie-root-port` for memory that comes while the machine runs (`virtio-mem-pci`), which is plugged in there
//! by the monitor.

use serde_json::{Value, json};

use super::Switch;

/// The name of the device.
pub(crate) const DEVICE: &str = "hot-memory";
/// The name of its memory.
pub(crate) const BACKEND: &str = "m1";

/// Ports for cards have the numbers below.
const CHASSIS: usize = 64;

/// The port.
pub(super) struct HotMemoryPort;

impl Switch for HotMemoryPort {
    fn words(&self) -> Vec<String> {
        let port = format!("pcie-root-port,id=mp0,chassis={CHASSIS},slot={CHASSIS}");
        vec!["-device".to_owned(), port]
    }
}

/// What makes the memory, of so many bytes. The host gives it when the guest touches it. It is shared, as the device
/// for vsock reaches it, too.
pub(crate) fn backend(bytes: u64) -> Value {
    json!({ "qom-type": "memory-backend-memfd", "id": BACKEND, "size": bytes, "share": true, "reserve": false })
}

/// What plugs the device in, from which the guest takes so many bytes.
pub(crate) fn device(bytes: u64) -> Value {
    json!({ "driver": "virtio-mem-pci", "id": DEVICE, "memdev": BACKEND, "bus": "mp0", "requested-size": bytes })
}

//! `-device vhost-user-vsock-pci`: sockets between guest and host, by the device in the worker, which QEMU has a stream
//! to. It sits behind a port of its own, as only there it could be unplugged.

use std::os::fd::RawFd;

use super::Switch;

pub(super) struct VsockDevice(pub(super) RawFd);

impl Switch for VsockDevice {
    fn words(&self) -> Vec<String> {
        vec![
            "-device".to_owned(),
            "pcie-root-port,id=rp0,chassis=1,slot=1".to_owned(),
            "-chardev".to_owned(),
            format!("socket,id=vs0,fd={}", self.0),
            "-device".to_owned(),
            "vhost-user-vsock-pci,id=vsk0,chardev=vs0,bus=rp0".to_owned(),
        ]
    }
}

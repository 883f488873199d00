//! `-device virtio-scsi-pci`: a SCSI controller. A controller without disks can get some while the machine runs.

use super::Switch;

pub(super) struct Controller(pub(super) u8);

impl Switch for Controller {
    fn words(&self) -> Vec<String> {
        let number = self.0;
        vec![
            "-device".to_owned(),
            format!("virtio-scsi-pci,id=scsi{number}"),
        ]
    }
}

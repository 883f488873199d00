//! [`Scsi`].

use std::collections::BTreeMap;

use crate::documents::Attachment;

document! {
    /// A SCSI controller of a virtual machine.
    Scsi {
        /// Its disks, by number.
        attachments: BTreeMap<String, Attachment> = "Attachments", 2.0;
        /// Whether each request interrupts at once: faster answers for more work.
        disable_interrupt_batching: bool = "DisableInterruptBatching", 2.4;
    }
}

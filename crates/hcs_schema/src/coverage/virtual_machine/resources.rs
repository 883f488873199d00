//! What of a running virtual machine can be changed.

use crate::{
    coverage::{Coverage, Resource},
    documents::ModifyRequestType,
};

pub(super) const RESOURCES: &[Resource] = &[Resource {
    path: "VirtualMachine/Devices/Scsi/*/Attachments/*",
    settings: "Attachment",
    requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
    coverage: Coverage::Supported,
}];

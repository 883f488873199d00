//! What of a running virtual machine can be changed.

use crate::{
    coverage::{Coverage, Resource},
    documents::ModifyRequestType,
};

pub(super) const RESOURCES: &[Resource] = &[
    Resource {
        path: "VirtualMachine/Devices/Scsi/*/Attachments/*",
        settings: "Attachment",
        requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "VirtualMachine/Devices/Plan9/Shares",
        settings: "Plan9Share",
        requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "VirtualMachine/Devices/NetworkAdapters/*",
        settings: "NetworkAdapter",
        requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "VirtualMachine/ComputeTopology/Memory/SizeInMB",
        settings: "uint64",
        requests: &[ModifyRequestType::Update],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "VirtualMachine/StorageQoS",
        settings: "StorageQoS",
        requests: &[ModifyRequestType::Update],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/*",
        settings: "HvSocketServiceConfig",
        requests: &[
            ModifyRequestType::Add,
            ModifyRequestType::Update,
            ModifyRequestType::Remove,
        ],
        coverage: Coverage::Supported,
    },
];

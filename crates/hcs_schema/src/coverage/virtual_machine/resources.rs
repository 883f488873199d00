//! What of a running virtual machine can be changed.

use crate::{
    coverage::{Coverage, Resource},
    documents::ModifyRequestType,
};

const NO_CHANGE: Coverage = Coverage::Refused(
    "persistent memory stays as the machine was made with it: QEMU takes none away from a running guest. Plug images in \
     as disks (VirtualMachine/Devices/Scsi/*/Attachments/*)",
);

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
    Resource {
        path: "VirtualMachine/Devices/VirtualPMem/Devices/*",
        settings: "VirtualPMemDevice",
        requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
        coverage: NO_CHANGE,
    },
    Resource {
        path: "VirtualMachine/Devices/VirtualPMem/Devices/*/Mappings/*",
        settings: "VirtualPMemMapping",
        requests: &[ModifyRequestType::Add, ModifyRequestType::Remove],
        coverage: NO_CHANGE,
    },
];

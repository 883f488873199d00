//! [`GuestModifySettingRequest`], [`ModifyResourceType`].

use serde_json::Value;

use crate::documents::ModifyRequestType;

document! {
    /// A change that the guest agent is to make.
    GuestModifySettingRequest {
        /// The kind of thing to change.
        resource_type: ModifyResourceType = "ResourceType", 2.1;
        /// The action on it.
        request_type: ModifyRequestType = "RequestType", 2.1;
        /// The thing's document.
        settings: Value = "Settings", 2.1;
    }
}

schema_enum! {
    /// A kind of thing that a guest agent can change.
    ModifyResourceType {
        /// Memory.
        Memory = "Memory", 2.0;
        /// A mapped directory.
        MappedDirectory = "MappedDirectory", 2.0;
        /// A mapped pipe.
        MappedPipe = "MappedPipe", 2.0;
        /// A mapped disk.
        MappedVirtualDisk = "MappedVirtualDisk", 2.0;
        /// Combined layers.
        CombinedLayers = "CombinedLayers", 2.0;
        /// A network namespace.
        NetworkNamespace = "NetworkNamespace", 2.1;
        /// A composite image.
        CimMount = "CimMount", 2.3;
        /// A network adapter in a Linux guest.
        Network = "Network", "extension";
        /// A SCSI device to be let go of.
        ScsiDevice = "SCSIDevice", "extension";
        /// A persistent memory device.
        VPMemDevice = "VPMemDevice", "extension";
        /// A PCI device.
        VPciDevice = "VPCIDevice", "extension";
        /// Limits of a container.
        ContainerConstraints = "ContainerConstraints", "extension";
        /// Hypervisor sockets.
        HvSocket = "HvSocket", "extension";
        /// The policy for requests to the guest.
        SecurityPolicy = "SecurityPolicy", "extension";
        /// A part of that policy.
        SecurityPolicyFragment = "SecurityPolicyFragment", "extension";
        /// A disk for a container's scratch.
        MappedVirtualDiskForContainerScratch = "MappedVirtualDiskForContainerScratch", "extension";
        /// Composite images on block devices.
        WcowBlockCims = "WCOWBlockCims", "extension";
        /// Combined layers of a confidential Windows guest.
        CwcowCombinedLayers = "CWCOWCombinedLayers", "extension";
        /// Memory limit of all containers of a pod.
        PodCgroupMemoryLimit = "PodCgroupMemoryLimit", "extension";
    }
}

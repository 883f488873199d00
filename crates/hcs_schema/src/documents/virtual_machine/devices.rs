//! [`Devices`].

use std::collections::BTreeMap;

use crate::documents::{
    Battery, ComPort, EnhancedModeVideo, FlexibleIoDevice, GuestCrashReporting, KernelIntegration,
    Keyboard, Mouse, NetworkAdapter, Plan9, Scsi, SharedMemoryConfiguration, VideoMonitor,
    VirtioSerial, VirtualMachineHvSocket, VirtualPMemController, VirtualPciDevice, VirtualSmb,
};

document! {
    /// The devices of a virtual machine.
    Devices {
        /// Serial ports, by number from 0.
        com_ports: BTreeMap<String, ComPort> = "ComPorts", 2.1;
        /// Virtio serial ports.
        virtio_serial: VirtioSerial = "VirtioSerial", 2.2;
        /// SCSI controllers, by name or GUID.
        scsi: BTreeMap<String, Scsi> = "Scsi", 2.0;
        /// Persistent memory.
        virtual_pmem: VirtualPMemController = "VirtualPMem", 2.0;
        /// Network adapters, by name or GUID.
        network_adapters: BTreeMap<String, NetworkAdapter> = "NetworkAdapters", 2.0;
        /// A screen.
        video_monitor: VideoMonitor = "VideoMonitor", 2.0;
        /// A keyboard.
        keyboard: Keyboard = "Keyboard", 2.0;
        /// A mouse.
        mouse: Mouse = "Mouse", 2.0;
        /// Sockets between host and guest. On Linux: vsock.
        hv_socket: VirtualMachineHvSocket = "HvSocket", 2.1;
        /// A screen by remote desktop.
        enhanced_mode_video: EnhancedModeVideo = "EnhancedModeVideo", 2.1;
        /// The actions when the guest crashes.
        guest_crash_reporting: GuestCrashReporting = "GuestCrashReporting", 2.0;
        /// Shares of host directories by SMB.
        virtual_smb: VirtualSmb = "VirtualSmb", 2.0;
        /// Shares of host directories by 9P.
        plan9: Plan9 = "Plan9", 2.0;
        /// A battery.
        battery: Battery = "Battery", 2.0;
        /// Devices that other programs emulate, by name or GUID.
        flexible_iov: BTreeMap<String, FlexibleIoDevice> = "FlexibleIov", 2.1;
        /// Memory shared with the host.
        shared_memory: SharedMemoryConfiguration = "SharedMemory", 2.1;
        /// PCI devices of the host, by name or GUID.
        virtual_pci: BTreeMap<String, VirtualPciDevice> = "VirtualPci", 2.3;
        /// Kernel services; dropped from the schema.
        kernel_integration: KernelIntegration = "KernelIntegration", 2.1 until 2.3;
    }
}

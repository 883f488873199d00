//! The documents that create a virtual machine.

use super::lifecycle::NOT_SAVED;
use crate::coverage::{
    Coverage::{self, Refused, Supported, WithoutEffect},
    Entries,
};

const NO_NESTING: Coverage = Refused("systems are not created inside other systems");

const NO_KEYS: Coverage = Refused("the signatures of what the firmware boots are not checked");
const ONLY_DISKS: Coverage = Refused("the firmware boots SCSI disks");

const ON_BOARD: Coverage = WithoutEffect(
    "the board always has one; what the screen shows is seen, but no key reaches the guest",
);

const NO_REMOTE_DESKTOP: Coverage = WithoutEffect(
    "no remote desktop is offered: nothing listens at its pipe; \"ConsoleImage\" shows what is on the screen, in \
     pictures of at most 8 MiB",
);

const NOT_TOLD: Coverage = WithoutEffect("no guest program is known that depends on it");

const NO_HYPERV: Coverage = Refused("QEMU has nothing that corresponds to it");

const HINT: Coverage = WithoutEffect("the host takes no hints about memory from guests");

const LAYOUT: Coverage = WithoutEffect("the board has room for its devices");

const ON_TOUCH: Coverage =
    WithoutEffect("memory is taken from the host when the guest touches it first");

const ANY_FILE: Coverage = WithoutEffect("an image may be any file on any file system of the host");

const NO_COUNTERS: Coverage = Refused("the guest has no counters of processor events");

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "ComputeSystem",
        &[
            ("Owner", Supported),
            ("SchemaVersion", Supported),
            ("HostingSystemId", NO_NESTING),
            ("HostedSystem", NO_NESTING),
            ("Container", Refused("the system is a virtual machine")),
            ("VirtualMachine", Supported),
            ("ShouldTerminateOnLastHandleClosed", Supported),
        ],
    ),
    (
        "Version",
        &[
            ("Major", Supported),
            (
                "Minor",
                WithoutEffect(
                    "minor versions are supersets of each other; every property is known at any time",
                ),
            ),
        ],
    ),
    (
        "VirtualMachine",
        &[
            (
                "Version",
                WithoutEffect("there is one version of the virtual hardware"),
            ),
            ("StopOnReset", Supported),
            ("Chipset", Supported),
            ("ComputeTopology", Supported),
            ("Devices", Supported),
            (
                "Services",
                WithoutEffect("the services of Hyper-V's integration components are not offered"),
            ),
            ("GuestState", Supported),
            ("RestoreState", NOT_SAVED),
            (
                "RegistryChanges",
                Refused("a Linux guest has no registry; the settings would be lost"),
            ),
            ("StorageQoS", Supported),
            ("GuestConnection", Supported),
            (
                "SecuritySettings",
                Refused("the guest cannot be protected from its host"),
            ),
            ("DebugOptions", Supported),
            (
                "ResourcePartitionId",
                Refused("the host has no partitions of resources"),
            ),
            (
                "MigrationOptions",
                Refused("virtual machines do not move between hosts yet"),
            ),
            ("Networking", Supported),
        ],
    ),
    (
        "Networking",
        &[
            (
                "AllowUnqualifiedDnsQuery",
                WithoutEffect("the guest's resolver decides how it looks for names"),
            ),
            ("DnsSearchList", Supported),
            (
                "NetworkSharedContainerName",
                Refused("the network of another system cannot be shared with a guest"),
            ),
            (
                "Namespace",
                Refused("a guest has a kernel of its own, and no namespace of the host"),
            ),
            ("NetworkAdapters", Supported),
            ("Endpoints", Supported),
            ("Aliases", Supported),
            ("HostEntries", Supported),
            ("DnsServerList", Supported),
        ],
    ),
    ("HostEntry", &[("Name", Supported), ("Address", Supported)]),
    (
        "NetworkAdapter",
        &[
            ("EndpointId", Supported),
            ("MacAddress", Supported),
            (
                "InstanceId",
                WithoutEffect("a Linux guest knows its card by the hardware address"),
            ),
            (
                "DisableInterruptBatching",
                WithoutEffect("QEMU tells the guest of frames as they come"),
            ),
            (
                "IovSettings",
                WithoutEffect("no part of a card of the host is given to a guest"),
            ),
            (
                "ConnectionState",
                Refused("the cable is always in; remove the adapter instead"),
            ),
            ("IsConnected", Supported),
            (
                "SwitchId",
                Refused("a port of a network is named by its endpoint"),
            ),
            (
                "PortId",
                Refused("a port of a network is named by its endpoint"),
            ),
        ],
    ),
    (
        "Chipset",
        &[
            ("Uefi", Supported),
            ("IsNumLockDisabled", NOT_TOLD),
            ("BaseBoardSerialNumber", NOT_TOLD),
            ("ChassisSerialNumber", NOT_TOLD),
            ("ChassisAssetTag", NOT_TOLD),
            (
                "EnableHibernation",
                Refused("a guest that hibernates could not be started again"),
            ),
            (
                "UseUtc",
                WithoutEffect("the clock of the board always runs in UTC"),
            ),
            ("LinuxKernelDirect", Supported),
            (
                "FirmwareFile",
                Refused("name a kernel in \"LinuxKernelDirect\""),
            ),
        ],
    ),
    (
        "Uefi",
        &[
            (
                "EnableDebugger",
                Refused("the firmware has no debugger that listens"),
            ),
            ("SecureBootTemplateId", NO_KEYS),
            ("ApplySecureBootTemplate", Supported),
            ("BootThis", Supported),
            ("Console", Supported),
            (
                "StopOnBootFailure",
                Refused("firmware that finds nothing to boot waits for a user"),
            ),
        ],
    ),
    (
        "ApplySecureBootTemplateType",
        &[("Skip", Supported), ("Apply", NO_KEYS)],
    ),
    (
        "SerialConsole",
        &[
            ("Default", Supported),
            (
                "Disabled",
                WithoutEffect("the firmware writes to the first serial port where there is one"),
            ),
            ("ComPort1", Supported),
            (
                "ComPort2",
                Refused("the firmware writes to the first serial port"),
            ),
        ],
    ),
    (
        "UefiBootEntry",
        &[
            ("DeviceType", Supported),
            ("DevicePath", Supported),
            ("DiskNumber", Supported),
            (
                "OptionalData",
                Refused("what is booted gets no data of the document"),
            ),
            ("VmbFsRootPath", ONLY_DISKS),
        ],
    ),
    (
        "UefiBootDevice",
        &[
            ("ScsiDrive", Supported),
            ("VmbFs", ONLY_DISKS),
            ("Network", ONLY_DISKS),
            ("File", ONLY_DISKS),
        ],
    ),
    (
        "GuestState",
        &[
            ("GuestStateFilePath", Supported),
            (
                "RuntimeStateFilePath",
                WithoutEffect(
                    "a machine cannot be saved, so there is nothing to keep while it runs",
                ),
            ),
            ("ForceTransientState", Supported),
            ("GuestStateFileType", Refused("the state is kept in a file")),
        ],
    ),
    (
        "LinuxKernelDirect",
        &[
            ("KernelFilePath", Supported),
            ("InitRdPath", Supported),
            ("KernelCmdLine", Supported),
        ],
    ),
    (
        "Topology",
        &[
            ("Memory", Supported),
            ("Processor", Supported),
            ("Numa", Refused("the guest has one NUMA node")),
        ],
    ),
    (
        "VirtualMachine_Memory",
        &[
            ("SizeInMB", Supported),
            ("AllowOvercommit", ON_TOUCH),
            ("BackingPageSize", Supported),
            ("FaultClusterSizeShift", HINT),
            ("DirectMapFaultClusterSizeShift", HINT),
            (
                "PinBackingPages",
                Refused("pages of the guest may be swapped out"),
            ),
            (
                "ForbidSmallBackingPages",
                Refused("pages of the guest are as large as the host sees fit"),
            ),
            ("EnableHotHint", HINT),
            ("EnableColdHint", HINT),
            ("EnableColdDiscardHint", HINT),
            ("EnableDeferredCommit", ON_TOUCH),
            ("LowMmioGapInMB", LAYOUT),
            ("HighMmioBaseInMB", LAYOUT),
            ("HighMmioGapInMB", LAYOUT),
            ("Backing", Supported),
            ("SlitType", Refused("the guest has one NUMA node")),
            (
                "HostingProcessNameSuffix",
                WithoutEffect("QEMU's process is named after the runtime id"),
            ),
        ],
    ),
    (
        "MemoryBackingType",
        &[
            ("Physical", Supported),
            ("Virtual", Supported),
            (
                "Hybrid",
                Refused("all of the memory is held, or none: \"Physical\" or \"Virtual\""),
            ),
        ],
    ),
    (
        "MemoryBackingPageSize",
        &[
            ("Small", Supported),
            (
                "Large",
                Refused("pages of the guest are as large as the host sees fit"),
            ),
        ],
    ),
    (
        "VirtualMachine_Processor",
        &[
            ("Count", Supported),
            ("Limit", Supported),
            ("Weight", Supported),
            (
                "Reservation",
                Refused("processor time cannot be kept for one system"),
            ),
            (
                "MaximumFrequencyMHz",
                Refused("frequencies of processors are not controlled"),
            ),
            (
                "ExposeVirtualizationExtensions",
                Refused("guests cannot run virtual machines of their own"),
            ),
            ("EnablePerfmonPmu", NO_COUNTERS),
            ("EnablePerfmonPebs", NO_COUNTERS),
            ("EnablePerfmonLbr", NO_COUNTERS),
            ("EnablePerfmonIpt", NO_COUNTERS),
            ("CpuGroup", Supported),
            ("EnablePerfmonArchPmu", NO_COUNTERS),
            (
                "NumaProcessorsSettings",
                Refused("the guest has one NUMA node"),
            ),
            ("EnablePageShattering", NO_HYPERV),
            ("DisableSpeculationControls", NO_HYPERV),
            ("ProcessorFeatureSet", NO_HYPERV),
        ],
    ),
    ("CpuGroup", &[("Id", Supported)]),
    ("VirtioSerial", &[("Ports", Supported)]),
    (
        "VirtioSerialPort",
        &[
            ("NamedPipe", Supported),
            ("Name", Supported),
            ("ConsoleSupport", Supported),
        ],
    ),
    (
        "StorageQoS",
        &[("IopsMaximum", Supported), ("BandwidthMaximum", Supported)],
    ),
    (
        "GuestConnection",
        &[
            ("UseVsock", Supported),
            (
                "UseConnectedSuspend",
                WithoutEffect("the connection always stays when the machine is paused"),
            ),
            (
                "UseHostTimeZone",
                Refused("the agent does not set the time zone of its guest"),
            ),
        ],
    ),
    (
        "Devices",
        &[
            ("ComPorts", Supported),
            ("VirtioSerial", Supported),
            ("Scsi", Supported),
            ("VirtualPMem", Supported),
            ("NetworkAdapters", Supported),
            ("VideoMonitor", Supported),
            ("Keyboard", ON_BOARD),
            ("Mouse", ON_BOARD),
            ("HvSocket", Supported),
            ("EnhancedModeVideo", NO_REMOTE_DESKTOP),
            ("GuestCrashReporting", Supported),
            (
                "VirtualSmb",
                Refused("there is no SMB server for guests; share directories by Plan9"),
            ),
            ("Plan9", Supported),
            ("Battery", Refused("QEMU has no battery for guests")),
            (
                "FlexibleIov",
                Refused("devices of other programs are not given to guests"),
            ),
            (
                "SharedMemory",
                Refused("no memory of a guest is shared with programs of the host"),
            ),
            (
                "VirtualPci",
                Refused("devices of the host are not given to guests"),
            ),
            (
                "KernelIntegration",
                Refused("it was dropped from the schema"),
            ),
        ],
    ),
    (
        "GuestCrashReporting",
        &[(
            "WindowsCrashSettings",
            Refused(
                "a Linux guest makes no dump of Windows; \"BugcheckSavedStateFileName\" in \"DebugOptions\" names a \
                 file for the memory of a guest that crashed",
            ),
        )],
    ),
    (
        "DebugOptions",
        &[
            ("BugcheckSavedStateFileName", Supported),
            (
                "BugcheckNoCrashdumpSavedStateFileName",
                Refused(
                    "a Linux guest makes no dump of its own here: \"BugcheckSavedStateFileName\" is for each crash",
                ),
            ),
            (
                "TripleFaultSavedStateFileName",
                Refused("a guest whose processor gives up is reset, as a board does"),
            ),
            (
                "FirmwareDumpFileName",
                Refused("the firmware makes no dump"),
            ),
        ],
    ),
    (
        "VideoMonitor",
        &[
            ("HorizontalResolution", Supported),
            ("VerticalResolution", Supported),
            ("ConnectionOptions", NO_REMOTE_DESKTOP),
        ],
    ),
    (
        "VirtualPMemController",
        &[
            ("Devices", Supported),
            (
                "MaximumCount",
                WithoutEffect("one image is there from the start, and none comes later"),
            ),
            ("MaximumSizeBytes", Supported),
            (
                "Backing",
                WithoutEffect("an image is mapped: the host keeps its pages as those of any file"),
            ),
        ],
    ),
    (
        "VirtualPMemDevice",
        &[
            ("HostPath", Supported),
            ("ReadOnly", Supported),
            ("ImageFormat", Supported),
            (
                "SizeBytes",
                Refused("the guest has as much persistent memory as its image has bytes"),
            ),
            ("Mappings", Refused("persistent memory has one image")),
        ],
    ),
    (
        "VirtualPMemImageFormat",
        &[
            (
                "Vhdx",
                Refused(
                    "a VHDX has its bytes in another order than a disk has, so it cannot be mapped; a VHD of fixed size \
                     can, and a file with the bytes of a disk",
                ),
            ),
            ("Vhd1", Supported),
        ],
    ),
    ("Plan9", &[("Shares", Supported)]),
    (
        "Plan9Share",
        &[
            ("Name", Supported),
            ("AccessName", Supported),
            ("Path", Supported),
            ("Port", Supported),
            ("AllowedFiles", Supported),
            ("Flags", Supported),
        ],
    ),
    ("VirtualMachine_HvSocket", &[("HvSocketConfig", Supported)]),
    (
        "HvSocketSystemConfig",
        &[
            ("DefaultBindSecurityDescriptor", Supported),
            ("DefaultConnectSecurityDescriptor", Supported),
            ("ServiceTable", Supported),
        ],
    ),
    (
        "HvSocketServiceConfig",
        &[
            ("BindSecurityDescriptor", Supported),
            ("ConnectSecurityDescriptor", Supported),
            (
                "AllowWildcardBinds",
                WithoutEffect(
                    "a listener of the host is one machine's, by the folder of its socket",
                ),
            ),
            ("Disabled", Supported),
        ],
    ),
    (
        "Scsi",
        &[
            ("Attachments", Supported),
            (
                "DisableInterruptBatching",
                WithoutEffect("requests are answered as they are done"),
            ),
        ],
    ),
    (
        "Attachment",
        &[
            ("Type", Supported),
            ("Path", Supported),
            (
                "CachingMode",
                WithoutEffect(
                    "the host caches images as any file, and writes back what the guest flushes",
                ),
            ),
            ("ReadOnly", Supported),
            ("SupportCompressedVolumes", ANY_FILE),
            ("AlwaysAllowSparseFiles", ANY_FILE),
            ("SupportEncryptedFiles", ANY_FILE),
            ("IgnoreFlushes", Supported),
            (
                "NoWriteHardening",
                WithoutEffect("writes stay in the host's cache until the guest flushes"),
            ),
            (
                "DisableExpansionOptimization",
                WithoutEffect("there is one way to grow an image"),
            ),
            (
                "IgnoreRelativeLocator",
                WithoutEffect("images with a parent are refused"),
            ),
            (
                "CaptureIoAttributionContext",
                WithoutEffect("requests are accounted to the machine"),
            ),
            (
                "ExtensibleVirtualDiskType",
                Refused("no other program can serve a disk"),
            ),
        ],
    ),
    (
        "AttachmentType",
        &[
            ("VirtualDisk", Supported),
            ("Iso", Supported),
            ("PassThru", Supported),
            (
                "ExtensibleVirtualDisk",
                Refused("no other program can serve a disk"),
            ),
        ],
    ),
    (
        "ComPort",
        &[
            ("NamedPipe", Supported),
            (
                "OptimizeForDebugger",
                WithoutEffect("every serial port passes bytes on as they come"),
            ),
        ],
    ),
];

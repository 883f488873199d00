//! The documents that create a compute system.

use crate::coverage::{
    Coverage::{self, Refused, Supported, WithoutEffect},
    Entries,
};

const NO_NESTING: Coverage = Refused("systems are not created inside other systems");

const NO_DNS: Coverage =
    Refused("a resolver on Linux has no such switch; name the domains to try in \"DnsSearchList\"");

const NO_SMB: Coverage =
    Refused("there is no virtual machine whose shares could be meant; give an absolute path");

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "ComputeSystem",
        &[
            ("Owner", Supported),
            ("SchemaVersion", Supported),
            ("HostingSystemId", NO_NESTING),
            ("HostedSystem", NO_NESTING),
            ("Container", Supported),
            (
                "VirtualMachine",
                Refused("a system is a container or a virtual machine, not both"),
            ),
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
        "Container",
        &[
            ("GuestOs", Supported),
            ("Storage", Supported),
            ("MappedDirectories", Supported),
            ("MappedPipes", Supported),
            ("MappedDevices", Supported),
            ("Memory", Supported),
            ("Processor", Supported),
            ("Networking", Supported),
            ("UserNamespace", Supported),
            ("PreferUserNamespace", Supported),
            ("AddCapabilities", Supported),
            ("DropCapabilities", Supported),
            ("NoNewPrivileges", Supported),
            ("ResourceLimits", Supported),
            ("ProcessLimit", Supported),
            ("TemporaryDirectories", Supported),
            ("Volumes", Supported),
            ("SharedMemoryInMB", Supported),
            ("ProcessDefaults", Supported),
            ("StopSignal", Supported),
            ("Labels", Supported),
            (
                "HvSocket",
                Refused(
                    "no hypervisor stands between a container and its host, so its rules could not be enforced",
                ),
            ),
            (
                "ContainerCredentialGuard",
                Refused(
                    "there is no Windows domain; the container would run without the identity meant for it",
                ),
            ),
            (
                "RegistryChanges",
                Refused("there is no registry; the settings would be lost"),
            ),
            (
                "AssignedDevices",
                Refused(
                    "it names interfaces of Windows; give the device's node in \"MappedDevices\"",
                ),
            ),
            (
                "AdditionalDeviceNamespace",
                Refused(
                    "there are no Windows device interfaces; the container would run without them",
                ),
            ),
        ],
    ),
    (
        "GuestOs",
        &[("HostName", Supported), ("KeepNameFiles", Supported)],
    ),
    (
        "Storage",
        &[
            ("Layers", Supported),
            ("Path", Supported),
            ("ScratchSizeInMB", Supported),
            ("ScratchInodes", Supported),
            ("ReadOnly", Supported),
            (
                "QoS",
                Refused(
                    "limits on input and output are not enforced; others would be short of what they count on",
                ),
            ),
            ("HostDirectory", Supported),
            ("Image", Supported),
        ],
    ),
    (
        "ContainerImage",
        &[
            ("Store", Supported),
            ("Digest", Supported),
            ("Name", Supported),
            ("Labels", Supported),
            ("ExposedPorts", Supported),
        ],
    ),
    (
        "Layer",
        &[
            ("Id", WithoutEffect("a layer is found by its path")),
            ("Path", Supported),
            ("PathType", Supported),
            (
                "Cache",
                WithoutEffect("the host's page cache serves every container alike"),
            ),
        ],
    ),
    (
        "PathType",
        &[("AbsolutePath", Supported), ("VirtualSmbShareName", NO_SMB)],
    ),
    (
        "ProcessDefaults",
        &[
            ("User", Supported),
            ("WorkingDirectory", Supported),
            ("Environment", Supported),
        ],
    ),
    (
        "TemporaryDirectory",
        &[
            ("ContainerPath", Supported),
            ("SizeInMB", Supported),
            ("Mode", Supported),
        ],
    ),
    (
        "MappedDirectory",
        &[
            ("HostPath", Supported),
            ("HostPathType", Supported),
            ("ContainerPath", Supported),
            ("ReadOnly", Supported),
            ("ShiftOwners", Supported),
            ("AllowSetId", Supported),
            (
                "SupportCloudFiles",
                WithoutEffect("no file of a Linux host is held by a Windows cloud provider"),
            ),
        ],
    ),
    (
        "MappedDevice",
        &[
            ("HostPath", Supported),
            ("ContainerPath", Supported),
            ("Access", Supported),
        ],
    ),
    (
        "MappedPipe",
        &[
            ("ContainerPipeName", Supported),
            ("HostPath", Supported),
            ("HostPathType", Supported),
        ],
    ),
    (
        "MappedPipePathType",
        &[("AbsolutePath", Supported), ("VirtualSmbPipeName", NO_SMB)],
    ),
    ("Container_Memory", &[("SizeInMB", Supported)]),
    (
        "Container_Processor",
        &[
            ("Count", Supported),
            ("Weight", Supported),
            ("Maximum", Supported),
            ("CpuGroup", Supported),
        ],
    ),
    ("CpuGroup", &[("Id", Supported)]),
    (
        "Networking",
        &[
            ("AllowUnqualifiedDnsQuery", NO_DNS),
            ("DnsSearchList", Supported),
            (
                "NetworkSharedContainerName",
                Refused("name the network namespace to share in \"Namespace\""),
            ),
            ("Namespace", Supported),
            ("NetworkAdapters", Supported),
            ("Endpoints", Supported),
            ("Aliases", Supported),
            ("HostEntries", Supported),
            ("DnsServerList", Supported),
        ],
    ),
    ("HostEntry", &[("Name", Supported), ("Address", Supported)]),
];

//! Queries, and changes to the service itself.

use crate::coverage::{
    Coverage::{Refused, Supported, WithoutEffect},
    table::Entries,
};

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "SystemQuery",
        &[
            ("Ids", Supported),
            ("Names", Supported),
            ("Types", Supported),
            ("Owners", Supported),
        ],
    ),
    (
        "SystemType",
        &[
            ("Container", Supported),
            ("VirtualMachine", Supported),
            ("Host", WithoutEffect("the host is no compute system here")),
        ],
    ),
    (
        "System_PropertyQuery",
        &[
            ("PropertyTypes", Supported),
            ("Queries", Supported),
            ("PropertyQueries", Supported),
        ],
    ),
    (
        "System_PropertyType",
        &[
            ("Basic", Supported),
            ("Memory", Supported),
            ("Statistics", Supported),
            ("ProcessList", Supported),
            ("TerminateOnLastHandleClosed", Supported),
            (
                "SharedMemoryRegion",
                Refused("it is about virtual machines"),
            ),
            ("GuestConnection", Supported),
            ("GuestMemory", Refused("it is about virtual machines")),
            ("ICHeartbeatStatus", Refused("it is about virtual machines")),
            ("Document", Supported),
        ],
    ),
    (
        "Service_PropertyQuery",
        &[
            ("PropertyTypes", Supported),
            ("PropertyQueries", Supported),
            (
                "FilteredQueries",
                Refused("it is the older form of \"PropertyQueries\""),
            ),
        ],
    ),
    (
        "GetPropertyType",
        &[
            ("Basic", Supported),
            ("CpuGroup", Supported),
            ("ProcessorTopology", Supported),
            (
                "ContainerCredentialGuard",
                Refused("there is no Windows domain"),
            ),
            ("QoSCapabilities", Supported),
            ("Memory", Supported),
            (
                "CacheAllocation",
                Refused("the processors' cache is not shared out"),
            ),
            (
                "CacheMonitoring",
                Refused("the use of the processors' cache is not measured"),
            ),
            (
                "MemoryBwAllocation",
                Refused("the memory's bandwidth is not shared out"),
            ),
            ("Undefined", Refused("it names no property")),
            ("Capabilities", Supported),
            ("Service", Supported),
        ],
    ),
    (
        "ModificationRequest",
        &[("PropertyType", Supported), ("Settings", Supported)],
    ),
    (
        "ModifyPropertyType",
        &[
            ("CpuGroup", Supported),
            (
                "ContainerCredentialGuard",
                Refused("there is no Windows domain"),
            ),
        ],
    ),
    (
        // Kept as it came, for the analysis of the crash.
        "CrashReport",
        &[
            ("SystemId", Supported),
            ("ActivityId", Supported),
            (
                "WindowsCrashInfo",
                WithoutEffect(
                    "it is kept with the report; the dump that it names is not looked at",
                ),
            ),
            ("CrashParameters", Supported),
            ("CrashLog", Supported),
            ("Status", Supported),
            ("PreOSId", Supported),
            ("CrashStackUnavailable", Supported),
        ],
    ),
];

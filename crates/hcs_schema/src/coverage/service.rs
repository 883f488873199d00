//! What the service itself answers, whichever engines it has: queries about systems and the host, changes to the
//! service, and crash reports.

use crate::coverage::{
    Coverage::{Refused, Supported, WithoutEffect},
    Entries, Table,
};

/// The effects of the properties of documents that concern no system, or all of them.
pub static SERVICE: Table = Table {
    about: "the service",
    entries: &[ENTRIES],
    resources: &[],
};

const ENTRIES: &[(&str, Entries)] = &[
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
            ("ProcessorCapabilities", Supported),
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
            (
                "GuestCrashSaveInfo",
                WithoutEffect(
                    "it is kept with the report; the file that it names is not looked at",
                ),
            ),
        ],
    ),
];

//! Options of the calls that move a system through its life, changes to it, and what can be asked of it.

use crate::coverage::{
    Coverage::{self, Refused, Supported, WithoutEffect},
    Entries,
};

const NO_GUEST_SYSTEM: Coverage =
    Refused("a container has no operating system of its own to do that");

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "StartOptions",
        &[(
            "DestinationMigrationOptions",
            Refused("only virtual machines move between hosts"),
        )],
    ),
    (
        "ShutdownOptions",
        &[
            (
                "Mechanism",
                WithoutEffect(
                    "there is one way to ask a container: the signal StopSignal of its document to its processes",
                ),
            ),
            ("Type", Supported),
            (
                "Force",
                WithoutEffect(
                    "no process can refuse; what does not end in time is left to HcsTerminateComputeSystem",
                ),
            ),
            (
                "Reason",
                WithoutEffect("processes cannot be told why they are to end"),
            ),
        ],
    ),
    (
        "ShutdownType",
        &[
            ("Shutdown", Supported),
            ("Hibernate", NO_GUEST_SYSTEM),
            ("Reboot", NO_GUEST_SYSTEM),
        ],
    ),
    (
        "PauseOptions",
        &[
            (
                "SuspensionLevel",
                WithoutEffect("the memory of a paused container stays; the host may swap it out"),
            ),
            (
                "HostedNotification",
                WithoutEffect("processes are stopped without their knowledge"),
            ),
        ],
    ),
    (
        "SaveOptions",
        &[
            (
                "SaveType",
                Refused("the processes of a container cannot be saved"),
            ),
            (
                "SaveStateFilePath",
                Refused("the processes of a container cannot be saved"),
            ),
        ],
    ),
    (
        "CrashOptions",
        &[(
            "Type",
            Refused("a container has no operating system of its own to crash"),
        )],
    ),
    (
        "ModifySettingRequest",
        &[
            ("ResourcePath", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
            (
                "GuestRequest",
                Refused("the agent of a container takes orders from the service only"),
            ),
        ],
    ),
    (
        "ModifyRequestType",
        &[
            ("Add", Supported),
            ("Remove", Supported),
            ("Update", Supported),
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
            ("ConsoleImage", Refused("it is about virtual machines")),
        ],
    ),
];

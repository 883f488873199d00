//! Options of the calls that move a virtual machine through its life, changes to it, and what can be asked of it.

use crate::coverage::{
    Coverage::{self, Refused, Supported, WithoutEffect},
    Entries,
};

pub(super) const NOT_SAVED: Coverage = Refused(
    "QEMU moves no device for vsock (\"State blocked by non-migratable device\", vhost-user-vsock), which GuestConnection, \
     HvSocket and Plan9 take, and no VHD or VHDX image; it could move all other devices, but machines without those are \
     not saved yet either. The refusal of HcsSaveComputeSystem names what is in the way",
);

const ONE_BUTTON: Coverage = Refused("agent and power button can be asked for a shutdown only");

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "StartOptions",
        &[(
            "DestinationMigrationOptions",
            Refused("virtual machines do not move between hosts yet"),
        )],
    ),
    (
        "ShutdownOptions",
        &[
            (
                "Mechanism",
                WithoutEffect(
                    "its agent is asked, or its power button is pressed where it has none",
                ),
            ),
            ("Type", Supported),
            (
                "Force",
                WithoutEffect("what does not end in time is left to HcsTerminateComputeSystem"),
            ),
            (
                "Reason",
                WithoutEffect("neither agent nor power button can tell why"),
            ),
        ],
    ),
    (
        "ShutdownType",
        &[
            ("Shutdown", Supported),
            ("Hibernate", ONE_BUTTON),
            ("Reboot", ONE_BUTTON),
        ],
    ),
    (
        "PauseOptions",
        &[
            (
                "SuspensionLevel",
                WithoutEffect("the memory of a paused machine stays; the host may swap it out"),
            ),
            (
                "HostedNotification",
                WithoutEffect("the guest is stopped without its knowledge"),
            ),
        ],
    ),
    (
        "SaveOptions",
        &[("SaveType", NOT_SAVED), ("SaveStateFilePath", NOT_SAVED)],
    ),
    ("CrashOptions", &[("Type", Supported)]),
    ("CrashType", &[("CrashGuest", Supported)]),
    (
        "ModifySettingRequest",
        &[
            ("ResourcePath", Supported),
            ("RequestType", Supported),
            ("Settings", Supported),
            ("GuestRequest", Supported),
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
                Refused("no memory of a virtual machine is shared with the host"),
            ),
            ("GuestConnection", Supported),
            (
                "GuestMemory",
                Refused("the memory that a guest uses is not measured"),
            ),
            (
                "ICHeartbeatStatus",
                Refused("the services of Hyper-V's integration components are not offered"),
            ),
            ("Document", Supported),
            ("ConsoleImage", Supported),
        ],
    ),
];

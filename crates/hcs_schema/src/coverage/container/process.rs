//! The documents that create, change and signal processes.

use crate::coverage::{
    Coverage::{Refused, Supported, WithoutEffect},
    Entries,
};

pub(super) const ENTRIES: &[(&str, Entries)] = &[
    (
        "ProcessParameters",
        &[
            ("ApplicationName", Supported),
            ("CommandLine", Supported),
            ("CommandArgs", Supported),
            ("User", Supported),
            ("WorkingDirectory", Supported),
            ("Environment", Supported),
            (
                "RestrictedToken",
                Refused("the process would have more rights than were asked for; give \"User\""),
            ),
            ("EmulateConsole", Supported),
            ("CreateStdInPipe", Supported),
            ("CreateStdOutPipe", Supported),
            ("CreateStdErrPipe", Supported),
            ("ConsoleSize", Supported),
            (
                "UseExistingLogin",
                WithoutEffect("there are no logon sessions to join"),
            ),
            (
                "UseLegacyConsole",
                WithoutEffect("there is one kind of terminal"),
            ),
            (
                "OciProcess",
                Refused(
                    "only Linux virtual machines take it; give \"CommandArgs\", \"User\" and the others",
                ),
            ),
            ("AddCapabilities", Supported),
            ("DropCapabilities", Supported),
            ("NoNewPrivileges", Supported),
            ("ResourceLimits", Supported),
            ("Detached", Supported),
            ("EndsSystem", Supported),
            ("Archive", Supported),
        ],
    ),
    (
        "Archive",
        &[
            ("Operation", Supported),
            ("Path", Supported),
            ("FollowLink", Supported),
            ("KeepOwners", Supported),
            ("AnyArchive", Supported),
        ],
    ),
    (
        "ArchiveOperation",
        &[("Pack", Supported), ("Unpack", Supported)],
    ),
    (
        "ResourceLimit",
        &[
            ("Name", Supported),
            ("Soft", Supported),
            ("Hard", Supported),
        ],
    ),
    (
        "ProcessModifyRequest",
        &[
            ("Operation", Supported),
            ("ConsoleSize", Supported),
            ("CloseHandle", Supported),
        ],
    ),
    (
        "ModifyOperation",
        &[("ConsoleSize", Supported), ("CloseHandle", Supported)],
    ),
    (
        "ConsoleSize",
        &[("Height", Supported), ("Width", Supported)],
    ),
    ("CloseHandle", &[("Handle", Supported)]),
    (
        "StdHandle",
        &[
            ("StdIn", Supported),
            (
                "StdOut",
                WithoutEffect("the reading end is the caller's own; closing it closes the stream"),
            ),
            (
                "StdErr",
                WithoutEffect("the reading end is the caller's own; closing it closes the stream"),
            ),
            ("All", Supported),
        ],
    ),
    (
        "SignalProcessOptions",
        &[("Signal", Supported), ("Group", Supported)],
    ),
];

//! What the functions for layers make of their documents. They work in the caller's process, without a service.

use crate::coverage::{
    Coverage::{Refused, Supported, WithoutEffect},
    Entries, Table,
};

/// The effects of the properties of documents about layers.
pub static STORAGE: Table = Table {
    about: "a layer of a Linux container",
    entries: &[ENTRIES],
    resources: &[],
};

const ENTRIES: &[(&str, Entries)] = &[
    (
        "LayerData",
        &[
            ("SchemaVersion", Supported),
            ("Layers", Supported),
            ("FilterType", Supported),
        ],
    ),
    ("Version", &[("Major", Supported), ("Minor", Supported)]),
    (
        "FileSystemFilterType",
        &[
            ("UnionFS", Supported),
            (
                "WCIFS",
                WithoutEffect("overlayfs shows the tree, whichever filter is named"),
            ),
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
                WithoutEffect("the host's page cache serves every layer alike"),
            ),
        ],
    ),
    (
        "PathType",
        &[
            ("AbsolutePath", Supported),
            (
                "VirtualSmbShareName",
                Refused("shares of virtual SMB belong to virtual machines of Windows"),
            ),
        ],
    ),
    ("ExportLayerOptions", &[("IsWritableLayer", Supported)]),
    (
        "OsLayerOptions",
        &[
            ("Type", Supported),
            (
                "DisableCiCacheOptimization",
                WithoutEffect("Linux has no cache of checked signatures"),
            ),
            (
                "SkipUpdateBcdForBoot",
                WithoutEffect("a layer of Linux has no store of what is booted"),
            ),
        ],
    ),
    (
        "OsLayerType",
        &[
            ("Container", Supported),
            (
                "Vm",
                Refused(
                    "a layer of Linux boots nothing; a virtual machine has a kernel and a disk of its own",
                ),
            ),
        ],
    ),
];

//! Documents of version 1 of the schema, which belongs to the API before this one. They are recognised, so that the
//! refusal is one sentence with the way to write it now, and not a list of unknown properties.

use serde_json::Value;

/// A kind of document: its name in version 2, the properties that only version 1 has, and advice.
struct Former {
    shape: &'static str,
    /// Properties of version 2 that none of the former documents has.
    present: &'static [&'static str],
    former: &'static [&'static str],
    advice: &'static str,
}

const FORMER: &[Former] = &[
    Former {
        shape: "ComputeSystem",
        present: &["Container", "VirtualMachine", "HostedSystem"],
        former: &[
            "SystemType",
            "ContainerType",
            "LayerFolderPath",
            "VolumePath",
            "HvPartition",
            "HvRuntime",
            "IgnoreFlushesDuringBoot",
            "MappedDirectories",
            "MappedPipes",
            "Layers",
            "HostName",
            "EndpointList",
            "ProcessorCount",
            "ProcessorWeight",
            "ProcessorMaximum",
            "MemoryMaximumInMB",
            "StorageSandboxSize",
            "TerminateOnLastHandleClosed",
        ],
        advice: "version 2 is read here: {\"SchemaVersion\": {\"Major\": 2, \"Minor\": 1}, \"Container\": {\"Storage\": \
                 {\"Layers\": ...}, \"Memory\": ..., \"MappedDirectories\": ...}}",
    },
    Former {
        shape: "ModifySettingRequest",
        present: &["ResourcePath"],
        former: &["ResourceType"],
        advice: "version 2 is read here, which names the resource by its ResourcePath, for example \
                 \"Container/Memory/SizeInMB\"",
    },
];

/// Returns the property that shows that `value` is a document of version 1, the message about it, and advice.
pub(super) fn recognise(
    shape: &str,
    value: &Value,
) -> Option<(&'static str, String, &'static str)> {
    let kind = FORMER.iter().find(|kind| kind.shape == shape)?;
    let object = value.as_object()?;
    if kind.present.iter().any(|name| object.contains_key(*name)) {
        return None;
    }
    let property = kind
        .former
        .iter()
        .find(|name| object.contains_key(**name))?;
    let message = format!(
        "this is a document of version 1 of the schema (it has {property:?}), which belongs to the API before this one; {}",
        kind.advice
    );
    Some((property, message, kind.advice))
}

/// Returns the message about a property that only version 1 has, in a document that is otherwise the same in both.
pub(super) fn dropped(shape: &str, property: &str) -> Option<&'static str> {
    match (shape, property) {
        ("ProcessParameters", "CreateInUtilityVm") => Some(
            "it belongs to version 1 of the schema; a process always runs in the compute system that it is created in, so \
             leave it out",
        ),
        _ => None,
    }
}

//! What `HcsModifyComputeSystem` can change of a running container, by resource path.

use crate::{coverage::Coverage, documents::ModifyRequestType};

/// A resource of a container that a modify request may name.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// The request's `ResourcePath`.
    pub path: &'static str,
    /// What its `Settings` are: a document of the schema or a JSON type.
    pub settings: &'static str,
    /// What may be done to it.
    pub requests: &'static [ModifyRequestType],
    /// What such a request does here.
    pub coverage: Coverage,
}

const UPDATE: &[ModifyRequestType] = &[ModifyRequestType::Update];
const ADD_REMOVE: &[ModifyRequestType] = &[ModifyRequestType::Add, ModifyRequestType::Remove];
const NAMESPACE: Coverage = Coverage::Refused(
    "processes and sockets stay in the network namespace they were made in, so a running container cannot change its own; \
     make another container, or change what is in the namespace",
);

/// The resources of a container.
pub const RESOURCES: &[Resource] = &[
    Resource {
        path: "Container/Memory/SizeInMB",
        settings: "uint64",
        requests: UPDATE,
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/Processor",
        settings: "Container_Processor",
        requests: UPDATE,
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/MappedDirectories",
        settings: "MappedDirectory",
        requests: ADD_REMOVE,
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/MappedPipes",
        settings: "MappedPipe",
        requests: ADD_REMOVE,
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/Networking/Namespace",
        settings: "string",
        requests: UPDATE,
        coverage: NAMESPACE,
    },
];

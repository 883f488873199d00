//! What of a running container can be changed.

use crate::{
    coverage::{Coverage, Resource},
    documents::ModifyRequestType,
};

const UPDATE: &[ModifyRequestType] = &[ModifyRequestType::Update];
const ADD_REMOVE: &[ModifyRequestType] = &[ModifyRequestType::Add, ModifyRequestType::Remove];
const NAMESPACE: Coverage = Coverage::Refused(
    "processes and sockets stay in the network namespace they were made in, so a running container cannot change its own; \
     make another container, or change what is in the namespace",
);

pub(super) const RESOURCES: &[Resource] = &[
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
        path: "Container/Networking/NetworkAdapters",
        settings: "string",
        requests: ADD_REMOVE,
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/Networking/Endpoints",
        settings: "Any",
        requests: &[ModifyRequestType::Add],
        coverage: Coverage::Supported,
    },
    Resource {
        path: "Container/Networking/Namespace",
        settings: "string",
        requests: UPDATE,
        coverage: NAMESPACE,
    },
];

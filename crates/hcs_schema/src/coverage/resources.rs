//! The resources of a running container that `HcsModifyComputeSystem` can change, by resource path.

use crate::{Failure, HResult, coverage::Coverage, documents::ModifyRequestType, text::nearest};

/// A resource of a container that a modify request may name.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// The request's `ResourcePath`.
    pub path: &'static str,
    /// The type of its `Settings`: a document of the schema or a JSON type.
    pub settings: &'static str,
    /// The requests that it allows.
    pub requests: &'static [ModifyRequestType],
    /// The effect of such a request here.
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

/// Returns the reason why the resource `path` of a running container cannot be modified: the reason in the table, or
/// the resource that was probably meant.
#[must_use]
pub fn refuse_resource(path: &str) -> Failure {
    let refused = RESOURCES.iter().find(|resource| resource.path == path);
    let supported = RESOURCES
        .iter()
        .filter(|resource| resource.coverage == Coverage::Supported);
    let names: Vec<&str> = supported.map(|resource| resource.path).collect();
    let because = match (
        refused.and_then(|resource| resource.coverage.reason()),
        nearest(path, &names),
    ) {
        (Some(reason), _) => format!(": {reason}"),
        (None, Some(name)) => format!("; did you mean {name:?}?"),
        (None, None) => format!("; expected one of {}", names.join(", ")),
    };
    let message = format!("{path:?} of a Linux container cannot be modified{because}");
    Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at("/ResourcePath", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_cannot_be_modified_is_refused_with_the_reason_or_a_hint() {
        for (path, end) in [
            (
                "Container/Memory/SizeInMb",
                "; did you mean \"Container/Memory/SizeInMB\"?",
            ),
            (
                "Container/Networking/Namespace",
                "or change what is in the namespace",
            ),
            (
                "Nonsense",
                ", Container/MappedDirectories, Container/MappedPipes",
            ),
        ] {
            let failure = refuse_resource(path);
            assert!(failure.message.ends_with(end), "{failure}");
            assert_eq!(failure.causes[0].pointer.as_deref(), Some("/ResourcePath"));
        }
    }
}

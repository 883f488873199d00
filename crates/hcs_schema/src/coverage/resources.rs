//! The resources of a running system that `HcsModifyComputeSystem` can change, by resource path.

use crate::{
    Failure, HResult,
    coverage::{Coverage, Table},
    documents::ModifyRequestType,
    text::nearest,
};

/// A resource of a system that a modify request may name.
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    /// The request's `ResourcePath`; `*` stands for any name.
    pub path: &'static str,
    /// The type of its `Settings`: a document of the schema or a JSON type.
    pub settings: &'static str,
    /// The requests that it allows.
    pub requests: &'static [ModifyRequestType],
    /// The effect of such a request here.
    pub coverage: Coverage,
}

impl Table {
    /// Returns the reason why the resource `path` of a running system cannot be modified: the reason in the table, or
    /// the resource that was probably meant.
    #[must_use]
    pub fn refuse_resource(&self, path: &str) -> Failure {
        let refused = self.resources.iter().find(|resource| resource.path == path);
        let supported = self
            .resources
            .iter()
            .filter(|resource| resource.coverage == Coverage::Supported);
        let names: Vec<&str> = supported.map(|resource| resource.path).collect();
        let because = match (
            refused.and_then(|resource| resource.coverage.reason()),
            nearest(path, &names),
        ) {
            (Some(reason), _) => format!(": {reason}"),
            (None, Some(name)) => format!("; did you mean {name:?}?"),
            (None, None) if names.is_empty() => String::new(),
            (None, None) => format!("; expected one of {}", names.join(", ")),
        };
        let message = format!("{path:?} of {} cannot be modified{because}", self.about);
        Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at("/ResourcePath", message)
    }
}

#[cfg(test)]
mod tests {
    use crate::coverage::CONTAINER;

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
            let failure = CONTAINER.refuse_resource(path);
            assert!(failure.message.ends_with(end), "{failure}");
            assert_eq!(failure.causes[0].pointer.as_deref(), Some("/ResourcePath"));
        }
    }
}

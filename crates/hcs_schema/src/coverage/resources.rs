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

impl Resource {
    /// Returns the names that stand in `path` for each `*`; `None` where it is the path of another resource.
    #[must_use]
    pub fn names_in<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let (mut found, mut names) = (path.split('/'), Vec::new());
        for expected in self.path.split('/') {
            let found = found.next()?;
            match expected {
                "*" => names.push(found),
                _ if expected != found => return None,
                _ => {}
            }
        }
        found.next().is_none().then_some(names)
    }
}

impl Table {
    /// Finds the resource `path` for a request of this kind, and the names in the path.
    ///
    /// # Errors
    /// `ERROR_NOT_SUPPORTED` by pointer: it cannot be modified, or not in this way.
    pub fn resource<'a>(
        &self,
        path: &'a str,
        kind: ModifyRequestType,
    ) -> Result<(&'static Resource, Vec<&'a str>), Failure> {
        let supported = self
            .resources
            .iter()
            .filter(|resource| resource.coverage == Coverage::Supported);
        let found = supported
            .filter_map(|resource| Some((resource, resource.names_in(path)?)))
            .next();
        let (resource, names) = found.ok_or_else(|| self.refuse_resource(path))?;
        if resource.requests.contains(&kind) {
            return Ok((resource, names));
        }
        let allowed: Vec<String> = resource
            .requests
            .iter()
            .map(|kind| format!("{:?}", kind.name()))
            .collect();
        let (kind, allowed) = (kind.name(), allowed.join(" and "));
        let message = format!("{kind:?} of {path} is not supported, only {allowed}");
        Err(Failure::new(HResult::NOT_SUPPORTED, message.clone()).cause_at("/RequestType", message))
    }

    /// Returns the reason why the resource `path` of a running system cannot be modified: the reason in the table, or
    /// the resource that was probably meant.
    #[must_use]
    pub fn refuse_resource(&self, path: &str) -> Failure {
        let mut refused = self.resources.iter();
        let refused = refused.find(|resource| resource.names_in(path).is_some());
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
    use crate::{
        coverage::{CONTAINER, VIRTUAL_MACHINE},
        documents::ModifyRequestType,
    };

    #[test]
    fn a_resource_is_found_by_its_path_with_the_names_in_it() {
        let path = "VirtualMachine/Devices/Scsi/0/Attachments/1";
        let (found, names) = VIRTUAL_MACHINE
            .resource(path, ModifyRequestType::Add)
            .unwrap();
        assert_eq!((found.settings, names), ("Attachment", vec!["0", "1"]));
        for other in ["VirtualMachine/Devices/Scsi/0", &format!("{path}/Path")] {
            let refused = VIRTUAL_MACHINE.resource(other, ModifyRequestType::Add);
            let refused = refused.unwrap_err();
            assert_eq!(refused.causes[0].pointer.as_deref(), Some("/ResourcePath"));
        }
        let refused = VIRTUAL_MACHINE.resource(path, ModifyRequestType::Update);
        assert_eq!(
            refused.unwrap_err().message,
            format!("\"Update\" of {path} is not supported, only \"Add\" and \"Remove\"")
        );
    }

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
                ", Container/Networking/NetworkAdapters, Container/Networking/Endpoints",
            ),
        ] {
            let failure = CONTAINER.refuse_resource(path);
            assert!(failure.message.ends_with(end), "{failure}");
            assert_eq!(failure.causes[0].pointer.as_deref(), Some("/ResourcePath"));
        }
    }
}

//! Rules for the rights and limits of processes.

use crate::{
    documents::{Container, ResourceLimit},
    fault::{Faults, Path, quote},
    privileges::{Capabilities, limits},
    rules::required,
};

/// Names of capabilities.
pub(crate) fn container(document: &Container, path: &Path<'_>, faults: &mut Faults) {
    capabilities(
        [
            ("AddCapabilities", document.add_capabilities.as_deref()),
            ("DropCapabilities", document.drop_capabilities.as_deref()),
        ],
        path,
        faults,
    );
}

/// Each name of these lists has to be one.
pub(super) fn capabilities(
    lists: [(&str, Option<&[String]>); 2],
    path: &Path<'_>,
    faults: &mut Faults,
) {
    for (property, names) in lists {
        let path = path.key(property);
        for (index, name) in names.unwrap_or_default().iter().enumerate() {
            if let Err(error) = Capabilities::named([name.as_str()]) {
                let likely = error.likely();
                let meant = likely
                    .map(|name| format!(", such as {name}"))
                    .unwrap_or_default();
                faults.rule(
                    &path.index(index),
                    format!("{} is not the name of a capability", quote(name)),
                    format!("ALL or one of {}{meant}", Capabilities::known_names()),
                );
            }
        }
    }
}

/// A limit that Linux has, and not more now than it can ever be.
pub(crate) fn resource_limit(document: &ResourceLimit, path: &Path<'_>, faults: &mut Faults) {
    required(document.name.as_deref(), "Name", path, faults);
    let name = document.name.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name.filter(|name| limits::number(name).is_none()) {
        faults.rule(
            &path.key("Name"),
            format!("{} is not the name of a limit", quote(name)),
            format!("one of {}", limits::known_names()),
        );
    }
    let soft = document.soft.unwrap_or(limits::UNLIMITED);
    if let Some(hard) = document.hard.filter(|hard| *hard < soft) {
        faults.rule(
            &path.key("Hard"),
            format!("{hard} is less than \"Soft\""),
            "a limit that is at least \"Soft\"",
        );
    }
}

//! Whether a container has a user namespace, and what cannot be had with one.

use hcs_schema::{Failure, HResult, documents::Container};

use super::preference;
use crate::{config::EngineConfig, privilege::Privilege};

/// Whether a container gets a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    No,
    Yes,
    /// Unless a file system turns out not to shift owners.
    Preferred,
}

impl Namespace {
    /// What a document asks of a service that runs as root, else what is configured. Looks at no file: those may
    /// decline a preference.
    pub(crate) fn asked(container: &Container, config: &EngineConfig) -> Self {
        let by_default = config.user_namespaces.by_default;
        match (container.user_namespace, container.prefer_user_namespace) {
            (Some(true), _) => Self::Yes,
            (Some(false), _) => Self::No,
            (None, _) if by_default => Self::Yes,
            (None, Some(true)) if preference::is_possible(container, config.user_namespaces) => {
                Self::Preferred
            }
            (None, _) => Self::No,
        }
    }

    /// Whether it is to be made with one.
    pub(crate) const fn is_made(self) -> bool {
        !matches!(self, Self::No)
    }
}

/// JSON pointer of the property.
const POINTER: &str = "/Container/UserNamespace";

/// Why an ordinary user's service enforces no limits.
const NO_LIMITS: &str = "the limit could not be enforced: this service runs as an ordinary user, who has no control groups of \
                         the host; leave the limit out, or use a service that runs as root";

/// What the document asks for, else what is configured. A service of an ordinary user makes no others.
///
/// # Errors
/// The document asks for something that cannot be had with it, or without it.
pub(crate) fn check(
    container: &Container,
    config: &EngineConfig,
    privilege: Privilege,
) -> Result<Namespace, Failure> {
    let has = match (container.user_namespace, privilege) {
        (Some(false), Privilege::User) => {
            let message = "a service that runs as an ordinary user makes containers with a user namespace only";
            return Err(refuse(POINTER, message));
        }
        (_, Privilege::User) => Namespace::Yes,
        (_, Privilege::Root) => match Namespace::asked(container, config) {
            Namespace::Preferred if !preference::files_allow(container) => Namespace::No,
            asked => asked,
        },
    };
    let networking = container.networking.as_ref();
    let network = networking.and_then(|network| network.namespace.as_deref());
    if has.is_made() && network.is_some_and(|name| !name.is_empty()) {
        let message = "a named network namespace belongs to the host's root, so a container with a user namespace could \
                       not use it as its own; leave one of both out";
        return Err(refuse("/Container/Networking/Namespace", message));
    }
    if privilege == Privilege::User {
        let memory = container.memory.as_ref();
        if memory.is_some_and(|memory| memory.size_in_mb.unwrap_or_default() > 0) {
            return Err(refuse(crate::cgroup::limits::MEMORY, NO_LIMITS));
        }
        if container.process_limit.is_some_and(|limit| limit > 0) {
            return Err(refuse(crate::cgroup::limits::PROCESSES, NO_LIMITS));
        }
        if container.processor.as_ref().is_some_and(|processor| {
            let asked = [
                processor.maximum,
                processor.weight,
                processor.count.map(i64::from),
            ];
            asked.iter().any(|value| value.unwrap_or_default() != 0)
        }) {
            return Err(refuse(crate::cgroup::limits::PROCESSOR, NO_LIMITS));
        }
    }
    Ok(has)
}

fn refuse(pointer: &str, message: &'static str) -> Failure {
    Failure::new(HResult::NOT_SUPPORTED, message).cause_at(pointer, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        container: &str,
        by_default: bool,
        privilege: Privilege,
    ) -> Result<Namespace, Failure> {
        let mut config = EngineConfig::default();
        config.user_namespaces.by_default = by_default;
        check(
            &serde_json::from_str(container).unwrap(),
            &config,
            privilege,
        )
    }

    #[test]
    fn the_document_decides_then_the_configuration() {
        let root =
            |container: &str, by_default| checked(container, by_default, Privilege::Root).unwrap();
        let user = |container| checked(container, false, Privilege::User).unwrap();
        assert_eq!(root("{}", false), Namespace::No);
        assert_eq!(root("{}", true), Namespace::Yes);
        assert_eq!(root(r#"{ "UserNamespace": true }"#, false), Namespace::Yes);
        assert_eq!(root(r#"{ "UserNamespace": false }"#, true), Namespace::No);
        assert_eq!(user("{}"), Namespace::Yes);
    }

    #[test]
    fn a_preference_is_for_where_nothing_is_said() {
        let root =
            |container: &str, by_default| checked(container, by_default, Privilege::Root).unwrap();
        // Nothing of the host decides here: the layer is not there.
        let with = |more: &str| {
            format!(
                r#"{{ "PreferUserNamespace": true, "Storage": {{ "Layers": [{{ "Path": "/-" }}] }}{more} }}"#
            )
        };
        assert_eq!(root(&with(""), false), Namespace::Preferred);
        assert_eq!(root(&with(""), true), Namespace::Yes);
        let said = |value: bool| with(&format!(r#", "UserNamespace": {value}"#));
        assert_eq!(root(&said(true), false), Namespace::Yes);
        assert_eq!(root(&said(false), false), Namespace::No);
        let network = with(r#", "Networking": { "Namespace": "blue" }"#);
        assert_eq!(root(&network, false), Namespace::No);
        let user = checked(&with(""), false, Privilege::User);
        assert_eq!(user.unwrap(), Namespace::Yes);
    }

    #[test]
    fn what_nothing_would_enforce_is_refused_where_it_stands() {
        let refused = [
            (r#"{ "UserNamespace": false }"#, "/Container/UserNamespace"),
            (
                r#"{ "Memory": { "SizeInMB": 64 } }"#,
                "/Container/Memory/SizeInMB",
            ),
            (
                r#"{ "Processor": { "Weight": 100 } }"#,
                "/Container/Processor",
            ),
            (r#"{ "ProcessLimit": 64 }"#, "/Container/ProcessLimit"),
            (
                r#"{ "Networking": { "Namespace": "blue" } }"#,
                "/Container/Networking/Namespace",
            ),
        ];
        for (container, pointer) in refused {
            let failure = checked(container, false, Privilege::User).unwrap_err();
            assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
            assert_eq!(failure.causes[0].pointer.as_deref(), Some(pointer));
        }
        checked(
            r#"{ "Memory": { "SizeInMB": 64 }, "UserNamespace": true }"#,
            false,
            Privilege::Root,
        )
        .unwrap();
        checked(
            r#"{ "Memory": { "SizeInMB": 0 }, "Processor": {} }"#,
            false,
            Privilege::User,
        )
        .unwrap();
    }
}

//! The rights of a process beyond those of its user: capabilities, new privileges by `execve`, limits.
//!
//! 1. [`Capabilities`], [`mod@limits`]: sets and numbers, and their names.
//! 2. [`Privileges`]: the rights that a container gives to its processes, from its document.
//! 3. [`Privileges::of_process`]: the rights of one process, from those and its own document.
//!
//! A container's document decides the capabilities that are possible in it at all ([`Privileges::possible`]): the usual
//! ones, and those that it adds by name. A process has these without those that the container drops, unless it adds or
//! drops some itself. It cannot add a capability that is not possible in its container.

mod capabilities;
pub mod limits;

use serde::{Deserialize, Serialize};

pub use capabilities::{Capabilities, UnknownCapability};
pub use limits::Limit;

use crate::{
    Failure, HResult,
    documents::{Container, ProcessParameters, ResourceLimit},
};

/// The rights that a container gives to its processes, or that one of them gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// The most that any process of the container can have.
    pub possible: Capabilities,
    /// The capabilities of root.
    pub root: Capabilities,
    /// The capabilities of another user: only those that were added by name.
    pub others: Capabilities,
    /// Whether no `execve` gives more than that: set-user-ID programs have no effect.
    pub no_new_privileges: bool,
    /// Limits that differ from the agent's.
    pub limits: Vec<Limit>,
}

impl Default for Privileges {
    /// The rights of a container whose document sets none.
    fn default() -> Self {
        Self {
            possible: Capabilities::USUAL,
            root: Capabilities::USUAL,
            others: Capabilities::NONE,
            no_new_privileges: true,
            limits: Vec::new(),
        }
    }
}

impl Privileges {
    /// Returns the rights that `container` gives to its processes.
    ///
    /// # Errors
    /// A name that is unknown. A document that was parsed has none.
    pub fn of_container(container: &Container) -> Result<Self, Failure> {
        let added = named(container.add_capabilities.as_deref())?;
        let dropped = named(container.drop_capabilities.as_deref())?;
        let possible = Capabilities::USUAL.union(added);
        Ok(Self {
            possible,
            // "All but" and "none but" are both expressed by drops and additions; a name wins over ALL.
            root: with(Capabilities::USUAL, added, dropped),
            others: with(Capabilities::NONE, added, dropped),
            no_new_privileges: container.no_new_privileges.unwrap_or(true),
            limits: limits(Vec::new(), container.resource_limits.as_deref())?,
        })
    }

    /// Returns the rights of the process that `document` describes.
    ///
    /// # Errors
    /// It asks for a capability that is not possible in the container.
    pub fn of_process(&self, document: &ProcessParameters) -> Result<Self, Failure> {
        let added = named(document.add_capabilities.as_deref())?;
        let dropped = named(document.drop_capabilities.as_deref())?;
        let missing = added.difference(self.possible);
        if !missing.is_empty() && added != Capabilities::ALL {
            return Err(impossible(missing, self.possible));
        }
        let added = added.intersection(self.possible);
        Ok(Self {
            possible: self.possible,
            root: with(self.root, added, dropped),
            others: with(self.others, added, dropped),
            no_new_privileges: document.no_new_privileges.unwrap_or(self.no_new_privileges),
            limits: limits(self.limits.clone(), document.resource_limits.as_deref())?,
        })
    }
}

/// `usual` without `dropped` and with `added`; of a capability that is in both, the one that names it rather than all
/// counts, and dropping if both or neither do.
fn with(usual: Capabilities, added: Capabilities, dropped: Capabilities) -> Capabilities {
    if dropped == Capabilities::ALL && added != Capabilities::ALL {
        return added;
    }
    usual.union(added).difference(dropped)
}

fn impossible(missing: Capabilities, possible: Capabilities) -> Failure {
    let message = format!(
        "the process cannot be given {missing}: its container was made without; a container that is made with \
         AddCapabilities (hcs create --cap-add, hcs run --cap-add) has more"
    );
    Failure::new(HResult::E_ACCESSDENIED, message)
        .cause_at(
            "/AddCapabilities",
            format!("{missing} is not possible in this container"),
        )
        .cause(format!("possible in it are {possible}"))
}

fn named(names: Option<&[String]>) -> Result<Capabilities, Failure> {
    let names = names.unwrap_or_default().iter().map(String::as_str);
    Capabilities::named(names)
        .map_err(|error| Failure::new(HResult::E_INVALIDARG, error.to_string()))
}

/// `all`, with those of `documents` in place of the ones they name.
fn limits(mut all: Vec<Limit>, documents: Option<&[ResourceLimit]>) -> Result<Vec<Limit>, Failure> {
    for document in documents.unwrap_or_default() {
        let name = document.name.as_deref().unwrap_or_default();
        let number = limits::number(name).ok_or_else(|| {
            let message = format!("{name:?} is not the name of a limit");
            Failure::new(HResult::E_INVALIDARG, message)
        })?;
        let soft = document.soft.unwrap_or(limits::UNLIMITED);
        let hard = document.hard.unwrap_or(soft);
        all.retain(|limit| limit.number != number);
        all.push(Limit { number, soft, hard });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(document: Value) -> Privileges {
        Privileges::of_container(&serde_json::from_value(document).unwrap()).unwrap()
    }

    fn process(of: &Privileges, mut document: Value) -> Result<Privileges, Failure> {
        document["CommandArgs"] = json!(["true"]);
        of.of_process(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn nothing_said_means_the_usual() {
        let usual = Privileges::default();
        assert_eq!(container(json!({})), usual);
        assert_eq!(process(&usual, json!({})), Ok(usual));
    }

    #[test]
    fn a_container_adds_and_drops() {
        let more = container(json!({ "AddCapabilities": ["CAP_NET_RAW"] }));
        let expected = Capabilities::USUAL.union(Capabilities::NET_RAW);
        assert_eq!((more.possible, more.root), (expected, expected));
        assert_eq!(more.others, Capabilities::NET_RAW);
        let none = container(json!({ "DropCapabilities": ["ALL"] }));
        assert_eq!(none.root, Capabilities::NONE);
        assert_eq!(none.possible, Capabilities::USUAL);
        let one = json!({ "DropCapabilities": ["all"], "AddCapabilities": ["CHOWN"] });
        assert_eq!(container(one).root, Capabilities::CHOWN);
        let all_but = json!({ "AddCapabilities": ["ALL"], "DropCapabilities": ["SYS_ADMIN"] });
        let expected = Capabilities::ALL.difference(Capabilities::SYS_ADMIN);
        assert_eq!(container(all_but).root, expected);
    }

    #[test]
    fn a_process_gets_what_is_possible_and_no_more() {
        let none = container(json!({ "DropCapabilities": ["ALL"] }));
        let one = process(&none, json!({ "AddCapabilities": ["KILL"] })).unwrap();
        assert_eq!(
            (one.root, one.others),
            (Capabilities::KILL, Capabilities::KILL)
        );
        let all = process(&none, json!({ "AddCapabilities": ["ALL"] })).unwrap();
        assert_eq!(all.root, Capabilities::USUAL);
        let failure = process(&none, json!({ "AddCapabilities": ["NET_RAW"] })).unwrap_err();
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED);
        assert!(failure.message.contains("CAP_NET_RAW"), "{failure}");
        let fewer = process(
            &container(json!({})),
            json!({ "DropCapabilities": ["ALL"] }),
        );
        assert_eq!(fewer.unwrap().root, Capabilities::NONE);
    }

    #[test]
    fn limits_of_a_process_take_the_place_of_its_containers() {
        let of = container(json!({ "ResourceLimits": [
            { "Name": "nofile", "Soft": 64, "Hard": 128 }, { "Name": "core", "Soft": 0 },
        ] }));
        let limit = |number, soft, hard| Limit { number, soft, hard };
        assert_eq!(of.limits, [limit(7, 64, 128), limit(4, 0, 0)]);
        let own = process(&of, json!({ "ResourceLimits": [{ "Name": "nofile" }] })).unwrap();
        let unlimited = limits::UNLIMITED;
        assert_eq!(own.limits, [limit(4, 0, 0), limit(7, unlimited, unlimited)]);
    }
}

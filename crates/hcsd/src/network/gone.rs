//! Calls on objects that are not there any more: those that deleted them, and those that had made or changed them
//! before. A client that comes back for one of them is told that it was done, also where another client deleted the
//! object since, or another object has its id now. Pure.

use std::collections::BTreeMap;

use hcn::{Guid, Object};
use serde::{Deserialize, Serialize};

use crate::record::call_names::CallNames;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gone {
    calls: CallNames,
    /// The object of each call, for the answer to its creation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    objects: BTreeMap<String, Guid>,
    /// Records that are about to be removed. A service that finds them was killed before it had done so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removing: Vec<String>,
}

impl Gone {
    /// What earlier services wrote down is not known.
    pub(super) fn unknown() -> Self {
        Self {
            calls: CallNames::unknown(),
            ..Self::default()
        }
    }

    /// Whether there is nothing to be written down.
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The same, while these records are removed.
    pub(super) fn while_removing(&self, removing: Vec<String>) -> Self {
        Self {
            removing,
            ..self.clone()
        }
    }

    /// The calls on `object`, which is gone.
    pub(super) fn absorb(&mut self, object: Object, calls: CallNames) {
        let (Object::Network(id)
        | Object::Endpoint(id)
        | Object::Namespace(id)
        | Object::LoadBalancer(id)) = object;
        for name in calls.names() {
            self.objects.entry(name.clone()).or_insert(id);
        }
        self.calls.absorb(calls);
        self.forget_objects();
    }

    /// Whether the call `name` was done.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.calls.contains(name)
    }

    /// [`CallNames::is_forgetful`].
    pub(super) fn is_forgetful(&self, name: &str) -> bool {
        self.calls.is_forgetful(name)
    }

    /// The object of the call `name`.
    pub(super) fn object(&self, name: &str) -> Option<Guid> {
        self.objects.get(name).copied()
    }

    /// No client asks for the call `name` any more.
    pub(super) fn release(&mut self, name: &str) {
        self.calls.release(name);
        self.objects.remove(name);
    }

    /// No client asks any more for what it asked an earlier service for. Answers whether the list had to say that such
    /// calls were forgotten.
    pub(super) fn release_earlier(&mut self) -> bool {
        let forgot = self.calls.release_earlier();
        self.forget_objects();
        forgot
    }

    /// Forgets the objects of calls that are forgotten.
    fn forget_objects(&mut self) {
        let calls = &self.calls;
        self.objects.retain(|name, _| calls.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_service_knows_the_calls_on_what_is_gone() {
        let id = Guid(7);
        let mut calls = CallNames::default();
        calls.add("7.a.1");
        calls.add("7.a.2");
        let mut gone = Gone::default();
        gone.absorb(Object::Network(id), calls);
        gone.release("7.a.2");
        let text = serde_json::to_string(&gone).unwrap();
        let mut next: Gone = serde_json::from_str(&text).unwrap();
        assert!(next.contains("7.a.1") && !next.contains("7.a.2"));
        assert_eq!(
            (next.object("7.a.1"), next.object("7.a.2")),
            (Some(id), None)
        );
        assert!(!next.is_forgetful("7.a.2") && Gone::unknown().is_forgetful("7.a.2"));
        assert!(!next.release_earlier());
        assert_eq!(next, Gone::default());
    }
}

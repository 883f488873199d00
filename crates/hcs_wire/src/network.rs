//! The calls of `ComputeNetwork.h`: networks, endpoints, namespaces and load balancers.
//!
//! An object is named by its id in each call, so the service keeps no handles for them: a client that closes one has
//! nothing to tell. Ids are GUIDs in any spelling, and come back in upper case without braces. Documents and queries
//! are passed on as the client gave them; "" stands for none.

use serde::{Deserialize, Serialize};

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// `HCN_NETWORK`.
    Network,
    /// `HCN_ENDPOINT`.
    Endpoint,
    /// `HCN_NAMESPACE`.
    Namespace,
    /// `HCN_LOADBALANCER`.
    LoadBalancer,
}

impl ObjectKind {
    /// The word for one of them, for sentences.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Endpoint => "endpoint",
            Self::Namespace => "namespace",
            Self::LoadBalancer => "load balancer",
        }
    }
}

/// What stands for the id of the network of containers for which none is named, where a network is opened.
///
/// The answer is its id, or "" where there is to be none. It is `HCN_E_NETWORK_NOT_FOUND` where the network is still to
/// be made. Where it could not be made before, or the one of its name is of another type, it is
/// `HCN_E_REQUEST_UNSUPPORTED` with the reason.
pub const DEFAULT_NETWORK: &str = "default";

/// The name of the network that [`DEFAULT_NETWORK`] stands for.
pub const NAT: &str = "nat";

/// A call about objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "function", rename_all = "snake_case")]
pub enum NetworkCall {
    /// `HcnEnumerateNetworks` and its like; answered with a JSON array of ids.
    Enumerate {
        /// Which objects.
        kind: ObjectKind,
        /// A `HostComputeQuery`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        query: String,
    },
    /// `HcnCreateNetwork` and its like; answered with [`Created`].
    Create {
        /// The kind of the object to create.
        kind: ObjectKind,
        /// Its id; "", or a GUID of zeros, leaves the choice to the document, and then to the service.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        id: String,
        /// For an endpoint, the id of its network.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        network: String,
        /// Its document.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        settings: String,
    },
    /// `HcnOpenNetwork` and its like: whether it is there. Answered with [`Created`].
    Open {
        /// Which objects.
        kind: ObjectKind,
        /// Its id.
        id: String,
    },
    /// `HcnModifyNetwork` and its like.
    Modify {
        /// Which objects.
        kind: ObjectKind,
        /// Its id.
        id: String,
        /// A request, such as `ModifyNetworkSettingRequest`.
        settings: String,
    },
    /// `HcnQueryNetworkProperties` and its like; answered with the object's document, of the version that the query
    /// has.
    Query {
        /// Which objects.
        kind: ObjectKind,
        /// Its id.
        id: String,
        /// A `HostComputeQuery`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        query: String,
    },
    /// `HcnQueryEndpointStats`; answered with the counters of an endpoint.
    Statistics {
        /// The id of the endpoint.
        id: String,
        /// A `HostComputeQuery`.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        query: String,
    },
    /// `HcnDeleteNetwork` and its like.
    Delete {
        /// Which objects.
        kind: ObjectKind,
        /// Its id.
        id: String,
        /// Ours: a network is only deleted while it has no endpoints.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        only_unused: bool,
    },
    /// `HcnRegisterServiceCallback`: what happened since a place; answered with [`NetworkNews`] when there is something
    /// to tell. A client asks again with the place of the answer, so one that does not read costs the service nothing.
    Watch {
        /// The service that the place is of; "" asks for a place to begin with, which is answered at once.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        life: String,
        /// The number of the first notification that is wanted.
        #[serde(default)]
        since: u64,
    },
}

impl NetworkCall {
    /// Whether it changes something.
    #[must_use]
    pub const fn has_effect(&self) -> bool {
        matches!(
            self,
            Self::Create { .. } | Self::Modify { .. } | Self::Delete { .. }
        )
    }
}

/// The object that a call made or found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
}

/// What happened to networks, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNews {
    /// The service that tells: another one counts anew.
    pub life: String,
    /// The place to go on from.
    pub next: u64,
    /// Something happened before these that is not told any more, or the place was another service's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missed: bool,
    /// What happened.
    pub notifications: Vec<NetworkNotification>,
}

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNotification {
    /// `HCN_NOTIFICATIONS`.
    pub kind: u32,
    /// The document that goes with it.
    pub data: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::service::Call;

    #[test]
    fn what_changes_something_has_an_effect() {
        let (kind, id) = (ObjectKind::Network, String::new);
        let (query, settings) = (String::new, String::new);
        let calls = [
            (
                NetworkCall::Enumerate {
                    kind,
                    query: query(),
                },
                false,
            ),
            (NetworkCall::Open { kind, id: id() }, false),
            (
                NetworkCall::Query {
                    kind,
                    id: id(),
                    query: query(),
                },
                false,
            ),
            (
                NetworkCall::Create {
                    kind,
                    id: id(),
                    network: id(),
                    settings: settings(),
                },
                true,
            ),
            (
                NetworkCall::Modify {
                    kind,
                    id: id(),
                    settings: settings(),
                },
                true,
            ),
            (
                NetworkCall::Delete {
                    kind,
                    id: id(),
                    only_unused: false,
                },
                true,
            ),
            (
                NetworkCall::Watch {
                    life: id(),
                    since: 0,
                },
                false,
            ),
        ];
        for (call, effect) in calls {
            assert_eq!(call.has_effect(), effect, "{call:?}");
        }
        let nouns = [
            ObjectKind::Network,
            ObjectKind::Endpoint,
            ObjectKind::Namespace,
        ];
        assert_eq!(
            nouns.map(ObjectKind::noun),
            ["network", "endpoint", "namespace"]
        );
    }

    #[test]
    fn calls_are_read_as_they_are_written() {
        let settings = String::from("{}");
        let (kind, id) = (ObjectKind::Endpoint, String::from("A"));
        let create = NetworkCall::Create {
            kind,
            id: String::new(),
            network: id.clone(),
            settings: settings.clone(),
        };
        let call = Call::Network(create);
        let written = serde_json::to_value(&call).unwrap();
        let expected = json!({
            "call": "network", "function": "create", "kind": "endpoint", "network": "A", "settings": "{}",
        });
        assert_eq!(written, expected);
        let (query, document) = (settings.clone(), settings);
        let all = [
            call,
            Call::Network(NetworkCall::Enumerate {
                kind,
                query: query.clone(),
            }),
            Call::Network(NetworkCall::Open {
                kind,
                id: id.clone(),
            }),
            Call::Network(NetworkCall::Modify {
                kind,
                id: id.clone(),
                settings: document,
            }),
            Call::Network(NetworkCall::Query {
                kind,
                id: id.clone(),
                query: query.clone(),
            }),
            Call::Network(NetworkCall::Statistics {
                id: id.clone(),
                query,
            }),
            Call::Network(NetworkCall::Watch {
                life: id.clone(),
                since: 7,
            }),
            Call::Network(NetworkCall::Delete {
                kind,
                id,
                only_unused: true,
            }),
        ];
        for call in all {
            let text = serde_json::to_string(&call).unwrap();
            assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), call, "{text}");
        }
    }
}

//! The common beginning of every request and every response.

use hcs_schema::{Failure, HResult};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    ExecuteProcess, FetchStdio, GetProperties, ModifySettings, NULL_ID, NegotiateProtocol,
    ReadOutput, RecallCall, Renew, ResizeConsole, ShutDown, SignalProcess, UpdateNames,
    WaitForProcess,
};

/// Our agent's name in [`ErrorRecord`]s.
const MODULE: &str = "hcs-agent";
/// The longest sentence of an error, in bytes.
const MAX_SENTENCE: usize = 8 << 10;
/// The most causes of an error.
const MAX_CAUSES: usize = 16;

/// Returns `text`, cut to the greatest length of an error, at the end of a character.
fn bounded(text: &str) -> String {
    let mut ends = (0..=text.len().min(MAX_SENTENCE)).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or_default()].to_owned()
}

/// The part of a guest that a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GuestTarget {
    /// The system that the agent belongs to: a container that it is the first process of, or a virtual machine.
    #[default]
    System,
    /// A container that the agent hosts in that system, by its GUID. Our agent hosts none, and refuses these requests.
    Container(String),
}

impl GuestTarget {
    /// Reads the `ContainerId` of a request. An absent id is the system, too.
    #[must_use]
    pub fn of(container_id: &str) -> Self {
        match container_id {
            "" | NULL_ID => Self::System,
            id => Self::Container(id.to_owned()),
        }
    }

    /// The `ContainerId` of requests about it.
    #[must_use]
    pub fn container_id(&self) -> &str {
        match self {
            Self::System => NULL_ID,
            Self::Container(id) => id,
        }
    }
}

/// The common beginning of every request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestBase {
    /// Which container: a [`GuestTarget`] as text.
    #[serde(default)]
    pub container_id: String,
    /// GUID of the operation this belongs to; echoed in the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activity_id: String,
}

impl RequestBase {
    /// The beginning of a request about `target`, for an operation with this activity.
    #[must_use]
    pub fn about(target: &GuestTarget, activity_id: String) -> Self {
        Self {
            container_id: target.container_id().to_owned(),
            activity_id,
        }
    }

    /// What the request is about.
    #[must_use]
    pub fn target(&self) -> GuestTarget {
        GuestTarget::of(&self.container_id)
    }
}

/// A message from host to guest.
pub trait AgentRequest: DeserializeOwned {
    /// The common beginning of the message.
    fn base(&self) -> &RequestBase;
}

impl AgentRequest for RequestBase {
    fn base(&self) -> &RequestBase {
        self
    }
}

macro_rules! requests {
    ($($name:ident),*) => {
        $(impl AgentRequest for $name {
            fn base(&self) -> &RequestBase {
                &self.base
            }
        })*
    };
}

requests!(
    NegotiateProtocol,
    ExecuteProcess,
    FetchStdio,
    WaitForProcess,
    SignalProcess,
    ResizeConsole,
    GetProperties,
    ModifySettings,
    RecallCall,
    ReadOutput,
    Renew,
    ShutDown,
    UpdateNames
);

/// The common beginning of every response.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResponseBase {
    /// HRESULT of the request.
    pub result: i32,
    /// Echo of the request's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activity_id: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_message: String,
    /// Why it failed, in parts: the message first, then its causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_records: Vec<ErrorRecord>,
}

impl ResponseBase {
    /// The response to a request of `activity_id` that failed: the message, then each cause as a record.
    #[must_use]
    pub fn failed(activity_id: String, failure: &Failure) -> Self {
        let record = |message: &str| ErrorRecord {
            result: failure.hresult.0,
            message: bounded(message),
            module_name: MODULE.to_owned(),
        };
        let mut error_records = vec![record(&failure.message)];
        let causes = failure.causes.iter().take(MAX_CAUSES);
        error_records.extend(causes.map(|cause| record(&cause.message)));
        Self {
            result: failure.hresult.0,
            activity_id,
            error_message: bounded(&failure.message),
            error_records,
        }
    }

    /// Why the request failed, as the agent says it; `None` when it did not fail.
    #[must_use]
    pub fn to_failure(&self) -> Option<Failure> {
        if self.hresult().is_success() {
            return None;
        }
        let mut failure = Failure::new(self.hresult(), bounded(&self.error_message));
        for record in self.error_records.iter().take(MAX_CAUSES + 1) {
            if record.message != self.error_message && !record.message.is_empty() {
                failure = failure.cause(bounded(&record.message));
            }
        }
        Some(failure)
    }

    /// The code as an [`HResult`].
    #[must_use]
    pub const fn hresult(&self) -> HResult {
        HResult(self.result)
    }
}

/// One part of an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ErrorRecord {
    /// HRESULT.
    #[serde(default)]
    pub result: i32,
    /// Sentence.
    #[serde(default)]
    pub message: String,
    /// The agent's name, "gcs" for Microsoft's.
    #[serde(default)]
    pub module_name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_crosses_the_bridge() {
        let failure = Failure::new(HResult::FILE_NOT_FOUND, "cannot run \"foo\"").cause("why");
        let response = ResponseBase::failed("activity".to_owned(), &failure);
        assert_eq!(response.to_failure(), Some(failure));
        assert_eq!(ResponseBase::default().to_failure(), None);
    }

    #[test]
    fn a_request_is_about_the_system_or_a_container_in_it() {
        let container = GuestTarget::Container("11111111-0000-0000-0000-000000000000".to_owned());
        for target in [GuestTarget::System, container] {
            assert_eq!(RequestBase::about(&target, String::new()).target(), target);
        }
        assert_eq!(RequestBase::default().target(), GuestTarget::System);
    }

    #[test]
    fn a_request_without_more_is_its_own_beginning() {
        let base = RequestBase::about(&GuestTarget::System, "activity".to_owned());
        assert_eq!(base.base(), &base);
    }

    #[test]
    fn causes_are_bounded_and_none_is_told_twice() {
        let with = |count: usize| {
            let failure = Failure::new(HResult::E_FAIL, "failed");
            (0..count).fold(failure, |failure, n| failure.cause(format!("cause {n}")))
        };
        let response = |failure| ResponseBase::failed(String::new(), &failure);
        assert_eq!(response(with(16)).to_failure(), Some(with(16)));
        assert_eq!(response(with(20)).to_failure(), Some(with(16)));
        let record = |message: &str| ErrorRecord {
            message: message.to_owned(),
            ..ErrorRecord::default()
        };
        // An agent may send as many as it likes.
        let mut flooded = response(with(0));
        flooded.error_records = (0..20).map(|n| record(&format!("cause {n}"))).collect();
        assert_eq!(flooded.to_failure(), Some(with(17)));
        let mut repeated = response(with(1));
        repeated
            .error_records
            .extend([record("failed"), record("")]);
        assert_eq!(repeated.to_failure(), Some(with(1)));
    }

    #[test]
    fn sentences_are_bounded_at_a_character() {
        assert_eq!(MAX_SENTENCE, 8192);
        let failure = Failure::new(HResult::E_FAIL, "x".to_owned() + &"\u{e4}".repeat(100_000));
        let response = ResponseBase::failed(String::new(), &failure);
        assert_eq!(response.error_message.len(), MAX_SENTENCE - 1);
    }
}

//! [`Failure`]: the one error that crosses every room, an HRESULT with a message that names the thing and its causes.
//!
//! A failure becomes a `ResultError` document at the edge ([`Failure::to_document`]) and is read back from one by the
//! client ([`Failure::from_document`]). The first `ErrorEvents` entry of the document is the summary, the later ones
//! are the causes, nearest first (`design.md`, decision 20).

use std::{error::Error, fmt};

use serde_json::{Value, json};

use crate::HResult;

/// Provider GUID under which HCS itself reports (`Microsoft-Windows-Hyper-V-Compute`).
pub const PROVIDER: &str = "17103e3f-3c6e-4677-bb17-3b267eb5be57";

/// How the operation is told from other data of the summary.
const OPERATION: &str = "operation ";

/// One cause of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The full sentence, without a full stop.
    pub message: String,
    /// JSON pointer into the document at fault (RFC 6901), where a document is at fault.
    pub pointer: Option<String>,
    /// Further facts (value found, what was expected, a path, an errno), in the order to be shown.
    pub data: Vec<String>,
}

/// Why a call failed. Never without a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The code the call returns.
    pub hresult: HResult,
    /// One sentence that names the thing, the value and what was expected.
    pub message: String,
    /// The causes, nearest first.
    pub causes: Vec<Cause>,
    /// The schema's `Attribution` records, as JSON, where they apply.
    pub attribution: Vec<Value>,
    /// The operation that failed, as the service's logs and `hcs explain` name it, where one is known.
    pub operation: Option<String>,
}

impl Failure {
    /// A failure with `message`; an empty message is replaced by the meaning of `hresult`.
    #[must_use]
    pub fn new(hresult: HResult, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.is_empty() {
            message = hresult.message();
        }
        Self {
            hresult,
            message,
            causes: Vec::new(),
            attribution: Vec::new(),
            operation: None,
        }
    }

    /// Adds a cause in words.
    #[must_use]
    pub fn cause(mut self, message: impl Into<String>) -> Self {
        self.causes.push(Cause {
            message: message.into(),
            ..Cause::default()
        });
        self
    }

    /// Adds a cause that points into a document.
    #[must_use]
    pub fn cause_at(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.causes.push(Cause {
            message: message.into(),
            pointer: Some(pointer.into()),
            data: Vec::new(),
        });
        self
    }

    /// Adds `error` and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.cause(error.to_string());
            next = error.source();
        }
        self
    }

    /// Says at which step of HCS's work this failed (`Attribution[].OperationFailure.Detail` of schema 2.5).
    #[must_use]
    pub fn while_doing(mut self, detail: &str) -> Self {
        let step = json!({ "OperationFailure": { "Detail": detail } });
        if self.attribution.last() != Some(&step) {
            self.attribution.push(step);
        }
        self
    }

    /// The `ResultError` document.
    #[must_use]
    pub fn to_document(&self) -> String {
        let event = |message: &str, pointer: Option<&str>, data: &[String]| {
            let mut strings: Vec<&str> = Vec::new();
            strings.extend(pointer);
            strings.extend(data.iter().map(String::as_str));
            let data: Vec<Value> = strings
                .iter()
                .map(|s| json!({ "Type": "String", "Value": s }))
                .collect();
            let mut event = json!({ "Message": message, "Provider": PROVIDER, "EventId": 11000 });
            if let (Some(pointer), Some(object)) = (pointer, event.as_object_mut()) {
                object.insert("Source".to_owned(), json!(pointer));
            }
            if let (false, Some(object)) = (data.is_empty(), event.as_object_mut()) {
                object.insert("Data".to_owned(), Value::Array(data));
            }
            event
        };
        let operation = self.operation.iter().map(|id| format!("{OPERATION}{id}"));
        let operation: Vec<String> = operation.collect();
        let mut events = vec![event(&self.message, None, &operation)];
        events.extend(
            self.causes
                .iter()
                .map(|c| event(&c.message, c.pointer.as_deref(), &c.data)),
        );
        let mut document =
            json!({ "Error": self.hresult, "ErrorMessage": self.message, "ErrorEvents": events });
        if let (false, Some(object)) = (self.attribution.is_empty(), document.as_object_mut()) {
            object.insert(
                "Attribution".to_owned(),
                Value::Array(self.attribution.clone()),
            );
        }
        document.to_string()
    }

    /// Reads a `ResultError` document back; `hresult` is what the call returned and wins over the document's `Error`.
    #[must_use]
    pub fn from_document(hresult: HResult, document: &str) -> Self {
        let value: Value = serde_json::from_str(document).unwrap_or_default();
        let mut failure = Self::new(hresult, value["ErrorMessage"].as_str().unwrap_or_default());
        for event in value["ErrorEvents"]
            .as_array()
            .into_iter()
            .flatten()
            .skip(1)
        {
            let pointer = event["Source"].as_str().map(str::to_owned);
            let strings = event["Data"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|d| d["Value"].as_str());
            // Data begin with the pointer, as `to_document` writes them; other services' may not.
            let own =
                usize::from(pointer.is_some() && strings.clone().next() == pointer.as_deref());
            let data = strings.skip(own).map(str::to_owned).collect();
            let message = event["Message"].as_str().unwrap_or_default().to_owned();
            failure.causes.push(Cause {
                message,
                pointer,
                data,
            });
        }
        failure.operation = value["ErrorEvents"][0]["Data"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|data| data["Value"].as_str()?.strip_prefix(OPERATION))
            .map(str::to_owned);
        failure.attribution = value["Attribution"].as_array().cloned().unwrap_or_default();
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_document() {
        let failure = Failure::new(HResult::HCS_E_INVALID_JSON, "the document is invalid")
            .cause_at("/Container/Memory/SizeInMB", "\"12\" is not a number")
            .cause("second")
            .cause_at("", "third")
            .while_doing("Construct");
        let mut failure = failure;
        failure.operation = Some("4711-17".to_owned());
        failure.causes[0].data = vec!["/Container/Memory/SizeInMB".to_owned(), String::new()];
        let back = Failure::from_document(failure.hresult, &failure.to_document());
        assert_eq!(back, failure);
    }

    #[test]
    fn a_message_is_never_empty() {
        assert!(!Failure::new(HResult::E_FAIL, "").message.is_empty());
        assert!(
            !Failure::from_document(HResult(-5), "nonsense")
                .message
                .is_empty()
        );
    }
}

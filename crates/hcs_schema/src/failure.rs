//! [`Failure`]: the one error that crosses every room, an HRESULT with a message that names the thing and its causes.
//!
//! A failure becomes a `ResultError` document at the edge ([`Failure::to_document`]) and is read back from one by the
//! client ([`Failure::from_document`]). The caller gets all of it. Logs, events and other users get the part that
//! [`Failure::recorded`] keeps, which has no text of a client. The first `ErrorEvents` entry of the document is the
//! summary, the later ones are the causes, nearest first (`design.md`, decision 20).

use std::{borrow::Cow, error::Error, fmt, io};

use serde_json::{Value, json};

use crate::{
    HResult,
    record::{self, Record},
};

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
    /// Further facts (value found, value expected, a path, an errno), in the order to be shown.
    pub data: Vec<String>,
    /// The part of the message that may be recorded.
    pub record: Record,
}

/// Why a call failed. Never without a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The code the call returns.
    pub hresult: HResult,
    /// One sentence that names the thing, the value and the expectation.
    pub message: String,
    /// The causes, nearest first.
    pub causes: Vec<Cause>,
    /// The schema's `Attribution` records, as JSON, where they apply.
    pub attribution: Vec<Value>,
    /// The operation that failed, as the service's logs and `hcs explain` name it, where one is known.
    pub operation: Option<String>,
    /// The part of the message that may be recorded.
    pub record: Record,
}

impl Failure {
    /// A failure with `message`; an empty message is replaced by the meaning of `hresult`. A message that was built at
    /// run time is for the caller only, unless [`Failure::on_record`] gives a text that may be recorded.
    #[must_use]
    pub fn new(hresult: HResult, message: impl Into<Cow<'static, str>>) -> Self {
        let (mut message, record) = taken(message.into());
        if message.is_empty() {
            message = hresult.message();
        }
        Self {
            hresult,
            message,
            record,
            causes: Vec::new(),
            attribution: Vec::new(),
            operation: None,
        }
    }

    /// Sets the text that may be recorded in place of the message: a sentence without any text of a client.
    #[must_use]
    pub fn on_record(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.record = Record::of(text);
        self
    }

    /// Adds a cause in words. As for [`Failure::new`], only a text of the program's own is written down.
    #[must_use]
    pub fn cause(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let (message, record) = taken(message.into());
        self.causes.push(Cause {
            message,
            record,
            ..Cause::default()
        });
        self
    }

    /// Adds a cause that points into a document.
    #[must_use]
    pub fn cause_at(
        self,
        pointer: impl Into<String>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut failure = self.cause(message);
        if let Some(cause) = failure.causes.last_mut() {
            cause.pointer = Some(pointer.into());
        }
        failure
    }

    /// Adds `error` and all its sources as causes. Only the texts of the system may be recorded of those.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.cause(error.to_string());
            if let Some(cause) = self.causes.last_mut()
                && let Some(error) = error.downcast_ref::<io::Error>()
            {
                cause.record = Record::of(said(error));
            }
            next = error.source();
        }
        self
    }

    /// Returns the part that may be recorded for readers other than the caller. It has the code, the program's own
    /// texts, and the pointers as far as they name properties of the schema. The only part from a client is the name of
    /// the operation, which is a number.
    #[must_use]
    pub fn recorded(&self) -> Self {
        let text = |record: &Record| record.text().map(str::to_owned);
        let cause = |cause: &Cause| {
            let pointer = cause.pointer.as_deref().map(record::pointer);
            let message = text(&cause.record).unwrap_or_default();
            (pointer.is_some() || !message.is_empty()).then(|| Cause {
                record: cause.record.clone(),
                message,
                pointer,
                ..Cause::default()
            })
        };
        Self {
            message: text(&self.record).unwrap_or_else(|| self.hresult.message()),
            causes: self.causes.iter().filter_map(cause).collect(),
            ..self.clone()
        }
    }

    /// [`Failure::recorded`] in one line, for a log.
    #[must_use]
    pub fn log_line(&self) -> String {
        let recorded = self.recorded();
        let mut line = recorded.message;
        for cause in recorded.causes {
            let pointer = cause.pointer.unwrap_or_default();
            let parts = [pointer, cause.message];
            let parts = parts.iter().filter(|part| !part.is_empty());
            for (number, part) in parts.enumerate() {
                line.push_str(if number == 0 { "; " } else { ": " });
                line.push_str(part);
            }
        }
        line
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

    /// Reads a `ResultError` document back; `hresult` is the code of the call and wins over the document's `Error`.
    #[must_use]
    pub fn from_document(hresult: HResult, document: &str) -> Self {
        let value: Value = serde_json::from_str(document).unwrap_or_default();
        let message = value["ErrorMessage"].as_str().unwrap_or_default();
        let mut failure = Self::new(hresult, message.to_owned());
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
                ..Cause::default()
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

/// Returns the message and its record: the whole message, if it is one of the program's own texts.
fn taken(message: Cow<'static, str>) -> (String, Record) {
    let record = match &message {
        Cow::Borrowed(text) => Record::of(*text),
        Cow::Owned(_) => Record::default(),
    };
    (message.into_owned(), record)
}

/// Returns the text of the system, without additions of a library.
fn said(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number).to_string(),
        None => error.kind().to_string(),
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
    fn nothing_that_was_put_together_from_a_clients_words_is_recorded() {
        let canary = "CANARY";
        let error = io::Error::from_raw_os_error(2);
        let failure = Failure::new(HResult::E_INVALIDARG, format!("{canary} is wrong"))
            .cause("a reason of ours")
            .cause(format!("because of {canary}"))
            .cause_at(format!("/Container/{canary}/0"), format!("{canary}?"))
            .because(&error)
            .because(&io::Error::other(canary))
            .while_doing("Construct");
        let recorded = failure.recorded();
        assert!(!recorded.to_document().contains(canary), "{recorded:?}");
        let expected = format!(
            "{}; a reason of ours; /Container/*/0; {error}; other error",
            HResult::E_INVALIDARG.message()
        );
        assert_eq!(failure.log_line(), expected);
        let said = failure.on_record("an argument is wrong");
        assert!(said.log_line().starts_with("an argument is wrong; "));
        assert_eq!(said.recorded().recorded(), said.recorded());
        let plain = Failure::new(HResult::E_FAIL, "it broke");
        assert_eq!(plain.recorded(), plain);
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

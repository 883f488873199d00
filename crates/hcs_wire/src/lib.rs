//! Framing and messages between the parts of the service.
//!
//! 1. [`service`]: library and program to `hcsd`. The peer is another program of the same user or root; it is bounded
//!    and validated, but it may ask for anything that its user may have.
//! 2. [`guest`]: `hcsd` to the agent inside a compute system: the guest bridge of HCS. The agent's side is UNTRUSTED.
//! 3. [`log`]: the service's event log as its readers see it.
//!    [`network`]: calls about networks.
//!    [`output`]: the kept output of a detached process, as the agent writes it into the pipe of a reader.
//! 4. [`operation`], [`explain`]: one name for an operation in all parts, and the report on it.
//! 5. [`socket`]: bytes together with file descriptors over a unix stream socket.
//! 6. [`endpoint`]: where both sides look for the socket.
//! 7. [`environment`], [`trust`], [`peer`], [`proof`]: which variables, files, directories, listeners and callers are
//!    trusted for that.
//!    [`places`]: which directories are those of a service. [`holds`]: locks that no other user can hold.
//!    [`written`]: directories of the host whose links are not, as containers write to them.
//! 8. [`sealing`]: seals of memory files, for all parts that execute or show copies.
//! 9. [`errno`]: HRESULTs and words for errors of the kernel. [`event_type`]: the numbers of events.
//! 10. [`access`]: which virtual machine may use a file, in the file's access control list.
//! 11. [`subordinate`]: ids that a user was granted. 12. `sys`: the only unsafe code.
//!
//! The two protocols share their framing (`frame`), nothing else: their types are apart on purpose.

pub mod access;
pub mod endpoint;
pub mod environment;
pub mod errno;
pub mod event_type;
pub mod explain;
mod frame;
pub mod guest;
pub mod holds;
pub mod log;
pub mod network;
pub mod operation;
pub mod output;
pub mod peer;
pub mod places;
pub mod proof;
pub mod sealing;
pub mod service;
pub mod socket;
pub mod subordinate;
mod sys;
pub mod trust;
pub mod written;

use hcs_schema::{Failure, HResult};

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// The header's size field is smaller than a header or larger than the protocol's limit.
    #[error("a message of {size} bytes was announced; {minimum} to {maximum} are allowed")]
    Size {
        /// Size found in the header.
        size: u32,
        /// Smallest allowed size, the header itself.
        minimum: u32,
        /// Largest allowed size.
        maximum: u32,
    },
    /// The kind of message is not one this protocol has.
    #[error("a message of unknown kind {kind:#010x} was received")]
    Kind {
        /// Kind found in the header.
        kind: u32,
    },
    /// The body is not the JSON that its kind has.
    #[error("the body of a {kind} message is not valid: {reason}")]
    Body {
        /// Name of the message.
        kind: &'static str,
        /// The error that serde reports.
        reason: String,
    },
    /// A message was announced with more descriptors than came.
    #[error("a message announced {announced} descriptors and came with {received}")]
    Descriptors {
        /// Number found in the header.
        announced: usize,
        /// Number that arrived.
        received: usize,
    },
}

impl WireError {
    /// The message without any text of the peer: serde's error about a body quotes the body.
    #[must_use]
    pub fn recorded(&self) -> String {
        match self {
            Self::Body { kind, .. } => format!("the body of a {kind} message is not valid"),
            other => other.to_string(),
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let recorded = error.recorded();
        Self::new(HResult::HCS_E_PROTOCOL_ERROR, error.to_string()).on_record(recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_no_text_of_the_peer() {
        let body = WireError::Body {
            kind: "Request",
            reason: "unknown variant `secret`".to_owned(),
        };
        assert!(body.to_string().contains("secret"));
        let recorded = "the body of a Request message is not valid";
        assert_eq!(body.recorded(), recorded);
        assert_eq!(Failure::from(body).recorded().message, recorded);

        let other = WireError::Descriptors {
            announced: 2,
            received: 1,
        };
        assert_eq!(other.recorded(), other.to_string());
    }
}

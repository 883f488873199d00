//! What a call ends with.

use std::os::fd::OwnedFd;

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    errno,
    service::{Kind, Reply, encode},
};
use rustix::io::Errno;
use serde::Serialize;

use crate::record::blocking::blocking;

/// The failure of a call whose answer carries more than can be sent to the client now.
pub(super) fn unsent() -> Failure {
    let message = "the pipes of the process cannot be sent to the client";
    errno::failed(message, Errno::TOOMANYREFS)
}

/// What a call ends with: the reply and the descriptors that go along.
#[derive(Debug)]
pub(crate) struct CallAnswer {
    pub(crate) reply: Reply,
    /// The whole message, where it was written aside.
    pub(super) bytes: Option<Vec<u8>>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl CallAnswer {
    /// Success, with a document where the call has one.
    pub(crate) fn document(document: Option<String>) -> Self {
        Self {
            reply: Reply {
                document,
                ..Reply::done()
            },
            bytes: None,
            descriptors: Vec::new(),
        }
    }

    /// Success of the call `request` with a document that may be long: it is written aside.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn encoded<T: Serialize + Send + 'static>(
        request: u64,
        document: T,
    ) -> Result<Self, Failure> {
        let bytes = blocking(move || {
            let failed = |e: &(dyn std::error::Error + 'static)| {
                Failure::new(HResult::E_UNEXPECTED, "an answer could not be written").because(e)
            };
            let text = serde_json::to_string(&document).map_err(|e| failed(&e))?;
            let reply = Self::document(Some(text)).reply;
            encode(Kind::Reply, request, 0, &reply).map_err(|e| failed(&e))
        });
        Ok(Self {
            bytes: Some(bytes.await?),
            ..Self::done()
        })
    }

    /// Plain success.
    pub(crate) fn done() -> Self {
        Self::document(None)
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        Self {
            reply: Reply {
                result: failure.hresult,
                document: Some(failure.to_document()),
                ..Reply::done()
            },
            bytes: None,
            descriptors: Vec::new(),
        }
    }
}

//! What all calls have in common: from the check of their shape to the end of their operation.

use std::{os::fd::OwnedFd, sync::Arc, time::Duration};

use hcs_lifecycle::operation::CallNumber;
use hcs_schema::{Failure, HResult, parse::MAX_BYTES};
use hcs_wire::service::{Call, Reply};

use super::{
    Document, Error, Operation, OperationKind, Process, System,
    operation::{About, Started, Success},
};
use crate::{
    client::Client,
    endpoint::Endpoint,
    link::{Answer, Link, request_bytes},
    stdio::{Slot, Streams},
};

/// How long a function without an operation waits for the service.
const LIMIT: Duration = Duration::from_secs(240);

/// A call that is about to be made.
pub(super) struct Request {
    kind: OperationKind,
    endpoint: Endpoint,
    call: Call,
    about: About,
    /// A successful call ends the standard input of the process it is made on.
    ends_stdin: bool,
    /// The call will not be made, for this reason.
    refused: Option<Failure>,
}

impl Request {
    /// A call on no handle.
    pub(super) fn on_service(endpoint: Endpoint, kind: OperationKind, call: Call) -> Self {
        Self {
            kind,
            endpoint,
            call,
            about: About::default(),
            ends_stdin: false,
            refused: None,
        }
    }

    /// A call on a system.
    pub(super) fn on_system(system: &System, kind: OperationKind, call: Call) -> Self {
        let mut request = Self::on_service(system.handle().endpoint().clone(), kind, call);
        request.about.on = Some(Arc::clone(system.handle()));
        request.about.system = Some(system.clone());
        request
    }

    /// A call on a process.
    pub(super) fn on_process(process: &Process, kind: OperationKind, call: Call) -> Self {
        let mut request = Self::on_service(process.handle().endpoint().clone(), kind, call);
        request.about.on = Some(Arc::clone(process.handle()));
        request.about.process = Some(process.clone());
        request
    }

    /// The call makes or opens `system`.
    pub(super) fn making_system(mut self, system: &System) -> Self {
        self.about.makes = Some(Arc::clone(system.handle()));
        self.about.system = Some(system.clone());
        self
    }

    /// The call makes or opens `process`.
    pub(super) fn making_process(mut self, process: &Process) -> Self {
        self.about.makes = Some(Arc::clone(process.handle()));
        self.about.process = Some(process.clone());
        self
    }

    /// A successful call ends the standard input of its process.
    pub(super) fn ending_stdin(mut self, ends: bool) -> Self {
        self.ends_stdin = ends;
        self
    }

    /// Refuses a document that the service would not read.
    pub(super) fn checking(mut self, document: &str) -> Self {
        if document.len() > MAX_BYTES {
            let message = format!(
                "the document has {} bytes; at most {MAX_BYTES} are read",
                document.len()
            );
            self.refused = Some(Failure::new(HResult::HCS_E_INVALID_JSON, message));
        }
        self
    }

    /// Refuses the call for `failure`, as the result of its operation.
    pub(super) fn refusing(mut self, failure: Option<Failure>) -> Self {
        self.refused = self.refused.or(failure);
        self
    }

    /// Makes the call.
    ///
    /// # Errors
    /// Only for its shape (see [`super`]).
    pub(super) fn start(self, operation: &Operation) -> Result<(), HResult> {
        if self
            .about
            .on
            .as_ref()
            .is_some_and(|on| on.hub().is_closed())
        {
            return Err(HResult::E_HANDLE);
        }
        let client = Client::of(&self.endpoint);
        let number = operation.begin(self.kind, self.about.clone(), &client)?;
        let operation = operation.clone();
        if let Some(failure) = self.impossible() {
            operation.finish(number, self.outcome(Err(failure)));
            return Ok(());
        }
        let known = Arc::clone(&client);
        client.with_link(move |link| match link {
            Ok(link) => self.send(&known, link, &operation, number),
            Err(failure) => operation.finish(number, self.outcome(Err(failure))),
        });
        Ok(())
    }

    /// Why the call need not even be sent.
    fn impossible(&self) -> Option<Failure> {
        let made = self.about.on.as_ref().map(|on| on.check_made());
        self.refused.clone().or_else(|| made?.err())
    }

    fn send(self, client: &Client, link: &Arc<Link>, operation: &Operation, number: CallNumber) {
        if let Err(failure) = self.prepare(client, link) {
            operation.finish(number, self.outcome(Err(failure)));
            return;
        }
        let request = operation.requested(number, link);
        let (tracking, bytes) = (operation.clone(), request_bytes(request, &self.call));
        link.send(request, bytes, move |answer| {
            tracking.finish(number, self.outcome(answer));
        });
        operation.sent(number);
    }

    /// Makes the call and waits for its end.
    ///
    /// # Errors
    /// What the call ended with; `HCS_E_CONNECTION_TIMEOUT` when the service does not answer at all.
    pub(super) fn run(self) -> Result<Option<Document>, Error> {
        let operation = Operation::new();
        self.start(&operation)?;
        let result = operation.wait(Some(LIMIT));
        let timed_out = HResult::HCS_E_OPERATION_TIMEOUT;
        if result
            .as_ref()
            .is_err_and(|e| e.hresult == timed_out && e.document.is_none())
        {
            let message = format!(
                "the service did not answer within {} seconds",
                LIMIT.as_secs()
            );
            return Err(Failure::new(HResult::HCS_E_CONNECTION_TIMEOUT, message).into());
        }
        result
    }

    /// Makes the handles of the call known on the connection.
    fn prepare(&self, client: &Client, link: &Link) -> Result<(), Failure> {
        if let Some(on) = &self.about.on {
            on.attach(client, link)?;
        }
        if let Some(makes) = &self.about.makes {
            makes.announce(client, link);
        }
        Ok(())
    }

    /// What the operation ends with; the handles learn of it first.
    fn outcome(&self, answer: Answer) -> Result<Success, Error> {
        if let Some(makes) = &self.about.makes {
            makes.made(answer.as_ref().map(|(reply, _)| reply));
        }
        let (reply, descriptors) = answer?;
        if !reply.result.is_success() {
            return Err(self.refusal(reply));
        }
        if self.ends_stdin
            && let Some(stdio) = self.about.on.as_ref().and_then(|on| on.stdio())
        {
            stdio.end_stdin().map_err(|errno| {
                Failure::new(HResult::E_FAIL, "the standard input could not be ended")
                    .because(&errno)
            })?;
        }
        let process = if self.kind.has_process_information() {
            Some(self.started(&reply, descriptors)?)
        } else {
            None
        };
        let document = reply.document.map(Document::from);
        Ok(Success { document, process })
    }

    fn started(&self, reply: &Reply, descriptors: Vec<OwnedFd>) -> Result<Started, Failure> {
        let unusable = |message: &'static str| {
            Failure::new(HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE, message)
        };
        let information = reply
            .process
            .ok_or_else(|| unusable("the service sent no process information"))?;
        let mut streams = Streams::new(&information, descriptors).map_err(|error| {
            unusable("the streams of the process cannot be used").because(&error)
        })?;
        let handle = self.about.process.as_ref().map(Process::handle);
        let stdio = handle.and_then(|handle| handle.stdio());
        if let Some(stdio) = stdio {
            stdio.gather(&mut streams);
        }
        let streams = Arc::new(Slot::new(streams));
        if let (Some(handle), Some(stdio)) = (handle, stdio) {
            stdio.offer(&streams);
            // Closed meanwhile: then nobody is to take them.
            if handle.hub().is_closed() {
                stdio.close_untaken();
            }
        }
        Ok(Started {
            process_id: information.process_id,
            streams,
        })
    }

    /// The error of a call that the service refused. It always has a document.
    fn refusal(&self, reply: Reply) -> Error {
        if reply.result == HResult::E_HANDLE
            && let Some(gone) = self.about.on.as_ref().and_then(|on| on.gone())
        {
            return Failure::new(gone, "").into();
        }
        match reply.document {
            Some(document) => Error {
                hresult: reply.result,
                document: Some(document.into()),
            },
            None => Failure::new(reply.result, "").into(),
        }
    }
}

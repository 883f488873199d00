//! The common part of all calls: from the check of their shape to the end of their operation.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};

use hcs_lifecycle::operation::CallNumber;
use hcs_schema::{Failure, HResult, parse::MAX_BYTES};
use hcs_wire::{
    errno::{hresult, words},
    operation::OperationId,
    service::{Call, Kind, Reply, encode},
};

use rustix::io::Errno;

use super::{
    Document, Error, Operation, OperationKind, Process, System,
    operation::{About, Started, Success},
};
use crate::{
    endpoint::Endpoint,
    raw::client::Client,
    raw::handle::Attachment,
    raw::link::{Lasting, Link, LinkAnswer, next_number, request_bytes},
    stdio::{self, Pipes, SharedStreams},
};

/// How long a function without an operation waits for the service.
const LIMIT: Duration = Duration::from_secs(240);

/// How often a call is made again that no connection brings an answer to: perhaps the service dies of it.
const MOST_REPEATS: u32 = 32;

/// A call that is about to be made.
pub(super) struct PendingCall {
    kind: OperationKind,
    endpoint: Endpoint,
    call: Call,
    about: About,
    /// A successful call ends the standard input of the process it is made on.
    ends_stdin: bool,
    /// The call will not be made, for this reason.
    refused: Option<Failure>,
}

impl PendingCall {
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
            operation.finish(number, self.outcome(Err(failure), None));
            return Ok(());
        }
        let known = Arc::clone(&client);
        client.with_link(move |link| match link {
            Ok(link) => self.send(&known, link, &operation, number),
            Err(failure) => operation.finish(number, self.outcome(Err(failure), None)),
        });
        Ok(())
    }

    /// Why the call need not even be sent.
    fn impossible(&self) -> Option<Failure> {
        let made = self.about.on.as_ref().map(|on| on.check_made());
        self.refused.clone().or_else(|| made?.err())
    }

    fn send(
        self,
        client: &Arc<Client>,
        link: &Arc<Link>,
        operation: &Operation,
        number: CallNumber,
    ) {
        let attachment = match self.prepare(client, link) {
            Ok(attachment) => attachment,
            Err(failure) => {
                operation.finish(number, self.outcome(Err(failure), None));
                return;
            }
        };
        let request = operation.requested(number, link);
        if link.repeats() && self.call.survives() {
            let made = Made {
                request: self,
                operation: operation.clone(),
                number,
                name: OperationId::of_request(link.process(), request),
                order: next_number(),
                was_over: false,
                pipes: None,
                repeats: 0,
            };
            made.first(client, link, attachment);
        } else {
            let (tracking, bytes) = (operation.clone(), request_bytes(request, &self.call));
            link.send(request, bytes, move |answer| {
                tracking.finish(number, self.outcome(answer, None));
            });
        }
        operation.sent(number);
    }

    /// Makes the call and waits for its end.
    ///
    /// # Errors
    /// The error of the call; `HCS_E_CONNECTION_TIMEOUT` when the service does not answer at all.
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

    /// Makes the handles of the call known on the connection. Returns whether that knows the one that the call is on.
    fn prepare(&self, client: &Client, link: &Link) -> Result<Attachment, Failure> {
        let on = self.about.on.as_ref();
        let attachment = on.map_or(Ok(Attachment::Known), |on| on.attach(client, link))?;
        if let Some(makes) = &self.about.makes {
            makes.announce(client, link);
        }
        Ok(attachment)
    }

    /// Returns the outcome of the operation; the handles learn of it first. `pipes` were made for the call.
    fn outcome(&self, answer: LinkAnswer, pipes: Option<Pipes>) -> Result<Success, Error> {
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
            Some(self.started(&reply, descriptors, pipes)?)
        } else {
            None
        };
        let document = reply.document.map(Document::from);
        Ok(Success { document, process })
    }

    fn started(
        &self,
        reply: &Reply,
        descriptors: Vec<OwnedFd>,
        pipes: Option<Pipes>,
    ) -> Result<Started, Failure> {
        let unusable = |message: &'static str| {
            Failure::new(HResult::HCS_E_PROCESS_INFO_NOT_AVAILABLE, message)
        };
        let information = reply
            .process
            .ok_or_else(|| unusable("the service sent no process information"))?;
        let mut streams = match pipes {
            Some(pipes) if information.own_pipes => pipes.into_ours(),
            _ => stdio::sort(&information, descriptors).map_err(|error| {
                unusable("the streams of the process cannot be used").because(&error)
            })?,
        };
        let handle = self.about.process.as_ref().map(Process::handle);
        let stdio = handle.and_then(|handle| handle.stdio());
        if let Some(stdio) = stdio {
            stdio.gather(&mut streams);
        }
        let streams = Arc::new(SharedStreams::new(streams));
        if let (Some(handle), Some(stdio)) = (handle, stdio) {
            stdio.offer(&streams);
            // If the handle was closed meanwhile, no caller may take them.
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

/// Makes the pipes that `call` is to go along with, and says so in it.
fn pipes_of(call: &mut Call) -> Result<Option<Pipes>, Errno> {
    let (made, sent) = match call {
        Call::CreateProcess {
            parameters, pipes, ..
        } => (Pipes::wanted_by(parameters)?, pipes),
        Call::ReadOutput { pipes, query, .. } => (Some(Pipes::for_output(query.attach)?), pipes),
        _ => return Ok(None),
    };
    *sent = made.as_ref().map(Pipes::sent);
    Ok(made)
}

/// Why a call could not even be sent: nothing of it has begun.
fn no_pipes(errno: Errno) -> Failure {
    let message = format!(
        "no pipe can be made for the streams: {}; a program may have as many files open as its limit says (ulimit -n)",
        words(errno)
    );
    Failure::new(hresult(errno), message)
}

/// A call that was made, and is made again on the next connection where this one leaves it unanswered.
struct Made {
    request: PendingCall,
    operation: Operation,
    number: CallNumber,
    name: OperationId,
    order: u64,
    /// It was made on something that had ended.
    was_over: bool,
    /// The pipes of the process that the call makes: a service that dies takes none of them with it.
    pipes: Option<Pipes>,
    repeats: u32,
}

impl Made {
    /// Makes it for the first time; behind the call that makes its handle, where that is still to be made again.
    fn first(mut self, client: &Arc<Client>, link: &Arc<Link>, attachment: Attachment) {
        self.was_over = self.has_exited();
        match pipes_of(&mut self.request.call) {
            Ok(pipes) => self.pipes = pipes,
            Err(errno) => return Box::new(self).answered(Err(no_pipes(errno))),
        }
        match attachment {
            Attachment::Known => self.send(Kind::Request, client, link),
            Attachment::Awaited => client.keep(Box::new(self)),
        }
    }

    fn send(self, kind: Kind, client: &Arc<Client>, link: &Arc<Link>) {
        let ends = self.pipes.as_ref().map(Pipes::theirs).unwrap_or_default();
        let count = u16::try_from(ends.len()).unwrap_or(u16::MAX);
        let request = self.name.request();
        let message = match encode(kind, request, count, &self.request.call) {
            Ok(message) => message,
            Err(error) => {
                let message = "the document is too large to be sent";
                let failure = Failure::new(HResult::HCS_E_INVALID_JSON, message);
                return Box::new(self).answered(Err(failure.because(&error)));
            }
        };
        let borrowed: Vec<_> = ends.iter().map(OwnedFd::as_fd).collect();
        if let Err(call) = link.send_lasting(request, &message, &borrowed, Box::new(self)) {
            client.keep(call);
        }
    }

    /// Whether the end of its system is all that it was to bring about.
    const fn is_for_the_end(&self) -> bool {
        let call = &self.request.call;
        let ends = matches!(
            call,
            Call::TerminateSystem { .. } | Call::ShutDownSystem { .. }
        );
        ends && !self.was_over
    }

    fn was_made(&self) -> bool {
        let on = self.request.about.on.as_ref();
        on.is_some_and(|on| on.is_made())
    }

    fn has_exited(&self) -> bool {
        let on = self.request.about.on.as_ref();
        on.is_some_and(|on| on.hub().has_exited())
    }
}

impl Lasting for Made {
    fn answered(mut self: Box<Self>, answer: LinkAnswer) {
        let gone = [
            HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
            HResult::HCS_E_SYSTEM_NOT_FOUND,
        ];
        let answer = match answer {
            Ok((reply, _))
                if self.repeats > 0
                    && self.is_for_the_end()
                    && self.was_made()
                    && gone.contains(&reply.result) =>
            {
                Ok((Reply::done(), Vec::new()))
            }
            answer => answer,
        };
        let outcome = self.request.outcome(answer, self.pipes.take());
        self.operation.finish(self.number, outcome);
    }

    fn again(mut self: Box<Self>, client: &Arc<Client>, link: &Arc<Link>) {
        self.repeats += 1;
        if !link.repeats() || self.repeats > MOST_REPEATS {
            let message =
                "the service is older than the one the call was made to, or was lost each time";
            return self.lost(&Failure::new(HResult::HCS_E_SERVICE_DISCONNECT, message));
        }
        if self.is_for_the_end() && self.has_exited() {
            return self.answered(Ok((Reply::done(), Vec::new())));
        }
        let (on, makes) = (
            self.request.about.on.clone(),
            self.request.about.makes.clone(),
        );
        if let Some(on) = &on {
            // A connection that knew why the handle was never made is over.
            if let Err(failure) = on.check_made() {
                return self.answered(Err(failure));
            }
            on.lend(client, link);
        }
        if let Some(makes) = &makes {
            makes.announce(client, link);
        }
        let (operation, number, request) =
            (self.operation.clone(), self.number, self.name.request());
        let is_over = operation.requested_again(number, link, request);
        self.send(Kind::Repeat, client, link);
        if is_over {
            link.tell(&Call::Cancel { request });
        } else {
            operation.sent(number);
        }
        for handle in [makes, on].into_iter().flatten() {
            handle.take_back(link);
        }
    }

    fn lost(self: Box<Self>, why: &Failure) {
        let path = self.request.endpoint.path().display();
        let failure = Failure::new(
            HResult::HCS_E_SERVICE_DISCONNECT,
            format!(
                "the connection to the host compute service at {path} was lost before it answered, and whether the call \
                 was done is not known: `hcs explain {}` tells it when the service is back",
                self.name
            ),
        )
        .because(why);
        self.answered(Err(failure));
    }

    fn unsent(self: Box<Self>, why: Failure) {
        match self.repeats {
            0 => self.answered(Err(why)),
            // It went to an earlier service, which may have done it.
            _ => self.lost(&why),
        }
    }

    fn order(&self) -> u64 {
        self.order
    }
}

//! The requests the service makes of an agent, each with its limit.

use std::{os::fd::OwnedFd, rc::Rc, time::Duration};

use hcs_engine::modification::GuestChange;
use hcs_schema::{Failure, HResult, Stdio, documents::ProcessDetails};
use hcs_wire::{
    guest::{
        ExecuteProcess, ExecuteProcessResponse, ExecuteProcessSettings, FetchStdio,
        FetchStdioResponse, Frame, GetProperties, GuestTarget, ModifySettings, NO_TIMEOUT, Naming,
        NegotiateProtocol, NegotiateProtocolResponse, PROTOCOL_VERSION, ReadOutput,
        ReadOutputResponse, RecallCall, RecallCallResponse, Renew, Renewal, RequestBase,
        ResizeConsole, ResponseBase, Rpc, ShutDown, SignalOptions, SignalProcess, UpdateNames,
        WaitForProcess,
    },
    output::OutputQuery,
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{
    GuestLink, OpenRequest,
    answers::{NoList, body, kept, process_list, reported},
};
use crate::{
    network::{AgentNetworks, NameReader},
    record::{
        blocking::blocking,
        failures::unknown,
        operations::{self, CallKeeper as _},
    },
    system::{process::Process, stdio::Traces},
};

/// Length up to which a list of processes is read, or written for a client, at once; longer ones aside, so that no call
/// waits for them.
pub(crate) const SHORT: usize = 64 << 10;

/// Calls that an agent is told to forget along with one request, at most.
const MOST_RELEASED: usize = 256;

/// The part every answer has, for answers that have no other.
#[derive(Debug, Deserialize)]
struct Plain {
    #[serde(flatten)]
    base: ResponseBase,
}

/// The part every request has, for requests that have no other.
#[derive(Debug, Serialize)]
struct Bare {
    #[serde(flatten)]
    base: RequestBase,
}

/// What every request about `target` begins with: it names the operation it is made for.
fn base(target: &GuestTarget) -> RequestBase {
    let activity_id = operations::current().map_or_else(String::new, |t| t.id().activity_id());
    RequestBase::about(target, activity_id)
}

impl GuestLink {
    /// The first words on a stream. Does what the agent then asks for before the system counts as running. `renewal` is
    /// for a guest that has a clock and random numbers of its own, and empty for others.
    ///
    /// # Errors
    /// The agent does not answer within `limit`, or speaks no version of ours.
    pub(crate) async fn negotiate(&self, renewal: Renewal, limit: Duration) -> Result<(), Failure> {
        let request = NegotiateProtocol {
            base: base(&GuestTarget::System),
            minimum_version: PROTOCOL_VERSION,
            maximum_version: PROTOCOL_VERSION,
            renewal,
        };
        let response: NegotiateProtocolResponse =
            self.call(Rpc::NegotiateProtocol, &request, limit).await?;
        check(&response.base, "the guest agent refused to negotiate")?;
        if response.version != PROTOCOL_VERSION {
            return Err(Failure::new(
                HResult::HCS_E_UNSUPPORTED_PROTOCOL_VERSION,
                format!(
                    "the guest agent chose protocol version {}, but was offered {PROTOCOL_VERSION} only",
                    response.version
                ),
            ));
        }
        self.capabilities.replace(kept(response.capabilities));
        Ok(())
    }

    /// Gives the guest fresh random bytes and the time, if its agent takes them.
    ///
    /// # Errors
    /// The agent refused or did not answer.
    pub(crate) async fn renew(&self, renewal: Renewal, limit: Duration) -> Result<(), Failure> {
        let capabilities = self.capabilities().guest_defined_capabilities.clone();
        if !capabilities.renewal_supported {
            return Ok(());
        }
        let request = Renew {
            base: base(&GuestTarget::System),
            renewal,
        };
        let response: Plain = self.call(Rpc::Renew, &request, limit).await?;
        check(&response.base, "the clock of the guest could not be set")
    }

    /// Tells an agent that wants to be told that the system runs now.
    ///
    /// # Errors
    /// The agent refused or did not answer.
    pub(crate) async fn announce_start(&self, limit: Duration) -> Result<(), Failure> {
        let capabilities = self.capabilities().clone();
        for (wanted, rpc) in [
            (capabilities.send_host_create_message, Rpc::Create),
            (capabilities.send_host_start_message, Rpc::Start),
        ] {
            if wanted {
                let base = base(&GuestTarget::System);
                let response: Plain = self.call(rpc, &Bare { base }, limit).await?;
                check(&response.base, "the guest agent refused to start")?;
            }
        }
        Ok(())
    }

    /// What a request says of the calls of clients: which one it is made for, and which the agent may forget.
    fn naming(&self) -> Naming {
        if !self.remembers_calls() {
            return Naming::default();
        }
        let timeline = operations::current();
        let named = timeline
            .as_ref()
            .filter(|timeline| timeline.name().is_some());
        let name = named.and_then(|timeline| {
            timeline.set_agent(self.me.clone());
            timeline.name()
        });
        let mut released = self.released.borrow_mut();
        let count = released.len().min(MOST_RELEASED);
        Naming {
            call_name: name.map(|name| name.to_string()).unwrap_or_default(),
            released: released.drain(..count).collect(),
        }
    }

    /// A request was not sent, so the agent has not heard of the names that go along with it.
    fn release_later(&self, naming: &Naming) {
        for name in &naming.released {
            self.release(name);
        }
    }

    /// Whether the agent remembers calls by their names.
    pub(crate) fn remembers_calls(&self) -> bool {
        self.capabilities()
            .guest_defined_capabilities
            .named_calls_supported
    }

    /// Asks what became of the call `name`, which an earlier service may have asked for; it is remembered from now on
    /// until the time line of the present call is done.
    ///
    /// # Errors
    /// The agent did not answer, or cannot know.
    pub(crate) async fn recall(
        &self,
        name: &str,
        limit: Duration,
    ) -> Result<Option<RecallCallResponse>, Failure> {
        if !self.remembers_calls() {
            return Err(unknown("the guest agent of the system is older than that"));
        }
        let request = RecallCall {
            base: base(&GuestTarget::System),
            call_name: name.to_owned(),
            release_earlier: false,
        };
        let response: RecallCallResponse = self.call(Rpc::RecallCall, &request, limit).await?;
        check(&response.base, "the guest agent cannot be asked")?;
        if let (true, Some(timeline)) = (response.known, operations::current()) {
            timeline.set_agent(self.me.clone());
        }
        match (response.known, response.forgetful) {
            (true, _) => Ok(Some(response)),
            (false, true) => Err(unknown("the guest agent had to forget calls")),
            (false, false) => Ok(None),
        }
    }

    /// Lets the agent forget what an earlier service asked for: its clients had their time to come back.
    pub(crate) fn forget_earlier_calls(&self) {
        let request = RecallCall {
            base: base(&GuestTarget::System),
            call_name: String::new(),
            release_earlier: true,
        };
        if self.remembers_calls()
            && let Err(failure) = self.tell(Rpc::RecallCall, &request)
        {
            tracing::debug!("{failure}");
        }
    }

    /// Asks for a process. The answer comes through the receiver; dropping that abandons the process.
    ///
    /// # Errors
    /// The request cannot be sent.
    pub(crate) fn execute(
        &self,
        parameters: String,
        guest_ends: Vec<OwnedFd>,
        ports: Option<Stdio<Option<u32>>>,
        process: &Rc<Process>,
        limit: Duration,
    ) -> Result<oneshot::Receiver<Result<ExecuteProcessResponse, Failure>>, Failure> {
        // A program finds all names that were known when it was asked for.
        self.send_names(u32::MAX);
        let together = self
            .capabilities()
            .guest_defined_capabilities
            .execute_and_wait_supported;
        let id = self.take_id();
        let wait_message_id = together.then(|| self.take_id());
        let ports = ports.unwrap_or_default();
        let request = ExecuteProcess {
            base: base(process.target()),
            settings: ExecuteProcessSettings {
                process_parameters: parameters,
                vsock_stdio_relay_settings: ports.into(),
            },
            wait_message_id,
            naming: self.naming(),
        };
        let sent = self.send(Rpc::ExecuteProcess, id, &request, guest_ends);
        sent.inspect_err(|_| self.release_later(&request.naming))?;
        let (sender, receiver) = oneshot::channel();
        let request = OpenRequest::Execute(Rc::clone(process), Some(sender));
        self.note(id, request, Some(limit));
        if let Some(wait) = wait_message_id {
            process.set_wait_id(wait);
            self.note(wait, OpenRequest::Exit(Rc::clone(process)), None);
        }
        Ok(receiver)
    }

    /// Asks to be told of an exit: for agents that cannot create and wait in one, and for adopted processes.
    pub(crate) fn wait_for_exit(&self, process: &Rc<Process>) {
        let id = self.take_id();
        let request = WaitForProcess {
            base: base(process.target()),
            process_id: process.pid(),
            timeout_in_ms: NO_TIMEOUT,
        };
        match self.send(Rpc::WaitForProcess, id, &request, Vec::new()) {
            Ok(()) => self.note(id, OpenRequest::Exit(Rc::clone(process)), None),
            // The stream is gone; the end of the system decides.
            Err(failure) => tracing::debug!(pid = process.pid(), "{}", failure.log_line()),
        }
    }

    /// Whether the agent serves calls on processes of the system itself, which belong to no container in it. Ours does.
    fn serves_system(&self) -> bool {
        self.capabilities()
            .guest_defined_capabilities
            .system_process_calls_supported
    }

    /// Whether the agent serves calls about `target`: on containers that it hosts, every agent does.
    fn serves(&self, target: &GuestTarget) -> bool {
        *target != GuestTarget::System || self.serves_system()
    }

    /// Refuses what an agent does not serve, without asking it.
    fn has_to_serve(&self, target: &GuestTarget, what: &str) -> Result<(), Failure> {
        if self.serves(target) {
            return Ok(());
        }
        let message = format!(
            "{what}: the guest agent does not do that for processes outside of its containers"
        );
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// What the agent reported, or it sends none.
    pub(crate) async fn signal(
        &self,
        process: &Process,
        options: SignalOptions,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.has_to_serve(process.target(), "the signal could not be sent")?;
        let request = SignalProcess {
            base: base(process.target()),
            process_id: process.pid(),
            options: Some(options),
            naming: self.naming(),
        };
        let response: Plain = self.call(Rpc::SignalProcess, &request, limit).await?;
        check(&response.base, "the signal could not be sent")
    }

    /// Kills a process whose creation was cancelled, and what it started if it still runs, without waiting for the
    /// answer.
    pub(crate) fn kill_unwanted(&self, process: &Process) {
        if let Err(failure) = self.has_to_serve(process.target(), "an unwanted process runs on") {
            tracing::warn!(pid = process.pid(), "{}", failure.log_line());
            return;
        }
        let request = SignalProcess {
            base: base(process.target()),
            process_id: process.pid(),
            options: Some(SignalOptions {
                signal: 0,
                group: true,
            }),
            naming: Naming::default(),
        };
        if let Err(failure) = self.tell(Rpc::SignalProcess, &request) {
            tracing::debug!(pid = process.pid(), "{}", failure.log_line());
        }
    }

    /// Sets the size of a process's console.
    ///
    /// # Errors
    /// What the agent reported.
    pub(crate) async fn resize(
        &self,
        process: &Process,
        height: u16,
        width: u16,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.has_to_serve(process.target(), "the console could not be resized")?;
        let request = ResizeConsole {
            base: base(process.target()),
            process_id: process.pid(),
            height,
            width,
            naming: self.naming(),
        };
        let response: Plain = self.call(Rpc::ResizeConsole, &request, limit).await?;
        check(&response.base, "the console could not be resized")
    }

    /// Has the guest change something: the guest's part of a request, as the client wrote it.
    ///
    /// # Errors
    /// What the agent reported.
    pub(crate) async fn modify(
        &self,
        target: &GuestTarget,
        change: GuestChange,
        limit: Duration,
    ) -> Result<(), Failure> {
        let request = ModifySettings {
            base: base(target),
            request: change.into_request(),
        };
        let response: Plain = self.call(Rpc::ModifySettings, &request, limit).await?;
        check(&response.base, "the guest did not change it")
    }

    /// The processes of the guest, as its agent tells them, and the bytes of its answer. A long answer is read aside.
    ///
    /// # Errors
    /// What the agent reported, or it told no list. An agent that tells more than there can be is not to be believed
    /// any more.
    pub(crate) async fn process_details(
        &self,
        target: &GuestTarget,
        limit: Duration,
    ) -> Result<(Vec<ProcessDetails>, usize), Failure> {
        self.has_to_serve(target, "the guest's properties could not be read")?;
        let request = GetProperties {
            base: base(target),
            query: r#"{"PropertyTypes":["ProcessList"]}"#.to_owned(),
        };
        let frame = self.ask(Rpc::GetProperties, &request, limit).await?;
        let bytes = frame.body.len();
        let listed = if bytes <= SHORT {
            process_list(&frame)
        } else {
            let _place = match operations::share() {
                Some(share) => Some(share.parsing().await),
                None => None,
            };
            blocking(move || Ok(process_list(&frame))).await?
        };
        match listed {
            Ok(listed) => Ok((listed, bytes)),
            Err(NoList::Fault(reason)) => Err(self.distrusted(&reason)),
            Err(NoList::Refused(failure)) => {
                operations::step(format!("failed: {}", failure.log_line()));
                Err(failure)
            }
            Err(NoList::Other(failure)) => {
                let message = "the guest agent answered no list of processes";
                Err(Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message).because(&failure))
            }
        }
    }

    /// Asks for ways back to the pipes that were given for a process. An agent that keeps none has none.
    ///
    /// # Errors
    /// What the agent reported.
    pub(crate) async fn fetch_stdio(
        &self,
        process: &Process,
        limit: Duration,
    ) -> Result<Traces, Failure> {
        let supported = self
            .capabilities()
            .guest_defined_capabilities
            .fetch_stdio_supported;
        if !supported {
            return Ok(Traces::default());
        }
        let _one_at_a_time = self.fetching.lock().await;
        let request = FetchStdio {
            base: base(process.target()),
            process_id: process.pid(),
        };
        let id = self.take_id();
        self.send(Rpc::FetchStdio, id, &request, Vec::new())?;
        let (sender, receiver) = oneshot::channel();
        self.note(id, OpenRequest::Stdio(Some(sender)), Some(limit));
        let (frame, mut received) = answered(receiver, Rpc::FetchStdio).await?;
        let response: FetchStdioResponse = self.understood(&frame)?;
        check(&response.base, "the stdio of the process is not to be had")?;
        let mut descriptors = received.take().into_iter();
        let ways = response.streams().take(&mut descriptors);
        let found = Traces::recalled(&ways);
        received.put_back(ways.into_array().into_iter().flatten().chain(descriptors));
        Ok(found)
    }

    /// Has the agent write kept output into the last of `pipes`, and read from the one before it if the query attaches;
    /// answers the pid of its process.
    ///
    /// # Errors
    /// What the agent reported.
    pub(crate) async fn read_output(
        &self,
        target: &GuestTarget,
        query: &OutputQuery,
        pipes: Vec<OwnedFd>,
        limit: Duration,
    ) -> Result<u32, Failure> {
        self.check_detached()?;
        let request = ReadOutput {
            base: base(target),
            query: query.clone(),
            vsock_stdio_relay_settings: Stdio::default().into(),
            naming: self.naming(),
        };
        let id = self.take_id();
        let sent = self.send(Rpc::ReadOutput, id, &request, pipes);
        sent.inspect_err(|_| self.release_later(&request.naming))?;
        let (sender, receiver) = oneshot::channel();
        self.note(
            id,
            OpenRequest::Call(Rpc::ReadOutput, Some(sender)),
            Some(limit),
        );
        let frame = answered(receiver, Rpc::ReadOutput).await?;
        let response: ReadOutputResponse = self.understood(&frame)?;
        check(&response.base, "the kept output is not to be had")?;
        Ok(response.process_id)
    }

    /// Fails unless the agent keeps the output of detached processes, and hands it to readers that are sent along.
    ///
    /// # Errors
    /// It is of an older release, or that of a virtual machine.
    pub(crate) fn check_detached(&self) -> Result<(), Failure> {
        let capabilities = &self.capabilities().guest_defined_capabilities;
        let message = match capabilities.detached_processes_supported {
            true if capabilities.descriptor_stdio_supported => return Ok(()),
            true => "no output of detached processes is kept in a virtual machine",
            false => {
                "the guest agent of the system keeps no output of detached processes: it is of an older release"
            }
        };
        Err(Failure::new(HResult::NOT_SUPPORTED, message))
    }

    /// The pids of the processes that the agent started and that have not exited. An agent that lists none has none.
    ///
    /// # Errors
    /// What the agent reported.
    pub(crate) async fn process_list(
        &self,
        target: &GuestTarget,
        limit: Duration,
    ) -> Result<Vec<u32>, Failure> {
        if !self.serves(target) {
            return Ok(Vec::new());
        }
        let (list, _) = self.process_details(target, limit).await?;
        let possible = |pid: &u32| (1..=i32::MAX.cast_unsigned()).contains(pid);
        // An older agent lists no others, and does not mark its own.
        let own = list
            .iter()
            .filter(|process| process.created_by_host != Some(false));
        let pids = own.filter_map(|process| process.process_id);
        Ok(pids.filter(possible).collect())
    }

    /// Asks everything in the system to end, by `signal` or the usual one. There is no answer: the system ends, or it
    /// does not.
    ///
    /// # Errors
    /// The request cannot be sent.
    pub(crate) fn shut_down(
        &self,
        target: &GuestTarget,
        signal: Option<u8>,
    ) -> Result<(), Failure> {
        let request = ShutDown {
            base: base(target),
            naming: self.naming(),
            signal,
        };
        self.tell(Rpc::ShutdownGraceful, &request)
    }

    /// Takes a shutdown back that no call waits for any more: processes may be created again.
    ///
    /// # Errors
    /// The agent refused or did not answer.
    pub(crate) async fn withdraw_shut_down(
        &self,
        target: &GuestTarget,
        limit: Duration,
    ) -> Result<(), Failure> {
        // To other agents this request means a start.
        if !self.serves_system() {
            return Ok(());
        }
        let base = base(target);
        let response: Plain = self.call(Rpc::Start, &Bare { base }, limit).await?;
        check(&response.base, "the shutdown could not be withdrawn")
    }

    /// Sends the names that the agent has not been sent, unless it owes more than `most_open` answers to such requests:
    /// one that is paused is not sent each change.
    fn send_names(&self, most_open: u32) {
        if self.has_ended()
            || !self
                .capabilities()
                .guest_defined_capabilities
                .names_supported
        {
            return;
        }
        let mut names = self.names.borrow_mut();
        let Some(wanted) = names.wanted.clone() else {
            return;
        };
        if names.sent.as_ref() == Some(&wanted) || names.open > most_open {
            return;
        }
        // It is on behalf of no operation of its own.
        let request = UpdateNames {
            base: RequestBase::about(&GuestTarget::System, String::new()),
            hosts: wanted.hosts.to_string(),
            network: wanted.network.as_deref().cloned(),
        };
        let id = self.take_id();
        match self.send(Rpc::UpdateNames, id, &request, Vec::new()) {
            Ok(()) => {
                names.sent = Some(wanted);
                names.open += 1;
                self.note(id, OpenRequest::Names, None);
            }
            Err(failure) => tracing::debug!("names are not told: {}", failure.log_line()),
        }
    }

    /// Takes the answer to names, and sends those that have changed since.
    ///
    /// # Errors
    /// The answer makes no sense: the reason.
    pub(super) fn take_named(&self, frame: &Frame) -> Result<(), String> {
        let response: Plain = body(frame)?;
        if let Some(failure) = reported(&response.base, "names cannot be told") {
            let sent = self.names.borrow().sent.clone();
            match sent.is_some_and(|told| told.network.is_some()) {
                // Its cards may have no addresses.
                true => tracing::warn!("{}", failure.log_line()),
                // Its processes may have filled the file or its file system.
                false => tracing::debug!("{}", failure.log_line()),
            }
        }
        let open = self.names.borrow().open.saturating_sub(1);
        self.names.borrow_mut().open = open;
        self.send_names(0);
        Ok(())
    }

    /// Sends a request whose answer, if there is one, no call waits for.
    fn tell<T: Serialize>(&self, rpc: Rpc, request: &T) -> Result<(), Failure> {
        let id = self.take_id();
        self.send(rpc, id, request, Vec::new())?;
        self.note(id, OpenRequest::Call(rpc, None), None);
        Ok(())
    }

    async fn call<T: Serialize, R: for<'de> Deserialize<'de>>(
        &self,
        rpc: Rpc,
        request: &T,
        limit: Duration,
    ) -> Result<R, Failure> {
        let frame = self.ask(rpc, request, limit).await?;
        self.understood(&frame)
    }

    /// [`GuestLink::call`] without a look into the answer.
    async fn ask<T: Serialize>(
        &self,
        rpc: Rpc,
        request: &T,
        limit: Duration,
    ) -> Result<Frame, Failure> {
        let id = self.take_id();
        self.send(rpc, id, request, Vec::new())?;
        let (sender, receiver) = oneshot::channel();
        self.note(id, OpenRequest::Call(rpc, Some(sender)), Some(limit));
        answered(receiver, rpc).await
    }

    /// The body of an answer. An agent that answers nonsense is not to be believed any more.
    fn understood<R: for<'de> Deserialize<'de>>(&self, frame: &Frame) -> Result<R, Failure> {
        body(frame).map_err(|reason| self.distrusted(&reason))
    }

    /// Ends the stream of an agent that is not to be believed any more, for that reason.
    pub(crate) fn distrusted(&self, reason: &str) -> Failure {
        self.fault.replace(Some(reason.to_owned()));
        self.close();
        Failure::new(
            HResult::HCS_E_PROTOCOL_ERROR,
            format!("the guest agent broke the protocol: {reason}"),
        )
    }
}

impl NameReader for GuestLink {
    fn names(&self, told: AgentNetworks) {
        self.names.borrow_mut().wanted = Some(told);
        self.send_names(0);
    }
}

/// Waits for an answer.
///
/// # Errors
/// The request's limit, or the end of the stream.
pub(crate) async fn answered<T>(
    receiver: oneshot::Receiver<Result<T, Failure>>,
    rpc: Rpc,
) -> Result<T, Failure> {
    let answer = receiver.await;
    operations::step(match &answer {
        Ok(Ok(_)) => "the guest agent answered",
        Ok(Err(_)) => "the guest agent did not answer in time",
        Err(_) => "the guest agent went away",
    });
    answer.unwrap_or_else(|_closed| {
        Err(Failure::new(
            HResult::HCS_E_CONNECTION_CLOSED,
            format!("the guest agent went away before it answered {rpc:?}"),
        ))
    })
}

/// Success, or the failure an answer reports.
///
/// # Errors
/// That failure.
pub(crate) fn check(base: &ResponseBase, what: &str) -> Result<(), Failure> {
    let Some(failure) = reported(base, what) else {
        return Ok(());
    };
    operations::step(format!("failed: {}", failure.log_line()));
    Err(failure)
}

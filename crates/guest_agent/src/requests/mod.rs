//! Requests of the host: who answers what.
//!
//! A request fails with a [`Failure`], which becomes the answer; it never ends the stream. Only bytes that are no
//! message do.

mod execute;
mod explain;
mod marks;
mod output;
mod process;
mod properties;
mod system;

use std::{
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    WireError,
    guest::{
        AgentRequest, ExecuteProcess, FetchStdio, Frame, GetProperties, GuestTarget, MessageType,
        ModifySettings, NegotiateProtocol, ReadOutput, RecallCall, Renew, RequestBase,
        ResizeConsole, ResponseBase, Rpc, ShutDown, SignalProcess, UpdateNames, WaitForProcess,
        code, encode_bits,
    },
};
use serde::Serialize;

use crate::{agent::Agent, link::Link, stream::StreamEnd};

/// Requests served before others get their turn: starting this many programs takes a few milliseconds.
const TURN_REQUESTS: usize = 8;

/// The longest `ActivityId` that is echoed; a GUID has 36.
const MAX_ACTIVITY_BYTES: usize = 64;

/// A request being answered.
struct BridgeCall {
    /// Type field of the answer.
    bits: u32,
    /// Id of request and answer.
    id: u64,
    /// Echoed in the answer.
    activity_id: String,
}

/// Bytes of the answer; `None` when it comes later.
type BridgeAnswer = Result<Option<Vec<u8>>, Failure>;

impl BridgeCall {
    /// Base of an answer that says success.
    fn base(&self) -> ResponseBase {
        ResponseBase {
            activity_id: self.activity_id.clone(),
            ..ResponseBase::default()
        }
    }

    /// The answer `body`.
    fn answer<T: Serialize>(&self, body: &T) -> BridgeAnswer {
        encode_bits(self.bits, self.id, body)
            .map(Some)
            .map_err(|error| {
                Failure::new(
                    HResult::E_OUTOFMEMORY,
                    format!("the answer does not fit: {error}"),
                )
            })
    }

    /// The answer that has nothing to say but success.
    fn done(&self) -> BridgeAnswer {
        self.answer(&self.base())
    }

    /// The answer that `failure` is. All its parts are bounded, so it always fits.
    fn failed(&self, failure: &Failure) -> Vec<u8> {
        let base = ResponseBase::failed(self.activity_id.clone(), failure);
        encode_bits(self.bits, self.id, &base).unwrap_or_default()
    }
}

impl<L: Link> Agent<L> {
    /// Serves some of the requests that have been received whole, as long as the host takes the answers. The loop comes
    /// back for the rest.
    pub(crate) fn serve_requests(&mut self) {
        for _ in 0..TURN_REQUESTS {
            let Some(stream) = &mut self.stream else {
                return;
            };
            if !stream.takes_requests() {
                return;
            }
            match stream.next_request() {
                Ok(Some((frame, descriptors))) => self.serve(&frame, descriptors),
                Ok(None) => return,
                Err(end) => return self.stream_ended(Some(&end)),
            }
        }
    }

    fn serve(&mut self, frame: &Frame, descriptors: Vec<OwnedFd>) {
        let rpc = match frame.kind {
            MessageType::Request(rpc) => Some(rpc),
            MessageType::UnknownRequest(_) => None,
            MessageType::Response(_) | MessageType::Notification => {
                let kind = frame.kind.to_bits();
                return self.stream_ended(Some(&StreamEnd::Malformed(WireError::Kind { kind })));
            }
        };
        let mut call = BridgeCall {
            bits: frame.kind.response_bits(),
            id: frame.id,
            activity_id: String::new(),
        };
        let guarded = AssertUnwindSafe(|| self.dispatch(rpc, &mut call, &frame.body, descriptors));
        let answer = catch_unwind(guarded).unwrap_or_else(|_| {
            let message = "the agent failed while it served this request; its stderr says where";
            Err(Failure::new(HResult::E_UNEXPECTED, message))
        });
        let bytes = match answer {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return,
            Err(failure) => call.failed(&failure),
        };
        if let Some(stream) = &mut self.stream {
            stream.push(&bytes);
        }
    }

    fn dispatch(
        &mut self,
        rpc: Option<Rpc>,
        call: &mut BridgeCall,
        body: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> BridgeAnswer {
        let negotiated = self.stream.as_ref().is_some_and(|stream| stream.negotiated);
        let Some(rpc) = rpc else {
            parse::<RequestBase>(call, body)?;
            return Err(not_implemented("the agent knows no message of this number"));
        };
        if negotiated == (rpc == Rpc::NegotiateProtocol) {
            parse::<RequestBase>(call, body)?;
            let message = if negotiated {
                "NegotiateProtocol has been answered on this stream already"
            } else {
                "the first message of a stream must be NegotiateProtocol"
            };
            return Err(not_implemented(message));
        }
        match rpc {
            Rpc::NegotiateProtocol => {
                let request = parse::<NegotiateProtocol>(call, body)?;
                self.negotiate(call, &request)
            }
            Rpc::ExecuteProcess => {
                let request = parse::<ExecuteProcess>(call, body)?;
                self.execute(call, &request, descriptors)
            }
            Rpc::WaitForProcess => {
                let request = parse::<WaitForProcess>(call, body)?;
                self.wait_for_process(call, &request)
            }
            Rpc::SignalProcess => {
                let request = parse::<SignalProcess>(call, body)?;
                self.signal_process(call, &request)
            }
            Rpc::ResizeConsole => {
                let request = parse::<ResizeConsole>(call, body)?;
                self.resize_console(call, &request)
            }
            Rpc::GetProperties => {
                let request = parse::<GetProperties>(call, body)?;
                self.get_properties(call, &request)
            }
            Rpc::ModifySettings => {
                let request = parse::<ModifySettings>(call, body)?;
                self.modify_settings(call, &request)
            }
            Rpc::ShutdownGraceful | Rpc::ShutdownForced => {
                let request = parse::<ShutDown>(call, body)?;
                self.shut_down(rpc, call, &request)
            }
            Rpc::Start | Rpc::DumpStacks => {
                parse::<RequestBase>(call, body)?;
                self.system_call(rpc, call)
            }
            Rpc::FetchStdio => {
                let request = parse::<FetchStdio>(call, body)?;
                self.fetch_stdio(call, &request)
            }
            Rpc::ReadOutput => {
                let request = parse::<ReadOutput>(call, body)?;
                self.read_output(call, &request, descriptors)
            }
            Rpc::RecallCall => {
                let request = parse::<RecallCall>(call, body)?;
                self.recall(call, &request)
            }
            Rpc::Renew => {
                let request = parse::<Renew>(call, body)?;
                self.link.renew(&request.renewal)?;
                call.done()
            }
            Rpc::UpdateNames => {
                let request = parse::<UpdateNames>(call, body)?;
                self.update_names(call, &request)
            }
            Rpc::Create | Rpc::DeleteContainerState => {
                parse::<RequestBase>(call, body)?;
                Err(not_implemented(
                    "this agent is the first process of its system and hosts no containers",
                ))
            }
        }
    }
}

/// Reads a body, remembers its activity in `call`, and checks that it is about this system.
fn parse<T: AgentRequest>(call: &mut BridgeCall, body: &[u8]) -> Result<T, Failure> {
    let invalid = |reason: String| {
        let message = format!("the body of the request is not valid JSON for it: {reason}");
        Failure::new(code::INVALID_JSON, message)
    };
    if body.trim_ascii_start().first() != Some(&b'{') {
        // An array would be taken for an object whose properties are all absent.
        return Err(invalid("an object was expected".to_owned()));
    }
    let request: T = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    let base = request.base();
    if base.activity_id.len() > MAX_ACTIVITY_BYTES {
        return Err(invalid(format!(
            "ActivityId has {} bytes; a GUID was expected",
            base.activity_id.len()
        )));
    }
    call.activity_id.clone_from(&base.activity_id);
    match base.target() {
        GuestTarget::System => Ok(request),
        GuestTarget::Container(id) => {
            let message = format!("there is no container {id:?} in this system");
            Err(Failure::new(code::CONTAINER_NOT_FOUND, message))
        }
    }
}

/// Reads a request as far as it is read before anything happens.
#[cfg(fuzzing)]
pub(crate) fn read_only(frame: &Frame) {
    let mut call = BridgeCall {
        bits: frame.kind.response_bits(),
        id: frame.id,
        activity_id: String::new(),
    };
    let MessageType::Request(rpc) = frame.kind else {
        let _refused = parse::<RequestBase>(&mut call, &frame.body);
        return;
    };
    let body = &frame.body;
    let failure = match rpc {
        Rpc::NegotiateProtocol => parse::<NegotiateProtocol>(&mut call, body).err(),
        Rpc::ExecuteProcess => parse::<ExecuteProcess>(&mut call, body)
            .and_then(|request| execute::read_only(&request))
            .err(),
        Rpc::WaitForProcess => parse::<WaitForProcess>(&mut call, body).err(),
        Rpc::SignalProcess => parse::<SignalProcess>(&mut call, body).err(),
        Rpc::ResizeConsole => parse::<ResizeConsole>(&mut call, body).err(),
        Rpc::GetProperties => parse::<GetProperties>(&mut call, body).err(),
        Rpc::ModifySettings => parse::<ModifySettings>(&mut call, body).err(),
        Rpc::RecallCall => parse::<RecallCall>(&mut call, body).err(),
        Rpc::ReadOutput => parse::<ReadOutput>(&mut call, body).err(),
        Rpc::Renew => parse::<Renew>(&mut call, body)
            .and_then(|request| request.renewal.entropy())
            .err(),
        Rpc::UpdateNames => parse::<UpdateNames>(&mut call, body).err(),
        Rpc::ShutdownGraceful | Rpc::ShutdownForced => parse::<ShutDown>(&mut call, body).err(),
        _ => parse::<RequestBase>(&mut call, body).err(),
    };
    if let Some(failure) = failure {
        // What is said of any request fits into an answer.
        assert!(!call.failed(&failure).is_empty());
    }
}

fn not_implemented(message: &'static str) -> Failure {
    Failure::new(HResult::E_NOTIMPL, message)
}

//! `ReadOutput`: a reader for the kept output of a detached process.

use std::os::fd::OwnedFd;

use hcs_schema::{Failure, HResult, Stdio};
use hcs_wire::guest::{ReadOutput, ReadOutputResponse};

use super::{BridgeAnswer, BridgeCall};
use crate::{agent::Agent, detached::Ends, link::Link};

impl<L: Link> Agent<L> {
    /// Answers once the reader is there. The output comes through the pipe, whatever becomes of the host.
    pub(super) fn read_output(
        &mut self,
        call: &BridgeCall,
        request: &ReadOutput,
        sent: Vec<OwnedFd>,
    ) -> BridgeAnswer {
        let name = self.take_naming(&request.naming)?;
        let process_id = match self.calls.get(name) {
            // The pipes that came with it are the same.
            Some(done) => done.pid.unwrap_or_default(),
            None => {
                let ports = request.vsock_stdio_relay_settings;
                let streams = self.link.reader(request.query.attach, ports, sent)?;
                let pid = self.read_kept(&request.query, ends(streams)?)?;
                self.calls.done(name, Some(pid));
                pid
            }
        };
        let base = call.base();
        call.answer(&ReadOutputResponse { base, process_id })
    }
}

/// The streams of a reader, of which one is to be written to.
fn ends(streams: Stdio<Option<OwnedFd>>) -> Result<Ends, Failure> {
    let output = streams.stdout.ok_or_else(|| {
        let message = "the request names no port for the output (VsockStdioRelaySettings.StdOut)";
        Failure::new(HResult::E_INVALIDARG, message)
    })?;
    Ok(Ends {
        input: streams.stdin,
        output,
    })
}

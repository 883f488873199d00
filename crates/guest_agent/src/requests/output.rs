//! `ReadOutput`: a reader for the kept output of a detached process.

use std::os::fd::OwnedFd;

use hcs_schema::{Failure, HResult};
use hcs_wire::guest::{ReadOutput, ReadOutputResponse};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::{Answer, Call};
use crate::{agent::Agent, detached::Ends, failure::from_errno, link::Link};

impl<L: Link> Agent<L> {
    /// Answers once the reader is there. The output comes through the pipe, whatever becomes of the host.
    pub(super) fn read_output(
        &mut self,
        call: &Call,
        request: &ReadOutput,
        sent: Vec<OwnedFd>,
    ) -> Answer {
        let name = self.take_naming(&request.naming)?;
        let process_id = match self.calls.get(name) {
            // The pipes that came with it are the same.
            Some(done) => done.pid.unwrap_or_default(),
            None => {
                let pid = self.read_kept(&request.query, ends(sent, request.query.attach)?)?;
                self.calls.done(name, Some(pid));
                pid
            }
        };
        let base = call.base();
        call.answer(&ReadOutputResponse { base, process_id })
    }
}

/// The pipes of a reader, made non-blocking: one to write to, and if it is attached one to read from before that.
fn ends(sent: Vec<OwnedFd>, attached: bool) -> Result<Ends, Failure> {
    let (count, mut sent) = (sent.len(), sent.into_iter());
    let input = if attached { sent.next() } else { None };
    let (Some(output), None, true) = (sent.next(), sent.next(), input.is_some() == attached) else {
        let message = format!(
            "the request came with {count} descriptors; the write end of one pipe was expected, and the read end of \
             another before it where the reader is attached"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    };
    prepare(&output, OFlags::WRONLY)?;
    if let Some(input) = &input {
        prepare(input, OFlags::RDONLY)?;
    }
    Ok(Ends { input, output })
}

/// Makes a pipe non-blocking.
fn prepare(pipe: &OwnedFd, access: OFlags) -> Result<(), Failure> {
    let is_pipe = fstat(pipe).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_fifo());
    let flags = fcntl_getfl(pipe).unwrap_or(OFlags::PATH);
    if !is_pipe || flags & (OFlags::ACCMODE | OFlags::PATH) != access {
        let message =
            "the request came with a descriptor that is not that end of a pipe which was expected";
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK)
        .map_err(|errno| from_errno("a pipe for kept output cannot be used", errno))
}

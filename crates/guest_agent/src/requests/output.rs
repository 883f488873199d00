//! `ReadOutput`: a reader for the kept output of a detached process.

use std::os::fd::OwnedFd;

use hcs_schema::{Failure, HResult};
use hcs_wire::guest::{ReadOutput, ReadOutputResponse};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};

use super::{Answer, Call};
use crate::{agent::Agent, failure::from_errno, link::Link};

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
            // The pipe that came with it is the same one.
            Some(done) => done.pid.unwrap_or_default(),
            None => {
                let pid = self.read_kept(&request.query, pipe(sent)?)?;
                self.calls.done(name, Some(pid));
                pid
            }
        };
        let base = call.base();
        call.answer(&ReadOutputResponse { base, process_id })
    }
}

/// The pipe of a reader, made non-blocking.
fn pipe(sent: Vec<OwnedFd>) -> Result<OwnedFd, Failure> {
    let refused = |found: String| {
        let message = format!("{found}; the write end of one pipe was expected for kept output");
        Failure::new(HResult::E_INVALIDARG, message)
    };
    let [pipe] = <[OwnedFd; 1]>::try_from(sent)
        .map_err(|sent| refused(format!("the request came with {} descriptors", sent.len())))?;
    let is_pipe = fstat(&pipe).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_fifo());
    let flags = fcntl_getfl(&pipe).unwrap_or(OFlags::RDONLY);
    if !is_pipe || flags & OFlags::ACCMODE != OFlags::WRONLY {
        return Err(refused("the request came with something else".to_owned()));
    }
    fcntl_setfl(&pipe, flags | OFlags::NONBLOCK)
        .map_err(|errno| from_errno("the pipe for kept output cannot be used", errno))?;
    Ok(pipe)
}

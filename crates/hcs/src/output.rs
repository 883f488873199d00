//! [`KeptOutput`]: what a detached process has written, and goes on to write.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::output::{Decoder, HEADER_BYTES, MAX_RECORD_BYTES, OutputQuery, Record};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    Operation,
    operation::refused,
    raw::{self, ProcessInformation},
};

/// Bytes received at once.
const CHUNK: usize = HEADER_BYTES + MAX_RECORD_BYTES;

/// The kept output of a detached process, record by record. It comes from the agent of the compute system, without the
/// service, and goes on when that is restarted. A reader that is too slow loses the oldest output and is told how much.
///
/// ```
/// use hcs::{ComputeSystem, OutputQuery, OutputRecord, documents};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let id = format!("hcs-doc-output-{}", std::process::id());
/// # let document = documents::ComputeSystem {
/// #     container: Some(documents::Container::default()),
/// #     should_terminate_on_last_handle_closed: Some(true),
/// #     ..Default::default()
/// # };
/// # let system = ComputeSystem::create(&id, &document).wait()?;
/// # system.start().wait()?;
/// let process = system
///     .create_process(&documents::ProcessParameters {
///         command_line: Some("echo hello".to_owned()),
///         create_std_out_pipe: Some(true),
///         detached: Some(true),
///         ..Default::default()
///     })
///     .wait()?;
/// let query = OutputQuery {
///     process_id: process.id(),
///     follow: true,
///     ..OutputQuery::default()
/// };
/// let mut said = Vec::new();
/// for record in system.output(&query).wait()? {
///     if let (_time, OutputRecord::Stdout(bytes)) = record? {
///         said.extend(bytes);
///     }
/// }
/// assert_eq!(said, b"hello\n");
/// # system.terminate().wait()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KeptOutput {
    process_id: u32,
    input: Option<OwnedFd>,
    pipe: OwnedFd,
    decoder: Decoder,
    ended: bool,
}

impl KeptOutput {
    pub(crate) fn read(system: &raw::System, query: &OutputQuery) -> Operation<Self> {
        let start =
            |operation: &raw::Operation| system.read_output(operation, query).map_err(refused);
        Operation::new(start, |(), operation, _| {
            let (_, information) = operation
                .result_and_process_info(true)
                .map_err(|error| Failure::from(&error))?;
            Self::new(information)
        })
    }

    fn new(information: ProcessInformation) -> Result<Self, Failure> {
        let pipe = information.stdio.stdout.ok_or_else(|| {
            let message = "the service did not use the pipe for the output";
            Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message)
        })?;
        Ok(Self {
            process_id: information.process_id,
            input: information.stdio.stdin,
            pipe,
            decoder: Decoder::default(),
            ended: false,
        })
    }

    /// Pid of the process inside the compute system; 0 where only the service knew it that died before it told.
    #[must_use]
    pub const fn process_id(&self) -> u32 {
        self.process_id
    }

    /// What is written here goes to the standard input of the process, for a query with `attach`. That does not end
    /// with this end of the pipe.
    pub const fn take_input(&mut self) -> Option<OwnedFd> {
        self.input.take()
    }

    /// The next record with its time, in microseconds since 1970; `None` at the end. Waits for it at most for `limit`.
    ///
    /// # Errors
    /// `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`, after which it can go on; or `HCS_E_PROTOCOL_ERROR`: what came is no
    /// record.
    pub fn next_within(
        &mut self,
        limit: Option<Duration>,
    ) -> Result<Option<(u64, Record)>, Failure> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        let broken = |message| Failure::new(HResult::HCS_E_PROTOCOL_ERROR, message);
        loop {
            if self.ended {
                return Ok(None);
            }
            let next = self.decoder.next_record().map_err(|error| {
                self.ended = true;
                broken("what came of the kept output is no record").because(&error)
            })?;
            if next.is_some() {
                return Ok(next);
            }
            if !self.is_readable(end)? {
                let message = "no output came in time";
                return Err(Failure::new(HResult::TIMEOUT, message));
            }
            let mut bytes = vec![0; CHUNK];
            match rustix::io::read(&self.pipe, &mut bytes) {
                Ok(0) => {
                    self.ended = true;
                    if !self.decoder.is_between_records() {
                        return Err(broken(
                            "the kept output ended within a record: its system has ended",
                        ));
                    }
                }
                Ok(count) => self.decoder.feed(&bytes[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => {
                    self.ended = true;
                    return Err(broken("the kept output cannot be read").because(&errno));
                }
            }
        }
    }

    /// Waits until something can be read, at most until `end`; whether it can.
    fn is_readable(&self, end: Option<Instant>) -> Result<bool, Failure> {
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut polled = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let message = "the kept output cannot be waited for";
                    return Err(Failure::new(HResult::E_FAIL, message).because(&errno));
                }
            }
        }
    }
}

impl AsFd for KeptOutput {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Blocks until there is a record; ends with the output, or after the first failure.
impl Iterator for KeptOutput {
    type Item = Result<(u64, Record), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_within(None);
        self.ended |= next.is_err();
        next.transpose()
    }
}

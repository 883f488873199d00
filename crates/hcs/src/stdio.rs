//! The stdio of a process as descriptors: received, handed over once, and the ending of a stdin that was given away.

use std::{
    mem::ManuallyDrop,
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    sync::{Arc, Mutex, Weak},
};

use hcs_schema::Stdio;
use hcs_wire::service::ProcessInformation;
use rustix::{
    io::{DupFlags, Errno},
    pipe::PipeFlags,
    process::{Resource, getrlimit},
};

use crate::reading::sync::lock;

/// Why descriptors cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// Flags and descriptors do not go together.
    #[error("{announced} streams were announced and {received} descriptors came")]
    Count {
        /// Flags set.
        announced: usize,
        /// Descriptors received.
        received: usize,
    },
    /// Fewer came than were announced, which a service does not do: this process had no room for the rest.
    #[error(
        "{received} of {announced} descriptors could be received: this process may have {} open (RLIMIT_NOFILE); close \
         some or raise that limit",
        limit.map_or_else(|| "no more".to_owned(), |limit| limit.to_string())
    )]
    Lost {
        /// Flags set.
        announced: usize,
        /// Descriptors received.
        received: usize,
        /// What this process may have open.
        limit: Option<u64>,
    },
    /// A descriptor below 3 could not be moved.
    #[error("no descriptor number is free: {0}")]
    Numbers(#[from] Errno),
}

/// Sorts the descriptors that came with `information`.
pub(crate) fn sort(
    information: &ProcessInformation,
    descriptors: Vec<OwnedFd>,
) -> Result<Stdio<Option<OwnedFd>>, StreamError> {
    let streams = information.streams();
    let (announced, received) = (streams.count(), descriptors.len());
    if received < announced {
        return Err(StreamError::Lost {
            announced,
            received,
            limit: getrlimit(Resource::Nofile).current,
        });
    }
    if received > announced {
        return Err(StreamError::Count {
            announced,
            received,
        });
    }
    let sorted = streams.take(descriptors);
    Ok(sorted.try_map(|descriptor| descriptor.map(not_standard).transpose())?)
}

/// The same open file under a number of 3 or more: 0 would read as "no handle" in `HCS_PROCESS_INFORMATION`.
fn not_standard(descriptor: OwnedFd) -> Result<OwnedFd, Errno> {
    if descriptor.as_raw_fd() >= 3 {
        return Ok(descriptor);
    }
    rustix::io::fcntl_dupfd_cloexec(&descriptor, 3)
}

/// The pipes of a process that is about to be made, both ends of each until the call is answered: so a service that
/// dies meanwhile takes no byte with it, and the process does not see its reader go.
#[derive(Debug)]
pub(crate) struct Pipes {
    ours: Stdio<Option<OwnedFd>>,
    theirs: Arc<Vec<OwnedFd>>,
    sent: Stdio<bool>,
}

/// The standard streams in `ProcessParameters`.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    create_std_in_pipe: Option<bool>,
    create_std_out_pipe: Option<bool>,
    create_std_err_pipe: Option<bool>,
    emulate_console: Option<bool>,
    detached: Option<bool>,
}

impl Pipes {
    /// Makes the pipes that these `parameters` ask for. Returns `None` if they ask for none or cannot be read: then the
    /// service reports the error.
    ///
    /// # Errors
    /// A pipe cannot be made. The service must not make it, either: a program without a free descriptor could not take
    /// it, and a stream of which something was not taken is out of step.
    pub(crate) fn wanted_by(parameters: &str) -> Result<Option<Self>, Errno> {
        let Ok(wanted) = serde_json::from_str::<Wanted>(parameters) else {
            return Ok(None);
        };
        let console = wanted.emulate_console == Some(true);
        let sent = Stdio {
            stdin: wanted.create_std_in_pipe == Some(true),
            stdout: wanted.create_std_out_pipe == Some(true),
            // A console has one output.
            stderr: wanted.create_std_err_pipe == Some(true) && !console,
        };
        // The agent makes those of a detached process.
        if sent.count() == 0 || wanted.detached == Some(true) {
            return Ok(None);
        }
        Self::make(sent).map(Some)
    }

    /// Makes the pipe that kept output is to come through, and one for input where the reader is attached.
    ///
    /// # Errors
    /// A pipe cannot be made.
    pub(crate) fn for_output(attached: bool) -> Result<Self, Errno> {
        let sent = Stdio {
            stdin: attached,
            stdout: true,
            ..Stdio::default()
        };
        Self::make(sent)
    }

    fn make(sent: Stdio<bool>) -> Result<Self, Errno> {
        let (mut ours, mut theirs) = (Stdio::default(), Vec::new());
        if sent.stdin {
            let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            ours.stdin = Some(not_standard(write)?);
            theirs.push(read);
        }
        let outputs = [
            (sent.stdout, &mut ours.stdout),
            (sent.stderr, &mut ours.stderr),
        ];
        for (wanted, end) in outputs {
            if wanted {
                let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
                *end = Some(not_standard(read)?);
                theirs.push(write);
            }
        }
        Ok(Self {
            ours,
            theirs: Arc::new(theirs),
            sent,
        })
    }

    /// The ends that go along with the call.
    pub(crate) const fn sent(&self) -> Stdio<bool> {
        self.sent
    }

    /// Those ends.
    pub(crate) fn theirs(&self) -> Arc<Vec<OwnedFd>> {
        Arc::clone(&self.theirs)
    }

    /// The process has its ends; these are the caller's.
    pub(crate) fn into_ours(self) -> Stdio<Option<OwnedFd>> {
        self.ours
    }
}

/// Streams that the program has not taken yet. The operation that brought them and their process share it; the first of
/// the two to be closed empties it.
pub(crate) type SharedStreams = Mutex<Stdio<Option<OwnedFd>>>;

/// The stdio of a process handle.
#[derive(Debug, Default)]
pub(crate) struct HandleStdio {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    untaken: Vec<Weak<SharedStreams>>,
    lent: Option<Lent>,
}

/// A stdin whose descriptor number a holder outside Rust owns. Never closed here.
#[derive(Debug)]
struct Lent {
    number: ManuallyDrop<OwnedFd>,
    pipe: (u64, u64),
}

impl HandleStdio {
    /// Remembers streams that came for this process.
    pub(crate) fn offer(&self, slot: &Arc<SharedStreams>) {
        let mut state = lock(&self.state);
        state.untaken.retain(|slot| slot.strong_count() > 0);
        state.untaken.push(Arc::downgrade(slot));
    }

    /// Moves earlier streams of this process that the program has not taken into `streams`.
    pub(crate) fn gather(&self, streams: &mut Stdio<Option<OwnedFd>>) {
        let earlier: Vec<_> = lock(&self.state)
            .untaken
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for slot in earlier {
            let mut slot = lock(&slot);
            for (here, there) in streams.as_mut().zip(slot.as_mut()).into_array() {
                if here.is_none() {
                    *here = there.take();
                }
            }
        }
    }

    /// Closes the streams that the program has not taken.
    pub(crate) fn close_untaken(&self) {
        let untaken = std::mem::take(&mut lock(&self.state).untaken);
        for slot in untaken.iter().filter_map(Weak::upgrade) {
            let streams = std::mem::take(&mut *lock(&slot));
            drop(streams);
        }
    }

    /// Gives `stdin` away as a number, remembering which pipe it is.
    pub(crate) fn lend(&self, stdin: OwnedFd) -> RawFd {
        let number = stdin.as_raw_fd();
        let number_only = ManuallyDrop::new(stdin);
        if let Ok(pipe) = identity(&number_only) {
            lock(&self.state).lent = Some(Lent {
                number: number_only,
                pipe,
            });
        }
        number
    }

    /// Ends the standard input that this process holds the write end of, taken or not: the number that was lent means a
    /// pipe without a reader from now on, if it still means the same pipe.
    pub(crate) fn end_stdin(&self) -> Result<(), Errno> {
        let mut state = lock(&self.state);
        for slot in state.untaken.iter().filter_map(Weak::upgrade) {
            let stdin = lock(&slot).stdin.take();
            drop(stdin);
        }
        let Some(mut lent) = state.lent.take() else {
            return Ok(());
        };
        match identity(&lent.number) {
            Ok(pipe) if pipe == lent.pipe => {}
            // The holder closed it, and perhaps got the number for something else.
            Ok(_) | Err(Errno::BADF) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        drop(reader);
        rustix::io::dup3(&writer, &mut lent.number, DupFlags::CLOEXEC)
    }
}

/// Returns the device and inode, which identify a pipe while it is open.
fn identity(descriptor: &OwnedFd) -> Result<(u64, u64), Errno> {
    let status = rustix::fs::fstat(descriptor)?;
    Ok((status.st_dev, status.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap()
    }

    fn at_end(reader: &OwnedFd) -> bool {
        rustix::fs::fcntl_setfl(reader, rustix::fs::OFlags::NONBLOCK).unwrap();
        rustix::io::read(reader, &mut [0; 1]) == Ok(0)
    }

    #[test]
    fn a_lent_stdin_ends_though_its_holder_has_it_open() {
        let (reader, writer) = pipe();
        let holder = std::fs::File::from(rustix::io::dup(&writer).unwrap());
        let stdio = HandleStdio::default();
        let number = stdio.lend(writer);
        stdio.end_stdin().unwrap();
        assert!(!at_end(&reader), "a copy the holder made is the holder's");
        drop(holder);
        assert!(at_end(&reader));
        let flags = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
        assert!(
            flags.contains("02000001"),
            "close-on-exec and for writing: {flags}"
        );
    }

    #[test]
    fn a_number_that_means_something_else_is_left_alone() {
        let stdio = HandleStdio::default();
        let (reader, writer) = pipe();
        let number = stdio.lend(writer);
        // The holder puts another pipe there, as it would come to be after close and open.
        let (other_reader, other_writer) = pipe();
        let mut state = lock(&stdio.state);
        let lent = &mut state.lent.as_mut().unwrap().number;
        rustix::io::dup3(&other_writer, lent, DupFlags::CLOEXEC).unwrap();
        drop((state, other_writer));
        assert!(at_end(&reader));
        stdio.end_stdin().unwrap();
        assert!(!at_end(&other_reader), "number {number} was replaced");
    }

    #[test]
    fn streams_not_taken_are_closed_with_the_process() {
        let (reader, writer) = pipe();
        let slot = Arc::new(SharedStreams::new(Stdio {
            stdin: Some(writer),
            ..Stdio::default()
        }));
        let stdio = HandleStdio::default();
        stdio.offer(&slot);
        stdio.close_untaken();
        assert!(at_end(&reader));
    }

    #[test]
    fn flags_and_descriptors_have_to_agree() {
        let information = ProcessInformation {
            process_id: 1,
            stdout: true,
            ..ProcessInformation::default()
        };
        assert!(sort(&information, Vec::new()).is_err());
        let streams = sort(&information, vec![pipe().0]).unwrap();
        assert!(streams.stdout.is_some() && streams.stdin.is_none());
    }
}

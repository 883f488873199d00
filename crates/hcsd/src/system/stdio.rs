//! Re-attaching to a process's stdio after the process that held it is gone.
//!
//! The pipes' host ends belong to the client; the service keeps `O_PATH` descriptors of them. Those keep the pipe's
//! inode reachable without counting as a reader or writer, so end-of-file and `EPIPE` work as if the service were not
//! there (`open(2)`, `pipe(7)`). While a process holds one of the ends, no other gets any; once none does, all of
//! them can be opened anew through `/proc/self/fd`. These descriptors die with the service; of processes that an
//! earlier service created, the guest agent is asked for its own, the first time a client wants them.
//!
//! Whether an end is held is asked of the pipe itself: its other end is opened for an instant and polled. `POLLERR`
//! at a write end says that there is no reader, `POLLHUP` at a read end that there is no writer (`poll(2)`).

use std::{
    cell::Cell,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::PathBuf,
};

use hcs_schema::Stdio;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
};

/// How one pipe can be found again.
#[derive(Debug)]
struct Trace {
    inode: OwnedFd,
}

impl Trace {
    /// Only for a pipe without a name: a socket cannot be opened again, and opening anything else might block or do
    /// something.
    fn of(end: Option<&OwnedFd>) -> Option<Self> {
        let end = end?;
        if !hcs_wire::socket::is_pipe(end) {
            return None;
        }
        let inode = open_again(end, OFlags::PATH).ok()?;
        Some(Self { inode })
    }

    fn open(&self, access: OFlags) -> Result<OwnedFd, Errno> {
        open_again(&self.inode, access)
    }

    /// Whether the end that `access` opens has no holder, and the other end has one.
    fn is_left(&self, access: OFlags) -> bool {
        let other = if access == OFlags::WRONLY {
            OFlags::RDONLY
        } else {
            OFlags::WRONLY
        };
        // What cannot be found out has no use for its descriptor, either.
        self.is_held(access) == Ok(false) && self.is_held(other) == Ok(true)
    }

    /// Whether a process holds the end that `access` opens.
    fn is_held(&self, access: OFlags) -> Result<bool, Errno> {
        let (other_end, abandoned) = if access == OFlags::WRONLY {
            (OFlags::RDONLY, PollFlags::HUP)
        } else {
            (OFlags::WRONLY, PollFlags::ERR)
        };
        let other = self.open(other_end | OFlags::NONBLOCK)?;
        let mut polled = [PollFd::from_borrowed_fd(other.as_fd(), PollFlags::empty())];
        poll(&mut polled, Some(&rustix::time::Timespec::default()))?;
        Ok(!polled[0].revents().contains(abandoned))
    }
}

fn open_again(descriptor: &OwnedFd, access: OFlags) -> Result<OwnedFd, Errno> {
    let path = PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()));
    rustix::fs::open(path, access | OFlags::CLOEXEC, Mode::empty())
}

/// The pipes of one process.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    pipes: Stdio<Option<Trace>>,
    /// A client ended the stream on purpose; it is not to be opened anew.
    stdin_closed: Cell<bool>,
}

impl Traces {
    /// Remembers the pipes behind `ends`. Ends that are not pipes, or that cannot be found again, are given out once.
    pub(crate) fn remember(ends: &Stdio<Option<OwnedFd>>) -> Self {
        Self {
            pipes: ends.as_ref().map(|end| Trace::of(end.as_ref())),
            stdin_closed: Cell::new(false),
        }
    }

    /// Remembers pipes that a client made, by the ends that it gave for the process, in the order of the `streams`.
    pub(crate) fn given(ends: &[OwnedFd], streams: Stdio<bool>) -> Self {
        Self {
            pipes: streams.take(ends).map(Trace::of),
            stdin_closed: Cell::new(false),
        }
    }

    /// Pipes that an earlier service gave out, found again by what the guest kept of them. The guest is not trusted,
    /// nor is what it sends: an end that is held would keep the pipe open, so what is kept of it here is a way to it
    /// and no more.
    pub(crate) fn recalled(ways: &Stdio<Option<OwnedFd>>) -> Self {
        Self::remember(ways)
    }

    /// A client said that nothing more will be written. The client's own descriptor is the client's to close: the
    /// service holds no writing end that could keep the stream open.
    pub(crate) fn close_stdin(&self) {
        self.stdin_closed.set(true);
    }

    /// Whether a client said so.
    pub(crate) fn is_stdin_closed(&self) -> bool {
        self.stdin_closed.get()
    }

    /// The process has exited: gives up all pipes but those that something it left behind has still, and no client.
    /// Nothing could be got of the others any more, and their descriptors would be kept for as long as the exit status.
    pub(crate) fn outlive_process(&mut self) {
        let streams = [
            (&mut self.pipes.stdin, OFlags::WRONLY),
            (&mut self.pipes.stdout, OFlags::RDONLY),
            (&mut self.pipes.stderr, OFlags::RDONLY),
        ];
        for (trace, access) in streams {
            if trace.as_ref().is_some_and(|trace| !trace.is_left(access)) {
                *trace = None;
            }
        }
    }

    /// Fresh ends, when no process holds any of the old ones; else none.
    ///
    /// # Errors
    /// No descriptors left.
    pub(crate) fn reattach(&self) -> Result<Stdio<Option<OwnedFd>>, Errno> {
        // The stream that is most likely held comes first: stdin is often closed early.
        let streams = self.pipes.as_ref().zip(Stdio {
            stdin: OFlags::WRONLY,
            stdout: OFlags::RDONLY,
            stderr: OFlags::RDONLY,
        });
        for (trace, access) in [streams.stdout, streams.stderr, streams.stdin] {
            if let Some(trace) = trace
                && trace.is_held(access)?
            {
                return Ok(Stdio::default());
            }
        }
        let closed = Stdio {
            stdin: self.stdin_closed.get(),
            ..Stdio::default()
        };
        let open = streams.zip(closed);
        open.try_map(|((trace, access), closed)| {
            let trace = trace.as_ref().filter(|_| !closed);
            trace.map(|trace| trace.open(access)).transpose()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC).unwrap()
    }

    #[test]
    fn held_ends_are_not_given_twice_and_lost_ones_are_given_anew() {
        let ((child_in, host_in), (host_out, child_out)) = (pipe(), pipe());
        let ends = Stdio {
            stdin: Some(host_in),
            stdout: Some(host_out),
            stderr: None,
        };
        let stdio = Traces::remember(&ends);
        let none = stdio.reattach().unwrap();
        assert!(none.stdin.is_none() && none.stdout.is_none());

        let Stdio { stdin, stdout, .. } = ends;
        drop(stdin);
        let none = stdio.reattach().unwrap();
        assert!(
            none.stdin.is_none() && none.stdout.is_none(),
            "stdout is still held"
        );
        drop(stdout);

        let fresh = stdio.reattach().unwrap();
        let mut written = std::fs::File::from(child_out);
        written.write_all(b"late").unwrap();
        drop(written);
        let mut text = String::new();
        std::fs::File::from(fresh.stdout.unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "late");
        std::fs::File::from(fresh.stdin.unwrap())
            .write_all(b"x")
            .unwrap();
        let mut byte = Vec::new();
        std::fs::File::from(child_in)
            .read_to_end(&mut byte)
            .unwrap();
        assert_eq!(byte, b"x", "and then the end: no hidden writer");
    }

    #[test]
    fn a_stream_that_was_closed_on_purpose_stays_closed() {
        let (_child_in, host_in) = pipe();
        let ends = Stdio {
            stdin: Some(host_in),
            ..Stdio::default()
        };
        let stdio = Traces::remember(&ends);
        stdio.close_stdin();
        drop(ends);
        assert!(stdio.reattach().unwrap().stdin.is_none());
    }

    #[test]
    fn only_pipes_without_a_name_are_taken_from_a_guest() {
        let (host_out, child_out) = pipe();
        let way = open_again(&host_out, OFlags::PATH).unwrap();
        drop(host_out);
        let other = rustix::fs::open("/dev/null", OFlags::PATH, Mode::empty()).unwrap();
        let stdio = Traces::recalled(&Stdio {
            stdin: Some(other),
            stdout: Some(way),
            stderr: None,
        });
        assert!(stdio.pipes.stdin.is_none());
        let fresh = stdio.reattach().unwrap();
        assert_eq!(rustix::io::write(&child_out, b"x"), Ok(1));
        assert!(fresh.stdout.is_some());
    }

    #[test]
    fn a_socket_is_given_out_once() {
        let (host, _guest) = std::os::unix::net::UnixStream::pair().unwrap();
        let stdio = Traces::remember(&Stdio {
            stdout: Some(host.into()),
            ..Stdio::default()
        });
        assert!(stdio.reattach().unwrap().stdout.is_none());
    }

    #[test]
    fn of_a_process_that_has_exited_only_what_it_left_behind_is_kept() {
        let ends = |host_in, host_out| Stdio {
            stdin: Some(host_in),
            stdout: Some(host_out),
            ..Stdio::default()
        };
        // What it started has both, and the client is gone.
        let ((child_in, host_in), (host_out, child_out)) = (pipe(), pipe());
        let mut stdio = Traces::remember(&ends(host_in, host_out));
        stdio.outlive_process();
        assert!(stdio.pipes.stdin.is_some());
        assert!(stdio.reattach().unwrap().stdout.is_some());
        drop((child_in, child_out));
        stdio.outlive_process();
        assert!(stdio.pipes.stdin.is_none() && stdio.pipes.stdout.is_none());
        // The client has them, as a program that closes the handle and reads on.
        let ((child_in, host_in), (host_out, child_out)) = (pipe(), pipe());
        let held = ends(host_in, host_out);
        let mut stdio = Traces::remember(&held);
        drop((child_in, child_out));
        stdio.outlive_process();
        assert!(stdio.pipes.stdin.is_none() && stdio.pipes.stdout.is_none());
    }

    #[test]
    fn remembering_does_not_keep_a_pipe_open() {
        let (host_out, child_out) = pipe();
        let stdio = Traces::remember(&Stdio {
            stdout: Some(host_out),
            ..Stdio::default()
        });
        let error = rustix::io::write(&child_out, b"x").unwrap_err();
        assert_eq!(error, Errno::PIPE);
        drop(stdio);
    }
}

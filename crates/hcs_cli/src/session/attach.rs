//! Streams of a process that runs already: records come from its agent and become streams, keys go there.
//!
//! ```text
//!   our stdin ──▶ keys ──pipe──▶ agent ──pipe──▶ records ──pipes──▶ the session's loop ──▶ our stdout, stderr
//!                  └─ those that detach: the session ends, the process goes on
//! ```

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    thread,
};

use hcs::{Failure, HResult, KeptOutput, OutputRecord, Stdio};
use rustix::{
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
    stdio, termios,
};

use super::keys::{DetachKeys, Detector};

/// Bytes taken from our input at once.
const CHUNK: usize = 4096;

/// Has the output of a process come through pipes, in a thread.
///
/// # Errors
/// Pipes or a thread are lacking.
pub(super) fn outputs(output: KeptOutput) -> Result<Stdio<Option<OwnedFd>>, Failure> {
    let make = || -> io::Result<Stdio<Option<OwnedFd>>> {
        let (stdout, to_out) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, to_err) = pipe_with(PipeFlags::CLOEXEC)?;
        thread::Builder::new()
            .name("records".to_owned())
            .spawn(move || pass_on(output, to_out.into(), to_err.into()))?;
        Ok(Stdio {
            stdin: None,
            stdout: Some(stdout),
            stderr: Some(stderr),
        })
    };
    make().map_err(|error| failed(&error))
}

/// Ends with the output, or when it cannot be written any more.
fn pass_on(output: KeptOutput, mut to_out: File, mut to_err: File) {
    for record in output {
        let written = match record {
            Ok((_, OutputRecord::Stdout(bytes))) => to_out.write_all(&bytes),
            Ok((_, OutputRecord::Stderr(bytes))) => to_err.write_all(&bytes),
            Ok((_, OutputRecord::Lost(count))) => {
                let text = format!("hcs: {count} bytes of output are missing here\r\n");
                to_err.write_all(text.as_bytes())
            }
            Ok(_) => Ok(()),
            // The system has ended; how the session ends is told by the service.
            Err(_) => return,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Passes our input on to `input`, in a thread that ends with the program. The answer hangs up when `keys` were typed
/// on a terminal.
///
/// # Errors
/// Descriptors or a thread are lacking.
pub(super) fn input(input: OwnedFd, keys: &DetachKeys) -> Result<OwnedFd, Failure> {
    let is_terminal = termios::isatty(stdio::stdin());
    // What comes from elsewhere may have any bytes.
    let mut detector = is_terminal.then(|| Detector::new(keys));
    let make = || -> io::Result<OwnedFd> {
        let (detached, attached) = pipe_with(PipeFlags::CLOEXEC)?;
        thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || {
                if !copy(&input, detector.as_mut()) {
                    // Held as long as the program lives: our input has ended, the session goes on.
                    std::mem::forget(attached);
                }
            })?;
        Ok(detached)
    };
    make().map_err(|error| failed(&error))
}

/// Copies until our input ends, or the process takes no more; whether the keys that detach were typed.
fn copy(input: &OwnedFd, mut detector: Option<&mut Detector>) -> bool {
    let mut bytes = [0; CHUNK];
    loop {
        let count = match read(stdio::stdin(), &mut bytes) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(_) => break,
        };
        let mut passed = Vec::with_capacity(count);
        let found = match &mut detector {
            Some(detector) => detector.feed(&bytes[..count], &mut passed),
            None => {
                passed.extend_from_slice(&bytes[..count]);
                false
            }
        };
        if write_all(input, &passed).is_err() || found {
            return found;
        }
    }
    let held = detector.map(Detector::end).unwrap_or_default();
    // A process that reads no more has no use for it.
    let _not_taken = write_all(input, &held);
    false
}

/// Writes to the agent's pipe. That is non-blocking on its side alone.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(to.as_fd(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn failed(error: &io::Error) -> Failure {
    let message = "the streams of the process cannot be passed on";
    Failure::new(HResult::E_FAIL, message).because(error)
}

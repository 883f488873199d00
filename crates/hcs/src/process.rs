//! [`Process`].

use std::{io, os::fd::OwnedFd};

use hcs_schema::{
    Failure, Stdio,
    documents::{
        CloseHandle, ConsoleSize, ModifyOperation, ProcessDetails, ProcessModifyRequest, Signal,
        SignalProcessOptions, StdHandle,
    },
};

use crate::{
    Events, Exit, ExitStatus, Operation, PipeReader, PipeWriter,
    exit::process_exit,
    operation::{read, refused, write},
    raw::{self, ProcessInformation},
};

/// A process in a compute system. A handle to it; dropped, the handle is closed and the process lives on.
///
/// Its streams are the pipes themselves: each is there if the process was made with it (`CreateStdInPipe` and so on),
/// until it is taken. Dropping [`Process::take_stdin`]'s descriptor ends the input of the process.
///
/// ```
/// use std::{
///     fs::File,
///     io::{Read as _, Write as _},
/// };
///
/// use hcs::{ComputeSystem, documents};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let id = format!("hcs-doc-process-{}", std::process::id());
/// # let document = documents::ComputeSystem {
/// #     container: Some(documents::Container::default()),
/// #     should_terminate_on_last_handle_closed: Some(true),
/// #     ..Default::default()
/// # };
/// # let system = ComputeSystem::create(&id, &document).wait()?;
/// # system.start().wait()?;
/// let mut process = system
///     .create_process(&documents::ProcessParameters {
///         command_line: Some("tr a-z A-Z".to_owned()),
///         create_std_in_pipe: Some(true),
///         create_std_out_pipe: Some(true),
///         ..Default::default()
///     })
///     .wait()?;
/// if let (Some(stdin), Some(stdout)) = (process.take_stdin(), process.take_stdout()) {
///     File::from(stdin).write_all(b"shout")?;
///     let mut output = String::new();
///     File::from(stdout).read_to_string(&mut output)?;
///     assert_eq!(output, "SHOUT");
/// }
/// assert_eq!(process.exit().wait()?.code, 0);
/// # system.terminate().wait()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Process {
    raw: raw::Process,
    process_id: u32,
    stdio: Stdio<Option<OwnedFd>>,
}

impl Process {
    pub(crate) fn create(
        system: &raw::System,
        parameters: Result<String, Failure>,
    ) -> Operation<Self> {
        let start = |operation: &raw::Operation| {
            raw::Process::create(system, &parameters?, operation).map_err(refused)
        };
        Operation::new(start, |raw, operation, _| {
            let (_, information) = operation
                .result_and_process_info(true)
                .map_err(|error| Failure::from(&error))?;
            Ok(Self::new(raw, information))
        })
    }

    pub(crate) fn open(system: &raw::System, process_id: u32) -> Operation<Self> {
        let start = |operation: &raw::Operation| {
            raw::Process::open_by(system, process_id, operation).map_err(refused)
        };
        Operation::new(start, move |raw, _, _| {
            let information = ProcessInformation {
                process_id,
                ..ProcessInformation::default()
            };
            Ok(Self::new(raw, information))
        })
    }

    fn new(raw: raw::Process, information: ProcessInformation) -> Self {
        Self {
            raw,
            process_id: information.process_id,
            stdio: information.stdio,
        }
    }

    /// Pid inside the compute system.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.process_id
    }

    /// The handle underneath.
    #[must_use]
    pub const fn raw(&self) -> &raw::Process {
        &self.raw
    }

    /// The write end of standard input.
    pub const fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.stdio.stdin.take()
    }

    /// The read end of standard output.
    pub const fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdio.stdout.take()
    }

    /// The read end of standard error.
    pub const fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.stdio.stderr.take()
    }

    /// [`Process::take_stdin`] for async code.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn stdin_writer(&mut self) -> io::Result<Option<PipeWriter>> {
        self.stdio.stdin.take().map(PipeWriter::new).transpose()
    }

    /// [`Process::take_stdout`] for async code.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn stdout_reader(&mut self) -> io::Result<Option<PipeReader>> {
        self.stdio.stdout.take().map(PipeReader::new).transpose()
    }

    /// [`Process::take_stderr`] for async code.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn stderr_reader(&mut self) -> io::Result<Option<PipeReader>> {
        self.stdio.stderr.take().map(PipeReader::new).transpose()
    }

    /// Asks for the streams of a process after the client that held them has gone. While a client holds them, the
    /// answer has none.
    pub fn attach(&self) -> Operation<ProcessInformation> {
        let start = |operation: &raw::Operation| self.raw.info(operation).map_err(refused);
        Operation::new(start, |(), operation, _| {
            let answer = operation.result_and_process_info(true);
            answer
                .map(|(_, information)| information)
                .map_err(|error| Failure::from(&error))
        })
    }

    /// Blocks until it has exited: `self.exit().wait()`.
    ///
    /// # Errors
    /// As [`Exit::wait`].
    pub fn wait(&self) -> Result<ExitStatus, Failure> {
        self.exit().wait()
    }

    /// Its end, to be waited for or awaited.
    pub fn exit(&self) -> Exit<ExitStatus> {
        Exit::new(self.raw.handle(), process_exit)
    }

    /// The events of the process from now on.
    ///
    /// # Errors
    /// `E_OUTOFMEMORY` when no thread could be started.
    pub fn events(&self) -> Result<Events, Failure> {
        Events::new(self.raw.handle())
    }

    /// Kills it.
    pub fn terminate(&self) -> Operation<()> {
        let start =
            |operation: &raw::Operation| self.raw.terminate(operation, None).map_err(refused);
        Operation::new(start, |(), _, _| Ok(()))
    }

    /// Sends it a signal, and nothing that it started.
    pub fn signal(&self, signal: Signal) -> Operation<()> {
        self.send(&SignalProcessOptions {
            signal: Some(signal),
            ..SignalProcessOptions::default()
        })
    }

    /// Sends a signal to its group: to the process and to its descendants that made no group of their own. SIGKILL goes
    /// to the whole session.
    pub fn signal_group(&self, signal: Signal) -> Operation<()> {
        self.send(&SignalProcessOptions {
            signal: Some(signal),
            group: Some(true),
        })
    }

    fn send(&self, options: &SignalProcessOptions) -> Operation<()> {
        let options = options.clone();
        let start = |operation: &raw::Operation| {
            let json = write(&options)?;
            self.raw.signal(operation, Some(&json)).map_err(refused)
        };
        Operation::new(start, |(), _, _| Ok(()))
    }

    /// Sets the size of its terminal, in characters.
    pub fn resize(&self, height: u16, width: u16) -> Operation<()> {
        self.modify(&ProcessModifyRequest {
            operation: Some(ModifyOperation::ConsoleSize),
            console_size: Some(ConsoleSize {
                height: Some(height),
                width: Some(width),
            }),
            ..ProcessModifyRequest::default()
        })
    }

    /// Ends its standard input when this side does not hold the pipe. Otherwise drop the descriptor from
    /// [`Process::take_stdin`].
    pub fn close_stdin(&mut self) -> Operation<()> {
        self.stdio.stdin = None;
        self.modify(&ProcessModifyRequest {
            operation: Some(ModifyOperation::CloseHandle),
            close_handle: Some(CloseHandle {
                handle: Some(StdHandle::StdIn),
            }),
            ..ProcessModifyRequest::default()
        })
    }

    /// Changes it.
    pub fn modify(&self, request: &ProcessModifyRequest) -> Operation<()> {
        let start = |operation: &raw::Operation| {
            self.raw
                .modify(operation, &write(request)?)
                .map_err(refused)
        };
        Operation::new(start, |(), _, _| Ok(()))
    }

    /// Its properties.
    pub fn properties(&self) -> Operation<ProcessDetails> {
        let start =
            |operation: &raw::Operation| self.raw.properties(operation, None).map_err(refused);
        Operation::new(start, |(), _, document| {
            read("ProcessDetails", document.as_deref())
        })
    }
}

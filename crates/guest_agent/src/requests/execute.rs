//! `ExecuteProcess`: from the request to a running program.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::SystemTime,
};

use hcs_schema::{
    Failure, HResult, Stdio, documents::ProcessParameters, privileges::Privileges, win32,
};
use hcs_wire::{
    errno,
    guest::{ExecuteProcess, ExecuteProcessResponse, ResponseBase, code},
};
use rustix::process::Pid;

use super::{
    BridgeAnswer, BridgeCall, explain,
    marks::{self, Marks},
};
use crate::{
    accounts::{self, Identity},
    agent::{Agent, MAX_PROCESSES, Process},
    command::{Command, ConsoleSize},
    console::{Console, Pty},
    detached::Output,
    facts::GuestFacts,
    files::{self, ReadError, TextFile},
    kept::Kept,
    link::{self, Dialled, Link},
    sys::{Launch, LaunchError, Spawner},
    waits::Wait,
};

impl<L: Link> Agent<L> {
    pub(super) fn execute(
        &mut self,
        call: &BridgeCall,
        request: &ExecuteProcess,
        sent: Vec<OwnedFd>,
    ) -> BridgeAnswer {
        let mut marks = Marks::begin();
        let begun = self.begin(call, request, sent, &mut marks);
        let (base, process_id) = match &begun {
            Ok(pid) => (call.base(), *pid),
            Err(failure) => (ResponseBase::failed(call.activity_id.clone(), failure), 0),
        };
        call.answer(&ExecuteProcessResponse {
            base,
            process_id,
            steps: Some(marks.told()),
        })
    }

    /// Begins what is asked for; returns its pid.
    fn begin(
        &mut self,
        call: &BridgeCall,
        request: &ExecuteProcess,
        sent: Vec<OwnedFd>,
        marks: &mut Marks,
    ) -> Result<u32, Failure> {
        let name = self.take_naming(&request.naming)?;
        if self.calls.get(name).is_some() {
            let message = format!("the call {name} was done already; ask what became of it");
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        self.check_room(request)?;
        let dialled = self.link.dial(request.settings.vsock_stdio_relay_settings);
        let document = document(&request.settings.process_parameters)?;
        let user = document.user.as_deref().unwrap_or_default();
        let identity = identify(&self.facts, user)?;
        marks.identified = Some(marks::now());
        let command = Command::new(&document, identity.home.as_deref())?;
        let privileges = self.privileges.of_process(&document)?;
        marks.decided = Some(marks::now());
        let (stdio, output) = self.connect(&command, dialled, sent)?;
        let started = SystemTime::now();
        let (pid, console, kept) = match command.console {
            None => {
                let pid = self.start_plain(&command, &identity, &privileges, &stdio, marks)?;
                // Only now, as the program runs meanwhile.
                (pid, None, self.keep(&command, &stdio))
            }
            Some(size) => {
                let kept = self.keep(&command, &stdio);
                let who = (&identity, &privileges);
                match self.start_on_console(&command, who, stdio, size, marks) {
                    Ok((pid, console)) => (pid, console, kept),
                    Err(failure) => {
                        self.keeper.release(kept);
                        return Err(failure);
                    }
                }
            }
        };
        self.set_childless(false);
        let pid = pid.as_raw_nonzero().get().unsigned_abs();
        let process = Process {
            image: base_name(&command.program).to_owned(),
            started,
            console,
            kept,
            call: name.to_owned(),
            ends_system: document.ends_system == Some(true),
        };
        if let Some(mut output) = output {
            output.started(pid, command.console.is_some());
            self.outputs.add(output);
        }
        self.calls.done(name, Some(pid));
        self.add(pid, process);
        self.wait_as_asked(call, request, pid);
        Ok(pid)
    }

    /// Takes a process in that has just begun.
    fn add(&mut self, pid: u32, process: Process) {
        if process.ends_system {
            self.link.will_leave();
        }
        self.processes.insert(pid, process);
    }

    /// Waits for the exit of a process that has just begun, if its request asks for that, too.
    fn wait_as_asked(&mut self, call: &BridgeCall, request: &ExecuteProcess, pid: u32) {
        if let Some(id) = request.wait_message_id {
            let wait = Wait {
                id,
                activity_id: call.activity_id.clone(),
                deadline: None,
            };
            self.waits.add(pid, wait);
        }
    }

    /// The standard streams of a process: what came for them, or pipes of the agent's where its output is kept.
    fn connect(
        &mut self,
        command: &Command,
        dialled: Dialled,
        sent: Vec<OwnedFd>,
    ) -> Result<(Stdio<Option<OwnedFd>>, Option<Output>), Failure> {
        if !command.detached {
            let streams = self.link.stdio(command.streams, dialled, sent)?;
            return Ok((self.pipes(command, streams)?, None));
        }
        self.outputs.check_room()?;
        let files = self.link.kept_files(sent)?;
        let (output, stdio) = Output::prepare(command.streams, files)?;
        let watched = self.watch_output(&output);
        watched.map_err(|errno| errno::failed("the output cannot be watched", errno))?;
        Ok((stdio, Some(output)))
    }

    /// Streams for a process: pipes in any case. A console is relayed to its streams whatever they are.
    fn pipes(
        &mut self,
        command: &Command,
        streams: Stdio<Option<OwnedFd>>,
    ) -> Result<Stdio<Option<OwnedFd>>, Failure> {
        if self.link.passes_descriptors() || command.console.is_some() {
            return Ok(streams);
        }
        let connected = self.relay(streams);
        connected.map_err(|errno| errno::failed("no pipes can be made", errno))
    }

    /// Ways back to the pipes that were given for a process; those of the agent's own are not handed out.
    fn keep(&mut self, command: &Command, stdio: &Stdio<Option<OwnedFd>>) -> Kept {
        match command.detached || !self.link.passes_descriptors() {
            true => Kept::default(),
            false => self.keeper.keep(&self.facts.own, stdio),
        }
    }

    fn check_room(&self, request: &ExecuteProcess) -> Result<(), Failure> {
        if self.shutting_down {
            let message = "the system is shutting down and starts no more processes";
            return Err(Failure::new(code::INVALID_STATE, message));
        }
        let full = self.processes.len().max(self.consoles.len()) >= MAX_PROCESSES;
        let too_many_waits = request.wait_message_id.is_some() && self.waits.is_full();
        if full || too_many_waits {
            let message = format!(
                "the agent tracks {} processes and {} waits and takes no more",
                self.processes.len(),
                self.waits.len()
            );
            let hresult = HResult::from_win32(win32::ERROR_NO_SYSTEM_RESOURCES);
            return Err(Failure::new(hresult, message));
        }
        Ok(())
    }

    fn start_plain(
        &mut self,
        command: &Command,
        identity: &Identity,
        privileges: &Privileges,
        stdio: &Stdio<Option<OwnedFd>>,
        marks: &mut Marks,
    ) -> Result<Pid, Failure> {
        link::give_to(stdio, identity.uid);
        let null = self.facts.null();
        let given = stdio.as_ref().into_array();
        let descriptors =
            given.map(|given| given.as_ref().map_or(null, |descriptor| descriptor.as_fd()));
        let mut launch = launch(command, identity, privileges, &self.facts, descriptors);
        let own = match command.own {
            true => Some(self.facts.own.executable().map_err(|errno| {
                errno::failed("the agent's own program cannot be opened", errno)
            })?),
            false => None,
        };
        launch.program = own.as_ref().map(AsFd::as_fd);
        spawn(&mut self.spawner, &launch, marks)
            .map_err(|error| explain::launch(command, identity, privileges, error))
    }

    fn start_on_console(
        &mut self,
        command: &Command,
        (identity, privileges): (&Identity, &Privileges),
        stdio: Stdio<Option<OwnedFd>>,
        size: ConsoleSize,
        marks: &mut Marks,
    ) -> Result<(Pid, Option<u64>), Failure> {
        let refuse = |errno| {
            let doing = format!(
                "cannot run {:?}: no console can be made for it",
                command.program
            );
            errno::failed(&doing, errno)
        };
        let pty = Pty::open(&self.facts.own, identity.uid, size).map_err(refuse)?;
        let slave = rustix::io::fcntl_dupfd_cloexec(&pty.slave, 3).map_err(refuse)?;
        let console = Console::new(pty, stdio.stdin, stdio.stdout).map_err(refuse)?;
        let number = self.add_console(console).map_err(refuse)?;
        let slave = slave.as_fd();
        let stdio = [slave, slave, slave];
        let launch = launch(command, identity, privileges, &self.facts, stdio);
        match spawn(&mut self.spawner, &launch, marks) {
            Ok(pid) => Ok((pid, Some(number))),
            Err(error) => {
                self.consoles.remove(&number);
                Err(explain::launch(command, identity, privileges, error))
            }
        }
    }
}

/// Starts a program, and notes how far that got.
fn spawn(
    spawner: &mut Spawner,
    launch: &Launch<'_>,
    marks: &mut Marks,
) -> Result<Pid, LaunchError> {
    marks.connected = Some(marks::now());
    let spawned = spawner.spawn(launch);
    marks.child = spawner.times();
    if spawned.is_ok() {
        marks.executed = Some(marks::now());
    }
    spawned
}

/// Reads the document of the program to run.
fn document(text: &str) -> Result<ProcessParameters, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("ProcessParameters is not a valid document: {error}");
        Failure::new(code::INVALID_JSON, message)
    })
}

/// All of a request that is read before anything happens.
#[cfg(fuzzing)]
pub(super) fn read_only(request: &ExecuteProcess) -> Result<(), Failure> {
    let document = document(&request.settings.process_parameters)?;
    Command::new(&document, None)?;
    Ok(())
}

/// The ids that `user` has in this system.
fn identify(facts: &GuestFacts, user: &str) -> Result<Identity, Failure> {
    let read = |file: &TextFile| {
        let contents = file.read(&facts.own, files::MAX_ACCOUNTS_BYTES);
        contents.map_err(|error| {
            let code = match error {
                ReadError::Errno(errno) => errno::hresult(errno),
                _ => HResult::E_INVALIDARG,
            };
            Failure::new(code, format!("{} cannot be read: {error}", file.path()))
        })
    };
    let (passwd, group) = (read(&facts.passwd)?, read(&facts.group)?);
    accounts::resolve(user, &passwd, &group)
        .map_err(|error| Failure::new(HResult::E_INVALIDARG, error.to_string()))
}

fn launch<'a>(
    command: &'a Command,
    identity: &'a Identity,
    privileges: &'a Privileges,
    facts: &'a GuestFacts,
    stdio: [BorrowedFd<'a>; 3],
) -> Launch<'a> {
    Launch {
        candidates: &command.candidates,
        program: None,
        arguments: &command.arguments,
        environment: &command.environment,
        directory: &command.directory,
        stdio,
        terminal: command.console.is_some(),
        user: identity.uid,
        group: identity.gid,
        groups: facts.may_set_groups.then_some(&identity.groups),
        reset_oom_score: facts.reset_oom_score.then(|| facts.own.proc()).flatten(),
        privileges,
        bounding: facts.bounding,
    }
}

fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

//! `hcs run`: a container for one command.

use std::{ffi::OsString, path::Path};

use clap::Args;
use hcs::{
    ComputeSystem, Failure, HResult, LogQuery, OutOfMemory, Process,
    documents::{ComputeSystem as ComputeSystemDocument, ProcessParameters},
    read_log,
};

use super::{disk, new_id, our_variable, read_document, service, system_document};
use crate::{
    apart, client,
    clock::Clock,
    complain, default_network,
    failure::{NOT_FOUND, Stop},
    grants::Grants,
    images,
    options::{
        Surroundings,
        container::ContainerOptions,
        image::{self, ChosenImage},
        limit::Limit,
        machine::MachineOptions,
        process::ProcessOptions,
    },
    output::{print, printable},
    session::{self, Manner},
    terminal, unseen,
};

const TIMEOUT: &str = "Kill the command, and remove the container, when all of it takes longer, from the creation to the \
command's end (0.5 is half a second); the exit code is then 124";

/// The exit code of a command that was killed: whether for want of memory has been told with its end.
const KILLED: u8 = 137;

/// Run a command in a new container and pass its streams and exit code through
///
/// The container is removed when the command has ended, with everything that still runs in it, also when hcs is
/// interrupted. When hcs is killed (SIGKILL), the service removes it as soon as no other program, an exec or a wait
/// say, uses it. Signals are passed on to the command and its process group, as a terminal does; the second of HUP,
/// INT, QUIT or TERM kills all of its session.
///
/// With -d nothing is passed through: the service and the command go on without hcs, and --timeout is about the start
/// alone. The newest 12 to 16 MB of the output are kept, for as long as the container exists.
///
/// The first word is an image, and what follows is its command. Behind -- the words are a command of this machine,
/// without any image; and so are all words beside --layer, or beside --image, which names the image as well. Only the
/// place of a word decides, never what images and programs there are.
///
/// Of an image its entry point, command, user, variables, directory, stop signal, labels and volumes are used. A volume
/// is a mount that begins with the image's files, can be written to with --read-only as well, and goes with the
/// container; a --mount or --tmpfs there, or above, takes its place. -P publishes the ports of an image, which hcs
/// inspect shows, at free ports of this machine, which hcs port shows. Its health check is not used.
///
/// Without an image or --layer the command sees the files of this machine, and starts in the current directory. What it
/// writes is thrown away. Empty are /home, /root, /run, /tmp and other places where users and services keep what is
/// theirs; keys, password files and data of services are missing (`hcs service Capabilities` lists all, below
/// HostView). The current directory is shown even in such a place, unless it is a home or one of these places itself.
/// For everything use --layer /, for files to be shared use --mount. What changes on the host meanwhile may be seen or
/// not, except in a --mount of its directory.
///
/// With --isolation vm the command has a Linux kernel of its own, in QEMU, and sees the files of a guest image, of
/// --disk and of --share. Of the options of containers --memory, --cpus, --hostname and those of networks go with it.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    mut_arg("command", |command| {
        command
            .required(false)
            .required_unless_present("image")
            .value_names(["IMAGE", "CMD"])
            .help("An image and its command; behind --, a command of this machine")
    }),
    override_usage = "hcs run [OPTIONS] IMAGE [CMD...]\n       hcs run [OPTIONS] -- CMD...",
    after_help = "\
Examples:
  hcs run debian:12 cat /etc/os-release
  hcs run -it --entrypoint sh -u 0 tools:1
  hcs run --platform linux/arm64 debian:12 uname -m
  hcs run -d -l tier=web tools:1                     hcs inspect shows labels
  hcs run -d --id web -P tools:1 && hcs port web
  hcs run -- sh -c 'echo hello from $(hostname)'
  hcs run -it --layer ./rootfs -- sh
  tar c . | hcs run -i --scratch ./out -- tar x -C /srv
  hcs run -d --id job -- make test                   then: hcs logs -f job
  hcs run --read-only --tmpfs /tmp:size=64M -- ./untrusted
  hcs run --device /dev/fuse --mount ./agent.sock:/run/agent.sock -- ./build
  hcs run -d --rm -- make                            gone when make has ended, with its output
  hcs run --isolation vm --disk ./data.qcow2 -- cat /proc/partitions
  hcs run --isolation vm --share .:/work -- ls /work
  hcs run --id db --keep --mount ./data:/data -- initdb /data      then: hcs exec db -- ..."
)]
pub(crate) struct Run {
    /// Name of the container [default: a random one]
    #[arg(long, visible_alias = "name", value_parser = super::given_id)]
    id: Option<String>,

    /// Keep the container running after the command has ended
    #[arg(long)]
    keep: bool,

    /// Print the id and return when the command has started; the container stays, with the output (hcs logs) and the
    /// exit code (hcs wait) of its command, until hcs terminate; with -i or -it for hcs attach
    #[arg(short, long, visible_alias = "background")]
    detach: bool,

    /// Remove the container when the command has ended: with -d, too
    #[arg(long, conflicts_with = "keep")]
    rm: bool,

    /// Run this program in place of the image's entry point; "" for none, so that the command begins with CMD
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    container: ContainerOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten)]
    process: ProcessOptions,
}

/// Tells what a container will not have as its caller may expect it.
fn tell(
    container: &ContainerOptions,
    here: &Surroundings,
    document: &ComputeSystemDocument,
    clock: Clock,
) {
    unseen::tell(container, here, clock);
    apart::tell(document);
}

impl Run {
    pub(crate) fn run(mut self) -> Result<u8, Stop> {
        let here = Surroundings::here();
        let is_machine = self.is_machine()?;
        self.process.read_files(read_document)?;
        // All words are the command of a virtual machine, whose files are its guest image's.
        let typed = !is_machine && self.take_image(&std::env::args_os().collect::<Vec<_>>());
        let (image, hold) = images::of(&self.container, typed)?.unzip();
        self.decide_command(image.as_ref())?;
        // Where anything before was refused, no disk stays mounted.
        disk::mount_scratch(&mut self.container.scratch)?;
        let ends_with_us = !self.keep && !self.detach;
        let clock = self.limit.begin("run");
        let document = system_document(
            &self.container,
            &self.machine,
            image.as_ref(),
            &here,
            ends_with_us,
        )?;
        if !is_machine {
            self.process.start_in(self.container.host_directory(&here));
            tell(&self.container, &here, &document, clock);
        }
        let size = self.process.tty.then(terminal::size).flatten();
        let mut parameters = self.process.document(size, our_variable)?;
        parameters.detached = self.detach.then_some(true);
        let stays = if self.detach { !self.rm } else { self.keep };
        parameters.ends_system = (!stays).then_some(true);
        let id = self.id.unwrap_or_else(new_id);
        let mut grants = Grants::give(&id, &document);
        let launched = launch(&self.container, &id, document, &parameters, clock);
        // What the container is made from is mounted by now.
        drop(hold);
        let (system, process) =
            launched.map_err(|stop| explained(stop, &self.container, &self.process, is_machine))?;
        service::tell_of_groups(is_machine);
        grants.stay_if(stays);
        if self.detach {
            print(&format!("{}\n", printable(&id)))?;
            return Ok(0);
        }
        let manner = Manner::new(&self.process, &id, clock);
        // It ends by itself; its end is waited for, and what is in its way killed.
        let ended = || match self.keep {
            true => Ok(()),
            false => client::terminate(&system, clock.grace()),
        };
        let code = session::run(process, &manner, ended);
        // What was killed for want of memory may be a child of the command, whose own end does not tell.
        if self.container.limits_memory()
            && !is_machine
            && !self.keep
            && matches!(code, Ok(0..KILLED))
        {
            tell_memory_kills(&system, clock.grace());
        }
        // Its handle ends with the connection, which ends with us: the service need not hear of it before.
        std::mem::forget(system);
        code
    }

    fn is_machine(&self) -> Result<bool, Failure> {
        let is_machine = self.machine.is_machine(&self.container)?;
        if is_machine && self.detach {
            let message = "--detach is for containers: no output of detached processes is kept in a virtual machine";
            return Err(Failure::new(HResult::NOT_SUPPORTED, message));
        }
        Ok(is_machine)
    }

    /// Takes an image out of the words behind the options of our command `line`; whether one was there.
    fn take_image(&mut self, line: &[OsString]) -> bool {
        let words = std::mem::take(&mut self.process.command);
        let behind_dashes = image::behind_dashes(line, words.len());
        let named = !self.container.has_default_view();
        let (image, command) = image::part(words, named, behind_dashes);
        self.process.command = command;
        let typed = image.is_some();
        self.container.image = image.or_else(|| self.container.image.take());
        typed
    }

    /// Completes the command by what the image says.
    fn decide_command(&mut self, image: Option<&ChosenImage>) -> Result<(), Failure> {
        match image {
            Some(image) => {
                let instead = self.entrypoint.as_deref();
                self.process.command = image.command(instead, &self.process.command)?;
                Ok(())
            }
            None if self.entrypoint.is_some() => {
                let message = "--entrypoint stands in place of an image's entry point, and no image is named: the command is \
                               what follows the options";
                Err(Failure::new(HResult::E_INVALIDARG, message))
            }
            None => Ok(()),
        }
    }
}

/// [`client::launch`] in the default network, where there is one and no other is asked for. Where that cannot be had,
/// the container is made without it.
fn launch(
    container: &ContainerOptions,
    id: &str,
    mut document: ComputeSystemDocument,
    parameters: &ProcessParameters,
    clock: Clock,
) -> Result<(ComputeSystem, Process), Stop> {
    let is_in_default = default_network::furnish(&mut document, &container.networks, id, clock)?;
    let launched = client::launch(id, &document, parameters, clock);
    match launched {
        Err(stop) if is_in_default && default_network::give_up(&mut document, &stop.failure) => {
            client::launch(id, &document, parameters, clock)
        }
        launched => launched,
    }
}

/// Says so where something was not found because the default view of the host's files leaves it out, or because it is
/// looked for in a virtual machine.
fn explained(
    mut stop: Stop,
    container: &ContainerOptions,
    process: &ProcessOptions,
    is_machine: bool,
) -> Stop {
    if is_machine {
        if stop.code == NOT_FOUND {
            let cause = "a virtual machine has the programs of its guest image, not those of this machine: `hcs guest-image build \
                         --root DIR` makes one of a root file system";
            stop.failure = stop.failure.cause(cause);
        }
        return stop;
    }
    if stop.code == NOT_FOUND && container.image.is_some() && process.program().starts_with('-') {
        let option = process.program();
        let cause = format!(
            "what follows the image is its command, and {option} is there: options of hcs stand before the image, as in hcs run \
             {option} ... IMAGE CMD"
        );
        stop.failure = stop.failure.cause(cause);
        return stop;
    }
    let missing = stop.code == NOT_FOUND || stop.failure.message.contains("no such file");
    let is_there = stop.failure.message.contains("is there, but");
    let left_out = missing && !is_there && container.has_default_view();
    let here =
        |path: &&str| left_out && stop.failure.message.contains(path) && Path::new(path).exists();
    if let Some(path) = process.paths().find(here) {
        let covered = container.covering(Path::new(path));
        let cause = match covered {
            Some(option) => format!(
                "{option} is in the place of what this machine has there: begin elsewhere (--workdir /), or show it in there \
                 by --mount {path}:{path}"
            ),
            None => format!(
                "{path} is on this machine, but containers without --layer may not see it (`hcs service Capabilities` lists, \
             below HostView, what they do not see): show it by --mount {path}:{path}, or all files by --layer /"
            ),
        };
        stop.failure = stop.failure.cause(cause);
    } else if left_out && stop.code == NOT_FOUND && !process.program().starts_with(['.', '/']) {
        let program = process.program();
        let cause = format!(
            "behind --, {program:?} is a command of this machine; an image is named before its command, without --: \
             hcs run IMAGE CMD"
        );
        stop.failure = stop.failure.cause(cause);
    }
    stop
}

/// Says how many processes of `system`, which has ended, were killed for want of memory, if the event log knows of any.
fn tell_memory_kills(system: &ComputeSystem, clock: Clock) {
    let Some(runtime_id) = system.runtime_id() else {
        return;
    };
    let mut query = LogQuery {
        system: Some(runtime_id.to_owned()),
        ..LogQuery::default()
    };
    let mut kills = 0;
    let mut why = OutOfMemory::default();
    // The command has ended as it did, whatever can be learnt of this.
    while let Ok(page) = clock.on(read_log(&query)).wait() {
        for data in page.events.iter().filter_map(|event| event.data.as_ref()) {
            if let Some(more) = data["Kills"].as_u64() {
                kills += more;
                why.limit_in_mb = data["MemoryLimitInMB"].as_u64();
            }
        }
        if !page.more {
            break;
        }
        query.since = page.next;
    }
    match kills {
        0 => {}
        1 => complain(&format!("hcs: 1 process in it was killed: {why}\n")),
        _ => complain(&format!(
            "hcs: {kills} processes in it were killed: {why}\n"
        )),
    }
}

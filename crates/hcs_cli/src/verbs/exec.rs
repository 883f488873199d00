//! `hcs exec`: a process in a system that runs.

use clap::Args;

use super::{our_variable, read_document};
use crate::{
    client,
    failure::Stop,
    options::{limit::Limit, privileges::PrivilegeOptions, process::ProcessOptions},
    output::print,
    session::{self, Manner},
    terminal,
};

const TIMEOUT: &str = "Kill the command and its session when it takes longer, from the call to its end (0.5 is half a \
second); the exit code is then 124";

/// Run a command in a running container and pass its streams and exit code through
///
/// Signals are passed on to the command and its process group, as a terminal does; the second of HUP, INT, QUIT or TERM
/// kills all of its session. When the command has ended but others still hold its output open, hcs waits until they
/// have been silent for a second. When hcs is killed (SIGKILL), the command goes on without it, its input at an end:
/// hcs ps shows it, and hcs signal ends it.
#[derive(Args, Debug)]
#[command(
    mut_arg("timeout", |timeout| timeout.help(TIMEOUT)),
    override_usage = "hcs exec [OPTIONS] ID [--] CMD...",
    after_help = "\
Examples:
  hcs exec box -- uname -a
  hcs exec -it box -- sh
  hcs exec -i -u www-data -e LANG=C box -- sort < words
  hcs exec -d box -- make                    then: hcs wait box PID, hcs logs --process PID box
  hcs exec --cap-drop ALL --ulimit nofile=256 box -- ./untrusted"
)]
pub(crate) struct Exec {
    /// The container
    id: String,

    /// Print the pid and return when the command has started; its output is kept as that of hcs run -d, and read by
    /// hcs logs --process PID; with -i or -it for hcs attach --process PID
    #[arg(short, long)]
    detach: bool,

    #[command(flatten)]
    limit: Limit,

    #[command(flatten)]
    process: ProcessOptions,

    #[command(flatten)]
    privileges: PrivilegeOptions,
}

impl Exec {
    pub(crate) fn run(mut self) -> Result<u8, Stop> {
        self.process.read_files(read_document)?;
        let size = self.process.tty.then(terminal::size).flatten();
        let mut parameters = self.process.document(size, our_variable)?;
        self.privileges.apply(&mut parameters);
        parameters.detached = self.detach.then_some(true);
        let clock = self.limit.begin("exec");
        let (system, process) = client::join(&self.id, &parameters, clock)?;
        // Its handle ends with the connection, which ends with us: the service need not hear of it before.
        std::mem::forget(system);
        if self.detach {
            print(&format!("{}\n", process.id()))?;
            return Ok(0);
        }
        let manner = Manner::new(&self.process, &self.id, clock);
        session::run(process, &manner, || Ok(()))
    }
}

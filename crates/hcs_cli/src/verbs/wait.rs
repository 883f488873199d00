//! `hcs wait`: until a system or a process has ended.

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, output::print_json};

/// Wait until a system, or a process in it, has ended
///
/// With a PID the exit code is that of the process. Without one the status document of the system is printed.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The system
    id: String,

    /// A process, by its pid inside
    pid: Option<u32>,
}

impl Wait {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let system = ComputeSystem::open(&self.id).wait()?;
        if let Some(pid) = self.pid {
            return Ok(client::code(system.open_process(pid).wait()?.wait()?));
        }
        print_json(&system.exit().wait()?)?;
        Ok(0)
    }
}

//! `hcs wait`: until a system or a process has ended.

use std::time::Duration;

use clap::Args;
use hcs::ComputeSystem;

use crate::{client, failure::Stop, options::limit::seconds, output::print_json};

/// Wait until a system, or a process in it, has ended
///
/// With a PID the exit code is that of the process. Without one the status document of the system is printed.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// The system
    id: String,

    /// A process, by its pid inside
    pid: Option<u32>,

    /// Give up when it takes longer (0.5 is half a second); what is waited for goes on
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

impl Wait {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let system = ComputeSystem::open(&self.id).wait()?;
        if let Some(pid) = self.pid {
            let process = system.open_process(pid).wait()?;
            let status = match self.timeout {
                Some(limit) => process.exit().wait_for(limit)?,
                None => process.wait()?,
            };
            return Ok(client::code(status));
        }
        let status = match self.timeout {
            Some(limit) => system.exit().wait_for(limit)?,
            None => system.exit().wait()?,
        };
        print_json(&status)?;
        Ok(0)
    }
}

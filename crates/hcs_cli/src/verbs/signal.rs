//! `hcs signal`: a signal for one process.

use clap::Args;
use hcs::documents::Signal as Kind;

use crate::{
    failure::Stop,
    options::{self, limit::Limit},
};

/// Send a signal to a process
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs signal box 12                asks process 12 to end
  hcs signal box 12 HUP
  hcs signal box 1 RTMIN+3         has systemd halt its container")]
pub(crate) struct Signal {
    /// The system
    id: String,

    /// Pid inside it, as ps shows
    #[arg(value_parser = options::pid)]
    pid: u32,

    /// Name, such as TERM, SIGHUP, RTMIN+3 or RTMAX-1, or number
    #[arg(default_value = "TERM", value_parser = options::signal)]
    signal: Kind,

    #[command(flatten)]
    limit: Limit,
}

impl Signal {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("signal");
        let system = clock.open(&self.id)?;
        let process = clock.wait(&self.id, system.open_process(self.pid))?;
        clock.wait(&self.id, process.signal(self.signal))?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("hup", 1),
            ("10", 10),
            ("64", 64),
            ("sigrtmin+3", 37),
            ("RTMAX-1", 63),
        ] {
            assert_eq!(options::signal(text).unwrap().number(), number, "{text}");
        }
        for bad in ["", "0", "65", "-1", "NOPE"] {
            assert!(options::signal(bad).is_err(), "{bad}");
        }
    }
}

//! `hcs port`: the ports of this machine that lead to a system.

use clap::Args;
use hcs::{Failure, HResult};

use crate::{
    failure::Stop,
    options::limit::Limit,
    output::{print, print_json, printable},
    ports::{self, Port as Published},
};

/// Show the ports of this machine that lead to a system
///
/// Each line has a port of the system, and the address and port of this machine: 80/tcp -> 0.0.0.0:61000. Of one port
/// alone it is the address and port only, for scripts. 0.0.0.0 stands for all addresses of this machine.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs port web
  hcs port web 80                  0.0.0.0:61000
  hcs port web 53/udp
  hcs port --json web")]
pub(crate) struct Port {
    /// The system
    id: String,

    /// A port of the system: 80, 80/tcp or 53/udp
    port: Option<String>,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    limit: Limit,
}

impl Port {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("port");
        let system = clock.open(&self.id)?;
        let ports = ports::of(&system, clock).map_err(|failure| clock.stop(&self.id, failure))?;
        let wanted = self.port.as_deref();
        let is_wanted = |port: &&Published| wanted.is_none_or(|wanted| port.is(wanted));
        let found: Vec<&Published> = ports.iter().filter(is_wanted).collect();
        if let (Some(wanted), []) = (wanted, &*found) {
            let message = format!(
                "no port of this machine leads to the port {wanted:?} of {:?}",
                self.id
            );
            let all = "`hcs port ID` shows all; `hcs run -p 8080:80` publishes a port, `hcs run -P` all that an image exposes";
            return Err(Failure::new(HResult::NOT_FOUND, message).cause(all).into());
        }
        if self.json {
            let ports: Vec<_> = found.iter().map(|port| port.json()).collect();
            print_json(&ports)?;
            return Ok(0);
        }
        let line = |port: &&Published| match wanted {
            Some(_) => format!("{}\n", printable(&port.at())),
            None => format!("{port} -> {}\n", printable(&port.at())),
        };
        print(&found.iter().map(line).collect::<String>())?;
        Ok(0)
    }
}

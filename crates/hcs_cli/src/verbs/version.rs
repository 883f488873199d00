//! `hcs version`.

use clap::Args;
use serde_json::json;

use crate::{
    failure::Stop,
    output::{Format, FormatOption, print, print_json},
};

/// Show the version of this program; that of the service is told by service
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs version
  hcs version --json")]
pub(crate) struct Version {
    #[command(flatten)]
    format: FormatOption,
}

impl Version {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let version = env!("CARGO_PKG_VERSION");
        match self.format.chosen() {
            Format::Json => print_json(&json!({ "Version": version }))?,
            Format::Table => print(&format!("hcs {version}\n"))?,
        }
        Ok(0)
    }
}

//! `hcs image record`: what `hcs commit` has done in a store by a process of its own.

use clap::Args;
use hcs_schema::Failure;

use crate::{
    committing::Written,
    failure::{FAILED, Stop},
    output::print,
};

/// Make an image with what a container has written as one more layer
///
/// A failure is written to standard output, as a ResultError document.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image record --container box --store ./store --digest sha256:0123... --scratch ./out tools:2")]
pub(super) struct Record {
    #[command(flatten)]
    written: Written,
}

impl Record {
    pub(super) fn run(self) -> Result<u8, Stop> {
        let told = |failure: Failure| {
            print(&failure.to_document())?;
            Ok(FAILED)
        };
        self.written.record().map_or_else(told, |()| Ok(0))
    }
}

//! `hcs image prepare`: what `hcs run` and `hcs create` have done in a store by a process of its own.

use std::path::PathBuf;

use clap::Args;
use hcs_schema::Failure;
use hcs_storage::image::document::Platform;

use crate::{
    failure::{FAILED, Stop},
    images::{self, Preparation},
    options::{image::platform, pull, unpacking::UnpackingOptions},
    output::print,
};

/// Have an image with all its layers in a store
///
/// A failure is written to standard output, as a ResultError document.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image prepare --store ./store debian:12")]
pub(super) struct Prepare {
    /// The image: a name, or the first digits of its id
    image: String,

    /// The store
    #[arg(long, value_name = "DIR")]
    store: PathBuf,

    /// When it is got from its registry
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pull: pull::Pull,

    /// The kind of machine whose image is taken
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,

    /// The name stood where a command of this machine may have been meant
    #[arg(long)]
    typed: bool,

    #[command(flatten)]
    unpacking: UnpackingOptions,
}

impl Prepare {
    pub(super) fn run(self) -> Result<u8, Stop> {
        let asked = Preparation {
            wanted: &self.image,
            place: &self.store,
            typed: self.typed,
            platform: self.platform.as_ref(),
            options: self.unpacking.options(),
            pull: self.pull,
        };
        let told = |failure: Failure| {
            print(&failure.to_document())?;
            Ok(FAILED)
        };
        images::prepare(asked).map_or_else(told, |()| Ok(0))
    }
}

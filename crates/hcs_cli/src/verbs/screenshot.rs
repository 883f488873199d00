//! `hcs screenshot`: what the screen of a virtual machine shows, as a file.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use hcs::{Failure, HResult, documents::SystemPropertyType};

use crate::{client, failure::Stop, options::limit::Limit, output::cannot_write, whole};

/// The name of a file that means standard output.
const OUTPUT: &str = "-";

/// Save a picture of the screen of a virtual machine, in the format PNG
///
/// The machine has a screen if it was made with --screen, or with VideoMonitor in the Devices of its document, where an
/// empty object is enough: {"VideoMonitor": {}}. Until firmware or a driver of the guest uses the screen, the picture
/// says so. A file that is there is replaced.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs screenshot box box.png
  hcs screenshot box - | feh -                     to another program")]
pub(crate) struct Screenshot {
    /// The virtual machine
    id: String,

    /// The file to write, - for standard output
    file: PathBuf,

    #[command(flatten)]
    limit: Limit,
}

impl Screenshot {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        if self.file.as_os_str() == OUTPUT && io::stdout().is_terminal() {
            let message = "a picture is not written to a terminal; name a file";
            return Err(Failure::new(HResult::E_INVALIDARG, message).into());
        }
        let clock = self.limit.begin("screenshot");
        let properties = client::property(&self.id, SystemPropertyType::ConsoleImage, clock)?;
        let image = properties.console_image.and_then(|image| image.image);
        let picture = image.and_then(|image| STANDARD.decode(image).ok());
        let picture = picture.ok_or_else(|| {
            let message = format!("the service sent no picture of the screen of {:?}", self.id);
            Failure::new(HResult::E_UNEXPECTED, message)
        })?;
        write(&self.file, &picture)?;
        Ok(0)
    }
}

fn write(file: &Path, picture: &[u8]) -> Result<(), Failure> {
    if file.as_os_str() == OUTPUT {
        let mut out = io::stdout().lock();
        let written = out.write_all(picture).and_then(|()| out.flush());
        return written.map_err(|error| cannot_write(&error));
    }
    // Root may write into a tree of containers: a link there is replaced.
    whole::to_file(file, |mut opened| {
        opened.write_all(picture).map_err(|error| {
            let message = format!("the picture cannot be written to {}", file.display());
            Failure::new(HResult::E_FAIL, message).because(&error)
        })
    })
}

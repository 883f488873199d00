//! A picture of a machine's screen, as clients get it.

use std::{
    fs::File,
    io::{Read as _, Seek as _},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hcs_schema::{
    Failure, HResult,
    documents::{ConsoleImage, Properties},
};

use super::VmMachine;
use crate::protocol::{LARGEST_PICTURE, WorkerRequest};

/// The picture, in the format PNG.
pub(super) fn of(machine: &VmMachine) -> Result<Properties, Failure> {
    if !machine.has_screen {
        let message = format!(
            "the virtual machine {:?} has no screen: its document has no VirtualMachine/Devices/VideoMonitor",
            machine.id
        );
        return Err(Failure::new(HResult::HCS_E_INVALID_STATE, message));
    }
    let (answer, picture) = machine.control.ask_for(&WorkerRequest::TakePicture)?;
    machine.done("asked for a picture of its screen", Ok(answer))?;
    let unread = |why: String| {
        let message = format!(
            "the picture of the screen of the virtual machine {:?} cannot be read",
            machine.id
        );
        Failure::new(HResult::E_FAIL, message).cause(why)
    };
    let picture = picture.ok_or_else(|| unread("its worker handed none over".to_owned()))?;
    let (mut picture, mut bytes) = (File::from(picture), Vec::new());
    let read = picture
        .rewind()
        .and_then(|()| picture.take(LARGEST_PICTURE).read_to_end(&mut bytes));
    read.map_err(|error| unread(error.to_string()))?;
    Ok(Properties {
        console_image: Some(ConsoleImage {
            image: Some(STANDARD.encode(bytes)),
        }),
        ..Properties::default()
    })
}

//! One file per verb: its arguments, and what it does.

pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod completion;
pub(crate) mod console;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod guest_image;
pub(crate) mod help;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod network;
mod network_check;
mod network_connect;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod ps;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod screenshot;
pub(crate) mod service;
pub(crate) mod shutdown;
pub(crate) mod signal;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod terminate;
pub(crate) mod update;
pub(crate) mod validate;
pub(crate) mod version;
pub(crate) mod wait;

use std::{env, ffi::OsString, fs, io::Read as _, path::Path};

use hcs_schema::{Failure, HResult, documents::ComputeSystem};

use crate::{
    networks,
    options::{
        Surroundings, container::ContainerOptions, image::ChosenImage, machine::MachineOptions,
    },
};

/// The value of a variable of ours.
fn our_variable(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// The id that a system is given at the terminal: one that is no option where it is named.
fn given_id(id: &str) -> Result<String, String> {
    match id.starts_with('-') {
        true => Err("an id that begins with '-' would be taken for an option".to_owned()),
        false => Ok(id.to_owned()),
    }
}

/// An id for a system that was not given one: 12 hexadecimal digits.
fn new_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(12);
    id
}

/// The document of the system that the options describe. `ends_with_us`: the service removes it when the last handle to
/// it is gone.
///
/// # Errors
/// Options that do not go together, a path that JSON cannot say, or a guest image that is not there and cannot be made.
fn system_document(
    container: &ContainerOptions,
    machine: &MachineOptions,
    image: Option<&ChosenImage>,
    here: &Surroundings,
    ends_with_us: bool,
) -> Result<ComputeSystem, Failure> {
    if !machine.is_machine(container)? {
        let mut document = container.document(here, image, ends_with_us)?;
        networks::furnish(&mut document, &container.networks, None)?;
        return Ok(document);
    }
    let boot = guest_image::boot(machine, here)?;
    let mut document = machine.document(container, boot, here, ends_with_us)?;
    networks::furnish(&mut document, &container.networks, container.host_name())?;
    Ok(document)
}

/// The text of `file`; `-` is standard input.
fn read_document(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(file)
    };
    read.map_err(|error| {
        let message = format!("{} cannot be read", file.display());
        Failure::new(HResult::E_INVALIDARG, message).because(&error)
    })
}

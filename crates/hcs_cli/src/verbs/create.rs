//! `hcs create`: a system that waits to be started.

use std::path::PathBuf;

use clap::Args;
use hcs::{ComputeSystem, documents::ComputeSystemProperties};

use super::{new_id, read_document, system_document};
use crate::{
    advice, client,
    failure::Stop,
    images,
    options::{
        Surroundings,
        container::{self, ContainerOptions},
        limit::Limit,
        machine::{self, MachineOptions},
    },
    output::{print, print_json, printable},
    unseen,
};

/// Create a container, a virtual machine, or any system by its document, and print its id; start runs it, terminate removes it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs create --id box --layer ./rootfs
  hcs create --id box --image debian:12 && hcs start box && hcs exec box -- id
  hcs create --isolation vm --memory 1G --disk ./data.qcow2 --id box
  hcs create --document system.json --json
  printf '{\"Container\": {}}' | hcs create --id box --document -")]
pub(crate) struct Create {
    /// Name of the system [default: a random one]
    #[arg(long, visible_alias = "name")]
    id: Option<String>,

    /// A ComputeSystem document in place of the container options; - reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = container::ARGUMENTS,
          conflicts_with_all = machine::ARGUMENTS)]
    document: Option<PathBuf>,

    /// Print Id and RuntimeId as a ComputeSystemProperties document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    container: ContainerOptions,

    #[command(flatten)]
    machine: MachineOptions,

    #[command(flatten, next_help_heading = None)]
    limit: Limit,

    /// Only there to say where the name goes
    #[arg(hide = true, value_name = "ID", value_parser = named)]
    misplaced: Option<String>,
}

fn named(id: &str) -> Result<String, String> {
    Err(format!("a name is given as --id: hcs create --id {id}"))
}

impl Create {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        // What it is made from stays there until that is known to the service.
        let (image, _hold) = images::of(&self.container, false)?.unzip();
        let (document, advise): (_, fn(Stop) -> Stop) = match &self.document {
            Some(file) => (read_document(file)?, advice::of_making),
            None => (
                client::text(&system_document(
                    &self.container,
                    &self.machine,
                    image.as_ref(),
                    &Surroundings::here(),
                    false,
                )?)?,
                advice::of_own_document,
            ),
        };
        let id = self.id.unwrap_or_else(new_id);
        let clock = self.limit.begin("create");
        if self.document.is_none() && !self.machine.is_machine(&self.container)? {
            unseen::tell(self.container.host_directory(&Surroundings::here()), clock);
        }
        let made = clock.wait(&id, ComputeSystem::create_json(&id, &document));
        let system = made.map_err(advise)?;
        match self.json {
            true => print_json(&ComputeSystemProperties {
                id: Some(id),
                runtime_id: system.runtime_id().map(str::to_owned),
                ..ComputeSystemProperties::default()
            })?,
            false => print(&format!("{}\n", printable(&id)))?,
        }
        Ok(0)
    }
}

//! `hcs create`: a system that waits to be started.

use std::{env, ffi::OsString, path::PathBuf};

use clap::Args;
use hcs::{ComputeSystem, Failure, HResult, documents::ComputeSystemProperties};

use super::{disk, new_id, read_document, service, system_document};
use crate::{
    advice, apart, client, default_network,
    failure::Stop,
    grants::Grants,
    images,
    options::{
        Surroundings,
        container::{self, ContainerOptions},
        image,
        limit::Limit,
        machine::{self, MachineOptions},
    },
    output::{print, print_json, printable},
    unseen,
};

/// Create a container, a virtual machine, or any system by its document, and print its id; start runs it, terminate
/// removes it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs create --id box --layer ./rootfs
  hcs create --id box --image debian:12 && hcs start box && hcs exec box -- id
  hcs create --id web --image debian:12 --label tier=web
  hcs create --isolation vm --memory 1G --disk ./data.qcow2 --id box
  hcs create --document system.json --json
  printf '{\"Container\": {}}' | hcs create --id box --document -")]
pub(crate) struct Create {
    /// Name of the system [default: a random one]
    #[arg(long, visible_alias = "name", value_parser = super::given_id)]
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

    /// Only there to say where they go
    #[arg(hide = true, value_name = "WORDS", num_args = 0..)]
    misplaced: Vec<String>,
}

/// The refusal of words behind the options of a command `line`.
fn misplaced(words: &[String], line: &[OsString]) -> Result<(), Failure> {
    let [first, rest @ ..] = words else {
        return Ok(());
    };
    let refused = |message: String| Err(Failure::new(HResult::E_INVALIDARG, message));
    if image::behind_dashes(line, words.len()) {
        return refused(
            "create runs no command: start the container, and then run the command by `hcs exec ID -- CMD`; or do all at once \
             by `hcs run -d -- CMD`"
                .to_owned(),
        );
    }
    let command = match rest {
        [] => "",
        _ => "; create runs no command, which `hcs exec` does once it is started",
    };
    refused(format!(
        "create takes an image as `hcs create --image {first}`, and a name as `hcs create --id {first}`{command}"
    ))
}

impl Create {
    pub(crate) fn run(mut self) -> Result<u8, Stop> {
        misplaced(&self.misplaced, &env::args_os().collect::<Vec<_>>())?;
        let is_machine = self.machine.is_machine(&self.container)?;
        // What it is made from stays there until that is known to the service.
        let (image, _hold) = images::of(&self.container, false)?.unzip();
        // Where anything before was refused, no disk stays mounted.
        disk::mount_scratch(&mut self.container.scratch)?;
        let clock = self.limit.begin("create");
        let id = self.id.clone().unwrap_or_else(new_id);
        let mut in_default = None;
        let (document, advise): (_, fn(Stop) -> Stop) = match &self.document {
            Some(file) => (read_document(file)?, advice::of_making),
            None => {
                let mut document = system_document(
                    &self.container,
                    &self.machine,
                    image.as_ref(),
                    &Surroundings::here(),
                    false,
                )?;
                apart::tell(&document);
                if default_network::furnish(&mut document, &self.container.networks, &id, clock)? {
                    in_default = Some(document.clone());
                }
                (client::text(&document)?, advice::of_own_document)
            }
        };
        if self.document.is_none() && !is_machine {
            unseen::tell(&self.container, &Surroundings::here(), clock);
        }
        // What cannot be read is refused by the service, with the place of the fault.
        let grants = hcs_schema::parse(&document).map(|document| Grants::give(&id, &document));
        let mut made = clock.wait(&id, ComputeSystem::create_json(&id, &document));
        if let (Err(stop), Some(mut document)) = (&made, in_default)
            && default_network::give_up(&mut document, &stop.failure)
        {
            made = clock.wait(&id, ComputeSystem::create(&id, &document));
        }
        let system = made.map_err(advise)?;
        service::tell_of_groups(self.document.is_some() || is_machine);
        if let Ok(mut grants) = grants {
            grants.stay_if(true);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_behind_the_options_are_told_where_they_go() {
        let told = |line: &str, count: usize| {
            let line: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let words = line[line.len() - count..].iter();
            let words: Vec<String> = words
                .map(|word| word.to_str().unwrap().to_owned())
                .collect();
            misplaced(&words, &line).map_err(|failure| failure.message.to_string())
        };
        assert_eq!(told("hcs create --id box", 0), Ok(()));
        let image = told("hcs create debian:12", 1).unwrap_err();
        assert!(image.contains("hcs create --image debian:12`"), "{image}");
        let command = told("hcs create debian:12 sh", 2).unwrap_err();
        assert!(command.contains("hcs exec"), "{command}");
        let command = told("hcs create --image debian:12 -- sh", 1).unwrap_err();
        assert!(command.contains("hcs run -d -- CMD"), "{command}");
    }
}

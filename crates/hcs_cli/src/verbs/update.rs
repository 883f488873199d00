//! `hcs update`: other limits for a container that runs, or another size for the memory of a virtual machine.

use clap::{ArgGroup, Args};
use hcs::{
    Failure, HResult,
    documents::{SystemPropertyQuery, SystemType},
};
use serde_json::{Value, json};

use crate::{
    failure::Stop,
    options::{
        Surroundings,
        limit::Limit,
        memory,
        processors::{self, Processors},
    },
};

/// Change the limits of a container that runs, or the memory of a virtual machine
///
/// A virtual machine gets more memory, up to 16 times what it began with, and gives back what it was given, as its
/// guest can spare it; what it began with it keeps. Its processors stay as they are.
///
/// Of a container nothing that runs is ended for a lower limit of memory: when the container uses more, the limit stays
/// as it was, and the answer says how much is used. What is not named stays as it is. When the second of two changes
/// fails, the first one holds.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("limits").args(["memory", "cpus"]).required(true).multiple(true),
    after_help = "\
Examples:
  hcs update --memory 1G box
  hcs update --cpus 0.5 --memory 256 box
  hcs update --memory 2G machine"
)]
pub(crate) struct Update {
    /// The system
    id: String,

    /// Memory limit in megabytes, or as 2G; of a virtual machine, the memory that its guest has
    #[arg(long, value_name = "MB", value_parser = memory::megabytes)]
    memory: Option<u64>,

    /// How many processors a container may keep busy, such as 2 or 0.5
    #[arg(long, value_name = "N", value_parser = processors::parse)]
    cpus: Option<Processors>,

    #[command(flatten)]
    limit: Limit,
}

impl Update {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("update");
        let system = clock.open(&self.id)?;
        let about = clock.wait(&self.id, system.properties(&SystemPropertyQuery::default()))?;
        let is_machine = about.system_type == Some(SystemType::VirtualMachine);
        for request in self.requests(is_machine)? {
            clock.wait(&self.id, system.modify(&request))?;
        }
        Ok(0)
    }

    /// What is asked of the service for a container or a virtual machine.
    fn requests(&self, is_machine: bool) -> Result<Vec<Value>, Failure> {
        if is_machine && self.cpus.is_some() {
            let message = format!(
                "--cpus cannot be changed: {:?} is a virtual machine, which keeps the processors that it was made with; \
                 its memory can be changed (--memory)",
                self.id
            );
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        let update = |path: &str, settings: Value| json!({ "ResourcePath": path, "RequestType": "Update", "Settings": settings });
        let memory = self.memory.map(|megabytes| {
            let path = match is_machine {
                true => "VirtualMachine/ComputeTopology/Memory/SizeInMB",
                false => "Container/Memory/SizeInMB",
            };
            update(path, json!(megabytes))
        });
        let cpus = self.cpus.map(|cpus| {
            let settings = cpus.document(Surroundings::here().processors());
            update("Container/Processor", json!(settings))
        });
        Ok([memory, cpus].into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn requests(words: &str, is_machine: bool) -> Result<Vec<Value>, Failure> {
        let words = std::iter::once("x").chain(words.split_whitespace());
        Line::try_parse_from(words)
            .unwrap()
            .update
            .requests(is_machine)
    }

    #[test]
    fn each_kind_of_system_has_its_own_paths() {
        let of = |words: &str, is_machine: bool| {
            let requests = requests(words, is_machine).unwrap();
            let paths = requests.iter().map(|request| &request["ResourcePath"]);
            paths
                .map(|path| path.as_str().unwrap().to_owned())
                .collect::<Vec<String>>()
        };
        let words = "box --memory 1G --cpus 2";
        let container = ["Container/Memory/SizeInMB", "Container/Processor"];
        assert_eq!(of(words, false), container);
        let machine = ["VirtualMachine/ComputeTopology/Memory/SizeInMB"];
        assert_eq!(of("box --memory 1G", true), machine);
        let refused = requests(words, true).unwrap_err();
        assert!(refused.to_string().contains("--cpus"), "{refused}");
    }
}

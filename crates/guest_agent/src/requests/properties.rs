//! `GetProperties`: the list of processes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hcs_schema::{
    Failure, HResult,
    documents::{ProcessDetails, Properties},
    timestamp::rfc3339,
};
use hcs_wire::guest::{GetProperties, GetPropertiesResponse, code};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::{BridgeAnswer, BridgeCall};
use crate::{
    agent::{Agent, Process},
    link::Link,
    own::Own,
    proc_files::{self, Stat},
    session,
};

/// The most processes that are listed, if no more were made for the host: so the list of a system that is full of them
/// fits into an answer and takes a fraction of a second.
const MOST_LISTED: usize = 4096;
/// The room for arguments and long names of all processes in an answer, in bytes: processes choose them.
const ROOM: usize = 1 << 20;

impl<L: Link> Agent<L> {
    pub(super) fn get_properties(
        &self,
        call: &BridgeCall,
        request: &GetProperties,
    ) -> BridgeAnswer {
        let mut properties = Properties::default();
        for name in wanted(&request.query)? {
            if name != "ProcessList" {
                let message = format!("the guest has no property {name:?}; it has \"ProcessList\"");
                return Err(Failure::new(HResult::NOT_SUPPORTED, message));
            }
            properties.process_list = Some(self.process_list());
        }
        let properties = serde_json::to_string(&properties).map_err(|error| {
            Failure::new(
                HResult::E_UNEXPECTED,
                format!("the properties cannot be written: {error}"),
            )
        })?;
        call.answer(&GetPropertiesResponse {
            base: call.base(),
            properties,
        })
    }

    /// All processes of the system but the agent: those that were made for the host, and others as far as there is
    /// room.
    fn process_list(&self) -> Vec<ProcessDetails> {
        let own = &self.facts.own;
        let start = start_of_machine();
        let mut texts = Room(ROOM);
        let made = self.processes.iter();
        let mut list: Vec<_> = made
            .map(|(pid, process)| details(own, *pid, process, &mut texts))
            .collect();
        let room = MOST_LISTED.saturating_sub(list.len());
        let pids = session::pids(own, MOST_LISTED).unwrap_or_default();
        let pids = pids.into_iter().map(i32::cast_unsigned);
        let agent = std::process::id();
        let others = pids.filter(|pid| *pid != agent && !self.processes.contains_key(pid));
        list.extend(
            others
                .filter_map(|pid| other(own, pid, start, &mut texts))
                .take(room),
        );
        list.sort_by_key(|process| process.process_id);
        list
    }
}

/// The property names in a query document.
fn wanted(query: &str) -> Result<Vec<String>, Failure> {
    let invalid = |reason: String| {
        Failure::new(
            code::INVALID_JSON,
            format!("the property query is not valid: {reason}"),
        )
    };
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let query: Value = serde_json::from_str(query).map_err(|error| invalid(error.to_string()))?;
    match query.get("PropertyTypes") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(types) => serde_json::from_value(types.clone())
            .map_err(|error| invalid(format!("PropertyTypes: {error}"))),
    }
}

/// A process that was made for the host.
fn details(own: &Own, pid: u32, process: &Process, texts: &mut Room) -> ProcessDetails {
    // A process that has just ended is listed until it is reaped, with nothing used.
    let text = proc_files::stat(own, pid);
    let stat = Stat::parse(&text);
    let image = name(stat.map_or("", |stat| stat.name), &process.image);
    ProcessDetails {
        create_timestamp: Some(rfc3339(since_1970(process.started))),
        created_by_host: Some(true),
        ..used(own, pid, image, stat, texts)
    }
}

/// A process that was started inside; `None` when it has ended.
fn other(own: &Own, pid: u32, start: SystemTime, texts: &mut Room) -> Option<ProcessDetails> {
    let text = proc_files::stat(own, pid);
    let stat = Stat::parse(&text).filter(|stat| stat.lives && !stat.is_kernel)?;
    let began = Duration::from_nanos(stat.began_100ns.saturating_mul(100));
    Some(ProcessDetails {
        create_timestamp: Some(rfc3339(since_1970(start + began))),
        created_by_host: Some(false),
        ..used(own, pid, stat.name, Some(stat), texts)
    })
}

fn used(
    own: &Own,
    pid: u32,
    image: &str,
    stat: Option<Stat<'_>>,
    texts: &mut Room,
) -> ProcessDetails {
    let memory = proc_files::memory(own, pid);
    let arguments = texts.take(proc_files::arguments(own, pid));
    ProcessDetails {
        process_id: Some(pid),
        image_name: Some(whole_name(image, &arguments).to_owned()),
        command_args: (!arguments.is_empty()).then_some(arguments),
        user_time100ns: Some(stat.map_or(0, |stat| stat.user_100ns)),
        kernel_time100ns: Some(stat.map_or(0, |stat| stat.kernel_100ns)),
        memory_commit_bytes: Some(memory.commit_bytes),
        memory_working_set_private_bytes: Some(memory.private_bytes),
        memory_working_set_shared_bytes: Some(memory.shared_bytes),
        ..ProcessDetails::default()
    }
}

/// The name of a process that runs `kernel` by the kernel's word, which is cut off after 15 bytes, and was started as
/// `started`.
fn name<'a>(kernel: &'a str, started: &'a str) -> &'a str {
    if started.starts_with(kernel) {
        started
    } else {
        kernel
    }
}

/// The kernel's name of a process, whole where the kernel has cut it off and the process is called by it: a script is
/// named behind the program that runs it. A process may change its arguments, so the rest is as true as the process is.
fn whole_name<'a>(kernel: &'a str, arguments: &'a [String]) -> &'a str {
    /// What the kernel keeps of a name.
    const KEPT: usize = 15;
    if kernel.len() != KEPT {
        return kernel;
    }
    let called = arguments.iter().take(2);
    let names = called.map(|argument| argument.rsplit('/').next().unwrap_or_default());
    let mut whole = names.filter(|name| name.starts_with(kernel));
    whole.next().unwrap_or(kernel)
}

/// Bytes of an answer that are left.
struct Room(usize);

impl Room {
    /// As many of `arguments` as there is room for.
    fn take(&mut self, mut arguments: Vec<String>) -> Vec<String> {
        let fit = arguments
            .iter()
            .take_while(|argument| {
                let left = self.0.checked_sub(cost(argument));
                self.0 = left.unwrap_or(self.0);
                left.is_some()
            })
            .count();
        arguments.truncate(fit);
        arguments
    }
}

/// The most bytes that `text` takes in an answer, which is JSON in JSON: there a character that JSON escapes takes up
/// to seven.
fn cost(text: &str) -> usize {
    const FRAME: usize = 8;
    let of = |character: char| match character {
        '"' | '\\' | '\0'..' ' => 7,
        other => other.len_utf8(),
    };
    FRAME + text.chars().map(of).sum::<usize>()
}

/// When the clock began that the kernel counts the start of processes by.
fn start_of_machine() -> SystemTime {
    let up = clock_gettime(ClockId::Boottime);
    let up = Duration::try_from(up).unwrap_or_default();
    SystemTime::now().checked_sub(up).unwrap_or(UNIX_EPOCH)
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_runs_now_as_long_as_it_is_known() {
        assert_eq!(name("sleep", "sh"), "sleep");
        assert_eq!(
            name("a-rather-long-n", "a-rather-long-name"),
            "a-rather-long-name"
        );
        assert_eq!(name("", "gone"), "gone");
    }

    #[test]
    fn a_name_that_the_kernel_cut_off_is_whole() {
        let whole = |kernel, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
            whole_name(kernel, &arguments).to_owned()
        };
        let kernel = "a-rather-long-n";
        assert_eq!(
            whole(kernel, &["/opt/a-rather-long-name", "x"]),
            "a-rather-long-name"
        );
        assert_eq!(
            whole(kernel, &["/bin/sh", "./a-rather-long-name"]),
            "a-rather-long-name"
        );
        assert_eq!(whole(kernel, &["sh", "-c", "a-rather-long-name"]), kernel);
        assert_eq!(whole(kernel, &[]), kernel);
        assert_eq!(whole("sleep", &["sleepy"]), "sleep");
    }

    #[test]
    fn arguments_have_as_much_room_as_they_take() {
        for text in [
            "",
            "plain",
            "\"quoted\" \\ \n\u{1}",
            "\u{e4}\u{1f600}\u{7f}",
        ] {
            let inner = serde_json::to_string(&vec![text]).unwrap();
            let outer = serde_json::to_string(&inner).unwrap();
            assert!(outer.len() <= cost(text) + 2, "{outer}");
        }
        let mut room = Room(30);
        let taken = room.take(["ten bytes.", "three", "x"].map(str::to_owned).to_vec());
        assert_eq!(taken, ["ten bytes."]);
        assert_eq!(room.0, 12);
        assert_eq!(room.take(vec!["four".to_owned()]), ["four"]);
    }
}

//! The record that an agent leaves behind: what its host may have heard and not written down when it died.
//!
//! An agent that ends its system has told its host of all exits, but a host that dies at that moment takes them along.
//! So the agent writes them into a file that outlives both, together with the calls that a later host may ask for. It
//! writes a line as soon as a process has ended that the system ends with, before the host is told. It writes another
//! one before it leaves, where there is more to tell by then. The last whole line counts.
//!
//! A guest has no file of its host. Its agent sends the lines to a port ([`super::LEFT_PORT`]), behind which they are
//! written into that file, and waits for an answer to each before it tells the service.
//!
//! Only the agent can write to that file, but the agent is not trusted: sizes are bounded here. A line that makes no
//! sense is as none.

use serde::{Deserialize, Serialize};

/// The most bytes of such a file that are read.
pub const MAX_LEFT_BYTES: usize = 1 << 20;
/// The most exits in a record.
pub const MAX_LEFT_EXITS: usize = 4096 + 256;
/// The most calls in a record.
pub const MAX_LEFT_CALLS: usize = 1024;

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeftRecord {
    /// A process has ended that the system ends with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    /// Processes that have exited: pid and exit code. None of them has the number of one that lived then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exits: Vec<(u32, u32)>,
    /// What was done for calls whose clients may not have their answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<LeftCall>,
    /// There were more of these; so one that is not among them may have been done all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgetful: bool,
}

/// What was done for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeftCall {
    /// The name of the call.
    pub name: String,
    /// The process that it made; 0 when it made none.
    #[serde(default)]
    pub process_id: u32,
    /// That process has exited, with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u32>,
}

impl LeftRecord {
    /// The line that says it.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// What the contents of a file say; nothing where no whole line is in it.
    #[must_use]
    pub fn read(text: &[u8]) -> Self {
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else {
            return Self::default();
        };
        let lines = text.get(..end).unwrap_or_default();
        let mut lines = lines.rsplit(|byte| *byte == b'\n');
        lines.find_map(Self::read_line).unwrap_or_default()
    }

    fn read_line(line: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(line).ok()?;
        let is_possible = |pid: u32| pid <= i32::MAX.cast_unsigned();
        let exits = record.exits.len() <= MAX_LEFT_EXITS
            && record
                .exits
                .iter()
                .all(|(pid, _)| *pid != 0 && is_possible(*pid));
        let calls = record.calls.len() <= MAX_LEFT_CALLS
            && record.calls.iter().all(|call| {
                call.name.len() <= super::MAX_NAME_BYTES && is_possible(call.process_id)
            });
        (exits && calls).then_some(record)
    }

    /// How the process `pid` ended.
    #[must_use]
    pub fn exit(&self, pid: u32) -> Option<u32> {
        let found = self.exits.iter().find(|(of, _)| *of == pid);
        found.map(|(_, code)| *code)
    }

    /// What was done for the call `name`.
    #[must_use]
    pub fn call(&self, name: &str) -> Option<&LeftCall> {
        self.calls.iter().find(|call| call.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(code: u32) -> LeftRecord {
        LeftRecord {
            complete: true,
            exits: vec![(2, code), (3, 137)],
            calls: vec![LeftCall {
                name: "0.a.7".to_owned(),
                process_id: 2,
                exit_code: Some(code),
            }],
            forgetful: false,
        }
    }

    #[test]
    fn the_last_whole_line_counts() {
        let (first, last) = (record(7), record(8));
        let mut text = first.line();
        // The file was made longer than what is in it.
        text.resize(4096, 0);
        assert_eq!(LeftRecord::read(&text), first);
        let mut text = [first.line(), last.line()].concat();
        assert_eq!(LeftRecord::read(&text), last);
        assert_eq!((last.exit(2), last.exit(4)), (Some(8), None));
        assert_eq!(last.call("0.a.7").unwrap().exit_code, Some(8));
        assert_eq!(last.call("0.a.8"), None);
        // The agent was killed inside the second line.
        text.truncate(text.len() - 1);
        assert_eq!(LeftRecord::read(&text), first);
        assert_eq!(LeftRecord::read(b""), LeftRecord::default());
        assert_eq!(LeftRecord::read(&[0; 4096]), LeftRecord::default());
    }

    #[test]
    fn a_line_that_makes_no_sense_is_as_none() {
        let none = LeftRecord::default();
        let many = LeftRecord {
            exits: vec![(2, 0); MAX_LEFT_EXITS + 1],
            ..none.clone()
        };
        let named = |name: String| LeftRecord {
            calls: vec![LeftCall {
                name,
                ..LeftCall::default()
            }],
            ..LeftRecord::default()
        };
        let lines = [
            many.line(),
            named("x".repeat(crate::guest::MAX_NAME_BYTES + 1)).line(),
            LeftRecord {
                exits: vec![(0, 1)],
                ..none.clone()
            }
            .line(),
            LeftRecord {
                exits: vec![(u32::MAX, 1)],
                ..none.clone()
            }
            .line(),
            b"{\"Exits\":[[2,-1]]}\n".to_vec(),
            b"\xff[[[[\n".to_vec(),
        ];
        for line in lines {
            let text = [record(7).line(), line.clone()].concat();
            assert_eq!(LeftRecord::read(&line), none);
            assert_eq!(LeftRecord::read(&text), record(7));
        }
        let largest = LeftRecord {
            exits: vec![(i32::MAX.cast_unsigned(), u32::MAX); MAX_LEFT_EXITS],
            calls: vec![
                LeftCall {
                    name: "x".repeat(crate::guest::MAX_NAME_BYTES),
                    process_id: i32::MAX.cast_unsigned(),
                    exit_code: Some(u32::MAX),
                };
                MAX_LEFT_CALLS
            ],
            ..none
        };
        // Both lines of an agent.
        assert!(2 * largest.line().len() < MAX_LEFT_BYTES);
    }
}

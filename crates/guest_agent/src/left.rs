//! What the agent writes down for a host that comes after its end ([`hcs_wire::guest::LeftRecord`]).

use hcs_wire::guest::{LeftCall, LeftRecord, MAX_LEFT_CALLS};

use crate::{
    agent::{Agent, log},
    link::Link,
};

impl<L: Link> Agent<L> {
    /// Writes down what a host may have heard and not written down, unless that was done before. Whether it is there.
    pub(crate) fn leave_record(&mut self) -> bool {
        if !self.link.keeps_record() {
            return false;
        }
        let record = self.record();
        if self.left.as_ref() == Some(&record) {
            return true;
        }
        let is_left = self.link.leave(&record.line());
        if is_left {
            self.left = Some(record);
        } else {
            log("what has ended cannot be written down: a host that dies now does not learn it");
        }
        is_left
    }

    fn record(&self) -> LeftRecord {
        let lives = |pid: &u32| self.processes.contains_key(pid);
        let (newest, more) = self.calls.newest(MAX_LEFT_CALLS);
        let calls = newest.map(|(name, done)| LeftCall {
            name: name.to_owned(),
            process_id: done.pid.unwrap_or_default(),
            exit_code: done.exit,
        });
        LeftRecord {
            complete: self.ends,
            // An earlier process may have had the number of one that lives.
            exits: self.exits.all().filter(|(pid, _)| !lives(pid)).collect(),
            calls: calls.collect(),
            forgetful: more || self.calls.is_forgetful(),
        }
    }
}

//! The text of a trace, read. Pure.
//!
//! A line is `COMMAND-TASK [CPU] FLAGS SECONDS: WHAT`.

/// The mark before a sample.
pub(super) const BEGIN: &str = "hcs-bench begins";
/// The mark after it.
pub(super) const END: &str = "hcs-bench ends";

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event<'a> {
    /// Microseconds.
    pub(super) time: f64,
    /// The task it happened to.
    pub(super) task: u32,
    /// What it was.
    pub(super) what: What<'a>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    /// A system call began.
    Enter(&'a str),
    /// A system call ended.
    Leave,
    /// A processor went from one task to another.
    Switch { from: u32, to: u32, left: Left },
    /// A task that waited may go on.
    Wake { task: u32 },
    /// A task was made.
    Fork { child: u32 },
    /// Another program took the task over.
    Exec,
    /// A sample begins.
    Begin,
    /// A sample ends.
    End,
}

/// How a task left its processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It was made to give way, and could go on.
    Ready,
    /// It waits for something.
    Asleep,
    /// It is over.
    Dead,
}

/// All events that concern us, in order.
pub(super) fn read(text: &str) -> Vec<Event<'_>> {
    text.lines().filter_map(event).collect()
}

fn event(line: &str) -> Option<Event<'_>> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = line.split_once(" [")?;
    let task = head.trim_end().rsplit_once('-')?.1.parse().ok()?;
    let (_, rest) = rest.split_once("] ")?;
    let (_, rest) = rest.trim_start().split_once(' ')?;
    let (seconds, what) = rest.trim_start().split_once(": ")?;
    let time = seconds.parse::<f64>().ok()? * 1e6;
    let what = what_of(what)?;
    Some(Event { time, task, what })
}

fn what_of(text: &str) -> Option<What<'_>> {
    if let Some(call) = text.strip_prefix("sys_") {
        return Some(match call.split_once('(') {
            Some((name, _)) if !name.contains(' ') => What::Enter(name),
            _ => What::Leave,
        });
    }
    let (name, rest) = text.split_once(": ")?;
    let number = |key: &str| -> Option<u32> {
        let rest = rest.split_once(key)?.1;
        rest.split(' ').next()?.trim().parse().ok()
    };
    match name {
        "sched_switch" => Some(What::Switch {
            from: number("prev_pid=")?,
            to: number("next_pid=")?,
            left: match rest.split_once("prev_state=")?.1.chars().next() {
                Some('R') => Left::Ready,
                Some('X' | 'Z') => Left::Dead,
                _ => Left::Asleep,
            },
        }),
        "sched_wakeup" => Some(What::Wake {
            task: number(" pid=")?,
        }),
        "sched_process_fork" => Some(What::Fork {
            child: number("child_pid=")?,
        }),
        "sched_process_exec" => Some(What::Exec),
        "tracing_mark_write" if rest.trim() == BEGIN => Some(What::Begin),
        "tracing_mark_write" if rest.trim() == END => Some(What::End),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_read() {
        let text = "# tracer: nop\n\
            hcs-7    [001] ..... 1.000001: sys_openat(dfd: 1, filename: 2)\n\
            hcs-7    [001] ..... 1.000002: sys_openat -> 0x3\n\
            a b-c-9  [000] d..2. 1.000003: sched_switch: prev_comm=a b prev_pid=9 prev_prio=1 prev_state=R ==> next_comm=x next_pid=7 next_prio=1\n\
            a-9      [000] d..2. 1.000003: sched_wakeup: comm=hcs pid=7 prio=120 target_cpu=001\n\
            hcs-7    [001] ..... 1.000004: sched_process_fork: comm=sh pid=7 child_comm=sh child_pid=8\n\
            hcs-7    [001] ..... 1.000005: sched_process_exec: filename=/bin/true pid=7 old_pid=7\n\
            hcs-7    [001] ...1. 1.000006: tracing_mark_write: hcs-bench begins\n\
            nonsense\n";
        let found: Vec<What<'_>> = read(text).into_iter().map(|e| e.what).collect();
        let wanted = [
            What::Enter("openat"),
            What::Leave,
            What::Switch {
                from: 9,
                to: 7,
                left: Left::Ready,
            },
            What::Wake { task: 7 },
            What::Fork { child: 8 },
            What::Exec,
            What::Begin,
        ];
        assert_eq!(found, wanted);
        assert_eq!(read(text)[2].task, 9);
        assert!((read(text)[0].time - 1_000_001.0).abs() < 0.5);
    }
}

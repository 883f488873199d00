//! The event log as a client reads it.

use hcs_wire::{
    log::{LogEntry, LogPage, LogQuery},
    service::Call,
};

use super::Client;

pub(crate) fn since(since: u64) -> Call {
    Call::ReadEvents(LogQuery {
        since,
        ..LogQuery::default()
    })
}

#[track_caller]
pub(crate) fn read(client: &mut Client, call: &Call) -> LogPage {
    let answer = client.call(call).ok();
    serde_json::from_value(answer.json()).unwrap()
}

/// Everything there is, which has to be numbered without a gap.
#[track_caller]
pub(crate) fn everything(client: &mut Client) -> Vec<LogEntry> {
    let page = read(client, &since(0));
    assert_eq!((page.first, page.more), (1, false));
    let numbers: Vec<u64> = page.events.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..page.next).collect::<Vec<_>>());
    page.events
}

/// What happened to a system, each as kind and pid.
pub(crate) fn story(events: &[LogEntry], system: &str) -> Vec<(String, Option<u32>)> {
    events
        .iter()
        .filter(|entry| entry.system.as_deref() == Some(system))
        .map(|entry| (entry.kind.clone(), entry.process_id))
        .collect()
}

pub(crate) fn told(story: &[(&str, Option<u32>)]) -> Vec<(String, Option<u32>)> {
    story
        .iter()
        .map(|(kind, pid)| ((*kind).to_owned(), *pid))
        .collect()
}

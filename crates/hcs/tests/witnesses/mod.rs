//! What tells that each thing was done once: callbacks, the event log, crash reports, and refusals that are the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, Mutex, mpsc},
};

use hcs::{
    ComputeSystem, Endpoint, HResult, LogQuery, Process,
    raw::{Event, EventCallback, event_type},
    read_log,
};

use crate::killing::{LIMIT, answered};

/// A listener for the exit of a process or system.
pub(crate) struct Heard {
    exits: mpsc::Receiver<()>,
    /// Takes the callback away, and waits for one that runs.
    end: Box<dyn Fn()>,
}

/// A callback that counts events of this type.
fn counting(kind: u32) -> (mpsc::Receiver<()>, EventCallback) {
    let (exit, exits) = mpsc::channel();
    let hear = move |event: &Event| {
        if event.event_type == kind {
            exit.send(()).unwrap();
        }
    };
    (exits, Arc::new(hear))
}

impl Heard {
    pub(crate) fn of_process(process: &Process) -> Self {
        let (exits, callback) = counting(event_type::PROCESS_EXITED);
        let raw = process.raw().clone();
        raw.set_callback(0, Some(callback)).unwrap();
        let end = Box::new(move || raw.set_callback(0, None).unwrap());
        Self { exits, end }
    }

    pub(crate) fn of_system(system: &ComputeSystem) -> Self {
        let (exits, callback) = counting(event_type::SYSTEM_EXITED);
        let raw = system.raw().clone();
        raw.set_callback(0, Some(callback)).unwrap();
        let end = Box::new(move || raw.set_callback(0, None).unwrap());
        Self { exits, end }
    }

    #[track_caller]
    pub(crate) fn assert_once(self) {
        self.exits.recv_timeout(LIMIT).unwrap();
        (self.end)();
        assert!(self.exits.try_recv().is_err(), "the exit was told twice");
    }
}

/// How calls were refused, by what they were.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, HResult>>);

impl Refusals {
    /// Each time the same.
    #[track_caller]
    pub(crate) fn same(&self, call: &'static str, code: HResult) {
        let first = *self.0.lock().unwrap().entry(call).or_insert(code);
        assert_eq!(first, code, "{call}");
    }
}

/// The life of the system `id`, which has ended, is in the event log once.
#[track_caller]
pub(crate) fn assert_events_of(id: &str, processes: usize) {
    let mut kinds = BTreeMap::<String, usize>::new();
    let mut query = LogQuery {
        system: Some(id.to_owned()),
        ..LogQuery::default()
    };
    loop {
        let page = answered(read_log(&query));
        for event in page.events {
            *kinds.entry(event.kind).or_default() += 1;
        }
        query.since = page.next;
        if !page.more {
            break;
        }
    }
    let count = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    for kind in ["SystemCreated", "SystemExited"] {
        assert_eq!(count(kind), 1, "{kind} of {id}: {kinds:?}");
    }
    for kind in ["ProcessCreated", "ProcessExited"] {
        assert_eq!(count(kind), processes, "{kind} of {id}: {kinds:?}");
    }
    for kind in [
        "SystemStarted",
        "SystemPaused",
        "SystemResumed",
        "SystemModified",
    ] {
        assert!(count(kind) <= 1, "{kind} of {id}: {kinds:?}");
    }
}

/// No crash report that is kept was written twice.
pub(crate) fn assert_reports_are_single(endpoint: &Endpoint) {
    let reports = endpoint.path().with_extension("d").join("crashes");
    let mut seen = BTreeSet::new();
    for file in fs::read_dir(reports).unwrap() {
        let file = file.unwrap();
        // A service that was killed may have left one that is not whole.
        if !file.file_name().to_str().unwrap().starts_with("crash-") {
            continue;
        }
        let text = fs::read(file.path()).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let log = report["Report"]["CrashLog"].as_str().unwrap().to_owned();
        assert!(seen.insert(log), "written twice: {report}");
    }
}

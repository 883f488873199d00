//! Events: who hears of what, and the documents that say it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    rc::{Rc, Weak},
};

use hcs_engine::engine::Exit;
use hcs_lifecycle::system::ExitType;
use hcs_wire::service::Subject;
use serde_json::{Value, json};

use crate::record::ending::Ending;

/// A client that is told of events, by the handles it has.
pub(crate) trait Subscriber: fmt::Debug {
    /// Its number among all clients there have been.
    fn number(&self) -> u64;

    /// Whether it is gone: nothing reaches it any more.
    fn is_closed(&self) -> bool;

    /// Whether its socket has all that it was told, or it is gone.
    fn has_heard(&self) -> bool;

    /// Tells it of something that happened, by each of its handles that is concerned: a few at once, the others later.
    fn hear(self: Rc<Self>, news: &Rc<News>);

    /// Tells it of something that happened to one of its handles.
    fn push_event(&self, subject: Subject, event_type: u32, data: Option<&str>);
}

/// Something that happened.
#[derive(Debug)]
pub(crate) struct News {
    watchers: Rc<Watchers>,
    /// Handles that were added later do not hear of it.
    last: u64,
    pub(crate) subject: fn(u64) -> Subject,
    pub(crate) event_type: u32,
    pub(crate) data: Option<String>,
}

/// Some handles of one client.
#[derive(Debug)]
pub(crate) struct Looked {
    /// How many were looked at.
    pub(crate) count: usize,
    /// Those that are to hear of it.
    pub(crate) concerned: Vec<u64>,
    /// Where to go on, if there are more.
    pub(crate) next: Option<u64>,
}

impl News {
    /// Looks at up to `most` handles of the client with that number, from the handle `from` on.
    pub(crate) fn handles(&self, subscriber: u64, from: u64, most: usize) -> Looked {
        let handles = self.watchers.handles.borrow();
        let mut own = handles.range((subscriber, from)..=(subscriber, u64::MAX));
        let looked: Vec<_> = own.by_ref().take(most).collect();
        let concerned = looked
            .iter()
            .filter(|(_, watcher)| watcher.added <= self.last);
        Looked {
            count: looked.len(),
            concerned: concerned.map(|((_, handle), _)| *handle).collect(),
            next: own.next().map(|((_, handle), _)| *handle),
        }
    }
}

/// A handle that watches.
#[derive(Debug)]
struct Watcher {
    /// How many were added before it, and it.
    added: u64,
    subscriber: Weak<dyn Subscriber>,
}

/// The handles through which something is watched. One client may have very many, and leave with all of them.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// By the subscriber's number and the handle's.
    handles: RefCell<BTreeMap<(u64, u64), Watcher>>,
    added: Cell<u64>,
}

impl Watchers {
    /// Adds a handle.
    pub(crate) fn add<S: Subscriber + 'static>(&self, subscriber: &Rc<S>, handle: u64) {
        let key = (subscriber.number(), handle);
        let subscriber: Weak<S> = Rc::downgrade(subscriber);
        let added = self.added.get() + 1;
        self.added.set(added);
        let watcher = Watcher { added, subscriber };
        self.handles.borrow_mut().insert(key, watcher);
    }

    /// Takes a handle out; returns whether it was there.
    pub(crate) fn remove(&self, subscriber: &impl Subscriber, handle: u64) -> bool {
        let key = (subscriber.number(), handle);
        self.handles.borrow_mut().remove(&key).is_some()
    }

    /// Whether all clients that have handles have what they were told in their sockets: no death of this service takes
    /// it away.
    pub(crate) fn have_heard(&self) -> bool {
        let mut subscribers = self.subscribers().into_iter();
        subscribers.all(|one| one.upgrade().is_none_or(|one| one.has_heard()))
    }

    /// How many handles there are.
    pub(crate) fn count(&self) -> usize {
        self.handles.borrow().len()
    }

    /// Tells every handle; returns how many clients could be told.
    pub(crate) fn push(
        self: &Rc<Self>,
        subject: fn(u64) -> Subject,
        event_type: u32,
        data: Option<&str>,
    ) -> usize {
        let news = Rc::new(News {
            watchers: Rc::clone(self),
            last: self.added.get(),
            subject,
            event_type,
            data: data.map(str::to_owned),
        });
        let mut told = 0;
        for subscriber in self.subscribers() {
            if let Some(subscriber) = subscriber.upgrade()
                && !subscriber.is_closed()
            {
                Rc::clone(&subscriber).hear(&news);
                told += usize::from(!subscriber.is_closed());
            }
        }
        told
    }

    /// The clients that have handles, each once.
    fn subscribers(&self) -> Vec<Weak<dyn Subscriber>> {
        let handles = self.handles.borrow();
        let mut next = 0;
        let each = std::iter::from_fn(|| {
            let ((number, _), watcher) = handles.range((next, 0)..).next()?;
            next = number + 1;
            Some(Weak::clone(&watcher.subscriber))
        });
        each.collect()
    }
}

/// The `ProcessStatus` document; without an ending it has not exited.
pub(crate) fn process_status(pid: u32, ending: Option<Ending>) -> String {
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`: the wait itself failed, so the exit code says nothing.
    const LOST: i32 = hcs_schema::HResult::NOT_FOUND.0;
    let exited = ending.is_some();
    let ending = ending.unwrap_or_default();
    let lost = exited && ending.code.is_none();
    let mut status = json!({
        "ProcessId": pid,
        "Exited": exited,
        "ExitCode": ending.code.unwrap_or(0),
        "LastWaitResult": if lost { LOST } else { 0 },
    });
    if let Some(out_of_memory) = ending.out_of_memory {
        status["OutOfMemory"] = true.into();
        if let Some(limit) = out_of_memory.limit_in_mb {
            status["MemoryLimitInMB"] = limit.into();
        }
    }
    if let Some(limit) = ending.process_limit {
        status["ReachedProcessLimit"] = limit.into();
    }
    status.to_string()
}

/// The `SystemExitStatus` document, of a system that ended so and whose machine told it so.
pub(crate) fn system_exit(
    (exit, told): (ExitType, Exit),
    out_of_memory: bool,
    fault: Option<&str>,
) -> String {
    let (detail, initiator) = match exit {
        ExitType::Graceful => ("Shutdown", "GuestOS"),
        ExitType::Forced => ("Terminate", "Client"),
        ExitType::Unexpected if fault.is_some() => ("HcsApiFatalError", "Internal"),
        ExitType::Unexpected if told == Exit::Killed => ("UnexpectedExit", "Unknown"),
        ExitType::Unexpected => ("UnexpectedExit", "GuestOS"),
    };
    let mut attribution =
        vec![json!({ "SystemExit": { "Detail": detail, "Initiator": initiator } })];
    let mut worker_exit = |code: u32, kind: &str, detail: &str, initiator: &str| {
        attribution.push(json!({ "WorkerExit": {
            "ExitCode": code, "Type": kind, "Detail": detail, "Initiator": initiator,
        } }));
    };
    match told {
        Exit::PowerOff => worker_exit(0, "Stopped", "PowerOff", "GuestOS"),
        Exit::Reset => worker_exit(0, "StoppedOnReset", "Reset", "GuestOS"),
        Exit::Crash => worker_exit(0, "UnexpectedStop", "GuestCrash", "GuestOS"),
        Exit::Unknown | Exit::Ended(_) | Exit::Killed => {}
    }
    if out_of_memory && exit == ExitType::Unexpected {
        // The schema has no word for this; the detail is an extension.
        worker_exit(137, "UnrecoverableError", "OutOfMemory", "Internal");
    }
    let document: Value =
        json!({ "Status": 0, "ExitType": exit.name(), "Attribution": attribution });
    document.to_string()
}

#[cfg(test)]
mod tests {
    use hcs_schema::documents::{ProcessStatus, SystemExitStatus};

    use super::*;
    use crate::record::ending::OutOfMemory;

    #[test]
    fn documents_are_as_clients_know_them() {
        let ended = |code, limit: Option<Option<u64>>| {
            let out_of_memory = limit.map(|limit_in_mb| OutOfMemory { limit_in_mb });
            let ending = Ending {
                code,
                out_of_memory,
                process_limit: None,
            };
            let text = process_status(7, Some(ending));
            // Our own readers take it.
            hcs_schema::parse::<ProcessStatus>(&text).unwrap();
            serde_json::from_str::<Value>(&text).unwrap()
        };
        assert_eq!(
            ended(Some(42), None),
            json!({"ProcessId": 7, "Exited": true, "ExitCode": 42, "LastWaitResult": 0})
        );
        let killed = ended(Some(137), Some(Some(64)));
        assert_eq!(
            (&killed["OutOfMemory"], &killed["MemoryLimitInMB"]),
            (&json!(true), &json!(64))
        );
        let killed = ended(Some(137), Some(None));
        assert!(killed["OutOfMemory"] == true && killed.get("MemoryLimitInMB").is_none());
        let lost = ended(None, None);
        assert_ne!(lost["LastWaitResult"], 0, "an unknown exit code is not 0");
        let exit: Value =
            serde_json::from_str(&system_exit((ExitType::Graceful, Exit::Reset), false, None))
                .unwrap();
        assert_eq!(exit["Status"], 0);
        assert_eq!(exit["ExitType"], "GracefulExit");
        assert_eq!(exit["Attribution"][0]["SystemExit"]["Detail"], "Shutdown");
        assert_eq!(exit["Attribution"][1]["WorkerExit"]["Detail"], "Reset");
        let told = [Exit::Unknown, Exit::PowerOff, Exit::Crash, Exit::Killed];
        for told in told {
            for fault in [None, Some("it lied")] {
                let exit = (ExitType::Unexpected, told);
                let text = system_exit(exit, true, fault);
                hcs_schema::parse::<SystemExitStatus>(&text).unwrap();
            }
        }
    }
}

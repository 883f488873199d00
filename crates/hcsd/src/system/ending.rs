//! The end of a system: everything it owes is paid, everything it had is removed, and whoever waits is told.

use std::{rc::Rc, sync::Arc, time::Duration};

use tracing::{error, info, warn};

use super::{System, making::remove_directory};
use crate::{
    blocking::blocking_within,
    events::{event_type, system_exit},
    process::KILLED,
};
use hcs_wire::service::Subject;

/// How long what the agent said last, and creations under way, are waited for.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Takes a system apart whose machine is gone. `answer_waiting` answers the calls that still wait, at the very end:
/// when a terminate is answered, nothing of the system is left.
pub(super) async fn end(system: &Rc<System>, answer_waiting: impl FnOnce()) {
    let exit = system.queue.borrow_mut().exited();
    let agent_told_all = hear_last_words(system).await;
    for process in system.processes.living() {
        // What the agent had not reported by its own end was killed with it.
        process.exited(agent_told_all.then_some(KILLED));
    }
    let out_of_memory = system.machine.out_of_memory();
    remove(system).await;

    let document = system_exit(exit, out_of_memory, system.fault.borrow().as_deref());
    info!(exit = exit.name(), out_of_memory, "ended");
    system.exit.replace(Some(document.clone()));
    system.share.borrow_mut().take();
    if let Ok(service) = system.service() {
        if system.expected_back.get() {
            service.remember_departed(system, service.config.times.reconnect());
        }
        service.forget(system);
    }
    system
        .watchers
        .push(Subject::System, event_type::SYSTEM_EXITED, &document);
    answer_waiting();
}

/// Takes in the exits the agent reported before it was gone, and lets creations under way learn how they ended.
/// Answers whether the agent was listened to up to its end.
async fn hear_last_words(system: &Rc<System>) -> bool {
    let link = system.set_link(None);
    if let Some(link) = &link {
        if tokio::time::timeout(LAST_WORDS, link.ended())
            .await
            .is_err()
        {
            warn!("the stream of its agent did not end with it");
            link.close();
        }
        if let Some(fault) = link.fault() {
            system.fault.borrow_mut().get_or_insert(fault);
        }
    }
    let settled = async {
        while system.creating.get() > 0 {
            system.settled.notified().await;
        }
    };
    if tokio::time::timeout(LAST_WORDS, settled).await.is_err() {
        warn!("a process was still being created when it ended");
    }
    link.is_some() && system.fault.borrow().is_none()
}

async fn remove(system: &Rc<System>) {
    let limit = system
        .service()
        .map_or(LAST_WORDS, |service| service.config.times.kill());
    let machine = Arc::clone(&system.machine);
    let directory = system.directory.clone();
    let removed = blocking_within(limit, "removing what was made for the system", move || {
        machine.release()?;
        remove_directory(&directory);
        Ok(())
    })
    .await;
    if let Err(failure) = removed {
        error!("something of it is left behind until the service starts again: {failure}");
    }
}

//! Kept output: the pipe of a client goes to the agent, which writes into it.

use std::{os::fd::OwnedFd, rc::Rc};

use hcs_schema::{Failure, HResult};
use hcs_wire::{output::OutputQuery, service::ProcessInformation};

use super::RoutedCall;
use crate::{client::connection::CallAnswer, system::System};

/// Has the agent of a system write kept output into the pipe that came along. A call that is made again brings the same
/// pipe, and the agent knows the call by its name.
pub(super) fn read(routed: RoutedCall, handle: u64, query: OutputQuery) {
    let system = match routed.connection.handles.system(handle) {
        Ok(system) => system,
        Err(failure) => return routed.answer(Err(failure)),
    };
    let connection = Rc::clone(&routed.connection);
    connection.spawn(async move {
        let answer = match routed.was_done().await {
            Ok(true) => Ok(begun(query.process_id)),
            Ok(false) => {
                routed
                    .until_cancelled(begin(&routed, &system, &query))
                    .await
            }
            Err(failure) => Err(failure),
        };
        routed.answer(answer);
    });
}

async fn begin(
    routed: &RoutedCall,
    system: &System,
    query: &OutputQuery,
) -> Result<CallAnswer, Failure> {
    system.alive()?;
    let limit = system.context()?.config().times.guest();
    let link = system.guest().await?;
    let user = routed.connection.peer.uid;
    let take = |ends: &[OwnedFd]| -> Result<bool, Failure> {
        let wanted = 1 + usize::from(query.attach);
        match system.machine.guest() {
            Some(guest) => Ok(ends.len() == wanted && guest.take_pipes(ends, user)?),
            None => Ok(false),
        }
    };
    if !routed.pending.with_pipes(take)? {
        let message = "the call came without the pipes of its client's for the output to go to";
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    let pipes = routed.pending.take_pipes();
    match link.read_output(&system.target, query, pipes, limit).await {
        Ok(process_id) => Ok(begun(process_id)),
        Err(failure) => Err(system.explain(failure).await),
    }
}

/// The agent writes into the pipe.
fn begun(process_id: u32) -> CallAnswer {
    let mut answer = CallAnswer::done();
    answer.reply.process = Some(ProcessInformation {
        process_id,
        own_pipes: true,
        ..ProcessInformation::default()
    });
    answer
}

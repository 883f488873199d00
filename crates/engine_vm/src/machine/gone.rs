//! What can still be learnt of the guest of a machine that is gone.

use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc, time::Duration};

use engine_container::shared::read_left;
use hcs_engine::engine::{CreateRequest, Guest, StdioOffer};
use hcs_schema::{Failure, HResult, Stdio};

use super::has_agent;

/// See the module.
#[derive(Debug)]
pub(super) struct GoneGuest {
    /// The machine's directory.
    directory: PathBuf,
}

impl GoneGuest {
    /// That of the machine of `request`, where it had an agent.
    pub(super) fn of(request: &CreateRequest) -> Option<Arc<dyn Guest + Send + Sync>> {
        let directory = request.directory.clone();
        has_agent(&request.document).then(|| Arc::new(Self { directory }) as _)
    }
}

fn gone<T>() -> Result<T, Failure> {
    let message = "the virtual machine ended while no service was there";
    Err(Failure::new(HResult::HCS_E_SYSTEM_ALREADY_STOPPED, message))
}

impl Guest for GoneGuest {
    fn wait_ready(&self, _limit: Duration) -> Result<(), Failure> {
        gone()
    }

    fn connect_guest(&self, _limit: Duration) -> Result<OwnedFd, Failure> {
        gone()
    }

    fn open_stdio(&self, _wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure> {
        gone()
    }

    fn left(&self) -> Result<Vec<u8>, Failure> {
        read_left(&self.directory)
    }
}

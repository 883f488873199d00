//! What can still be learnt of the guest of a machine that is gone.

use std::{path::PathBuf, sync::Arc};

use engine_container::shared::read_left;
use hcs_engine::engine::{self, CreateRequest};
use hcs_schema::Failure;

use super::has_agent;

/// See the module.
#[derive(Debug)]
pub(super) struct GoneGuest {
    /// The machine's directory.
    directory: PathBuf,
}

impl GoneGuest {
    /// That of the machine of `request`, where it had an agent.
    pub(super) fn of(request: &CreateRequest) -> Option<Arc<dyn engine::GoneGuest>> {
        let directory = request.directory.clone();
        has_agent(&request.document).then(|| Arc::new(Self { directory }) as _)
    }
}

impl engine::GoneGuest for GoneGuest {
    fn left(&self) -> Result<Vec<u8>, Failure> {
        read_left(&self.directory)
    }
}

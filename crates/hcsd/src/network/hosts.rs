//! [`Hosts`]: the host's network, by sockets that stay open.

use std::sync::{Mutex, PoisonError};

use engine_network::Host;
use hcs_schema::Failure;

/// The host's network, as this service reaches it. It stays open: see [`Host`].
#[derive(Debug)]
pub(super) struct Hosts {
    /// The owner of the links and rules.
    owner: String,
    /// For changes, of which there is one at a time.
    changing: Mutex<Option<Host>>,
    /// For what goes on beside them.
    looking: Mutex<Option<Host>>,
}

impl Hosts {
    pub(super) fn new(owner: String) -> Self {
        Self {
            owner,
            changing: Mutex::default(),
            looking: Mutex::default(),
        }
    }

    /// Changes it.
    ///
    /// # Errors
    /// As `change`, or it cannot be reached.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut Host) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.lend(&self.changing, change)
    }

    /// Looks at it, while it may be changed.
    ///
    /// # Errors
    /// As `look`, or it cannot be reached.
    pub(super) fn look<T>(
        &self,
        look: impl FnOnce(&mut Host) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.lend(&self.looking, look)
    }

    /// Another one where that of `place` is in use. One with which something failed is not kept, as it may have answers
    /// that were not read.
    fn lend<T>(
        &self,
        place: &Mutex<Option<Host>>,
        act: impl FnOnce(&mut Host) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let kept = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut host = match kept {
            Some(host) => host,
            None => Host::open(&self.owner)?,
        };
        let done = act(&mut host)?;
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(host);
        Ok(done)
    }
}

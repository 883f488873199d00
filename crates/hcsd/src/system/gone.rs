//! A machine that is not there any more: what a system is taken over with that ended while no service was there, so
//! that its end is told and cleared away like any other's.

use std::{
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use hcs_engine::{
    engine::{Exit, GoneGuest, Guest, Machine, MemoryKills, StdioOffer},
    modification::HostChange,
};
use hcs_schema::{
    Failure, HResult, Stdio,
    documents::{PauseOptions, Properties, SystemPropertyType},
};
use rustix::event::{EventfdFlags, eventfd};

/// See the module.
#[derive(Debug)]
pub(crate) struct GoneMachine {
    /// Always readable.
    gone: OwnedFd,
    exit: Exit,
    /// What its engine can still tell of its guest.
    guest: Option<Arc<dyn GoneGuest>>,
}

impl GoneMachine {
    /// A machine that ended like that.
    ///
    /// # Errors
    /// No descriptors left.
    pub(crate) fn new(exit: Exit, guest: Option<Arc<dyn GoneGuest>>) -> Result<Self, Failure> {
        let gone = eventfd(1, EventfdFlags::CLOEXEC).map_err(|e| {
            Failure::new(HResult::E_OUTOFMEMORY, "no descriptor is left").because(&e)
        })?;
        Ok(Self { gone, exit, guest })
    }
}

fn ended<T>() -> Result<T, Failure> {
    Err(Failure::new(
        HResult::HCS_E_SYSTEM_ALREADY_STOPPED,
        "the machine ended while no service was there",
    ))
}

impl Guest for GoneMachine {
    fn wait_ready(&self, _limit: Duration) -> Result<(), Failure> {
        ended()
    }

    fn connect_guest(&self, _limit: Duration) -> Result<OwnedFd, Failure> {
        ended()
    }

    fn open_stdio(&self, _wanted: Stdio<bool>) -> Result<Box<dyn StdioOffer>, Failure> {
        ended()
    }

    fn had_pipes(&self, ends: &[OwnedFd], user: u32) -> Result<bool, Failure> {
        let guest = self.guest.as_ref();
        guest.map_or(Ok(false), |guest| guest.had_pipes(ends, user))
    }

    fn left(&self) -> Result<Vec<u8>, Failure> {
        let guest = self.guest.as_ref();
        guest.map_or(Ok(Vec::new()), |guest| guest.left())
    }
}

impl Machine for GoneMachine {
    fn guest(&self) -> Option<&dyn Guest> {
        Some(self)
    }

    fn pause(&self, _options: &PauseOptions) -> Result<(), Failure> {
        ended()
    }

    fn resume(&self) -> Result<(), Failure> {
        ended()
    }

    fn is_paused(&self) -> Option<bool> {
        None
    }

    fn kill(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn exit_descriptor(&self) -> BorrowedFd<'_> {
        self.gone.as_fd()
    }

    fn exit(&self) -> Exit {
        self.exit
    }

    fn release(&self) -> Result<(), Failure> {
        // The engine sweeps what is left of it.
        Ok(())
    }

    fn record(&self) -> String {
        "{}".to_owned()
    }

    fn property(&self, _kind: SystemPropertyType) -> Result<Option<Properties>, Failure> {
        ended()
    }

    fn memory_kills(&self) -> MemoryKills {
        MemoryKills::default()
    }

    fn modify(&self, _change: &HostChange) -> Result<(), Failure> {
        ended()
    }
}

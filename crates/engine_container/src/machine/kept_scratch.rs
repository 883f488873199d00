//! The scratch that is kept for a container, as its machine has it.
//!
//! A service that takes the container over takes the scratch again. The service before may be dying, and the file
//! system of the scratch may not answer, but all clients wait for adoptions: so a thread of its own does it, and is
//! waited for a moment only. The container is a recorded one that lives and has the scratch, whatever the lock says.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use rustix::io::Errno;

use crate::{failure::StepError, parts::scratch::Kept};

/// How long an adoption waits for it.
const MOMENT: Duration = Duration::from_secs(1);
/// How long to rest before the lock is tried again: at first, and at most.
const RESTS: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(500)];

/// What a machine has of its kept scratch, if it has one.
#[derive(Debug)]
pub(crate) struct KeptScratch(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug)]
enum State {
    /// It is not open yet.
    Awaited,
    Open(Kept),
    /// There is none, or the machine has let go of it.
    None,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the machine have `kept`, unless it has let go meanwhile.
    fn have(&self, kept: Kept) -> bool {
        let mut state = self.state();
        let wanted = !matches!(*state, State::None);
        if wanted {
            *state = State::Open(kept);
            self.opened.notify_all();
        }
        wanted
    }
}

impl KeptScratch {
    fn new(state: State) -> Self {
        let opened = Condvar::new();
        let state = Mutex::new(state);
        Self(Arc::new(Shared { state, opened }))
    }

    /// That of a container that has just been made.
    pub(crate) fn of(kept: Option<Kept>) -> Self {
        Self::new(kept.map_or(State::None, State::Open))
    }

    /// That of a container of an earlier service.
    ///
    /// # Errors
    /// It is known that it cannot be opened or locked.
    pub(super) fn again(path: Option<PathBuf>) -> Result<Self, StepError> {
        let Some(path) = path else {
            return Ok(Self::of(None));
        };
        let kept = Self::new(State::Awaited);
        let shared = Arc::downgrade(&kept.0);
        let (told, tells) = mpsc::channel();
        let taking = move || {
            let taken = take_again(&shared, &path);
            if let (Err(_), Some(shared)) = (&taken, shared.upgrade()) {
                *shared.state() = State::None;
                shared.opened.notify_all();
            }
            // The adoption may have gone on.
            let _unheard = told.send(taken);
        };
        let spawned = thread::Builder::new()
            .name("kept-scratch".to_owned())
            .spawn(taking);
        spawned.map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
            StepError::new("starting a thread that takes the scratch", errno)
        })?;
        match tells.recv_timeout(MOMENT) {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Ok(kept)
            }
        }
    }

    /// Gives it up.
    pub(super) fn let_go(&self) {
        let former = std::mem::replace(&mut *self.0.state(), State::None);
        self.0.opened.notify_all();
        drop(former);
    }

    /// Its directory, as soon as that is open.
    pub(super) fn directory(&self) -> Option<Arc<OwnedFd>> {
        let mut state = self.0.state();
        loop {
            match &*state {
                State::Awaited => {
                    let waited = self.0.opened.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
                State::Open(kept) => return Some(Arc::clone(&kept.directory)),
                State::None => return None,
            }
        }
    }
}

/// Opens and locks it. Ends early when the machine has let go of it, or is gone.
fn take_again(shared: &Weak<Shared>, path: &Path) -> Result<(), StepError> {
    let have = |kept| shared.upgrade().is_some_and(|shared| shared.have(kept));
    let (mut kept, [mut rest, longest]) = (Kept::open(path)?, RESTS);
    while have(kept.clone_open()) {
        match kept.lock(path) {
            Ok(()) => {
                let _let_go = have(kept);
                break;
            }
            Err(error) if error.errno == Errno::BUSY => {
                thread::sleep(rest);
                rest = (rest * 2).min(longest);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

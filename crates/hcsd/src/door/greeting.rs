//! What becomes of a connection whose turn it is: it is served, or told why not.

use std::{cell::Cell, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use hcs_engine::engine::Engine;
use hcs_schema::Failure;
use hcs_wire::{peer, socket::let_send_descriptors};
use tokio::io::unix::AsyncFd;
use tracing::{debug, error};

use super::{
    peers::{Entitled, Peer},
    permits::Permits,
    unheard::Unheard,
};
use crate::thread::{
    closing::{Closing, PeerSocket},
    readiness::watch_stream,
};

/// How long a user who may not use the service has to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that are turned away without a word in one turn.
const MOST_AT_ONCE: usize = 64;

/// Where connections come in. `serve` serves one of them; where it is given a failure, it tells that and nothing else.
#[derive(Debug)]
pub(crate) struct Door<S> {
    /// Engines know where a process lives.
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) entitled: Rc<Cell<Entitled>>,
    pub(crate) permits: Rc<Permits>,
    /// For those that are turned away without a word and left descriptors in their sockets.
    pub(crate) unheard: Unheard,
    pub(crate) serve: S,
}

impl<S, F> Door<S>
where
    S: Fn(Rc<AsyncFd<PeerSocket>>, Peer, Option<Failure>) -> F,
    F: Future<Output = ()> + 'static,
{
    /// Welcomes `first` and, while none of them takes any work, those that `next` has behind it: each of those who come
    /// to be turned away would hold up the next client by a turn of all others.
    pub(crate) fn welcome_all(&self, first: OwnedFd, mut next: impl FnMut() -> Option<OwnedFd>) {
        let mut socket = Some(first);
        for _ in 0..MOST_AT_ONCE {
            match socket {
                Some(stranger) if self.is_unheard(&stranger) => self.unheard.close(stranger),
                Some(socket) => return self.welcome(socket),
                None => return,
            }
            socket = next();
        }
        if let Some(socket) = socket {
            self.welcome(socket);
        }
    }

    /// Whether a stranger has connected who is not told why: there are too many. Where the process lives does not
    /// matter.
    fn is_unheard(&self, socket: &OwnedFd) -> bool {
        let stranger = |peer: peer::Peer| self.entitled.get().excludes(peer.user);
        self.permits.has_many_strangers() && peer::Peer::of(socket).is_ok_and(stranger)
    }

    /// Serves a connection in the background, or turns it away.
    fn welcome(&self, socket: OwnedFd) {
        let socket = PeerSocket::new(socket, &Closing::default());
        let peer = match Peer::of(&socket, &self.engines) {
            Ok(peer) => peer,
            Err(e) => return error!("a client cannot be served: {e}"),
        };
        if peer.authorise(self.entitled.get()).is_err() {
            return self.turn_away(socket, peer, None);
        }
        let permit = match self.permits.admit(peer.uid) {
            Ok(permit) => permit,
            Err(failure) => {
                self.permits.turns_away(&peer, &failure);
                return self.turn_away(socket, peer, Some(failure));
            }
        };
        // It is not greeted yet, and its library sends none before.
        let _every_one_may = let_send_descriptors(&socket, true);
        let over = socket.closing().clone().over();
        match watch_stream(socket) {
            Ok(socket) => {
                let served = (self.serve)(Rc::new(socket), peer, None);
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    served.await;
                    // What it sent and left unread may take long to be closed.
                    over.await;
                });
            }
            Err(e) => error!("a client cannot be served: {e}"),
        }
    }

    /// Tells a user who may not use the service, or not now for the reason in `why`, why not, if they ask soon. What
    /// they do takes nothing from clients, the lines of the log included.
    fn turn_away(&self, socket: PeerSocket, peer: Peer, why: Option<Failure>) {
        let Some(permit) = self.permits.stranger() else {
            if let Some(socket) = socket.give_away() {
                self.unheard.close(socket);
            }
            return debug!(
                ?peer,
                "a stranger is turned away without a word: there are too many"
            );
        };
        let over = socket.closing().clone().over();
        match watch_stream(socket) {
            Ok(socket) => {
                let told = (self.serve)(Rc::new(socket), peer, why);
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    if tokio::time::timeout(PATIENCE, told).await.is_err() {
                        debug!(?peer, "a stranger said nothing and is turned away");
                    }
                    over.await;
                });
            }
            Err(e) => debug!(?peer, "a stranger cannot be told: {e}"),
        }
    }
}

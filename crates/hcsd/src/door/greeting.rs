//! What becomes of a connection that was accepted: it is served, or told why not.

use std::{io, os::fd::OwnedFd, rc::Rc, sync::Arc, time::Duration};

use hcs_engine::engine::Engine;
use hcs_schema::Failure;
use tokio::{io::unix::AsyncFd, net::UnixStream};
use tracing::{debug, error};

use super::{
    peers::{Entitled, Peer},
    permits::Permits,
};
use crate::thread::readiness::watch_stream;

/// How long a user who may not use the service has to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where connections come in. `serve` serves one of them; where it is given a failure, it tells that and nothing else.
#[derive(Debug)]
pub(crate) struct Door<S> {
    /// Engines know where a process lives.
    pub(crate) engines: Vec<Arc<dyn Engine>>,
    pub(crate) entitled: Entitled,
    pub(crate) permits: Rc<Permits>,
    pub(crate) serve: S,
}

impl<S, F> Door<S>
where
    S: Fn(Rc<AsyncFd<OwnedFd>>, Peer, Option<Failure>) -> F,
    F: Future<Output = ()> + 'static,
{
    /// Serves a connection in the background, or turns it away.
    pub(crate) fn welcome(&self, socket: OwnedFd) {
        let introduce = || -> io::Result<_> {
            let stream = UnixStream::from_std(socket.into())?;
            Ok((
                Peer::of(&stream, &self.engines)?,
                OwnedFd::from(stream.into_std()?),
            ))
        };
        let (peer, socket) = match introduce() {
            Ok(introduced) => introduced,
            Err(e) => return error!("a client cannot be served: {e}"),
        };
        if peer.authorise(self.entitled).is_err() {
            return self.turn_away(socket, peer, None);
        }
        let permit = match self.permits.admit(peer.uid) {
            Ok(permit) => permit,
            Err(failure) => {
                self.permits.turns_away(&peer, &failure);
                return self.turn_away(socket, peer, Some(failure));
            }
        };
        match watch_stream(socket) {
            Ok(socket) => {
                let served = (self.serve)(Rc::new(socket), peer, None);
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    served.await;
                });
            }
            Err(e) => error!("a client cannot be served: {e}"),
        }
    }

    /// Tells a user who may not use the service, or not now for the reason in `why`, why not, if they ask soon. What
    /// they do takes nothing from clients, the lines of the log included.
    fn turn_away(&self, socket: OwnedFd, peer: Peer, why: Option<Failure>) {
        let Some(permit) = self.permits.stranger() else {
            return debug!(
                ?peer,
                "a stranger is turned away without a word: there are too many"
            );
        };
        match watch_stream(socket) {
            Ok(socket) => {
                let told = (self.serve)(Rc::new(socket), peer, why);
                tokio::task::spawn_local(async move {
                    let _permit = permit;
                    if tokio::time::timeout(PATIENCE, told).await.is_err() {
                        debug!(?peer, "a stranger said nothing and is turned away");
                    }
                });
            }
            Err(e) => debug!(?peer, "a stranger cannot be told: {e}"),
        }
    }
}

//! [`Link`]: one connection to the service.
//!
//! A thread that makes a call writes its request itself; a thread of the link reads what the service sends and hands it
//! out. Each request waits in `pending` for its reply, as the closure that takes it. When the connection ends, for
//! whatever reason, every closure still there is called with the failure, so each is called exactly once.
//!
//! Locks: `writer` is held for one whole message, at most for [`LIMIT`]; `pending` never while something is called.

use std::{
    cell::Cell,
    collections::HashMap,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    WireError,
    service::{Call, Decoder, Event, Frame, Kind, Reply, VERSION, encode},
    socket::receive,
};
use rustix::{
    io::Errno,
    net::{SendFlags, Shutdown, sockopt::Timeout},
};

use crate::{
    endpoint::Endpoint,
    sync::{Mutex, lock},
};

/// How long the service may take nothing of a request, or may take to greet, before it counts as gone.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Numbers for requests and handles and links: unique in this process, never 0.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the thread that reads some link: it must never wait for the service.
pub(crate) fn is_reading() -> bool {
    READING.get()
}

/// A reply with the descriptors that came along, or why there is none.
pub(crate) type Answer = Result<(Reply, Vec<OwnedFd>), Failure>;

type Waiting = Box<dyn FnOnce(Answer) + Send>;

/// One connection. It is over when reading has ended.
pub(crate) struct Link {
    serial: u64,
    /// Our pid as the service sees it: its names for our operations begin with it.
    process: u32,
    endpoint: Endpoint,
    socket: OwnedFd,
    writer: Mutex<()>,
    /// `None` once the connection is over.
    pending: Mutex<Option<HashMap<u64, Waiting>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("serial", &self.serial)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the service closed the connection")]
    Closed,
    #[error("the service did not react within {} seconds", LIMIT.as_secs())]
    Silent,
    #[error("the connection failed: {0}")]
    Socket(Errno),
    #[error("the service broke the protocol")]
    Wire(#[from] WireError),
    #[error("the service answered request {0}, which was never made")]
    UnknownReply(u64),
    #[error("the service sent a request")]
    Request,
}

impl From<Errno> for Broken {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::Silent,
            _ => Self::Socket(errno),
        }
    }
}

/// Takes what the service sends apart. Belongs to whoever reads the link.
#[derive(Debug)]
pub(crate) struct Receiver {
    decoder: Decoder,
    buffer: Box<[u8]>,
}

impl Receiver {
    fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            buffer: vec![0; 64 << 10].into(),
        }
    }

    fn frame(&mut self, socket: &OwnedFd) -> Result<Frame, Broken> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame);
            }
            let received = receive(socket, &mut self.buffer, &mut self.decoder.descriptors)?;
            if received == 0 {
                return Err(Broken::Closed);
            }
            self.decoder.feed(&self.buffer[..received]);
        }
    }
}

impl Link {
    /// Connects and greets.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when nobody listens or the service left while greeting, so that it is to be started.
    pub(crate) fn connect(endpoint: &Endpoint) -> Result<(Self, Receiver), Refused> {
        let socket = endpoint
            .connect(LIMIT)
            .map_err(|errno| Refused::from_connect(endpoint, errno))?;
        let mut link = Self {
            serial: next_number(),
            process: std::process::id(),
            endpoint: endpoint.clone(),
            socket,
            writer: Mutex::new(()),
            pending: Mutex::new(Some(HashMap::new())),
        };
        let mut receiver = Receiver::new();
        let reply = link.greet(&mut receiver)?;
        if !reply.result.is_success() {
            let document = reply.document.unwrap_or_default();
            let failure = Failure::from_document(reply.result, &document);
            return Err(Refused::Final(failure));
        }
        link.process = process(reply.document.as_deref()).unwrap_or(link.process);
        rustix::net::sockopt::set_socket_timeout(&link.socket, Timeout::Recv, None)
            .map_err(|errno| Refused::Final(link.lost(&errno.into())))?;
        Ok((link, receiver))
    }

    fn greet(&self, receiver: &mut Receiver) -> Result<Reply, Refused> {
        let failed = |broken: Broken| match broken {
            Broken::Closed | Broken::Socket(Errno::CONNRESET | Errno::PIPE) => {
                Refused::NotThere(self.lost(&broken))
            }
            _ => Refused::Final(self.lost(&broken)),
        };
        let hello = Call::Hello {
            minimum: VERSION,
            maximum: VERSION,
        };
        let id = next_number();
        let bytes = request_bytes(id, &hello).map_err(|e| failed(e.into()))?;
        self.write(&bytes).map_err(|e| failed(e.into()))?;
        let frame = receiver.frame(&self.socket).map_err(failed)?;
        if frame.kind != Kind::Reply || frame.id != id {
            return Err(failed(Broken::UnknownReply(frame.id)));
        }
        frame.parse("reply").map_err(|e| failed(e.into()))
    }

    /// Tells this connection from all others of this process.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// Our pid as the service sees it.
    pub(crate) const fn process(&self) -> u32 {
        self.process
    }

    /// Sends `call`; `then` is called once, with the reply or the failure, on this thread or the reading one.
    pub(crate) fn call(&self, call: &Call, then: impl FnOnce(Answer) + Send + 'static) {
        let request = next_number();
        self.send(request, request_bytes(request, call), then);
    }

    /// Sends the `bytes` that [`request_bytes`] made of a call for the number `request`; `then` as in [`Link::call`].
    pub(crate) fn send(
        &self,
        request: u64,
        bytes: Result<Vec<u8>, WireError>,
        then: impl FnOnce(Answer) + Send + 'static,
    ) {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = "the document is too large to be sent";
                let failure = Failure::new(HResult::HCS_E_INVALID_JSON, message);
                return then(Err(failure.because(&error)));
            }
        };
        let mut then: Option<Waiting> = Some(Box::new(then));
        if let Some(pending) = &mut *lock(&self.pending)
            && let Some(then) = then.take()
        {
            pending.insert(request, then);
        }
        if let Some(then) = then {
            return then(Err(self.lost(&Broken::Closed)));
        }
        if self.write(&bytes).is_err() {
            // What was written of the message cannot be taken back. Ending the connection makes the reading thread
            // answer this request along with all others.
            self.end();
        }
    }

    /// Writes a whole message.
    fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        let _one_at_a_time = lock(&self.writer);
        let mut rest = bytes;
        while !rest.is_empty() {
            let sent = rustix::io::retry_on_intr(|| {
                rustix::net::send(&self.socket, rest, SendFlags::NOSIGNAL)
            })?;
            rest = &rest[sent..];
        }
        Ok(())
    }

    /// Whether it ended: requests are only refused any more.
    pub(crate) fn is_over(&self) -> bool {
        lock(&self.pending).is_none()
    }

    /// Ends the connection; the reading thread does what follows from it.
    fn end(&self) {
        // Fails only when the connection is over already.
        let _over = rustix::net::shutdown(&self.socket, Shutdown::Both);
    }

    /// Reads until the connection is over; then answers all that is pending with the failure, and gives it back.
    pub(crate) fn read(&self, mut receiver: Receiver, event: impl Fn(Event)) -> Failure {
        READING.set(true);
        let broken = loop {
            if let Err(broken) = self.step(&mut receiver, &event) {
                break broken;
            }
        };
        self.end();
        let pending = lock(&self.pending).take().unwrap_or_default();
        let failure = self.lost(&broken);
        for then in pending.into_values() {
            then(Err(failure.clone()));
        }
        failure
    }

    /// Hands out one message.
    fn step(&self, receiver: &mut Receiver, event: impl Fn(Event)) -> Result<(), Broken> {
        let frame = receiver.frame(&self.socket)?;
        match frame.kind {
            Kind::Request => Err(Broken::Request),
            Kind::Event => {
                event(frame.parse("event")?);
                Ok(())
            }
            Kind::Reply => {
                let then = lock(&self.pending)
                    .as_mut()
                    .and_then(|pending| pending.remove(&frame.id));
                let then = then.ok_or(Broken::UnknownReply(frame.id))?;
                match frame.parse("reply") {
                    Ok(reply) => then(Ok((reply, frame.descriptors))),
                    Err(error) => then(Err(error.into())),
                }
                Ok(())
            }
        }
    }

    fn lost(&self, broken: &Broken) -> Failure {
        let path = self.endpoint.path().display();
        Failure::new(
            HResult::HCS_E_SERVICE_DISCONNECT,
            format!("the connection to the host compute service at {path} was lost"),
        )
        .because(broken)
    }
}

/// Our pid, from the service's greeting.
fn process(greeting: Option<&str>) -> Option<u32> {
    let greeting: serde_json::Value = serde_json::from_str(greeting?).ok()?;
    greeting["Process"].as_u64()?.try_into().ok()
}

/// The message that makes `call` under the number `request`.
///
/// # Errors
/// It is too large.
pub(crate) fn request_bytes(request: u64, call: &Call) -> Result<Vec<u8>, WireError> {
    encode(Kind::Request, request, 0, call)
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No service is there, but one may be started.
    NotThere(Failure),
    /// It will not be better the next time.
    Final(Failure),
}

impl Refused {
    fn from_connect(endpoint: &Endpoint, errno: Errno) -> Self {
        let path = endpoint.path().display();
        let unavailable = |message| {
            Failure::new(HResult::HCS_E_SERVICE_NOT_AVAILABLE, message)
                .because(&Broken::from(errno))
        };
        match errno {
            Errno::NOENT | Errno::CONNREFUSED => Self::NotThere(unavailable(format!(
                "no host compute service listens at {path}"
            ))),
            Errno::ACCESS | Errno::PERM => Self::Final(
                Failure::new(
                    HResult::HCS_E_ACCESS_DENIED,
                    format!("this user may not connect to the host compute service at {path}"),
                )
                .cause(errno.to_string()),
            ),
            _ => Self::Final(unavailable(format!(
                "the host compute service at {path} cannot be connected to"
            ))),
        }
    }

    /// The failure in either.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::NotThere(failure) | Self::Final(failure) => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_refused_says_what_to_do_about_it() {
        let endpoint = Endpoint::at("/run/x/hcs.sock");
        let refused = |errno| Refused::from_connect(&endpoint, errno);
        for errno in [Errno::NOENT, Errno::CONNREFUSED] {
            assert!(matches!(refused(errno), Refused::NotThere(_)), "{errno}");
        }
        let Refused::Final(denied) = refused(Errno::ACCESS) else {
            panic!("a service is not to be started when access is denied");
        };
        assert_eq!(denied.hresult, HResult::HCS_E_ACCESS_DENIED);
        assert!(denied.message.contains("/run/x/hcs.sock"));
        let silent = refused(Errno::AGAIN).into_failure();
        assert_eq!(silent.hresult, HResult::HCS_E_SERVICE_NOT_AVAILABLE);
        assert!(silent.causes[0].message.contains("30 seconds"));
    }
}

//! The loop of a device: it waits for the front end, the driver, the streams and the handles, and moves packets.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

use crate::{
    config::{Config, Limits, Services},
    error::{DeviceError, MessageError},
    exchange::Exchange,
    front_end::{Channel, Effect, Message, Received, Session, reply},
    handle::{Command, Handle, Shared, Tally},
    packet::HOST,
    poll::{Event, Poll, Token},
    queue::Fault,
    table::Table,
};

/// Batches of each ring in a row, before other work has its turn.
const BATCHES: usize = 8;
/// Messages of the front end in a row, before other work has its turn.
const MESSAGES: usize = 32;
/// The smallest buffer of a connection.
const LEAST_BUFFER: u32 = 4 << 10;

/// A virtio-vsock device for one machine. See the [crate] for what it is.
///
/// It is made and run before the front end starts, or while it waits: the front end's start blocks until its messages
/// are answered.
pub struct Device {
    front_end: Channel,
    session: Session,
    exchange: Exchange,
    table: Table,
    services: Box<dyn Services + Send>,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    poll: Arc<Poll>,
    /// There is more to do than one turn did.
    unfinished: bool,
}

/// How a device ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The front end closed its socket, or ended.
    FrontEnd,
    /// [`Handle::stop`] was called.
    Stopped,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Device {
    /// Makes a device behind `front_end`, the other end of which QEMU has as its chardev: a socket pair, or a
    /// connection to a listener of QEMU's parent.
    ///
    /// # Errors
    /// The configuration is not possible, or descriptors cannot be made.
    pub fn new(front_end: UnixStream, config: Config) -> Result<(Self, Handle), DeviceError> {
        check(config.cid, &config.limits)?;
        let doing = "making a device";
        let front_end = Channel::new(front_end)?;
        let session = Session::new(config.cid, config.memory, config.limits.memory);
        let poll = Arc::new(Poll::new().map_err(DeviceError::system(doing))?);
        let (handle, shared, commands) =
            Shared::new(session.signals()).map_err(DeviceError::system(doing))?;
        for (descriptor, token) in [
            (front_end.as_fd(), Token::FrontEnd),
            (shared.bell().as_fd(), Token::Commands),
        ] {
            poll.watch(descriptor, token)
                .map_err(DeviceError::system(doing))?;
        }
        let table = Table::new(
            config.cid,
            config.limits,
            Arc::clone(&poll),
            Arc::clone(&shared),
        );
        let device = Self {
            front_end,
            session,
            exchange: Exchange::new(),
            table,
            services: config.services,
            commands,
            shared,
            poll,
            unfinished: false,
        };
        Ok((device, handle))
    }

    /// Serves on the calling thread until the front end goes or [`Handle::stop`] is called. All connections end then.
    ///
    /// # Errors
    /// The front end broke the protocol, or a system call failed. The machine has no vsock any more.
    pub fn run(mut self) -> Result<End, DeviceError> {
        let ended = self.serve();
        if let Err(error) = &ended {
            self.shared.note(in_words(error));
        }
        self.table.clear();
        ended
    }

    fn serve(&mut self) -> Result<End, DeviceError> {
        loop {
            if let Some(end) = self.turn(true)? {
                return Ok(end);
            }
        }
    }

    /// Takes what has happened, waiting for it if `block`, and moves packets. Returns how the device ended, if it has.
    pub(crate) fn turn(&mut self, block: bool) -> Result<Option<End>, DeviceError> {
        let limit = match block && !self.unfinished {
            true => self.time_left(Instant::now()),
            false => Some(Duration::ZERO),
        };
        let events = self
            .poll
            .wait(limit)
            .map_err(DeviceError::system("waiting for events"))?;
        for event in events {
            if !self.handle(event)? {
                return Ok(Some(End::FrontEnd));
            }
        }
        self.table.expire(Instant::now());
        if self.shared.is_stopped() {
            return Ok(Some(End::Stopped));
        }
        self.unfinished = match self.move_packets() {
            Ok(unfinished) => unfinished,
            Err(fault) => {
                self.fail(fault);
                false
            }
        };
        Ok(None)
    }

    /// How long it is until something has to be done, whatever happens.
    fn time_left(&self, now: Instant) -> Option<Duration> {
        let late = self.session.late();
        let late = late.map(|late| late.saturating_duration_since(now));
        self.table.time_left(now).into_iter().chain(late).min()
    }

    /// Does what an event asks for. Returns whether the front end is still there.
    fn handle(&mut self, event: Event) -> Result<bool, DeviceError> {
        match event.token {
            Token::FrontEnd => return self.hear_front_end(),
            Token::Commands => self.obey_handles(),
            Token::Stream(number) => self.table.event(number, event.flags),
            // Both rings are looked at after every event.
            Token::Kick(_) => {}
        }
        Ok(true)
    }

    fn obey_handles(&mut self) {
        self.shared.hush();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Connect {
                    port,
                    stream,
                    waiter,
                } => self.table.open(port, stream, waiter),
                Command::Reset => self.table.give_all_up(),
            }
        }
    }

    /// Obeys messages of the front end. Returns whether it is still there.
    fn hear_front_end(&mut self) -> Result<bool, DeviceError> {
        for _ in 0..MESSAGES {
            match self.front_end.receive()? {
                Received::Message(message) => self.obey(message)?,
                Received::Nothing => return Ok(true),
                Received::End => return Ok(false),
            }
        }
        Ok(true)
    }

    fn obey(&mut self, message: Message) -> Result<(), DeviceError> {
        let header = message.header;
        let answer = match self.session.obey(message, &self.poll) {
            Ok(answer) => answer,
            Err(refusal) if header.needs_reply => {
                self.shared.note(refusal.to_string());
                return self
                    .front_end
                    .send(&reply(header.request, &1_u64.to_ne_bytes()));
            }
            Err(refusal) => {
                return Err(DeviceError::Protocol(MessageError::Refused {
                    request: header.request,
                    reason: refusal.to_string(),
                }));
            }
        };
        if answer.effect == Effect::NewDriver {
            self.table.clear();
        }
        match answer.body {
            Some(body) => self.front_end.send(&reply(header.request, &body)),
            None if header.needs_reply => self
                .front_end
                .send(&reply(header.request, &0_u64.to_ne_bytes())),
            None => Ok(()),
        }
    }

    /// Moves packets in both directions, and tells the driver of what could wait until now. Returns whether there is
    /// more to move.
    fn move_packets(&mut self) -> Result<bool, Fault> {
        let unfinished = self.move_some()?;
        if self.session.late().is_some() {
            let now = Instant::now();
            for ring in &mut self.session.rings {
                ring.interrupt_late(&self.session.memory, now)?;
            }
        }
        Ok(unfinished)
    }

    fn move_some(&mut self) -> Result<bool, Fault> {
        for _ in 0..BATCHES {
            let memory = &self.session.memory;
            let [to_guest, from_guest] = &mut self.session.rings;
            let (Some(to_queue), Some(from_queue)) = (to_guest.running(), from_guest.running())
            else {
                return Ok(false);
            };
            let services = &mut *self.services;
            let taken = self
                .exchange
                .receive(from_queue, memory, &mut self.table, services)?;
            let given = self.exchange.send(to_queue, memory, &mut self.table)?;
            from_guest.interrupt(memory, taken.is_urgent)?;
            to_guest.interrupt(memory, given.is_urgent)?;
            if !taken.moved && !given.moved {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The driver broke a ring: nothing is moved until it starts again, and no connection lives until then.
    fn fail(&mut self, fault: Fault) {
        self.shared.note(fault.to_string());
        Tally::add(&self.shared.tally.faults, 1);
        for ring in &mut self.session.rings {
            ring.fail();
        }
        self.table.clear();
    }
}

/// An error with its causes.
fn in_words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |words, cause| {
        format!("{words}: {cause}")
    })
}

fn check(cid: u64, limits: &Limits) -> Result<(), DeviceError> {
    if cid <= HOST || cid >= u64::from(u32::MAX) {
        return Err(DeviceError::Cid { cid });
    }
    let least = [
        (
            "connections",
            limits.connections as u64,
            (limits.reserve as u64).saturating_add(1),
        ),
        ("buffer", u64::from(limits.buffer), u64::from(LEAST_BUFFER)),
        ("memory", limits.memory, 1),
    ];
    match least.into_iter().find(|(_, value, least)| value < least) {
        Some((name, value, least)) => Err(DeviceError::Limit { name, value, least }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

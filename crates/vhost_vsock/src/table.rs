//! All connections of a device, and the packets that they have for the guest.
//!
//! 1. [`Table::hear`], [`Table::deliver`]: packets of the guest.
//! 2. [`Table::open`], [`Table::event`]: what the host does.
//! 3. [`Table::next_packet`]: what the guest is to be sent, from one connection after the other.
//!
//! A connection that the guest has closed leaves its stream behind, until that has taken all that the guest sent.
//! Streams and connections are counted together, so neither can pile up.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rustix::{event::epoll::EventFlags, io::Errno};

use crate::{
    config::{Limits, Services},
    connection::{Connection, Control, Meaning},
    handle::{Shared, Tally, Waiter},
    packet::{HEADER, HOST, Header, NO_RECEIVE, NO_SEND, Operation, STREAM},
    poll::Poll,
    stream::{Gone, Received, Stream},
};

/// Resets that may wait for room in the ring before the guest's packets have to wait, too.
const RESETS: usize = 256;
/// The first port of the host's side of connections that the host opens.
const FIRST_PORT: u32 = 0x8000_0000;
/// How long a program of the host waits for the guest to answer its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// All connections of a device.
#[derive(Debug)]
pub(crate) struct Table {
    cid: u64,
    limits: Limits,
    poll: Arc<Poll>,
    shared: Arc<Shared>,
    entries: HashMap<u64, Entry>,
    /// The entries that have a connection.
    numbers: HashMap<Ports, u64>,
    next_number: u64,
    next_port: u32,
    /// Entries that may have a packet; each is here once at most, and is in the table.
    ready: VecDeque<u64>,
    /// Packets of connections that are gone, and whether each can wait as [`Packet::can_wait`] says.
    resets: VecDeque<(Header, bool)>,
    /// Until when programs wait for the guest's answer, the first one first, with the number of the entry.
    waits: VecDeque<(Instant, u64)>,
}

/// A packet for the guest.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    pub(crate) bytes: &'a [u8],
    /// No program of the guest waits for it.
    pub(crate) can_wait: bool,
}

/// Names a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ports {
    host: u32,
    guest: u32,
}

/// A connection and its stream.
#[derive(Debug)]
struct Entry {
    ports: Ports,
    /// None when the guest is done with it.
    connection: Option<Connection>,
    /// None when the host is done with it.
    stream: Option<Stream>,
    /// It is in [`Table::ready`].
    queued: bool,
    /// What waits for the guest's answer.
    waiter: Option<Waiter>,
}

impl Table {
    pub(crate) fn new(cid: u64, limits: Limits, poll: Arc<Poll>, shared: Arc<Shared>) -> Self {
        Self {
            cid,
            limits,
            poll,
            shared,
            entries: HashMap::new(),
            numbers: HashMap::new(),
            next_number: 0,
            next_port: FIRST_PORT,
            ready: VecDeque::new(),
            resets: VecDeque::new(),
            waits: VecDeque::new(),
        }
    }

    /// The host connects to `port`. `waiter` hears the answer of the guest.
    pub(crate) fn open(&mut self, port: u32, socket: OwnedFd, waiter: Option<Waiter>) {
        let ports = Ports {
            host: self.free_port(port),
            guest: port,
        };
        let connection = Connection::request(self.limits.buffer);
        let inserted = match self.has_room(false) {
            true => self.insert(ports, connection, socket),
            false => Err(Errno::DQUOT),
        };
        match inserted {
            Ok(number) => {
                if matches!(waiter, Some(Waiter::Peer)) {
                    self.wait_for_answer(number);
                }
                if let Some(entry) = self.entries.get_mut(&number) {
                    entry.waiter = waiter;
                }
                self.queue(number);
            }
            Err(errno) => {
                Tally::add(&self.shared.tally.refused, 1);
                tell(waiter, Err(errno));
            }
        }
    }

    /// A port of the host with which `guest` has no connection. There are far fewer connections than ports.
    fn free_port(&mut self, guest: u32) -> u32 {
        loop {
            let host = self.next_port;
            self.next_port = host.wrapping_add(1) | FIRST_PORT;
            if !self.numbers.contains_key(&Ports { host, guest }) {
                return host;
            }
        }
    }

    /// Whether there may be one more connection, also of those that are kept if it may use them.
    fn has_room(&self, may_use_reserve: bool) -> bool {
        let kept = match may_use_reserve {
            true => 0,
            false => self.limits.reserve,
        };
        self.entries.len() < self.limits.connections.saturating_sub(kept)
    }

    /// A program waits for the guest's answer from now on.
    fn wait_for_answer(&mut self, number: u64) {
        if self.waits.len() >= self.limits.connections {
            let entries = &self.entries;
            self.waits
                .retain(|(_, number)| entries.get(number).is_some_and(Entry::is_requested));
        }
        self.waits.push_back((Instant::now() + PATIENCE, number));
    }

    /// How long it is until [`Self::expire`] has something to do.
    pub(crate) fn time_left(&self, now: Instant) -> Option<Duration> {
        let (until, _) = self.waits.front()?;
        // A moment more, so that it has passed.
        Some(until.saturating_duration_since(now) + Duration::from_millis(1))
    }

    /// Ends the connections whose programs have waited long enough for the guest's answer.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((until, number)) = self.waits.front().copied()
            && until <= now
        {
            self.waits.pop_front();
            if self.entries.get(&number).is_some_and(Entry::is_requested) {
                self.give_up(number);
            }
        }
    }

    fn insert(
        &mut self,
        ports: Ports,
        connection: Connection,
        socket: OwnedFd,
    ) -> Result<u64, Errno> {
        let number = self.next_number;
        self.poll.watch_stream(socket.as_fd(), number)?;
        self.next_number += 1;
        let entry = Entry {
            ports,
            connection: Some(connection),
            stream: Some(Stream::new(socket)),
            queued: false,
            waiter: None,
        };
        self.entries.insert(number, entry);
        self.numbers.insert(ports, number);
        self.count();
        Ok(number)
    }

    /// Ends all connections, and tells the guest of those that it knows of: it may have started again already, and made
    /// them afterwards.
    pub(crate) fn give_all_up(&mut self) {
        let numbers: Vec<u64> = self.entries.keys().copied().collect();
        for number in numbers {
            self.give_up(number);
        }
    }

    /// Ends all connections: the guest knows of none.
    pub(crate) fn clear(&mut self) {
        for entry in std::mem::take(&mut self.entries).into_values() {
            self.poll_forget(entry.stream.as_ref());
            tell(entry.waiter, Err(Errno::CONNRESET));
        }
        self.numbers.clear();
        self.ready.clear();
        self.resets.clear();
        self.waits.clear();
        self.count();
    }

    /// The guest sent a packet; it is not `whole` when its data is too long, or shorter than it says. When it carries
    /// data for a stream, this answers its number for [`Self::deliver`].
    pub(crate) fn hear(
        &mut self,
        header: &Header,
        whole: bool,
        services: &mut dyn Services,
    ) -> Option<u64> {
        // The address of the sender is a lie: there is no answer that would reach it.
        if header.source_cid != self.cid {
            return None;
        }
        if header.destination_cid != HOST || header.kind != STREAM {
            self.refuse(header);
            return None;
        }
        let ports = Ports {
            host: header.destination_port,
            guest: header.source_port,
        };
        let Some(&number) = self.numbers.get(&ports) else {
            if header.operation == Operation::Request {
                self.accept(header, ports, services);
            } else {
                self.refuse(header);
            }
            return None;
        };
        let connection = self.entries.get_mut(&number)?.connection.as_mut()?;
        let meaning = if whole {
            connection.hear(header)
        } else {
            Meaning::Violation
        };
        match meaning {
            Meaning::Data => return Some(number),
            Meaning::Nothing | Meaning::Discarded => {}
            Meaning::Opened => self.opened(number),
            Meaning::Ended => self.ended(number),
            Meaning::Closed => {
                // Its program has closed it, and the guest's kernel keeps what is left of it until then.
                self.push_reset(header, true);
                self.retire(number);
            }
            Meaning::Reset => self.retire(number),
            Meaning::Violation => self.violated(header, number),
        }
        // Credit comes with every packet.
        self.queue(number);
        None
    }

    /// The guest connects to the host.
    fn accept(&mut self, header: &Header, ports: Ports, services: &mut dyn Services) {
        let is_kept = services.may_use_reserve(ports.host, ports.guest);
        let socket = if self.has_room(is_kept) {
            services.connect(ports.host, ports.guest)
        } else {
            None
        };
        let connection = Connection::accept(self.limits.buffer, header);
        match socket.map(|socket| self.insert(ports, connection, socket)) {
            Some(Ok(number)) => {
                Tally::add(&self.shared.tally.opened_by_guest, 1);
                self.queue(number);
            }
            Some(Err(_)) | None => {
                Tally::add(&self.shared.tally.refused, 1);
                self.refuse(header);
            }
        }
    }

    /// The guest has agreed to a connection of the host.
    fn opened(&mut self, number: u64) {
        Tally::add(&self.shared.tally.opened_by_host, 1);
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        match (entry.waiter.take(), &mut entry.stream) {
            // There is room, as nothing was sent before. A program that is gone is noticed with the next bytes.
            (Some(Waiter::Peer), Some(stream)) => {
                stream.greet(&format!("OK {}\n", entry.ports.host));
            }
            (waiter, _) => tell(waiter, Ok(())),
        }
    }

    /// The guest has ended a direction of a connection.
    fn ended(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let (Some(connection), Some(stream)) = (&mut entry.connection, &mut entry.stream) else {
            return;
        };
        if !connection.guest_receives() {
            stream.refuse();
        }
        if !connection.guest_sends() {
            let flushed = stream.finish();
            settle(connection, stream, &flushed);
        }
    }

    /// The guest broke the rules of a connection: it ends at once.
    fn violated(&mut self, header: &Header, number: u64) {
        Tally::add(&self.shared.tally.violations, 1);
        self.refuse(header);
        self.remove(number);
    }

    /// Writes data of the guest to its stream.
    pub(crate) fn deliver(&mut self, number: u64, data: &[u8]) {
        Tally::add(&self.shared.tally.bytes_from_guest, data.len());
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let Some(connection) = &mut entry.connection else {
            return;
        };
        if let Some(stream) = &mut entry.stream {
            let sent = stream.send(data);
            settle(connection, stream, &sent);
        } else {
            connection.forward(data.len());
        }
        self.watch_room(number);
        self.queue(number);
    }

    /// Something happened to a stream.
    pub(crate) fn event(&mut self, number: u64, flags: EventFlags) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let Some(stream) = &mut entry.stream else {
            return;
        };
        let hung_up = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if hung_up || flags.intersects(EventFlags::IN | EventFlags::RDHUP) {
            stream.readable = true;
        }
        let flushed = stream.flush();
        let Some(connection) = &mut entry.connection else {
            if flushed.is_err() || stream.is_flushed() {
                self.remove(number);
            }
            return;
        };
        settle(connection, stream, &flushed);
        if hung_up {
            connection.end(NO_RECEIVE);
        }
        // The host has given up before the guest answered: it wrote nothing, or is a program that reads no answer.
        if connection.is_requested()
            && hung_up
            && (matches!(entry.waiter, Some(Waiter::Peer))
                || matches!(stream.peek(), Received::End | Received::Broken))
        {
            self.give_up(number);
            return;
        }
        self.watch_room(number);
        self.queue(number);
    }

    /// Watches a stream for room as long as it has not taken all.
    fn watch_room(&mut self, number: u64) {
        let Some(stream) = self
            .entries
            .get_mut(&number)
            .and_then(|entry| entry.stream.as_mut())
        else {
            return;
        };
        let wanted = !stream.is_flushed();
        if stream.watched != wanted && self.poll.watch_room(stream.as_fd(), number, wanted).is_ok()
        {
            stream.watched = wanted;
        }
    }

    /// The guest is done with a connection; its stream stays until it has taken what the guest sent.
    fn retire(&mut self, number: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        if entry
            .connection
            .take()
            .is_some_and(|connection| connection.is_requested())
        {
            Tally::add(&self.shared.tally.refused, 1);
            tell(entry.waiter.take(), Err(Errno::CONNREFUSED));
            self.remove(number);
            return;
        }
        self.numbers.remove(&entry.ports);
        let done = entry.stream.as_mut().is_none_or(|stream| {
            stream.refuse();
            stream.finish().is_err() || stream.is_flushed()
        });
        if done {
            self.remove(number);
        } else {
            self.watch_room(number);
        }
    }

    /// The host is done with a connection: it ends at once, and the guest hears of it if it knows of it.
    fn give_up(&mut self, number: u64) {
        let Some(entry) = self.entries.get(&number) else {
            return;
        };
        if entry.connection.as_ref().is_some_and(Connection::is_known) {
            let reset = self.header(entry.ports, Operation::Reset);
            self.resets.push_back((reset, false));
        }
        self.remove(number);
    }

    fn remove(&mut self, number: u64) {
        let Some(entry) = self.entries.remove(&number) else {
            return;
        };
        self.poll_forget(entry.stream.as_ref());
        if self.numbers.get(&entry.ports) == Some(&number) {
            self.numbers.remove(&entry.ports);
        }
        if entry.queued {
            self.ready.retain(|other| *other != number);
        }
        tell(entry.waiter, Err(Errno::CONNRESET));
        self.count();
    }

    fn poll_forget(&self, stream: Option<&Stream>) {
        if let Some(stream) = stream {
            self.poll.forget(stream.as_fd());
        }
    }

    fn count(&self) {
        let connections = &self.shared.tally.connections;
        connections.store(self.entries.len() as u64, Ordering::Relaxed);
    }

    /// The connection may have a packet.
    fn queue(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number)
            && entry.connection.is_some()
            && !entry.queued
        {
            entry.queued = true;
            self.ready.push_back(number);
        }
    }

    /// So many resets wait that the guest's packets have to wait, too.
    pub(crate) fn is_congested(&self) -> bool {
        self.resets.len() >= RESETS
    }

    /// There may be a packet for the guest.
    pub(crate) fn has_packets(&self) -> bool {
        !self.resets.is_empty() || !self.ready.is_empty()
    }

    /// The next packet for the guest, made in `space`, which has room for a header and some data.
    pub(crate) fn next_packet<'a>(&mut self, space: &'a mut [u8]) -> Option<Packet<'a>> {
        if let Some((reset, can_wait)) = self.resets.pop_front() {
            space[..HEADER].copy_from_slice(&reset.encode());
            let bytes = &space[..HEADER];
            return Some(Packet { bytes, can_wait });
        }
        while let Some(number) = self.ready.pop_front() {
            let entry = self.entries.get_mut(&number)?;
            entry.queued = false;
            let made = entry.next_packet(&mut space[HEADER..]);
            let ports = entry.ports;
            let (control, length) = match made {
                Next::Control(control) => (control, 0),
                Next::Data(length) => (DATA, length),
                Next::Nothing => continue,
                Next::Broken => {
                    self.give_up(number);
                    return self.next_packet(space);
                }
            };
            let (buffer, forwarded) = entry.connection.as_mut()?.announce();
            entry.release(&self.poll);
            let mut header = self.header(ports, control.operation);
            header.flags = control.flags;
            header.length = u32::try_from(length).unwrap_or(u32::MAX);
            (header.buffer, header.forwarded) = (buffer, forwarded);
            Tally::add(&self.shared.tally.bytes_to_guest, length);
            self.queue(number);
            space[..HEADER].copy_from_slice(&header.encode());
            return Some(Packet {
                bytes: &space[..HEADER + length],
                can_wait: false,
            });
        }
        None
    }

    /// Answers a packet of the guest by a reset, unless it is one.
    fn refuse(&mut self, header: &Header) {
        if header.operation != Operation::Reset {
            self.push_reset(header, false);
        }
    }

    /// Answers a packet of the guest by a reset.
    fn push_reset(&mut self, header: &Header, can_wait: bool) {
        let ports = Ports {
            host: header.destination_port,
            guest: header.source_port,
        };
        let reset = Header {
            source_cid: header.destination_cid,
            kind: header.kind,
            ..self.header(ports, Operation::Reset)
        };
        self.resets.push_back((reset, can_wait));
    }

    /// A packet for the guest, without data.
    const fn header(&self, ports: Ports, operation: Operation) -> Header {
        Header {
            source_cid: HOST,
            destination_cid: self.cid,
            source_port: ports.host,
            destination_port: ports.guest,
            length: 0,
            kind: STREAM,
            operation,
            flags: 0,
            buffer: 0,
            forwarded: 0,
        }
    }
}

const DATA: Control = Control {
    operation: Operation::Data,
    flags: 0,
};

/// What a connection has for the guest.
enum Next {
    Control(Control),
    /// So many bytes are in the space.
    Data(usize),
    Nothing,
    /// The stream broke.
    Broken,
}

impl Entry {
    /// It waits for the guest's answer.
    fn is_requested(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(Connection::is_requested)
    }

    /// What the connection has for the guest; data goes to `space`.
    fn next_packet(&mut self, space: &mut [u8]) -> Next {
        let Some(connection) = &mut self.connection else {
            return Next::Nothing;
        };
        if let Some(control) = connection.before_data() {
            return Next::Control(control);
        }
        if connection.is_requested() {
            return Next::Nothing;
        }
        if let Some(stream) = &mut self.stream
            && stream.readable
            && connection.host_sends()
        {
            let room = usize::try_from(connection.room()).unwrap_or(usize::MAX);
            let room = room.min(space.len());
            let received = if room == 0 {
                stream.peek()
            } else {
                stream.receive(&mut space[..room])
            };
            match received {
                Received::Bytes(_) if room == 0 => {
                    if let Some(control) = connection.lacks_room() {
                        return Next::Control(control);
                    }
                }
                Received::Bytes(count) => {
                    connection.send(count);
                    return Next::Data(count);
                }
                Received::Nothing => {}
                Received::End => connection.end(NO_SEND),
                Received::Broken => return Next::Broken,
            }
        }
        connection.after_data().map_or(Next::Nothing, Next::Control)
    }

    /// Closes a stream that is of no use any more. Its connection waits for the guest.
    fn release(&mut self, poll: &Poll) {
        if self.connection.as_ref().is_some_and(Connection::is_over)
            && let Some(stream) = self.stream.take()
        {
            poll.forget(stream.as_fd());
        }
    }
}

/// Notes what a stream took of the guest's bytes; one that takes nothing any more has thrown away what it kept.
fn settle(connection: &mut Connection, stream: &mut Stream, taken: &Result<usize, Gone>) {
    match taken {
        Ok(count) => connection.forward(*count),
        Err(Gone) => {
            stream.discard();
            connection.end(NO_RECEIVE);
            connection.forward_all();
        }
    }
}

/// Tells the thread that waits, if it still does. A program is told by the end of its stream.
fn tell(waiter: Option<Waiter>, answer: Result<(), Errno>) {
    if let Some(Waiter::Thread(waiter)) = waiter {
        let _waits_no_more = waiter.try_send(answer);
    }
}

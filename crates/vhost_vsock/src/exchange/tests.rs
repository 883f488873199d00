//! A guest with rings in memory, and real sockets behind its connections.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rustix::io::Errno;

use super::*;
use crate::{
    config::Limits,
    handle::{Shared, Waiter},
    packet::{NO_RECEIVE, NO_SEND},
    poll::{Poll, Token},
    queue::Direction,
    testing::{Guest, Plain},
};

mod urgency;

const CID: u64 = 7;
const LIMITS: Limits = Limits {
    connections: 4,
    reserve: 0,
    buffer: 8192,
    memory: 1 << 20,
};

/// Answers each port below 100, and keeps the other ends.
#[derive(Default)]
struct Ends(Vec<UnixStream>);

impl Services for Ends {
    fn connect(&mut self, port: u32, _from: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.0.push(ours);
        (port < 100).then(|| theirs.into())
    }

    fn may_use_reserve(&self, port: u32, from: u32) -> bool {
        (port, from) == (99, 1)
    }
}

/// A device without its front end.
struct Bench {
    memory: Plain,
    guest: Guest<Plain>,
    queues: [Queue; 2],
    exchange: Exchange,
    table: Table,
    poll: Arc<Poll>,
    ends: Ends,
    shared: Arc<Shared>,
    /// With event indexes.
    indexed: bool,
    /// The guest was sent something that it has to hear of now.
    was_urgent: bool,
}

impl Bench {
    fn new() -> Self {
        Self::with(LIMITS, false)
    }

    fn with(limits: Limits, indexed: bool) -> Self {
        let memory = Plain::new(vec![0; Guest::<Plain>::MEMORY]);
        let guest = Guest::new(&memory, CID);
        let poll = Arc::new(Poll::new().unwrap());
        let (_, shared, _) = Shared::new(Vec::new()).unwrap();
        let mut bench = Self {
            queues: guest.queues(indexed),
            memory,
            guest,
            exchange: Exchange::new(),
            table: Table::new(CID, limits, Arc::clone(&poll), Arc::clone(&shared)),
            poll,
            ends: Ends::default(),
            shared,
            indexed,
            was_urgent: false,
        };
        bench.guest.give_room();
        bench
    }

    /// Takes what happened to streams, and moves packets until there is nothing to move.
    fn pump(&mut self) {
        loop {
            for event in self.poll.wait(Some(Duration::ZERO)).unwrap() {
                if let Token::Stream(number) = event.token {
                    self.table.event(number, event.flags);
                }
            }
            let [to_guest, from_guest] = &mut self.queues;
            let taken =
                self.exchange
                    .receive(from_guest, &self.memory, &mut self.table, &mut self.ends);
            let given = self.exchange.send(to_guest, &self.memory, &mut self.table);
            let given = given.unwrap();
            self.was_urgent |= given.is_urgent;
            if !taken.unwrap().moved && !given.moved {
                return;
            }
        }
    }

    /// The guest sends a packet.
    fn send(&mut self, operation: Operation, port: u32, from: u32) {
        let header = self.guest.header(operation, port, from);
        self.guest.send(&header, &[], 1);
        self.pump();
    }

    fn send_data(&mut self, port: u32, from: u32, data: &[u8], pieces: usize) {
        let length = u32::try_from(data.len()).unwrap();
        let header = Header {
            length,
            ..self.guest.header(Operation::Data, port, from)
        };
        self.guest.send(&header, data, pieces);
        self.pump();
    }

    fn shut_down(&mut self, port: u32, from: u32, flags: u32) {
        let header = Header {
            flags,
            ..self.guest.header(Operation::Shutdown, port, from)
        };
        self.guest.send(&header, &[], 1);
        self.pump();
    }

    /// The next packet of the device, which has to be of this kind.
    fn expect(&mut self, operation: Operation) -> (Header, Vec<u8>) {
        let (header, data) = self.guest.receive().expect("the device sends a packet");
        assert_eq!(header.operation, operation);
        self.guest.give_room();
        (header, data)
    }

    fn expect_nothing(&mut self) {
        assert_eq!(self.guest.receive(), None);
    }

    /// A connection that the guest opens; answers the host's end.
    fn open(&mut self, port: u32, from: u32) -> UnixStream {
        self.send(Operation::Request, port, from);
        let (header, _) = self.expect(Operation::Response);
        assert_eq!((header.source_port, header.destination_port), (port, from));
        assert_eq!(header.buffer, LIMITS.buffer);
        self.ends.0.pop().unwrap()
    }

    /// The host asks for a connection; the answer comes by the channel.
    fn ask(&mut self, port: u32) -> (UnixStream, Receiver<Result<(), Errno>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (waiter, answer) = sync_channel(1);
        self.table
            .open(port, theirs.into(), Some(Waiter::Thread(waiter)));
        self.pump();
        (ours, answer)
    }

    fn connections(&self) -> u64 {
        self.shared
            .tally
            .connections
            .load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn ended(mut stream: &UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

#[test]
fn data_passes_both_ways_in_any_number_of_buffers() {
    let mut bench = Bench::new();
    let mut end = bench.open(80, 1000);
    for pieces in 1..6 {
        bench.send_data(80, 1000, b"from the guest", pieces);
        let mut bytes = [0; 32];
        assert_eq!(end.read(&mut bytes).unwrap(), 14);
        assert_eq!(&bytes[..14], b"from the guest");
    }
    end.write_all(&[9; 5000]).unwrap();
    bench.pump();
    assert_eq!(bench.expect(Operation::Data).1, [9; 4096]);
    assert_eq!(bench.expect(Operation::Data).1, [9; 904]);
    bench.expect_nothing();
}

#[test]
fn refusals_are_resets() {
    let mut bench = Bench::new();
    bench.send(Operation::Request, 100, 1000);
    let (header, _) = bench.expect(Operation::Reset);
    assert_eq!((header.source_port, header.destination_port), (100, 1000));
    let (end, answer) = bench.ask(5);
    let (header, _) = bench.expect(Operation::Request);
    bench.send(Operation::Reset, header.source_port, 5);
    assert_eq!(answer.recv().unwrap(), Err(Errno::CONNREFUSED));
    assert!(ended(&end));
    assert_eq!(bench.connections(), 0);
    bench.expect_nothing();
}

#[test]
fn the_guest_agrees_to_a_connection_of_the_host() {
    let mut bench = Bench::new();
    let (mut end, answer) = bench.ask(5);
    let (header, _) = bench.expect(Operation::Request);
    // Nothing goes out before.
    end.write_all(b"early").unwrap();
    bench.pump();
    bench.expect_nothing();
    bench.send(Operation::Response, header.source_port, 5);
    assert_eq!(answer.recv().unwrap(), Ok(()));
    assert_eq!(bench.expect(Operation::Data).1, b"early");
}

#[test]
fn a_program_of_the_host_is_told_of_the_answer_before_anything_else() {
    let mut bench = Bench::new();
    let ask = |bench: &mut Bench| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        bench.table.open(5, theirs.into(), Some(Waiter::Peer));
        bench.pump();
        (ours, bench.expect(Operation::Request).0.source_port)
    };
    let (mut end, port) = ask(&mut bench);
    bench.send(Operation::Response, port, 5);
    bench.send_data(port, 5, b"hello", 1);
    let mut bytes = [0; 64];
    let expected = format!("OK {port}\nhello");
    end.read_exact(&mut bytes[..expected.len()]).unwrap();
    assert_eq!(&bytes[..expected.len()], expected.as_bytes());
    let (end, port) = ask(&mut bench);
    bench.send(Operation::Reset, port, 5);
    assert!(ended(&end));
}

#[test]
fn a_host_that_gives_up_takes_its_request_back() {
    let mut bench = Bench::new();
    let (end, _answer) = bench.ask(5);
    bench.expect(Operation::Request);
    drop(end);
    bench.pump();
    bench.expect(Operation::Reset);
    assert_eq!(bench.connections(), 0);
    // What was written before the guest agreed is not given up.
    let (mut end, _answer) = bench.ask(5);
    let (header, _) = bench.expect(Operation::Request);
    end.write_all(b"last words").unwrap();
    drop(end);
    bench.pump();
    bench.expect_nothing();
    bench.send(Operation::Response, header.source_port, 5);
    assert_eq!(bench.expect(Operation::Data).1, b"last words");
    assert_eq!(bench.expect(Operation::Shutdown).0.flags, 3);
}

#[test]
fn the_guest_is_sent_no_more_than_it_has_room_for() {
    let mut bench = Bench::new();
    let header = Header {
        buffer: 100,
        ..bench.guest.header(Operation::Request, 80, 1)
    };
    bench.guest.send(&header, &[], 1);
    bench.pump();
    bench.expect(Operation::Response);
    let mut end = bench.ends.0.pop().unwrap();
    end.write_all(&[1; 250]).unwrap();
    bench.pump();
    assert_eq!(bench.expect(Operation::Data).1.len(), 100);
    bench.expect(Operation::CreditRequest);
    bench.expect_nothing();
    let update = Header {
        buffer: 100,
        forwarded: 60,
        ..bench.guest.header(Operation::CreditUpdate, 80, 1)
    };
    bench.guest.send(&update, &[], 1);
    bench.pump();
    assert_eq!(bench.expect(Operation::Data).1.len(), 60);
    bench.expect(Operation::CreditRequest);
    // The end needs no room.
    drop(end);
    let update = Header {
        forwarded: 160,
        ..update
    };
    bench.guest.send(&update, &[], 1);
    bench.pump();
    assert_eq!(bench.expect(Operation::Data).1.len(), 90);
    assert_eq!(bench.expect(Operation::Shutdown).0.flags, 3);
}

#[test]
fn a_stream_that_is_not_read_holds_what_the_buffer_allows() {
    let mut bench = Bench::new();
    let end = bench.open(80, 1);
    let mut sent = 0_usize;
    let mut told = 0_u32;
    // As much as the guest may send: the socket's own buffer, and then that of the connection.
    while sent - (told as usize) < LIMITS.buffer as usize {
        let piece = (LIMITS.buffer as usize - (sent - told as usize)).min(4096);
        bench.send_data(80, 1, &vec![5; piece], 1);
        sent += piece;
        while let Some((header, _)) = bench.guest.receive() {
            assert_eq!(header.operation, Operation::CreditUpdate);
            told = header.forwarded;
        }
        bench.guest.give_room();
    }
    // Another connection is not held up.
    let mut other = bench.open(81, 2);
    bench.send_data(81, 2, b"x", 1);
    assert_eq!(other.read(&mut [0; 9]).unwrap(), 1);
    // Everything arrives when it is read, and the end behind it.
    bench.shut_down(80, 1, NO_SEND);
    let mut read = 0;
    loop {
        match (&end).read(&mut [0; 4096]) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        bench.pump();
    }
    assert_eq!(read, sent);
    while bench.guest.receive().is_some() {}
    bench.guest.give_room();
    // One byte too many would have been the end of it.
    let _end = bench.open(82, 3);
    bench.send_data(82, 3, &vec![5; LIMITS.buffer as usize + 1], 1);
    bench.expect(Operation::Reset);
}

#[test]
fn each_direction_ends_by_itself() {
    let mut bench = Bench::new();
    let mut end = bench.open(80, 1);
    end.shutdown(Shutdown::Write).unwrap();
    bench.pump();
    assert_eq!(bench.expect(Operation::Shutdown).0.flags, NO_SEND);
    bench.send_data(80, 1, b"answer", 1);
    assert_eq!(end.read(&mut [0; 9]).unwrap(), 6);
    bench.shut_down(80, 1, NO_SEND);
    assert!(ended(&end));
    // Both directions are over: the guest may forget the connection.
    assert_eq!(
        bench.expect(Operation::Shutdown).0.flags,
        NO_SEND | NO_RECEIVE
    );
    bench.shut_down(80, 1, NO_SEND | NO_RECEIVE);
    bench.expect(Operation::Reset);
    assert_eq!(bench.connections(), 0);

    let mut end = bench.open(80, 1);
    bench.shut_down(80, 1, NO_RECEIVE);
    assert_eq!(end.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    bench.send_data(80, 1, b"still", 1);
    assert_eq!(end.read(&mut [0; 9]).unwrap(), 5);
    drop(end);
    bench.send_data(80, 1, b"lost", 1);
    assert_eq!(
        bench.expect(Operation::Shutdown).0.flags & NO_RECEIVE,
        NO_RECEIVE
    );
}

#[test]
fn a_closed_connection_still_delivers() {
    let mut bench = Bench::new();
    let mut ends = Vec::new();
    // The streams of closed connections count until they have taken all: the fifth is refused.
    for from in 0..4 {
        let end = bench.open(80, from);
        let mut sent = 0;
        for _ in 0..200 {
            bench.send_data(80, from, &[8; 4096], 1);
            sent += 4096;
            let backlog = bench.guest.receive().is_none();
            bench.guest.give_room();
            if backlog && sent > LIMITS.buffer as usize * 2 {
                break;
            }
        }
        bench.send(Operation::Reset, 80, from);
        ends.push(end);
    }
    while bench.guest.receive().is_some() {}
    bench.guest.give_room();
    let lingering = bench.connections();
    for mut end in ends {
        let mut last = [0; 4096];
        loop {
            match end.read(&mut last) {
                Ok(0) => break,
                Ok(_) => bench.pump(),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
    bench.pump();
    assert!(lingering <= 4);
    assert_eq!(bench.connections(), 0);
}

#[test]
fn connections_are_limited() {
    let mut bench = Bench::new();
    let ends: Vec<_> = (0..4).map(|from| bench.open(80, from)).collect();
    bench.send(Operation::Request, 80, 9);
    bench.expect(Operation::Reset);
    let (end, answer) = bench.ask(5);
    assert_eq!(answer.recv().unwrap(), Err(Errno::DQUOT));
    assert!(ended(&end));
    bench.send(Operation::Reset, 80, 0);
    bench.open(80, 9);
    drop(ends);
}

#[test]
fn rules_are_kept_by_a_reset() {
    let mut bench = Bench::new();
    let lies: [fn(&mut Header); 4] = [
        |header| header.operation = Operation::Unknown(77),
        |header| header.operation = Operation::Request,
        |header| header.operation = Operation::Response,
        |header| header.length = 1 << 31,
    ];
    for lie in lies {
        let end = bench.open(80, 1);
        let mut header = bench.guest.header(Operation::Data, 80, 1);
        lie(&mut header);
        bench.guest.send(&header, b"x", 1);
        bench.pump();
        bench.expect(Operation::Reset);
        bench.expect_nothing();
        assert!(ended(&end));
    }
    assert_eq!(bench.connections(), 0);
}

#[test]
fn strange_packets_are_refused_or_dropped() {
    let mut bench = Bench::new();
    // A datagram, and another host, have their own addresses in the answer.
    let header = Header {
        kind: 3,
        ..bench.guest.header(Operation::Request, 80, 1)
    };
    bench.guest.send(&header, &[], 1);
    bench.pump();
    assert_eq!(bench.expect(Operation::Reset).0.kind, 3);
    let header = Header {
        destination_cid: 9,
        ..bench.guest.header(Operation::Request, 80, 1)
    };
    bench.guest.send(&header, &[], 1);
    bench.pump();
    assert_eq!(bench.expect(Operation::Reset).0.source_cid, 9);
    // Another guest's address is not answered, nor is a reset, nor half a header.
    let header = Header {
        source_cid: 8,
        ..bench.guest.header(Operation::Request, 80, 1)
    };
    bench.guest.send(&header, &[], 1);
    bench.pump();
    bench.send(Operation::Reset, 80, 1);
    bench.guest.from_guest.offer(&[(0x8_0000, 43)], false);
    bench.pump();
    bench.expect_nothing();
    assert!(bench.ends.0.is_empty());
}

#[test]
fn answers_do_not_pile_up_for_a_guest_that_gives_no_room() {
    let mut bench = Bench::new();
    while bench.queues[0].refill(&bench.memory).unwrap() {
        bench.queues[0].complete(0);
    }
    let mut taken = 0;
    for from in 0..2000 {
        let header = bench.guest.header(Operation::Data, 80, from);
        bench.guest.send(&header, &[], 1);
        bench.pump();
        if bench.guest.from_guest.taken() == bench.guest.from_guest.offered() {
            break;
        }
        taken = from;
        if bench.table.is_congested() {
            break;
        }
    }
    assert!(bench.table.is_congested() && taken < 300);
    // With room the answers come, and what waited is taken.
    bench.queues[0].publish(&bench.memory).unwrap();
    while bench.guest.to_guest.take_used().is_some() {}
    bench.guest.give_room();
    bench.pump();
    assert!(!bench.table.is_congested());
}

#[test]
fn a_guest_that_opens_and_resets_leaves_nothing() {
    let mut bench = Bench::new();
    while bench.queues[0].refill(&bench.memory).unwrap() {
        bench.queues[0].complete(0);
    }
    for from in 0..1000 {
        bench.send(Operation::Request, 80, from);
        bench.send(Operation::Reset, 80, from);
        bench.ends.0.clear();
    }
    assert_eq!(bench.connections(), 0);
    assert!(!bench.table.has_packets());
}

#[test]
fn a_host_that_closes_without_reading_resets() {
    let mut bench = Bench::new();
    let end = bench.open(80, 1);
    bench.send_data(80, 1, b"unread", 1);
    drop(end);
    bench.pump();
    bench.expect(Operation::Reset);
    assert_eq!(bench.connections(), 0);
}

/// What happens on one connection, in any order.
#[derive(Debug, Clone)]
enum ExchangeStep {
    HostWrites(usize),
    HostReads(usize),
    GuestSends(usize),
    GuestReads(usize),
    /// The machine stops and goes on.
    Restart,
}

fn step() -> impl Strategy<Value = ExchangeStep> {
    prop_oneof![
        (1..5000_usize).prop_map(ExchangeStep::HostWrites),
        (1..20_000_usize).prop_map(ExchangeStep::HostReads),
        (1..5000_usize).prop_map(ExchangeStep::GuestSends),
        (1..4000_usize).prop_map(ExchangeStep::GuestReads),
        Just(ExchangeStep::Restart),
    ]
}

/// Both ends of a connection, and how far each has come. Each byte tells its place.
struct Ways {
    bench: Bench,
    end: UnixStream,
    host_wrote: usize,
    host_read: usize,
    guest_sent: usize,
    guest_got: usize,
    guest_read: usize,
    /// What the device has said that it passed on.
    told: usize,
}

/// Bytes that an honest guest has room for.
const GUEST_BUFFER: usize = 3000;

#[expect(
    clippy::cast_possible_truncation,
    reason = "the remainder is below 251"
)]
fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count)
        .map(|place| (place % 251) as u8)
        .collect()
}

impl Ways {
    fn new(indexed: bool) -> Self {
        let mut bench = Bench::with(LIMITS, indexed);
        let header = bench.guest.header(Operation::Request, 80, 1);
        let header = Header {
            buffer: 3000,
            ..header
        };
        bench.guest.send(&header, &[], 1);
        bench.pump();
        bench.expect(Operation::Response);
        let end = bench.ends.0.pop().unwrap();
        Self {
            bench,
            end,
            host_wrote: 0,
            host_read: 0,
            guest_sent: 0,
            guest_got: 0,
            guest_read: 0,
            told: 0,
        }
    }

    /// The guest sends a packet, which tells its credit.
    fn send(&mut self, operation: Operation, data: &[u8]) {
        let header = Header {
            length: u32::try_from(data.len()).unwrap(),
            buffer: 3000,
            forwarded: u32::try_from(self.guest_read).unwrap(),
            ..self.bench.guest.header(operation, 80, 1)
        };
        self.bench.guest.send(&header, data, 3);
        self.settle();
    }

    /// Everything moves that can, and the guest looks at what it is sent.
    fn settle(&mut self) {
        loop {
            self.bench.pump();
            let Some((header, data)) = self.bench.guest.receive() else {
                return;
            };
            assert_ne!(header.operation, Operation::Reset);
            assert!(
                data == pattern(self.guest_got, data.len()),
                "bytes come in order"
            );
            self.guest_got += data.len();
            assert!(
                self.guest_got - self.guest_read <= GUEST_BUFFER,
                "no more than fits"
            );
            self.told = header.forwarded as usize;
            self.bench.guest.give_room();
        }
    }

    fn apply(&mut self, step: &ExchangeStep) {
        match *step {
            ExchangeStep::HostWrites(count) => {
                if let Ok(count) = self.end.write(&pattern(self.host_wrote, count)) {
                    self.host_wrote += count;
                }
            }
            ExchangeStep::HostReads(count) => {
                let mut bytes = vec![0; count];
                if let Ok(count) = self.end.read(&mut bytes) {
                    assert!(
                        bytes[..count] == pattern(self.host_read, count),
                        "bytes come in order"
                    );
                    self.host_read += count;
                }
            }
            ExchangeStep::GuestSends(count) => {
                let room = LIMITS.buffer as usize - (self.guest_sent - self.told);
                let data = pattern(self.guest_sent, count.min(room));
                self.guest_sent += data.len();
                self.send(Operation::Data, &data);
            }
            ExchangeStep::GuestReads(count) => {
                self.guest_read = self.guest_got.min(self.guest_read + count);
                self.send(Operation::CreditUpdate, &[]);
            }
            ExchangeStep::Restart => {
                let [to_guest, from_guest] = self.bench.queues.each_ref().map(Queue::next);
                let (memory, guest) = (&self.bench.memory, &self.bench.guest);
                let indexed = self.bench.indexed;
                let resume = |ring, direction, next| {
                    Queue::resume(memory, ring, direction, next, indexed).unwrap()
                };
                self.bench.queues = [
                    resume(guest.to_guest.ring, Direction::ToGuest, to_guest),
                    resume(guest.from_guest.ring, Direction::FromGuest, from_guest),
                ];
            }
        }
        self.settle();
    }
}

proptest! {
    /// Whatever the order, bytes arrive once and in order, neither side is sent more than it has room for, and all
    /// arrives in the end.
    #[test]
    fn streams_lose_nothing(indexed: bool, steps in prop::collection::vec(step(), 1..60)) {
        let mut ways = Ways::new(indexed);
        for step in &steps {
            ways.apply(step);
        }
        for _ in 0..1000 {
            if ways.host_read == ways.guest_sent && ways.guest_got == ways.host_wrote {
                break;
            }
            ways.apply(&ExchangeStep::HostReads(1 << 16));
            ways.apply(&ExchangeStep::GuestReads(1 << 16));
        }
        prop_assert_eq!((ways.host_read, ways.guest_got), (ways.guest_sent, ways.host_wrote));
    }
}

#[test]
fn some_connections_are_kept_for_the_services_own() {
    let limits = Limits {
        reserve: 2,
        ..LIMITS
    };
    let mut bench = Bench::with(limits, false);
    let _first = bench.open(80, 1000);
    let _second = bench.open(80, 1001);
    bench.send(Operation::Request, 80, 1002);
    bench.expect(Operation::Reset);
    // Neither the host's programs nor other ports of the guest get those that are kept.
    let (_stream, answer) = bench.ask(9);
    assert_eq!(answer.try_recv(), Ok(Err(Errno::DQUOT)));
    bench.send(Operation::Request, 99, 1003);
    bench.expect(Operation::Reset);
    let _own = bench.open(99, 1);
    assert_eq!(
        bench
            .shared
            .tally
            .refused
            .load(std::sync::atomic::Ordering::Relaxed),
        3
    );
}

#[test]
fn a_program_does_not_wait_for_ever_for_a_guest_that_does_not_answer() {
    let mut bench = Bench::new();
    let now = Instant::now();
    assert_eq!(bench.table.time_left(now), None);
    let mut streams = [9, 10].map(|port| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        bench.table.open(port, theirs.into(), Some(Waiter::Peer));
        bench.pump();
        let (request, _) = bench.expect(Operation::Request);
        (ours, request.source_port)
    });
    bench.send(Operation::Response, streams[1].1, 10);
    bench.table.expire(now);
    assert!(bench.table.time_left(now).unwrap() > Duration::ZERO);
    bench.table.expire(now + Duration::from_secs(60));
    assert_eq!(bench.table.time_left(now), None);
    bench.pump();
    bench.expect(Operation::Reset);
    assert_eq!(streams[0].0.read(&mut [0]).unwrap(), 0);
    // The one that was answered stays.
    assert_eq!(
        &{
            let mut ok = [0; 3];
            streams[1].0.read_exact(&mut ok).unwrap();
            ok
        },
        b"OK "
    );
    bench.expect_nothing();
}

#[test]
fn a_program_that_is_gone_is_not_connected_even_if_it_wrote() {
    let mut bench = Bench::new();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    bench.table.open(9, theirs.into(), Some(Waiter::Peer));
    bench.pump();
    bench.expect(Operation::Request);
    ours.write_all(b"unread").unwrap();
    drop(ours);
    bench.pump();
    bench.expect(Operation::Reset);
    assert_eq!(
        bench
            .shared
            .tally
            .connections
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

//! A device with a front end that speaks vhost-user over a real socket, and a guest whose memory is a real file.

use std::{
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::MemfdFlags,
};

use super::*;
use crate::{
    config::Memory,
    memory::{AccessError, GuestMemory},
    packet::Operation,
    testing::Guest,
};

const CID: u64 = 0x11_2233;
const SIZE: u64 = 1 << 20;
/// Where the front end says that it has the memory.
const AT: u64 = 0x7f00_0000_0000;
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    connections: 8,
    reserve: 0,
    buffer: 64 << 10,
    memory: SIZE,
};

/// The guest's own view of its memory: a file, and where the memory begins in it.
#[derive(Debug, Clone)]
struct OwnMemory {
    file: Arc<OwnedFd>,
    start: u64,
}

impl GuestMemory for OwnMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), AccessError> {
        let count = rustix::io::pread(&*self.file, &mut *bytes, self.start + address);
        assert_eq!(count, Ok(bytes.len()));
        Ok(())
    }

    fn write(&self, address: u64, bytes: &[u8]) -> Result<(), AccessError> {
        let count = rustix::io::pwrite(&*self.file, bytes, self.start + address);
        assert_eq!(count, Ok(bytes.len()));
        Ok(())
    }
}

/// Virtio 1.0, and that there are protocol features.
const FEATURES: u64 = 1 << 32 | 1 << 30;
const EVENT_INDEXES: u64 = 1 << 29;

/// A port of the guest that services refuse.
const UNWANTED: u32 = 4000;

/// Sends the other end of each stream to the test. There are ports up to 100, for all of the guest's ports but one.
struct Ports(Sender<UnixStream>);

impl Services for Ports {
    fn connect(&mut self, port: u32, from: u32) -> Option<OwnedFd> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (port <= 100 && from != UNWANTED).then(|| self.0.send(ours).unwrap())?;
        Some(theirs.into())
    }
}

/// A front end with its machine.
struct FrontEnd {
    socket: UnixStream,
    guest: Guest<OwnMemory>,
    kicks: [OwnedFd; 2],
    calls: [OwnedFd; 2],
    errors: [OwnedFd; 2],
    handle: Handle,
    streams: Receiver<UnixStream>,
    device: Option<JoinHandle<Result<End, DeviceError>>>,
    features: u64,
}

fn events() -> [OwnedFd; 2] {
    [(); 2].map(|()| eventfd(0, EventfdFlags::CLOEXEC).unwrap())
}

/// Waits until the event is raised, and takes it.
fn take(event: &OwnedFd) {
    let mut count = [0; 8];
    let mut polled = [PollFd::new(event, PollFlags::IN)];
    let patience = rustix::event::Timespec {
        tv_sec: 60,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut polled, Some(&patience)),
        Ok(1),
        "the event is raised"
    );
    rustix::io::read(event, &mut count).unwrap();
}

fn longs(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect()
}

fn words(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_ne_bytes())
        .collect()
}

impl FrontEnd {
    fn new() -> Self {
        let file = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, SIZE).unwrap();
        let file = Arc::new(file);
        Self::with(&OwnMemory { file, start: 0 }, Memory::Shared)
    }

    fn with(own: &OwnMemory, memory: Memory) -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (sender, streams) = channel();
        let config = Config {
            cid: CID,
            memory,
            services: Box::new(Ports(sender)),
            limits: LIMITS,
        };
        let (device, handle) = Device::new(theirs, config).unwrap();
        Self {
            socket,
            guest: Guest::new(own, CID),
            kicks: events(),
            calls: events(),
            errors: events(),
            handle,
            streams,
            device: Some(thread::spawn(move || device.run())),
            features: FEATURES,
        }
    }

    fn send(&self, request: u32, flags: u32, body: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let size = u32::try_from(body.len()).unwrap();
        let mut message = words(&[request, flags, size]);
        message.extend(body);
        hcs_wire::socket::send_all(&self.socket, &message, descriptors).unwrap();
    }

    /// Sends a request that has an answer; returns its body.
    fn ask(&self, request: u32, body: &[u8]) -> Vec<u8> {
        self.send(request, 1, body, &[]);
        self.reply(request)
    }

    fn reply(&self, request: u32) -> Vec<u8> {
        let mut header = [0; 12];
        (&self.socket).read_exact(&mut header).unwrap();
        assert_eq!(header[..8], words(&[request, 5]));
        let mut body = vec![0; usize::from(header[8])];
        (&self.socket).read_exact(&mut body).unwrap();
        body
    }

    /// Sends a request and asks whether it was obeyed.
    fn obeyed(&self, request: u32, body: &[u8], descriptors: &[BorrowedFd<'_>]) -> bool {
        self.send(request, 9, body, descriptors);
        self.reply(request) == longs(&[0])
    }

    fn announce_memory(&self) {
        let file = self.guest.to_guest.memory.file.as_fd();
        assert!(self.obeyed(5, &longs(&[1, 0, SIZE, AT, 0]), &[file]));
    }

    /// Starts both rings at their positions.
    fn start(&self, bases: [u16; 2]) {
        assert!(self.obeyed(2, &longs(&[self.features]), &[]));
        for (index, base) in (0..2_u32).zip(bases) {
            let place = index as usize;
            let ring = [&self.guest.to_guest, &self.guest.from_guest][place].ring;
            let addresses = [ring.descriptors, ring.used, ring.available, 0].map(|part| AT + part);
            let body = [words(&[index, 0]), longs(&addresses)].concat();
            let number = longs(&[u64::from(index)]);
            assert!(self.obeyed(8, &words(&[index, u32::from(ring.size)]), &[]));
            assert!(self.obeyed(10, &words(&[index, u32::from(base)]), &[]));
            assert!(self.obeyed(9, &body, &[]));
            assert!(self.obeyed(14, &number, &[self.errors[place].as_fd()]));
            assert!(self.obeyed(12, &number, &[self.kicks[place].as_fd()]));
            assert!(self.obeyed(13, &number, &[self.calls[place].as_fd()]));
        }
        for index in 0..2 {
            assert!(self.obeyed(18, &words(&[index, 1]), &[]));
        }
    }

    /// Stops both rings; answers their positions.
    fn stop(&self) -> [u16; 2] {
        [0, 1].map(|index| {
            let body = self.ask(11, &words(&[index, 0]));
            assert_eq!(body[..4], words(&[index]));
            u16::from_ne_bytes([body[4], body[5]])
        })
    }

    /// A machine whose device is set up, and whose guest has given room.
    fn running() -> Self {
        Self::running_with(FEATURES)
    }

    fn running_with(features: u64) -> Self {
        let mut front_end = Self::new();
        front_end.features = features;
        front_end.announce_memory();
        front_end.guest.give_room();
        front_end.start([0, 0]);
        front_end
    }

    fn kick(&self, ring: usize) {
        rustix::io::write(&self.kicks[ring], &1_u64.to_ne_bytes()).unwrap();
    }

    fn send_packet(&mut self, operation: Operation, port: u32, from: u32, data: &[u8]) {
        let mut header = self.guest.header(operation, port, from);
        header.length = u32::try_from(data.len()).unwrap();
        self.guest.take_back();
        self.guest.send(&header, data, 1);
        self.kick(1);
        take(&self.calls[1]);
    }

    /// Has the device take a packet whose end the driver does not ask for.
    fn send_unasked(&mut self, operation: Operation, port: u32, from: u32) {
        self.guest.take_back();
        let driver = &self.guest.from_guest;
        driver.set_used_event(driver.taken().wrapping_sub(1));
        let header = self.guest.header(operation, port, from);
        self.guest.send(&header, &[], 1);
        self.kick(1);
        while self.guest.from_guest.used_word().1 != self.guest.from_guest.offered() {
            thread::yield_now();
        }
    }

    /// The next packet of the device. It may have been interrupted for already.
    fn receive(&mut self) -> (crate::packet::Header, Vec<u8>) {
        loop {
            let driver = &self.guest.to_guest;
            driver.set_used_event(driver.taken());
            if let Some(packet) = self.guest.receive() {
                self.guest.give_room();
                self.kick(0);
                return packet;
            }
            take(&self.calls[0]);
        }
    }

    fn open(&mut self, port: u32, from: u32) -> UnixStream {
        self.send_packet(Operation::Request, port, from, &[]);
        assert_eq!(self.receive().0.operation, Operation::Response);
        let stream = self.streams.recv_timeout(PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn check_traffic(&mut self, stream: &mut UnixStream, port: u32, from: u32) {
        self.send_packet(Operation::Data, port, from, b"ping");
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"ping");
        stream.write_all(b"pong").unwrap();
        assert_eq!(self.receive().1, b"pong");
    }

    fn ends(mut self) -> Result<End, DeviceError> {
        self.device.take().unwrap().join().unwrap()
    }
}

impl Drop for FrontEnd {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(device) = self.device.take() {
            let _its_end = device.join();
        }
    }
}

fn ended(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

#[test]
fn features_and_configuration_are_told() {
    let front_end = FrontEnd::new();
    assert_eq!(front_end.ask(1, &[]), longs(&[FEATURES | EVENT_INDEXES]));
    assert_eq!(front_end.ask(15, &[]), longs(&[1 << 9 | 1 << 3]));
    assert_eq!(front_end.ask(17, &[]), longs(&[2]));
    let config = front_end.ask(24, &[words(&[0, 8, 0]), vec![0; 8]].concat());
    assert_eq!(config[12..], CID.to_le_bytes());
    assert_eq!(front_end.ask(24, &words(&[1, 2, 0]))[12..], [0x22, 0x11]);
    for piece in [[0, 9, 0], [8, 1, 0], [u32::MAX, 2, 0]] {
        assert_eq!(front_end.ask(24, &words(&piece)), b"");
    }
    assert!(front_end.obeyed(3, &[], &[]));
    // What was not offered, and what is not known.
    assert!(!front_end.obeyed(2, &longs(&[1 << 28]), &[]));
    assert!(!front_end.obeyed(16, &longs(&[1]), &[]));
    assert!(!front_end.obeyed(77, &[0; 100], &[]));
    drop(front_end.socket.shutdown(std::net::Shutdown::Both));
    assert_eq!(front_end.ends().unwrap(), End::FrontEnd);
}

#[test]
fn connections_go_both_ways() {
    let mut front_end = FrontEnd::running();
    let mut stream = front_end.open(80, 1000);
    front_end.check_traffic(&mut stream, 80, 1000);
    let handle = front_end.handle.clone();
    let asks = thread::spawn(move || handle.connect(9, PATIENCE).unwrap());
    let (request, _) = front_end.receive();
    assert_eq!(request.operation, Operation::Request);
    front_end.send_packet(Operation::Response, request.source_port, 9, &[]);
    let mut stream = asks.join().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    front_end.check_traffic(&mut stream, request.source_port, 9);
    let counters = front_end.handle.counters();
    assert_eq!(
        (
            counters.opened_by_guest,
            counters.opened_by_host,
            counters.connections
        ),
        (1, 1, 2)
    );
    assert_eq!((counters.bytes_from_guest, counters.bytes_to_guest), (8, 8));
}

#[test]
fn the_memory_of_a_process_is_reached_too() {
    // The front end is this process. Its guest has a piece of its memory, which only the kernel touches.
    let bytes = vec![0_u8; usize::try_from(SIZE).unwrap()];
    let start = bytes.as_ptr().addr() as u64;
    let open = || {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")
            .unwrap()
    };
    let file = Arc::new(OwnedFd::from(open()));
    let own = OwnMemory { file, start };
    let mut front_end = FrontEnd::with(&own, Memory::OfProcess(open().into()));
    let event = front_end.kicks[0].as_fd();
    // The descriptor of the region is not looked at.
    assert!(front_end.obeyed(5, &longs(&[1, 0, SIZE, start, 0]), &[event]));
    front_end.guest.give_room();
    assert!(front_end.obeyed(2, &longs(&[1 << 32]), &[]));
    for index in 0..2_u32 {
        let place = index as usize;
        let ring = [&front_end.guest.to_guest, &front_end.guest.from_guest][place].ring;
        let body = [
            words(&[index, 0]),
            longs(&[ring.descriptors, ring.used, ring.available, 0].map(|part| start + part)),
        ]
        .concat();
        assert!(front_end.obeyed(8, &words(&[index, u32::from(ring.size)]), &[]));
        assert!(front_end.obeyed(9, &body, &[]));
        let number = longs(&[u64::from(index)]);
        assert!(front_end.obeyed(13, &number, &[front_end.calls[place].as_fd()]));
        // Without the feature, the ring needs no enabling.
        assert!(front_end.obeyed(12, &number, &[front_end.kicks[place].as_fd()]));
    }
    let mut stream = front_end.open(80, 1000);
    front_end.check_traffic(&mut stream, 80, 1000);
    drop(front_end);
    drop(bytes);
}

/// Whether an event is raised.
fn is_raised(event: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(event, PollFlags::IN)];
    poll(&mut polled, Some(&rustix::event::Timespec::default())).unwrap() > 0
}

#[test]
fn a_driver_with_event_indexes_hears_of_what_it_asked_for() {
    let mut front_end = FrontEnd::running_with(FEATURES | EVENT_INDEXES);
    // Nothing else happens that the driver would hear of along with it.
    front_end.send_packet(Operation::CreditUpdate, 80, 1000, &[]);
    assert_eq!(front_end.receive().0.operation, Operation::Reset);
    let mut stream = front_end.open(80, 1000);
    front_end.check_traffic(&mut stream, 80, 1000);
    assert!(!is_raised(&front_end.calls[1]));
    front_end.send_unasked(Operation::CreditUpdate, 80, 1000);
    // What could wait cannot any longer.
    let bases = front_end.stop();
    assert!(!is_raised(&front_end.calls[1]));
    front_end.start(bases);
    front_end.check_traffic(&mut stream, 80, 1000);
}

#[test]
fn rings_go_on_where_they_were_stopped() {
    for features in [FEATURES, FEATURES | EVENT_INDEXES] {
        rings_go_on(FrontEnd::running_with(features));
    }
}

fn rings_go_on(mut front_end: FrontEnd) {
    let mut stream = front_end.open(80, 1000);
    for _ in 0..40 {
        front_end.check_traffic(&mut stream, 80, 1000);
        let bases = front_end.stop();
        // What happens meanwhile is not lost.
        stream.write_all(b"meanwhile").unwrap();
        front_end.start(bases);
        assert_eq!(front_end.receive().1, b"meanwhile");
    }
}

#[test]
fn a_new_driver_has_no_connections() {
    let mut front_end = FrontEnd::running();
    let mut stream = front_end.open(80, 1000);
    front_end.stop();
    let memory = front_end.guest.to_guest.memory.clone();
    memory.write(0, &vec![0; 0x8000]).unwrap();
    front_end.guest = Guest::new(&memory, CID);
    front_end.guest.give_room();
    front_end.start([0, 0]);
    assert!(ended(&mut stream));
    let mut stream = front_end.open(80, 1000);
    front_end.check_traffic(&mut stream, 80, 1000);
}

#[test]
fn services_may_refuse_by_the_port_of_the_guest() {
    let mut front_end = FrontEnd::running();
    front_end.send_packet(Operation::Request, 80, UNWANTED, &[]);
    assert_eq!(front_end.receive().0.operation, Operation::Reset);
    let _stream = front_end.open(80, UNWANTED + 1);
}

#[test]
fn a_reset_by_the_handle_ends_connections() {
    let mut front_end = FrontEnd::running();
    let mut stream = front_end.open(80, 1000);
    let handle = front_end.handle.clone();
    let asks = thread::spawn(move || handle.connect(9, PATIENCE).unwrap_err().kind());
    assert_eq!(front_end.receive().0.operation, Operation::Request);
    front_end.handle.reset();
    assert!(ended(&mut stream));
    assert_eq!(asks.join().unwrap(), ErrorKind::ConnectionReset);
    // A driver that lives hears of both.
    let mut ports = [front_end.receive(), front_end.receive()].map(|(header, _)| {
        assert_eq!(header.operation, Operation::Reset);
        header.destination_port
    });
    ports.sort_unstable();
    assert_eq!(ports, [9, 1000]);
}

#[test]
fn a_broken_ring_ends_connections_until_the_driver_starts_again() {
    let mut front_end = FrontEnd::running();
    let mut stream = front_end.open(80, 1000);
    front_end.guest.from_guest.offer_head(9999);
    front_end.kick(1);
    take(&front_end.errors[1]);
    assert!(ended(&mut stream));
    assert_eq!(front_end.handle.counters().faults, 1);
    let fault = front_end.handle.last_fault().unwrap();
    assert_eq!(fault, "descriptor 9999 is named in a ring of 32");
    front_end.stop();
    let memory = front_end.guest.to_guest.memory.clone();
    memory.write(0, &vec![0; 0x8000]).unwrap();
    front_end.guest = Guest::new(&memory, CID);
    front_end.guest.give_room();
    front_end.start([0, 0]);
    let mut stream = front_end.open(80, 1000);
    front_end.check_traffic(&mut stream, 80, 1000);
}

#[test]
fn memory_that_shrinks_is_a_fault_and_no_signal() {
    let mut front_end = FrontEnd::running();
    let mut stream = front_end.open(80, 1000);
    rustix::fs::ftruncate(&*front_end.guest.to_guest.memory.file, 0x1000).unwrap();
    front_end.kick(1);
    assert!(ended(&mut stream));
    // Nothing was written behind the new end.
    let size = rustix::fs::fstat(&*front_end.guest.to_guest.memory.file)
        .unwrap()
        .st_size;
    assert_eq!(size, 0x1000);
}

#[test]
fn memory_is_checked() {
    let front_end = FrontEnd::new();
    let file = front_end.guest.to_guest.memory.file.as_fd();
    let event = front_end.kicks[0].as_fd();
    let disk = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    disk.set_len(SIZE).unwrap();
    let region = |size, at| longs(&[1, 0, size, AT, at]);
    assert!(
        !front_end.obeyed(5, &region(SIZE, 1), &[file]),
        "beyond the end of the file"
    );
    assert!(
        !front_end.obeyed(5, &region(SIZE + 1, 0), &[file]),
        "more than the machine has"
    );
    assert!(!front_end.obeyed(5, &region(0, 0), &[file]), "nothing");
    assert!(
        !front_end.obeyed(5, &region(SIZE, u64::MAX), &[file]),
        "around the end"
    );
    assert!(
        !front_end.obeyed(5, &region(0x1000, 0), &[event]),
        "an eventfd"
    );
    assert!(
        !front_end.obeyed(5, &region(0x1000, 0), &[disk.as_fd()]),
        "a file on a disk"
    );
    assert!(
        !front_end.obeyed(12, &longs(&[0]), &[event]),
        "no size was set"
    );
    assert!(front_end.obeyed(8, &words(&[0, 64]), &[]));
    assert!(
        !front_end.obeyed(12, &longs(&[0]), &[event]),
        "no memory was announced"
    );
    front_end.announce_memory();
    assert!(
        !front_end.obeyed(12, &longs(&[0]), &[event]),
        "the ring is elsewhere"
    );
    let body = [
        words(&[0, 0]),
        longs(&[AT + 1, AT + 0x1000, AT + 0x2000, 0]),
    ]
    .concat();
    assert!(front_end.obeyed(9, &body, &[]));
    assert!(
        !front_end.obeyed(12, &longs(&[0]), &[event]),
        "the ring is not aligned"
    );
    for size in [0, 3, 2048, u32::MAX] {
        assert!(!front_end.obeyed(8, &words(&[0, size]), &[]), "{size}");
    }
    assert!(!front_end.obeyed(10, &words(&[0, 0x1_0000]), &[]));
    assert!(
        !front_end.obeyed(13, &longs(&[0]), &[file]),
        "a call that is no eventfd"
    );
    assert!(!front_end.obeyed(12, &longs(&[0x100]), &[]), "no kick");
}

#[test]
fn a_front_end_that_breaks_the_protocol_ends_its_device() {
    let breaks: [fn(&FrontEnd); 8] = [
        |front_end| front_end.send(1, 2, &[], &[]),
        |front_end| front_end.send(1, 5, &[], &[]),
        |front_end| front_end.send(2, 1, &[0; 4], &[]),
        |front_end| front_end.send(8, 1, &words(&[2, 8]), &[]),
        |front_end| front_end.send(77, 1, &[], &[]),
        |front_end| front_end.send(12, 1, &longs(&[0]), &[]),
        |front_end| front_end.send(3, 1, &[], &[front_end.kicks[0].as_fd()]),
        |front_end| {
            let header = words(&[5, 1, 4096]);
            (&front_end.socket).write_all(&header).unwrap();
        },
    ];
    for (number, broken) in breaks.iter().enumerate() {
        let front_end = FrontEnd::new();
        broken(&front_end);
        let end = front_end.ends();
        assert!(
            matches!(end, Err(DeviceError::Protocol(_))),
            "{number}: {end:?}"
        );
    }
}

#[test]
fn a_front_end_that_goes_in_a_message_is_noticed() {
    let front_end = FrontEnd::new();
    (&front_end.socket).write_all(&words(&[5])).unwrap();
    front_end
        .socket
        .shutdown(std::net::Shutdown::Write)
        .unwrap();
    let end = front_end.ends();
    assert!(
        matches!(end, Err(DeviceError::Protocol(MessageError::Cut))),
        "{end:?}"
    );
}

#[test]
fn a_front_end_that_reads_no_replies_ends_its_device() {
    let front_end = FrontEnd::new();
    front_end.socket.set_nonblocking(true).unwrap();
    let message = words(&[1, 1, 0]);
    loop {
        match (&front_end.socket).write(&message) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            Err(_) => break,
        }
    }
    let end = front_end.ends();
    assert!(
        matches!(end, Err(DeviceError::Protocol(MessageError::Unread))),
        "{end:?}"
    );
}

#[test]
fn a_full_event_holds_up_no_stop() {
    let mut front_end = FrontEnd::running();
    // The front end fills the event, and has the device block on it.
    rustix::io::write(&front_end.calls[1], &(u64::MAX - 1).to_ne_bytes()).unwrap();
    let flags = rustix::fs::fcntl_getfl(&front_end.calls[1]).unwrap();
    assert!(
        flags.contains(rustix::fs::OFlags::NONBLOCK),
        "the device has set it"
    );
    rustix::fs::fcntl_setfl(&front_end.calls[1], flags - rustix::fs::OFlags::NONBLOCK).unwrap();
    let header = front_end.guest.header(Operation::Request, 80, 1);
    front_end.guest.send(&header, &[], 1);
    front_end.kick(1);
    // The device raises the event after this.
    while front_end.guest.from_guest.used_word().1 == 0 {
        thread::yield_now();
    }
    front_end.handle.stop();
    assert_eq!(front_end.ends().unwrap(), End::Stopped);
}

#[test]
fn handles_outlive_their_device() {
    let front_end = FrontEnd::running();
    let handle = front_end.handle.clone();
    handle.stop();
    assert_eq!(front_end.ends().unwrap(), End::Stopped);
    handle.reset();
    handle.stop();
    assert_eq!(
        handle.connect(1, PATIENCE).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    assert_eq!(
        handle.connect_at_once(1).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
}

#[test]
fn patience_ends_a_connection_that_the_guest_does_not_answer() {
    let mut front_end = FrontEnd::running();
    let handle = front_end.handle.clone();
    let late = handle.connect(9, Duration::from_millis(1)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    assert_eq!(front_end.receive().0.operation, Operation::Request);
    assert_eq!(front_end.receive().0.operation, Operation::Reset);
    assert_eq!(front_end.handle.counters().connections, 0);
}

#[test]
fn impossible_devices_are_refused() {
    let make = |cid, limits| {
        let (front_end, _other) = UnixStream::pair().unwrap();
        let (sender, _) = channel();
        let services = Box::new(Ports(sender));
        Device::new(
            front_end,
            Config {
                cid,
                memory: Memory::Shared,
                services,
                limits,
            },
        )
        .map(|_| ())
    };
    for cid in [0, 1, 2, u64::from(u32::MAX), u64::MAX] {
        assert!(
            matches!(make(cid, LIMITS), Err(DeviceError::Cid { .. })),
            "{cid}"
        );
    }
    for limits in [
        Limits {
            connections: 0,
            ..LIMITS
        },
        Limits {
            buffer: 100,
            ..LIMITS
        },
        Limits {
            memory: 0,
            ..LIMITS
        },
    ] {
        assert!(
            matches!(make(3, limits), Err(DeviceError::Limit { .. })),
            "{limits:?}"
        );
    }
    assert!(make(3, LIMITS).is_ok());
}

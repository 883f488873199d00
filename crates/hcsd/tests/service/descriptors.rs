//! Descriptors that a client sends and whose close waits: the service does not wait with it, for a client of any user.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, IoSlice, Read as _, Write as _},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::{fs::PermissionsExt as _, net::UnixStream},
    },
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{Service, await_that};
use hcs_wire::{
    service::{Call, HEADER_BYTES, Kind, VERSION, encode},
    socket,
};
use rustix::{
    io::Errno,
    net::{
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg,
        sockopt::{set_socket_linger, set_socket_recv_buffer_size, set_socket_send_buffer_size},
    },
    process::{
        Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, Uid, getrlimit, kill_process,
        pidfd_getfd, pidfd_open, setrlimit,
    },
    thread::set_thread_uid,
};

/// How long the close of what is sent waits.
const LINGER: Duration = Duration::from_secs(60);
/// What a service that waits for it takes longer than.
const AT_ONCE: Duration = Duration::from_secs(30);
/// A user who may not use the service.
const STRANGER: u32 = 65_534;
/// How many there may be of those who may not use the service.
const PLACES: usize = 64;
/// More than any process takes that closes.
const VERY_MANY: usize = 1_200;
/// As many as the queue of a socket that all users reach has room for.
const AT_ONE_TIME: usize = 35;
/// More descriptors than a message of a client may have.
const TOO_MANY: usize = 20;
/// Bytes of a buffer.
const SMALL: usize = 4096;

/// A socket whose close waits until the other one is dropped. It takes little memory, as there may be many.
fn lingering() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    set_socket_recv_buffer_size(&listener, SMALL).unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    set_socket_send_buffer_size(&stream, SMALL).unwrap();
    let (peer, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(e) = stream.write(&[b'x'; 65_536]) {
            break e;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    set_socket_linger(&stream, Some(LINGER)).unwrap();
    (stream, peer)
}

/// Does `work` as that user, on a thread that ends with it.
fn as_user<T: Send>(user: u32, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            set_thread_uid(Uid::from_raw(user)).unwrap();
            work()
        });
        working.join().unwrap()
    })
}

/// Sends `bytes` with such a socket on a new connection, as that user; answers the connection and the socket's peer.
/// The service is stopped, so what was sent is in the connection alone.
fn send(endpoint: &Path, user: u32, bytes: &[u8]) -> (UnixStream, TcpStream) {
    send_by(endpoint, user, |connection, lingering| {
        socket::send_all(connection, bytes, &[lingering]).unwrap();
    })
}

/// As [`send`], where `how` sends the socket.
fn send_by(
    endpoint: &Path,
    user: u32,
    how: impl FnOnce(&UnixStream, BorrowedFd<'_>) + Send,
) -> (UnixStream, TcpStream) {
    let (stream, peer) = lingering();
    let connection = as_user(user, || {
        let connection = UnixStream::connect(endpoint).unwrap();
        how(&connection, stream.as_fd());
        connection
    });
    (connection, peer)
}

/// Sends `bytes` with descriptors, however many, as one message.
fn send_message(
    connection: &UnixStream,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(TOO_MANY))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    sendmsg(connection, &[IoSlice::new(bytes)], &mut control, flags)
}

/// A byte out of band with that socket, which a read that passes it drops, and some more.
fn send_out_of_band(connection: &UnixStream, lingering: BorrowedFd<'_>) {
    send_message(connection, b"x", &[lingering], SendFlags::OOB).unwrap();
    socket::send_all(connection, b"behind it", &[]).unwrap();
}

/// Does `work` while the service is stopped.
fn while_stopped<T>(service: &Service, work: impl FnOnce() -> T) -> T {
    let pid = Pid::from_raw(i32::try_from(service.pid()).unwrap()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    await_that("the service is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", service.pid())).unwrap();
        stat.rsplit(')').next().unwrap().starts_with(" T")
    });
    let done = work();
    kill_process(pid, Signal::CONT).unwrap();
    done
}

fn hello(descriptors: u16) -> Vec<u8> {
    let hello = Call::Hello {
        minimum: VERSION,
        maximum: VERSION,
        instance: None,
    };
    encode(Kind::Request, 1, descriptors, &hello).unwrap()
}

fn is_served(service: &Service) {
    let begun = Instant::now();
    service
        .client()
        .call(&Call::GetServiceProperties { query: None })
        .ok();
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// Has peers that are no clients yet send descriptors to the service, as on a kernel before Linux 6.16.
fn let_send_descriptors(service: &Service) {
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    let listening = sockets.lines().filter_map(|line| {
        let parts: Vec<_> = line.split_whitespace().collect();
        (parts.get(3) == Some(&"00010000")).then(|| format!("socket:[{}]", parts[6]))
    });
    let listening: BTreeSet<_> = listening.collect();
    let pid = Pid::from_raw(i32::try_from(service.pid()).unwrap()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let mut found = 0;
    for descriptor in fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap() {
        let descriptor = descriptor.unwrap();
        let name = fs::read_link(descriptor.path()).unwrap_or_default();
        if !listening.contains(name.to_str().unwrap_or_default()) {
            continue;
        }
        let number = descriptor.file_name().to_str().unwrap().parse().unwrap();
        let listener = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).unwrap();
        match socket::let_send_descriptors(listener, true) {
            Ok(()) | Err(Errno::NOPROTOOPT) => found += 1,
            Err(errno) => panic!("{errno}"),
        }
    }
    assert!(found > 0, "the service does not listen");
}

/// A service whose socket every user reaches, and can send descriptors to.
fn open_service() -> Service {
    let service = reached_service();
    let_send_descriptors(&service);
    service
}

/// A service whose socket every user reaches.
fn reached_service() -> Service {
    let service = Service::with_config("socket_mode = 0o666\n");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(service.endpoint().parent().unwrap(), open).unwrap();
    service
}

#[test]
fn descriptors_whose_close_waits_keep_no_client_waiting() {
    let service = open_service();
    let endpoint = service.endpoint();
    let mut held = Vec::new();
    for user in [0, STRANGER] {
        // With a greeting, with what is none, and with a part of a message.
        for bytes in [hello(1), vec![0xff; 32], vec![0x20]] {
            let (connection, peer) = while_stopped(&service, || send(&endpoint, user, &bytes));
            is_served(&service);
            drop(connection);
            is_served(&service);
            held.push(peer);
        }
    }
    drop(held);
}

/// A read that passes such a byte has the kernel close what it carries.
#[test]
fn descriptors_out_of_band_keep_no_client_waiting() {
    let service = open_service();
    let endpoint = service.endpoint();
    let mut held = Vec::new();
    for user in [0, STRANGER] {
        held.push(while_stopped(&service, || {
            send_by(&endpoint, user, send_out_of_band)
        }));
        is_served(&service);
    }
    drop(held);
}

/// The same where the service reads nothing of a connection that it closes, as there are too many.
#[test]
fn descriptors_out_of_band_of_strangers_beyond_the_limit_keep_no_client_waiting() {
    let service = open_service();
    let endpoint = service.endpoint();
    let silent = take_places_silently(&endpoint);
    let held = while_stopped(&service, || send_by(&endpoint, STRANGER, send_out_of_band));
    // Users have turns: it is looked at before the last of these.
    for _ in 0..3 {
        is_served(&service);
    }
    drop((silent, held));
}

/// The kernel closes those that a receiver has no room for.
#[test]
fn more_descriptors_than_a_message_may_have_keep_no_client_waiting() {
    let service = open_service();
    let endpoint = service.endpoint();
    let file = fs::File::open("/dev/null").unwrap();
    let mut held = Vec::new();
    for user in [0, STRANGER] {
        for bytes in [hello(u16::try_from(TOO_MANY).unwrap()), vec![0x20]] {
            held.push(while_stopped(&service, || {
                send_by(&endpoint, user, |connection, lingering| {
                    let mut all = [file.as_fd(); TOO_MANY];
                    all[TOO_MANY - 1] = lingering;
                    let sent = send_message(connection, &bytes, &all, SendFlags::empty());
                    assert_eq!(sent, Ok(bytes.len()));
                })
            }));
            is_served(&service);
        }
    }
    drop(held);
}

/// From Linux 6.16. A client sends some after its greeting, as all that give their processes pipes.
#[test]
fn who_is_no_client_sends_no_descriptors() {
    let (one, _other) = UnixStream::pair().unwrap();
    if socket::let_send_descriptors(&one, false) == Err(Errno::NOPROTOOPT) {
        return;
    }
    let service = reached_service();
    let endpoint = service.endpoint();
    let refused = |connection: &UnixStream| {
        for flags in [SendFlags::empty(), SendFlags::OOB] {
            let sent = send_message(connection, b"x", &[one.as_fd()], flags);
            assert_eq!(sent, Err(Errno::PERM));
        }
    };
    as_user(STRANGER, || {
        let mut connection = UnixStream::connect(&endpoint).unwrap();
        refused(&connection);
        connection.set_read_timeout(Some(AT_ONCE)).unwrap();
        connection.write_all(&hello(0)).unwrap();
        connection.read_exact(&mut [0; HEADER_BYTES]).unwrap();
        let sent = send_message(&connection, b"x", &[one.as_fd()], SendFlags::NOSIGNAL);
        assert!(matches!(sent, Err(Errno::PERM | Errno::PIPE)), "{sent:?}");
    });
    while_stopped(&service, || {
        refused(&UnixStream::connect(&endpoint).unwrap());
    });
    is_served(&service);
}

/// Takes all places of strangers, by connections that say nothing: they have them for some seconds.
fn take_places_silently(endpoint: &Path) -> Vec<UnixStream> {
    let mut silent = Vec::new();
    await_that("there is no room for a stranger", || {
        silent.push(as_user(STRANGER, || UnixStream::connect(endpoint).unwrap()));
        silent.len() >= PLACES && !is_answered(endpoint)
    });
    silent
}

/// The threads of the service that close.
fn closing_threads(service: &Service) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    let named = tasks.filter_map(|task| name(task.unwrap()).ok());
    named.filter(|name| name.trim_end() == "hcsd-close").count()
}

/// Takes all places of strangers by connections whose close waits, and keeps of each what `keep` says. Returns once all
/// these closes have begun: a process that was started before would have copies of the sockets, and wait with them as
/// it is executed.
///
/// The service is stopped once only: a stop ends what the kernel waits for in a close, and gives the place back.
fn take_places<T>(service: &Service, keep: impl Fn((UnixStream, TcpStream)) -> T) -> Vec<T> {
    let silent = take_places_silently(&service.endpoint());
    let linger = |connection: UnixStream| {
        let (stream, peer) = lingering();
        match socket::send_all(&connection, &[0x20], &[stream.as_fd()]) {
            Ok(()) => Some(keep((connection, peer))),
            // It came too late and was turned away. The close of `stream` does not wait without its peer.
            Err(_) => {
                drop(peer);
                None
            }
        }
    };
    let held: Vec<_> = while_stopped(service, || silent.into_iter().filter_map(linger).collect());
    await_that("all are being closed", || {
        closing_threads(service) >= held.len()
    });
    is_served(service);
    held
}

#[test]
fn strangers_beyond_the_limit_keep_no_client_waiting_either() {
    let service = open_service();
    let endpoint = service.endpoint();
    let held = take_places(&service, |both| both);
    drop(held);
    // Each gives its place back once it is closed.
    await_that("there is room for a stranger", || is_answered(&endpoint));
}

/// Whether a stranger is told why it may not use the service.
fn is_answered(endpoint: &Path) -> bool {
    let mut connection = as_user(STRANGER, || UnixStream::connect(endpoint).unwrap());
    connection.set_read_timeout(Some(AT_ONCE)).unwrap();
    // One of too many may be turned away before.
    connection.write_all(&hello(0)).ok();
    connection.read_exact(&mut [0; HEADER_BYTES]).is_ok()
}

/// They are closed by processes that exit, which the kernel lets wait for nothing. One thread that closes them would
/// wait for a minute with each.
#[test]
fn strangers_whose_connections_cannot_be_closed_keep_no_user_out() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let service = open_service();
    let endpoint = service.endpoint();
    let mut held = Vec::new();
    while held.len() < VERY_MANY {
        held.extend(while_stopped(&service, || {
            let some = (0..AT_ONE_TIME).map(|_| send(&endpoint, STRANGER, &[0x20]).1);
            some.collect::<Vec<_>>()
        }));
        is_served(&service);
    }
    let descriptors = format!("/proc/{}/fd", service.pid());
    await_that("their connections are closed", || {
        fs::read_dir(&descriptors).unwrap().count() < VERY_MANY / 4
    });
    drop(held);
}

/// The processes of the service that close what is turned away.
fn closers(service: &Service) -> Vec<Pid> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", service.pid())).unwrap() {
        let children = fs::read_to_string(task.unwrap().path().join("children"));
        for child in children.unwrap_or_default().split_whitespace() {
            let name = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            if name.starts_with(b"hcsd-close") {
                found.extend(Pid::from_raw(child.parse().unwrap()));
            }
        }
    }
    found
}

/// Whether that process is stopped for as long as it is not told to go on.
fn is_held(process: Pid) -> bool {
    kill_process(process, Signal::STOP).ok();
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
    stat.is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" T"))
}

/// A process costs the host more than a connection costs a user: there is a pause behind each.
#[test]
fn who_is_turned_away_again_and_again_has_a_process_now_and_then() {
    let service = open_service();
    let endpoint = service.endpoint();
    loop {
        let silent = take_places_silently(&endpoint);
        let (processes, elapsed) = turned_away_again_and_again(&endpoint);
        // Otherwise some places were given back meanwhile, and who has one is not closed by a process.
        if !is_answered(&endpoint) {
            let pauses = Duration::from_millis(20) * processes.saturating_sub(1);
            assert!(elapsed >= pauses, "{processes} processes in {elapsed:?}");
            return drop(silent);
        }
    }
}

/// A stranger connects again and again where there is no place, and leaves a descriptor. Returns how often it could,
/// and how long that took until all were closed.
fn turned_away_again_and_again(endpoint: &Path) -> (u32, Duration) {
    let begun = Instant::now();
    let mut processes = 0;
    for _ in 0..25 {
        let (read, write) = rustix::pipe::pipe().unwrap();
        as_user(STRANGER, || {
            let connection = UnixStream::connect(endpoint).unwrap();
            let sent = send_message(&connection, b"x", &[write.as_fd()], SendFlags::NOSIGNAL);
            // It may be turned away already.
            assert!(matches!(sent, Ok(1) | Err(Errno::PIPE)), "{sent:?}");
            processes += u32::from(sent.is_ok());
        });
        drop(write);
        // It is closed by a process of its own: the next one comes behind that.
        assert_eq!(rustix::io::read(&read, &mut [0]), Ok(0));
    }
    (processes, begun.elapsed())
}

/// As where the server of a file system does not answer: the processes that close never end.
#[test]
fn processes_that_never_end_keep_no_user_out() {
    let service = open_service();
    let endpoint = service.endpoint();
    // All places of strangers are taken by those that linger.
    let held = take_places(&service, |(_, peer)| peer);
    let file = fs::File::open("/dev/null").unwrap();
    let turned_away = || {
        as_user(STRANGER, || {
            let connection = UnixStream::connect(&endpoint).unwrap();
            // It may be turned away already.
            socket::send_all(&connection, &[0x20], &[file.as_fd()]).ok();
        });
    };
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    let stopped = thread::scope(|scope| {
        let holding = scope.spawn(|| {
            let mut stopped = BTreeSet::new();
            while !done.load(Ordering::Acquire) {
                let found = closers(&service).into_iter();
                stopped.extend(found.filter(|one| is_held(*one)).map(Pid::as_raw_nonzero));
                count.store(stopped.len(), Ordering::Release);
            }
            stopped
        });
        // Some end before they are stopped.
        while count.load(Ordering::Acquire) < 2 {
            turned_away();
        }
        // Sixteen processes would take the first thousand.
        for _ in 0..3 * VERY_MANY {
            turned_away();
        }
        is_served(&service);
        done.store(true, Ordering::Release);
        holding.join().unwrap()
    });
    assert_eq!(closers(&service).len(), 2);
    assert_eq!(stopped.len(), 2);
    for process in stopped {
        kill_process(Pid::from_raw(process.get()).unwrap(), Signal::CONT).unwrap();
    }
    await_that("all is closed", || closers(&service).is_empty());
    drop(held);
}

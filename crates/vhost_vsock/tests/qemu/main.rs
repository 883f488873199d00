//! The device with a real guest: QEMU, a kernel of Debian, and a program that speaks `AF_VSOCK`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod machine;
mod ramdisk;

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
};

use machine::{Machine, PATIENCE, Way};
use vhost_vsock::End;

/// Byte at a place of the pattern that both sides send.
fn pattern(place: u64) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is meant")]
    let byte = (place.wrapping_mul(31) + (place >> 8).wrapping_mul(7) + (place >> 16)) as u8;
    byte
}

fn bytes(count: u64) -> Vec<u8> {
    (0..count).map(pattern).collect()
}

/// The sum that the guest makes of what it reads.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(14_695_981_039_346_656_037, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
    })
}

fn read_to_end(mut stream: &UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// Sends the pattern over a stream that is echoed, and checks what comes back.
fn check_echo(stream: &UnixStream, count: u64) {
    let sent = bytes(count);
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writes = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(
        read_to_end(stream) == sent,
        "what comes back is what was sent"
    );
    writes.join().unwrap();
}

/// Everything that two programs do with a stream.
fn streams(way: Way) {
    let mut machine = Machine::boot(way, &[2000, 2001, 2002, 2003]);
    // To the guest and back, and the end of both directions, from the host.
    check_echo(&machine.connect(5000), 3 << 20);
    // The same, from the guest.
    assert_eq!(machine.ask("echo 2000"), "dialled 0");
    check_echo(&machine.accept(2000), 3 << 20);
    half_closes(&mut machine);
    refusals(&mut machine);
    many(&machine);
    readers_that_do_not_read(&mut machine);
    let counters = machine.handle.counters();
    assert_eq!((counters.violations, counters.faults), (0, 0));
}

/// One direction goes on when the other has ended.
fn half_closes(machine: &mut Machine) {
    // The host ends its direction, the guest answers afterwards.
    let mut stream = machine.connect(5002);
    let sent = bytes(100_000);
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = format!("{} {}", sent.len(), sum(&sent));
    assert_eq!(read_to_end(&stream), answer.as_bytes());
    // The guest ends its direction, the host answers afterwards.
    machine.command("send 2001 100000");
    let mut stream = machine.accept(2001);
    assert!(read_to_end(&stream) == sent);
    stream.write_all(b"after the end").unwrap();
    drop(stream);
    let answer = format!("sent 100000, got 13 {}", sum(b"after the end"));
    assert_eq!(machine.answer(), answer);
    // A newer kernel has no more under way than its own buffer holds: it has to hear of room before that is used up.
    machine.command("send 2003 100000 20000");
    assert!(read_to_end(&machine.accept(2003)) == sent);
    assert!(machine.answer().starts_with("sent 100000, got 0 "));
}

/// Ports that nothing listens at.
fn refusals(machine: &mut Machine) {
    let refused = machine.handle.connect(4999, PATIENCE).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let mut stream = machine.handle.connect_at_once(4999).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let errno = rustix::io::Errno::CONNRESET.raw_os_error();
    assert_eq!(machine.ask("dial 3999"), format!("dialled {errno}"));
}

/// Sixty connections at the same time, with checked data.
fn many(machine: &Machine) {
    let streams: Vec<UnixStream> = (0..60).map(|_| machine.connect(5000)).collect();
    let checks: Vec<_> = streams
        .into_iter()
        .map(|stream| thread::spawn(move || check_echo(&stream, 200_000)))
        .collect();
    for check in checks {
        check.join().unwrap();
    }
}

/// Readers that read nothing, on both sides, hold up no other connection; later they get everything.
fn readers_that_do_not_read(machine: &mut Machine) {
    let sent = bytes(8 << 20);
    // In the guest.
    let stream = machine.connect(5003);
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writes = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    check_echo(&machine.connect(5000), 1 << 20);
    assert_eq!(machine.ask("go"), "gone");
    assert_eq!(
        read_to_end(&stream),
        format!("{} {}", sent.len(), sum(&sent)).as_bytes()
    );
    writes.join().unwrap();
    // On the host. The control connection waits for its command, so only others can be tried.
    machine.command("send 2002 8388608");
    let stream = machine.accept(2002);
    check_echo(&machine.connect(5000), 1 << 20);
    assert!(read_to_end(&stream) == sent);
    drop(stream);
    assert!(machine.answer().starts_with("sent 8388608, got 0 "));
}

#[test]
fn streams_by_shared_memory() {
    streams(Way::Shared);
}

#[test]
fn streams_by_the_memory_of_the_process() {
    streams(Way::OfProcess);
}

/// The machine stops and goes on while connections echo; no byte is lost.
#[test]
fn stops_lose_nothing() {
    let mut machine = Machine::boot(Way::Shared, &[]);
    let echoes: Vec<_> = (0..12)
        .map(|_| machine.connect(5000))
        .map(|stream| thread::spawn(move || check_echo(&stream, 1 << 20)))
        .collect();
    let mut cycles = 0;
    while echoes.iter().any(|echo| !echo.is_finished()) || cycles < 20 {
        machine.ask_monitor("stop");
        machine.ask_monitor("cont");
        cycles += 1;
    }
    for echo in echoes {
        echo.join().unwrap();
    }
    // What is written while the machine is stopped arrives when it goes on.
    let mut stream = machine.connect(5000);
    machine.ask_monitor("stop");
    stream.write_all(b"meanwhile").unwrap();
    machine.ask_monitor("cont");
    let mut back = [0; 9];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"meanwhile");
    assert_eq!(machine.handle.counters().faults, 0);
}

/// A reset ends the connections of the old guest, and the new one gets its own. The end of QEMU ends them all.
#[test]
fn resets_and_ends_end_streams() {
    let mut machine = Machine::boot(Way::Shared, &[2000]);
    // The device sees by itself that the driver has started again.
    let stream = machine.connect(5000);
    machine.ask_monitor("system_reset");
    assert_eq!(read_to_end(&stream), b"");
    assert!(machine.control_ended());
    machine.wait_for_guest();
    check_echo(&machine.connect(5000), 1 << 20);
    // The engine tells it earlier.
    let stream = machine.connect(5000);
    machine.ask_monitor("system_reset");
    machine.handle.reset();
    assert_eq!(read_to_end(&stream), b"");
    machine.wait_for_guest();
    // QEMU is killed.
    assert_eq!(machine.ask("echo 2000"), "dialled 0");
    let (stream, from_guest) = (machine.connect(5000), machine.accept(2000));
    machine.qemu.kill().unwrap();
    assert_eq!(read_to_end(&stream), b"");
    assert_eq!(read_to_end(&from_guest), b"");
    assert_eq!(machine.device_end().unwrap(), End::FrontEnd);
    let late = machine.handle.connect(5000, PATIENCE).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotConnected);
}

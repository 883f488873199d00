//! Frames of the service with descriptors, over a real socket: sent in any pieces, with more or fewer descriptors than
//! their headers announce. No frame ever has others than were announced, and none is lost.

#![no_main]

use std::os::fd::{AsFd, OwnedFd};

use hcs_wire::{service::Decoder, socket};
use libfuzzer_sys::fuzz_target;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

fuzz_target!(|data: &[u8]| {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok((client, service)) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None) else { return };
    let mut decoder = Decoder::default();
    let (mut given, mut taken) = (0, 0);
    let mut rest = data;
    while let Some((plan, tail)) = rest.split_first() {
        let (piece, tail) = tail.split_at(usize::from(plan & 0x3f).min(tail.len()));
        rest = tail;
        let count = if piece.is_empty() { 0 } else { usize::from(plan >> 6) };
        let sent = vec![client.as_fd(); count];
        assert!(socket::send_all(&client, piece, &sent).is_ok());
        given += count;
        if !receive(&service, &mut decoder, &mut taken) {
            break;
        }
    }
    assert_eq!(taken + decoder.descriptors.len(), given);
});

/// Takes what has come; `false` when the stream is out of step.
fn receive(service: &OwnedFd, decoder: &mut Decoder, taken: &mut usize) -> bool {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = socket::receive(service, &mut buffer, &mut decoder.descriptors) {
        decoder.feed(&buffer[..count]);
    }
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => *taken += frame.descriptors.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

//! Descriptors that a receiver has no room for. A program of its own: it changes the limit of its process.

use std::{
    fs::File,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream,
    },
};

use hcs_wire::{
    service::{Decoder, Kind, Reply, encode},
    socket::{Buffer, send_all},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn a_frame_whose_descriptors_are_lost_harms_no_other() {
    let (sender, receiver) = UnixStream::pair().unwrap();
    receiver.set_nonblocking(true).unwrap();
    let file = File::open("/dev/null").unwrap();
    for (id, count) in [(7, 3), (8, 0), (9, 2)] {
        let bytes = encode(Kind::Reply, id, count, &Reply::done()).unwrap();
        let all = vec![file.as_fd(); count.into()];
        send_all(&sender, &bytes, &all).unwrap();
    }
    let mut buffer = Buffer::default();
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let allowed = getrlimit(Resource::Nofile);
    // One more, with the lowest number that is free.
    let next = file.try_clone().unwrap().as_raw_fd();
    let one_more = Rlimit {
        current: Some(u64::try_from(next).unwrap() + 1),
        ..allowed
    };
    setrlimit(Resource::Nofile, one_more).unwrap();
    while frames.len() < 3 {
        let received = buffer.receive(&receiver, &mut decoder.descriptors).unwrap();
        let (bytes, cut) = (received.bytes.to_vec(), received.cut);
        setrlimit(Resource::Nofile, allowed).unwrap();
        if cut {
            decoder.note_cut();
        }
        decoder.feed(&bytes);
        while let Some(frame) = decoder.next_frame().unwrap() {
            frames.push((frame.id, frame.descriptors.len()));
            assert!(frames.len() <= 3);
        }
    }
    assert_eq!(frames, [(7, 1), (8, 0), (9, 2)]);
}

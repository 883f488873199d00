//! The cost to write and to read a message, between library and service and between service and agent.
#![expect(clippy::expect_used, reason = "a benchmark that cannot go on fails")]

use divan::{AllocProfiler, Bencher, black_box};
use hcs_wire::{
    guest,
    service::{Call, Decoder, Kind, ProcessInformation, Reply, encode},
};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn create_process() -> Call {
    Call::CreateProcess {
        system: 1,
        process: 2,
        parameters: r#"{"CommandArgs":["/bin/true"],"CreateStdOutPipe":true}"#.to_owned(),
        pipes: None,
    }
}

fn made_process() -> Reply {
    Reply {
        process: Some(ProcessInformation {
            process_id: 7,
            stdout: true,
            ..ProcessInformation::default()
        }),
        ..Reply::done()
    }
}

#[divan::bench]
fn write_request(bencher: Bencher<'_, '_>) {
    let call = create_process();
    bencher.bench(|| encode(Kind::Request, 7, 0, black_box(&call)).expect("it fits"));
}

#[divan::bench]
fn read_request(bencher: Bencher<'_, '_>) {
    let bytes = encode(Kind::Request, 7, 0, &create_process()).expect("it fits");
    read::<Call>(bencher, &bytes);
}

#[divan::bench]
fn write_reply(bencher: Bencher<'_, '_>) {
    let reply = made_process();
    bencher.bench(|| encode(Kind::Reply, 7, 0, black_box(&reply)).expect("it fits"));
}

#[divan::bench]
fn read_reply(bencher: Bencher<'_, '_>) {
    let bytes = encode(Kind::Reply, 7, 0, &made_process()).expect("it fits");
    read::<Reply>(bencher, &bytes);
}

/// Feeds one message to a decoder that has seen many, and parses it.
fn read<T: for<'de> serde::Deserialize<'de>>(bencher: Bencher<'_, '_>, bytes: &[u8]) {
    let mut decoder = Decoder::default();
    bencher.bench_local(|| {
        decoder.feed(black_box(bytes));
        let frame = decoder.next_frame().expect("it is a frame");
        frame
            .expect("it is whole")
            .parse::<T>("benchmark")
            .expect("it parses")
    });
}

fn properties() -> guest::RequestBase {
    guest::RequestBase {
        container_id: "c0ffee00-0000-4000-8000-000000000001".to_owned(),
        activity_id: "c0ffee00-0000-4000-8000-000000000002".to_owned(),
    }
}

#[divan::bench]
fn write_guest_request(bencher: Bencher<'_, '_>) {
    let body = properties();
    let kind = guest::MessageType::Request(guest::Rpc::Start);
    bencher.bench(|| guest::encode(kind, 7, black_box(&body)).expect("it fits"));
}

#[divan::bench]
fn read_guest_request(bencher: Bencher<'_, '_>) {
    let kind = guest::MessageType::Request(guest::Rpc::Start);
    let bytes = guest::encode(kind, 7, &properties()).expect("it fits");
    let mut decoder = guest::Decoder::default();
    bencher.bench_local(|| {
        decoder.feed(black_box(&bytes));
        decoder
            .next_frame()
            .expect("it is a frame")
            .expect("it is whole")
    });
}

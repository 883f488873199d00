//! What the fuzz targets (`fuzz/`) reach: readers of what a child, the launcher or the kernel says, and of a client's
//! changes.
//!
//! Compiled with `--cfg fuzzing` only.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a fuzz target reports by panicking"
)]

use std::{
    fs::File,
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use hcs_engine::modification::Modification;
use hcs_schema::coverage::CONTAINER;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use crate::{
    cgroup::{detect::Hierarchies, statistics},
    channel,
    child::job::ChildJob,
    launcher::protocol,
    machine::modify,
    record::{Record, parse_start_time},
    spec::{EarlySpec, LaunchSpec, Owners},
};

/// More than any reader waits for: the other end is closed.
const LIMIT: Duration = Duration::from_secs(10);

fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .expect("there are descriptors left")
}

/// Something to send. Never an end of the pair itself: a descriptor on its way keeps its file open, and a reader waits
/// for the end.
fn descriptor() -> OwnedFd {
    File::open("/dev/null")
        .expect("there is a /dev/null")
        .into()
}

/// The report of a child to the service.
pub fn report(bytes: &[u8]) {
    let (service, child) = pair(SocketType::STREAM);
    let _too_long = send(
        &child,
        &bytes[..bytes.len().min(64 << 10)],
        SendFlags::NOSIGNAL,
    );
    drop(child);
    let _report = channel::read_report(&service, LIMIT);
}

/// What the service tells a child to do.
pub fn instructions(bytes: &[u8]) {
    for job in [false, true] {
        let (service, child) = pair(SocketType::STREAM);
        let sent = &bytes[..bytes.len().min(64 << 10)];
        let _all = hcs_wire::socket::send_all(&service, sent, &[descriptor().as_fd()]);
        drop(service);
        if job {
            let _job = channel::receive::<ChildJob>(child.as_fd());
        } else {
            if let Ok((_early, begun)) = channel::receive_early::<EarlySpec>(child.as_fd()) {
                let _spec = channel::receive_rest::<LaunchSpec>(child.as_fd(), begun);
            }
        }
    }
}

/// One message each way between service and launcher, with `descriptors` descriptors.
pub fn launcher(bytes: &[u8], descriptors: usize) {
    for answer in [false, true] {
        let (one, other) = pair(SocketType::SEQPACKET);
        let descriptor = descriptor();
        let sent = vec![descriptor.as_fd(); descriptors.min(hcs_wire::socket::MAX_DESCRIPTORS)];
        let _sent = hcs_wire::socket::send(&one, bytes, &sent);
        drop(one);
        if answer {
            let _answer = protocol::receive_answer(other.as_fd());
        } else {
            let _request = protocol::receive_request(other.as_fd());
        }
    }
}

/// What was written down about a machine.
pub fn record(text: &str) {
    let _record = serde_json::from_str::<Record>(text);
}

/// A `ModifySettingRequest`.
pub fn modify(text: &str) {
    let Ok(request) = hcs_schema::parse(text) else {
        return;
    };
    let read = Modification::read(request, &CONTAINER).and_then(|modification| {
        let host = modification.host.as_ref();
        host.map(|change| modify::read(change, Owners::AsOnTheHost))
            .transpose()
    });
    if let Err(failure) = read {
        assert!(!failure.hresult.is_success() && !failure.message.is_empty());
    }
}

/// Files of the kernel, some of which hold names that others chose.
pub fn kernel_files(text: &str) {
    let _hierarchies = Hierarchies::from_mountinfo(text);
    let _start = parse_start_time(text);
    let _cpu = statistics::parse_cpu_stat(text);
    let _io = statistics::parse_io_stat(text);
    let _blkio = statistics::parse_blkio(text, text);
}

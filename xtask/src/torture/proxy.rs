//! A way to the service that breaks: a socket whose connections are passed on and cut after some byte, with or without
//! the descriptors that were under way.

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use hcs_wire::socket;

use super::random::Random;
use crate::Result;

/// Bytes after which a connection is cut at the latest, in one direction; the next one lives longer or shorter.
const LONGEST: usize = 20_000;

/// How many connections were cut.
static CUTS: AtomicU64 = AtomicU64::new(0);

/// How many connections were cut so far.
pub(super) fn cuts() -> u64 {
    CUTS.load(Ordering::Relaxed)
}

/// Listens at `path` and passes connections on to `endpoint`, until the program ends.
///
/// # Errors
/// It cannot listen.
pub(super) fn start(path: &Path, endpoint: PathBuf, seed: u64) -> Result<()> {
    let listener = UnixListener::bind(path)?;
    let mut random = Random::new(seed);
    thread::spawn(move || {
        for (number, client) in (0_usize..).zip(listener.incoming().flatten()) {
            // A client finds its connection closed when there is no service.
            let Ok(service) = UnixStream::connect(&endpoint) else {
                continue;
            };
            // Every byte of the first calls in turn, then any.
            let cut = |random: &mut Random| {
                if random.below(2) == 0 {
                    number * 7 + random.below(7)
                } else {
                    random.below(LONGEST)
                }
            };
            let (there, back) = (cut(&mut random), cut(&mut random));
            let (Ok(from_client), Ok(from_service)) = (client.try_clone(), service.try_clone())
            else {
                continue;
            };
            let with_rights = random.below(2) == 0;
            thread::spawn(move || pass(&from_client, &service, there, with_rights));
            thread::spawn(move || pass(&from_service, &client, back, with_rights));
        }
    });
    Ok(())
}

/// Passes `count` bytes on and then cuts the connection.
fn pass(from: &UnixStream, to: &UnixStream, mut count: usize, with_rights: bool) {
    let mut buffer = [0; 4096];
    while count > 0 {
        let mut rights: VecDeque<OwnedFd> = VecDeque::new();
        let most = buffer.len().min(count);
        let received = match socket::receive(from, &mut buffer[..most], &mut rights) {
            Ok(0) | Err(_) => break,
            Ok(received) => received,
        };
        count -= received;
        // Of the last bytes, descriptors come along or not.
        let lent: Vec<_> = rights
            .iter()
            .map(|fd| fd.as_fd())
            .filter(|_| count > 0 || with_rights)
            .collect();
        if socket::send_all(to, &buffer[..received], &lent).is_err() {
            break;
        }
    }
    if count == 0 {
        CUTS.fetch_add(1, Ordering::Relaxed);
    }
    // The end of one side is the end of both.
    let _over = from.shutdown(std::net::Shutdown::Both);
    let _over = to.shutdown(std::net::Shutdown::Both);
}

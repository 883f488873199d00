//! The network of the guest: its cards, which `engine_network` sets up, and where names are resolved.
//!
//! What the host says is in place of all that it has said before. A file that is a link, as where another program of
//! the guest keeps its own, is left as it is.

use std::{
    fs::File,
    os::fd::{BorrowedFd, OwnedFd},
};

use engine_network as cards;
use hcs_schema::{Failure, HResult};
use hcs_wire::{
    errno,
    guest::{GuestCard, GuestNetwork},
};
use rustix::{
    fs::{Mode, OFlags, ftruncate, open},
    io::{Errno, pwrite},
};

use crate::agent::log;

const RESOLVER: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// The lines of a file of names that is not there.
const OWN_NAMES: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost\n";

/// The longest text of a resolver's file, in bytes.
const MOST_BYTES: usize = 16 << 10;

/// Its cards.
#[derive(Debug)]
pub(super) struct Network {
    cards: cards::GuestNetwork,
    /// What was said of a failure last.
    said: Option<String>,
}

impl Network {
    /// With no cards yet.
    pub(super) fn open() -> Result<Self, Failure> {
        Ok(Self {
            cards: cards::GuestNetwork::open()?,
            said: None,
        })
    }

    /// Readable when [`Network::look`] is worth a call.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.cards.descriptor()
    }

    /// Sets everything up.
    pub(super) fn set(&mut self, wanted: &GuestNetwork) -> Result<(), Failure> {
        let read = wanted.cards.iter().map(read).collect::<Option<Vec<_>>>();
        let read = read.ok_or_else(|| {
            let message = "the network of the guest is not described by addresses";
            Failure::new(HResult::E_INVALIDARG, message)
        })?;
        let resolved = resolve(&wanted.resolver);
        self.cards.set(read).and(resolved)
    }

    /// Sets cards up that have come.
    pub(super) fn look(&mut self) {
        let said = self.cards.look().err().map(|failure| failure.log_line());
        if let Some(words) = said.as_ref().filter(|_| said != self.said) {
            log(words);
        }
        self.said = said;
    }
}

fn read(card: &GuestCard) -> Option<cards::GuestCard> {
    let routes = card.routes.iter().map(|route| cards::GuestRoute {
        to: &route.to,
        router: &route.router,
        metric: route.metric,
    });
    let addresses = card.addresses.iter().map(String::as_str);
    cards::GuestCard::read(&card.mac, card.mtu, addresses, routes)
}

fn resolve(text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let written = match text.len() > MOST_BYTES {
        true => Err(Errno::FBIG),
        false => file(RESOLVER).and_then(|file| {
            pwrite(&file, text.as_bytes(), 0)?;
            ftruncate(&file, text.len() as u64)
        }),
    };
    written.map_err(|errno| errno::failed("/etc/resolv.conf cannot be written", errno))
}

/// The file for the names of networks; none where the guest has no place for it.
pub(super) fn hosts() -> Option<OwnedFd> {
    let hosts = file(HOSTS).ok()?;
    let hosts = File::from(hosts);
    if hosts.metadata().ok()?.len() == 0 {
        pwrite(&hosts, OWN_NAMES.as_bytes(), 0).ok()?;
    }
    Some(hosts.into())
}

fn file(path: &str) -> Result<OwnedFd, Errno> {
    // It may be there, or the whole file system may not be to be written to: then the next step fails.
    let _there = std::fs::create_dir("/etc");
    let flags =
        OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(path, flags, Mode::from_raw_mode(0o644))
}

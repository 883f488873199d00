//! Addresses for cards of a guest without an agent: answers to what it asks by DHCP.
//!
//! Each card has a socket that hears of its own link alone, so no guest can ask for another one, and what is answered
//! reaches no other link.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::{
    io::{Errno, write},
    net::{RecvFlags, recv},
};

use crate::dhcp::{self, Lease};

/// The most bytes of a question; a longer one is cut, and is none then.
const LONGEST: usize = 2048;
/// Questions that are answered before the worker looks at what else there is to do.
const AT_ONCE: usize = 16;

/// A card with an address.
#[derive(Debug)]
struct Leased {
    name: String,
    mac: [u8; 6],
    lease: Lease,
    socket: OwnedFd,
}

/// The cards of a machine that have addresses.
#[derive(Debug, Default)]
pub(super) struct Leases(Vec<Leased>);

impl Leases {
    /// Gives the card of this name and hardware address a lease, in place of one that it had.
    pub(super) fn give(&mut self, (name, mac): (String, [u8; 6]), lease: Lease, socket: OwnedFd) {
        self.take(&name);
        self.0.push(Leased {
            name,
            mac,
            lease,
            socket,
        });
    }

    /// The card of this name goes.
    pub(super) fn take(&mut self, name: &str) {
        self.0.retain(|leased| leased.name != name);
    }

    /// Readable when a guest asks.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|leased| leased.socket.as_fd())
    }

    /// Answers what was asked.
    pub(super) fn work(&self) {
        let mut buffer = vec![0; if self.0.is_empty() { 0 } else { LONGEST }];
        for leased in &self.0 {
            for _ in 0..AT_ONCE {
                let length = match recv(&leased.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((length, _)) => length,
                    Err(Errno::INTR) => continue,
                    // Nothing more is there, or the link is down: that is told once.
                    Err(_) => break,
                };
                let answer = dhcp::answer(&buffer[..length], leased.mac, &leased.lease);
                if let Some(answer) = answer {
                    // A guest that hears nothing asks again.
                    let _lost = write(&leased.socket, &answer);
                }
            }
        }
    }
}

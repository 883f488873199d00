//! What may happen on one connection when. No sockets here, and no rings.
//!
//! ```text
//!  the host asks ──▶ Requested ──RESPONSE──▶ Open ◀── the guest asks, and a service answers
//!                        │                    │
//!                        └──── RST of either side, SHUTDOWN of both directions by the guest ────▶ gone
//! ```
//!
//! Each direction of an open connection ends once, and either side may end it: the sender sends no more, or the
//! receiver receives no more. A connection whose host has ended both waits for the guest to reset it.

use crate::{
    credit::Credit,
    packet::{Header, NO_RECEIVE, NO_SEND, Operation},
};

/// One connection, seen from the host.
#[derive(Debug)]
pub(crate) struct Connection {
    phase: Phase,
    credit: Credit,
    /// What the guest does no more: flags of `SHUTDOWN`.
    guest_ended: u32,
    /// What the host's stream does no more: flags of `SHUTDOWN`.
    host_ended: u32,
    /// What the guest was told of `host_ended`.
    host_told: u32,
    /// The guest is to be told that there is room, because it asked.
    owes_credit: bool,
    /// The guest was asked for room, and has sent nothing since.
    asked_credit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The host has asked; `told` when the guest has the request.
    Requested {
        told: bool,
    },
    /// The guest has asked and a service has answered; the guest is not told yet.
    Accepted,
    Open,
}

/// What a packet of the guest means for the host's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing.
    Nothing,
    /// The guest has agreed.
    Opened,
    /// The data of the packet is for the stream.
    Data,
    /// The data of the packet is for no reader any more.
    Discarded,
    /// The guest has ended one direction, or both: see [`Connection::guest_sends`] and [`Connection::guest_receives`].
    Ended,
    /// The guest is done with the connection and waits for a reset. What it sent before is still for the stream.
    Closed,
    /// The guest has reset the connection. What it sent before is still for the stream.
    Reset,
    /// The guest broke the rules: the connection ends at once, and the guest is told by a reset.
    Violation,
}

/// A packet without data that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) operation: Operation,
    pub(crate) flags: u32,
}

impl Connection {
    /// The host asks for a connection.
    pub(crate) const fn request(buffer: u32) -> Self {
        Self::new(Phase::Requested { told: false }, buffer)
    }

    /// The guest asked by `header`, and a service has answered.
    pub(crate) const fn accept(buffer: u32, header: &Header) -> Self {
        let mut connection = Self::new(Phase::Accepted, buffer);
        connection.credit.hear(header.buffer, header.forwarded);
        connection
    }

    const fn new(phase: Phase, buffer: u32) -> Self {
        Self {
            phase,
            credit: Credit::new(buffer),
            guest_ended: 0,
            host_ended: 0,
            host_told: 0,
            owes_credit: false,
            asked_credit: false,
        }
    }

    /// The guest sent a packet of this connection.
    pub(crate) fn hear(&mut self, header: &Header) -> Meaning {
        self.credit.hear(header.buffer, header.forwarded);
        self.asked_credit = false;
        match header.operation {
            Operation::Reset => Meaning::Reset,
            Operation::Response if self.phase == (Phase::Requested { told: true }) => {
                self.phase = Phase::Open;
                Meaning::Opened
            }
            Operation::CreditUpdate if !self.is_requested() => Meaning::Nothing,
            Operation::CreditRequest if !self.is_requested() => {
                self.owes_credit = true;
                Meaning::Nothing
            }
            Operation::Data if !self.is_requested() => self.hear_data(header.length),
            Operation::Shutdown if !self.is_requested() => {
                self.guest_ended |= header.flags & (NO_RECEIVE | NO_SEND);
                if self.guest_ended == NO_RECEIVE | NO_SEND {
                    Meaning::Closed
                } else {
                    Meaning::Ended
                }
            }
            _ => Meaning::Violation,
        }
    }

    fn hear_data(&mut self, length: u32) -> Meaning {
        if !self.guest_sends() || self.credit.receive(length).is_err() {
            return Meaning::Violation;
        }
        if self.host_ended & NO_RECEIVE != 0 {
            self.credit.forward(length);
            return Meaning::Discarded;
        }
        Meaning::Data
    }

    /// The guest has not agreed yet.
    pub(crate) const fn is_requested(&self) -> bool {
        matches!(self.phase, Phase::Requested { .. })
    }

    /// The guest has heard of the connection, so it has to hear of its end, too.
    pub(crate) fn is_known(&self) -> bool {
        self.phase != (Phase::Requested { told: false })
    }

    /// The guest may still send.
    pub(crate) const fn guest_sends(&self) -> bool {
        self.guest_ended & NO_SEND == 0
    }

    /// The guest may still receive.
    pub(crate) const fn guest_receives(&self) -> bool {
        self.guest_ended & NO_RECEIVE == 0
    }

    /// The host's stream took `count` bytes of the guest, or they were thrown away.
    pub(crate) fn forward(&mut self, count: usize) {
        self.credit.forward(saturate(count));
    }

    /// All bytes of the guest that the stream has not taken were thrown away.
    pub(crate) fn forward_all(&mut self) {
        self.credit.forward(self.credit.held());
    }

    /// The host may still send: the connection is open, and neither side has ended this direction.
    pub(crate) const fn host_sends(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.guest_receives() && self.host_ended & NO_SEND == 0
    }

    /// How many bytes the guest may be sent now.
    pub(crate) const fn room(&self) -> u32 {
        if self.host_sends() {
            self.credit.room()
        } else {
            0
        }
    }

    /// The guest is sent `count` bytes, at most [`Self::room`].
    pub(crate) fn send(&mut self, count: usize) {
        self.credit.send(saturate(count));
    }

    /// The host's stream has bytes for the guest, which has no room: the guest is to be asked for it.
    pub(crate) const fn lacks_room(&mut self) -> Option<Control> {
        if self.asked_credit {
            return None;
        }
        self.asked_credit = true;
        Some(control(Operation::CreditRequest, 0))
    }

    /// The host's stream will send no more (`NO_SEND`) or take no more (`NO_RECEIVE`).
    pub(crate) const fn end(&mut self, flags: u32) {
        self.host_ended |= flags;
    }

    /// Both directions have been ended by the host, and the guest knows: it needs no stream any more.
    pub(crate) const fn is_over(&self) -> bool {
        self.host_told == NO_RECEIVE | NO_SEND
    }

    /// The packet that has to go before any data.
    pub(crate) const fn before_data(&mut self) -> Option<Control> {
        match self.phase {
            Phase::Requested { told: false } => {
                self.phase = Phase::Requested { told: true };
                Some(control(Operation::Request, 0))
            }
            Phase::Accepted => {
                self.phase = Phase::Open;
                Some(control(Operation::Response, 0))
            }
            Phase::Requested { told: true } | Phase::Open => None,
        }
    }

    /// The packet that goes when there is no data to send. Data tells the credit, too.
    pub(crate) const fn after_data(&mut self) -> Option<Control> {
        if !matches!(self.phase, Phase::Open) {
            return None;
        }
        if self.host_ended != self.host_told {
            self.host_told = self.host_ended;
            return Some(control(Operation::Shutdown, self.host_ended));
        }
        if self.owes_credit || self.credit.is_stale() {
            return Some(control(Operation::CreditUpdate, 0));
        }
        None
    }

    /// The buffer and the count for the header of the next packet.
    pub(crate) const fn announce(&mut self) -> (u32, u32) {
        self.owes_credit = false;
        self.credit.announce()
    }
}

const fn control(operation: Operation, flags: u32) -> Control {
    Control { operation, flags }
}

/// Counts of one packet are below 2^32.
fn saturate(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

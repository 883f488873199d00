//! [`Socket`]: sends batches and reads the answers.

use std::os::fd::OwnedFd;

use rustix::{
    io::Errno,
    net::{
        AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recvfrom,
        send, socket_with,
        sockopt::{
            set_socket_recv_buffer_size_force, set_socket_send_buffer_size,
            set_socket_send_buffer_size_force,
        },
    },
};

use super::{
    Batch, NetlinkError, flag,
    parse::{Message, Messages, number},
};

/// `NLMSG_ERROR`: an acknowledgement, or an error.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: the dump is not of one moment.
const INTERRUPTED: u16 = 0x10;

/// The longest datagram that is read: a refusal holds the message that it is about, of up to 64 KiB.
const LONGEST: usize = 128 << 10;

/// What the kernel may queue for a socket.
const ANSWERS: usize = 1 << 20;

/// What a batch may have: the rules for as many endpoints, addresses, mapped ports and load balancers as `hcn` takes.
/// The kernel reserves nothing for it.
const REQUESTS: usize = 16 << 20;

/// How often a dump is begun again that others' changes interrupted.
const MOST_TRIES: u32 = 8;

/// The most messages that are kept of a dump.
const MOST_MESSAGES: usize = 1 << 20;

/// A netlink socket of the network namespace that its maker's thread was in.
#[derive(Debug)]
pub(crate) struct Socket {
    descriptor: OwnedFd,
    sequence: u32,
    /// What datagrams are read into: to have so much memory anew for each request costs more than the request.
    buffer: Vec<u8>,
}

impl Socket {
    /// For links, addresses and routes.
    pub(crate) fn route() -> Result<Self, NetlinkError> {
        Self::open(None)
    }

    /// For rules.
    pub(crate) fn netfilter() -> Result<Self, NetlinkError> {
        Self::open(Some(netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, NetlinkError> {
        let call = |errno| NetlinkError::Call {
            what: "opening a netlink socket",
            errno,
        };
        let flags = SocketFlags::CLOEXEC;
        let descriptor =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol).map_err(call)?;
        // An ordinary request for room ends at what the host gives every program (net.core.wmem_max), some 200 KiB.
        // Without more small batches work all the same.
        if set_socket_send_buffer_size_force(&descriptor, REQUESTS).is_err() {
            let _as_it_is = set_socket_send_buffer_size(&descriptor, REQUESTS);
        }
        let _as_it_is = set_socket_recv_buffer_size_force(&descriptor, ANSWERS);
        Ok(Self {
            descriptor,
            sequence: 1,
            buffer: Vec::new(),
        })
    }

    /// Sends a batch and reads its acknowledgements. The first error is returned; all messages were tried, but those of
    /// nfnetlink's transactions, of which none counts then.
    pub(crate) fn run(&mut self, batch: Batch) -> Result<(), NetlinkError> {
        self.run_but(batch, None)
    }

    /// As [`Socket::run`], where it is no error that a message is refused by `allowed`.
    pub(crate) fn run_but(
        &mut self,
        batch: Batch,
        allowed: Option<Errno>,
    ) -> Result<(), NetlinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        let first = self.send(batch.bytes, &batch.messages, batch.too_long)?;
        let asked = |sequence: u32| {
            let at = usize::try_from(sequence.wrapping_sub(first)).ok();
            at.and_then(|at| batch.messages.get(at))
        };
        let mut wanted = batch
            .messages
            .iter()
            .filter(|message| message.acknowledged)
            .count();
        let mut refused = None;
        let mut buffer = self.buffer();
        while let Some(datagram) = self.receive(&mut buffer)? {
            for message in Messages::of(datagram) {
                let message = message.map_err(|_| answer("the batch", "is malformed"))?;
                let (ERROR, Some(asked)) = (message.kind, asked(message.sequence)) else {
                    continue;
                };
                let code = code(&message).ok_or_else(|| answer(&asked.what, "is malformed"))?;
                // An error is told of a message without an acknowledgement, too.
                wanted = wanted.saturating_sub(usize::from(asked.acknowledged));
                let code = code.filter(|errno| Some(*errno) != allowed);
                if let (Some(errno), None) = (code, &refused) {
                    let what = asked.what.clone();
                    refused = Some(NetlinkError::Refused { what, errno });
                }
            }
        }
        self.buffer = buffer;
        match refused {
            Some(refused) => Err(refused),
            None if wanted > 0 => Err(answer("the batch", "is missing")),
            None => Ok(()),
        }
    }

    /// Sends a batch of one request for one thing, and gives its answer to `read`. `None` when there is no such thing.
    pub(crate) fn get<T>(
        &mut self,
        batch: Batch,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let what = batch
            .messages
            .first()
            .map_or_else(String::new, |message| message.what.clone());
        let sequence = self.send(batch.bytes, &batch.messages, batch.too_long)?;
        let mut found = None;
        let mut buffer = self.buffer();
        while let Some(datagram) = self.receive(&mut buffer)? {
            for message in Messages::of(datagram) {
                let message = message.map_err(|_| answer(&what, "is malformed"))?;
                if message.sequence != sequence {
                    continue;
                }
                if message.kind != ERROR {
                    found = found.or_else(|| read(&message));
                    continue;
                }
                match code(&message).ok_or_else(|| answer(&what, "is malformed"))? {
                    None => {}
                    Some(Errno::NODEV | Errno::NOENT) => {
                        self.buffer = buffer;
                        return Ok(None);
                    }
                    Some(errno) => return Err(NetlinkError::Refused { what, errno }),
                }
            }
        }
        self.buffer = buffer;
        found.map(Some).ok_or_else(|| answer(&what, "is missing"))
    }

    fn buffer(&mut self) -> Vec<u8> {
        let kept = std::mem::take(&mut self.buffer);
        match kept.is_empty() {
            // Memory that the kernel gives as it is, of which short answers touch a page.
            true => vec![0; LONGEST],
            false => kept,
        }
    }

    /// Sends one request for a list, and gives each message of the answer to `read`.
    pub(crate) fn dump<T>(
        &mut self,
        what: &str,
        kind: u16,
        fixed: &[u8],
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        self.dump_of(what, kind, fixed, |_| {}, read)
    }

    /// As [`Socket::dump`], of what `attributes` names.
    pub(crate) fn dump_of<T>(
        &mut self,
        what: &str,
        kind: u16,
        fixed: &[u8],
        attributes: impl Fn(&mut Batch),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..MOST_TRIES {
            let mut batch = Batch::default();
            batch.message(what, kind, flag::DUMP, fixed, &attributes);
            let sequence = self.send(batch.bytes, &batch.messages, false)?;
            if let Some(found) = self.collect(what, sequence, &read)? {
                return Ok(found);
            }
        }
        Err(answer(what, "was interrupted by changes too often"))
    }

    /// The list of one dump; `None` when it is not of one moment.
    fn collect<T>(
        &mut self,
        what: &str,
        sequence: u32,
        read: &impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, NetlinkError> {
        let mut found = Vec::new();
        let mut sound = true;
        let mut buffer = self.buffer();
        while let Some(datagram) = self.receive(&mut buffer)? {
            for message in Messages::of(datagram) {
                let message = message.map_err(|_| answer(what, "is malformed"))?;
                if message.sequence != sequence {
                    continue;
                }
                sound &= message.flags & INTERRUPTED == 0;
                match end(&message) {
                    Some(Ok(())) => {
                        self.buffer = buffer;
                        return Ok(sound.then_some(found));
                    }
                    Some(Err(errno)) => {
                        let what = what.to_owned();
                        return Err(NetlinkError::Refused { what, errno });
                    }
                    None if found.len() < MOST_MESSAGES => found.extend(read(&message)),
                    None => return Err(answer(what, "is too long")),
                }
            }
        }
        Err(answer(what, "has no end"))
    }

    /// Numbers the messages and sends them; gives the number of the first.
    fn send(
        &mut self,
        mut bytes: Vec<u8>,
        messages: &[super::batch::Entry],
        too_long: bool,
    ) -> Result<u32, NetlinkError> {
        let what = messages
            .first()
            .map_or_else(String::new, |message| message.what.clone());
        if too_long {
            return Err(NetlinkError::TooLong { what });
        }
        let first = self.sequence;
        for message in messages {
            let place = message.start + 8..message.start + 12;
            if let Some(place) = bytes.get_mut(place) {
                place.copy_from_slice(&self.sequence.to_ne_bytes());
            }
            self.sequence = self.sequence.wrapping_add(1);
        }
        match send(&self.descriptor, &bytes, SendFlags::empty()) {
            Ok(_) => Ok(first),
            Err(Errno::MSGSIZE) => Err(NetlinkError::TooLong { what }),
            Err(errno) => Err(NetlinkError::Call {
                what: "sending to the kernel",
                errno,
            }),
        }
    }

    /// The next datagram of the kernel; `None` when there is no more. Those of other processes are dropped.
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, NetlinkError> {
        let call = |errno| NetlinkError::Call {
            what: "reading from the kernel",
            errno,
        };
        loop {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let (length, whole, from) = match recvfrom(&self.descriptor, &mut *buffer, flags) {
                Ok((length, whole, from)) => (length, whole, from),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(call(errno)),
            };
            let from = from.and_then(|from| netlink::SocketAddrNetlink::try_from(from).ok());
            if from.is_none_or(|from| from.pid() != 0) {
                continue;
            }
            if whole > length {
                return Err(answer("a request", "is too long"));
            }
            return Ok(Some(buffer.get(..length).unwrap_or_default()));
        }
    }
}

/// The code of an acknowledgement: `None` inside for success.
fn code(message: &Message<'_>) -> Option<Option<Errno>> {
    // Another number than these is none of the kernel's.
    const ERRORS: std::ops::Range<i32> = 1..4096;
    let code = number(message.body, 0)?.cast_signed().saturating_neg();
    let errno = || match ERRORS.contains(&code) {
        true => Errno::from_raw_os_error(code),
        false => Errno::IO,
    };
    Some((code != 0).then(errno))
}

/// How a dump ends with this message; `None` when it goes on. The kernel tells errors that it met on the way in the
/// message that ends the list, which is not whole then.
fn end(message: &Message<'_>) -> Option<Result<(), Errno>> {
    match message.kind {
        DONE => Some(code(message).flatten().map_or(Ok(()), Err)),
        ERROR => Some(Err(code(message).flatten().unwrap_or(Errno::IO))),
        _ => None,
    }
}

fn answer(what: &str, fault: &'static str) -> NetlinkError {
    let what = what.to_owned();
    NetlinkError::Answer { what, fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_broke_off_is_an_error() {
        let ended = |kind: u16, body: &[u8]| {
            end(&Message {
                kind,
                flags: 0,
                sequence: 1,
                body,
            })
        };
        let code = |errno: i32| (-errno).to_ne_bytes();
        assert_eq!(ended(DONE, &code(0)), Some(Ok(())));
        assert_eq!(ended(DONE, &[]), Some(Ok(())));
        assert_eq!(ended(DONE, &code(12)), Some(Err(Errno::NOMEM)));
        assert_eq!(ended(ERROR, &code(2)), Some(Err(Errno::NOENT)));
        assert_eq!(ended(16, &code(2)), None);
    }

    #[test]
    fn a_code_that_is_no_error_of_the_kernel_ends_nothing() {
        for raw in [1, i32::MIN, i32::MAX, -4096, -70_000] {
            let message = Message {
                kind: ERROR,
                flags: 0,
                sequence: 1,
                body: &raw.to_ne_bytes(),
            };
            assert_eq!(code(&message), Some(Some(Errno::IO)), "{raw}");
        }
    }
}

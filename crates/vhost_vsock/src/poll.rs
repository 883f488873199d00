//! What the thread of a device waits for.

use std::{
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, EventData, EventFlags},
    },
    io::Errno,
};

/// The most events that are taken at a time.
const EVENTS: usize = 64;

/// The source of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    FrontEnd,
    Commands,
    /// A ring by its number.
    Kick(usize),
    /// A stream by its number in the table.
    Stream(u64),
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) flags: EventFlags,
}

/// What the thread of a device waits for.
#[derive(Debug)]
pub(crate) struct Poll(OwnedFd);

impl Token {
    const FIRST_STREAM: u64 = 16;
    const FIRST_KICK: u64 = 2;

    const fn data(self) -> EventData {
        EventData::new_u64(match self {
            Self::FrontEnd => 0,
            Self::Commands => 1,
            Self::Kick(ring) => Self::FIRST_KICK + ring as u64,
            Self::Stream(number) => Self::FIRST_STREAM + number,
        })
    }

    fn of(data: EventData) -> Self {
        match data.u64() {
            0 => Self::FrontEnd,
            1 => Self::Commands,
            value @ Self::FIRST_STREAM.. => Self::Stream(value - Self::FIRST_STREAM),
            // Below sixteen.
            value => Self::Kick(usize::try_from(value - Self::FIRST_KICK).unwrap_or(usize::MAX)),
        }
    }
}

impl Poll {
    pub(crate) fn new() -> Result<Self, Errno> {
        epoll::create(CreateFlags::CLOEXEC).map(Self)
    }

    /// Waits for input as long as there is some.
    pub(crate) fn watch(&self, descriptor: BorrowedFd<'_>, token: Token) -> Result<(), Errno> {
        epoll::add(&self.0, descriptor, token.data(), EventFlags::IN)
    }

    /// Waits for each notification. The event is never read: its descriptor is shared with the front end, so a read
    /// might find nothing and block.
    pub(crate) fn watch_kick(&self, descriptor: BorrowedFd<'_>, token: Token) -> Result<(), Errno> {
        epoll::add(
            &self.0,
            descriptor,
            token.data(),
            EventFlags::IN | EventFlags::ET,
        )
    }

    /// Waits for changes of a stream; `blocked` also for room.
    pub(crate) fn watch_stream(
        &self,
        descriptor: BorrowedFd<'_>,
        number: u64,
    ) -> Result<(), Errno> {
        let data = Token::Stream(number).data();
        epoll::add(&self.0, descriptor, data, stream_flags(false))
    }

    /// Changes whether a stream is watched for room.
    pub(crate) fn watch_room(
        &self,
        descriptor: BorrowedFd<'_>,
        number: u64,
        room: bool,
    ) -> Result<(), Errno> {
        let data = Token::Stream(number).data();
        epoll::modify(&self.0, descriptor, data, stream_flags(room))
    }

    /// Waits for it no more. A descriptor that others have, too, would stay when it is closed here.
    pub(crate) fn forget(&self, descriptor: BorrowedFd<'_>) {
        let _was_not_watched = epoll::delete(&self.0, descriptor);
    }

    /// Waits until something happens, at most for `limit` if there is one. Returns what happened.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Result<Vec<Event>, Errno> {
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); EVENTS];
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match epoll::wait(&self.0, &mut space, timeout.as_ref()) {
            Ok((events, _)) => Ok(events
                .iter()
                .map(|event| Event {
                    token: Token::of(event.data),
                    flags: event.flags,
                })
                .collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }
}

/// Edges only: a stream that is not read, for want of room in the guest, makes no events meanwhile.
fn stream_flags(room: bool) -> EventFlags {
    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if room { flags | EventFlags::OUT } else { flags }
}

//! Why a device ended, or could not begin.
//!
//! 1. [`DeviceError`]: all reasons.
//! 2. [`MessageError`]: how a front end broke the protocol.

use std::io;

/// Why a device ended, or could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The address is not one that a guest may have.
    #[error("{cid} is not an address of a guest; take one from 3 to 4294967294")]
    Cid {
        /// The address.
        cid: u64,
    },
    /// A limit is zero, or leaves no room for a packet.
    #[error("the limit {name} of a vsock device is {value}; at least {least} is needed")]
    Limit {
        /// The field of [`Limits`](crate::Limits).
        name: &'static str,
        /// Its value.
        value: u64,
        /// The smallest allowed value.
        least: u64,
    },
    /// The front end does not keep to the protocol. The device has ended; the machine has no vsock any more.
    #[error("the front end of a vsock device broke the protocol of vhost-user")]
    Protocol(#[source] MessageError),
    /// A system call of the device failed.
    #[error("a vsock device failed while {doing}")]
    System {
        /// What the device was doing.
        doing: &'static str,
        /// The failure.
        #[source]
        source: io::Error,
    },
}

/// A front end broke the protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The version of the protocol is another.
    #[error("a message has the flags {flags:#x}; they are to name version 1, and no reply")]
    Flags {
        /// The flags of the header.
        flags: u32,
    },
    /// The body is too long.
    #[error("request {request} announces a body of {size} bytes; {limit} are allowed")]
    Size {
        /// Its number.
        request: u32,
        /// Bytes of its body.
        size: u32,
        /// The most that are allowed.
        limit: usize,
    },
    /// The body is too short for its request.
    #[error("request {request} has a body of {size} bytes, and needs {needed}")]
    Short {
        /// Its number.
        request: u32,
        /// Bytes of its body.
        size: usize,
        /// Bytes that it needs.
        needed: usize,
    },
    /// A ring that the device has not.
    #[error("request {request} names ring {ring}; a vsock device has rings 0 and 1")]
    Ring {
        /// Its number.
        request: u32,
        /// The number of the ring.
        ring: u64,
    },
    /// A table of memory has too many regions.
    #[error("a table of memory has {count} regions; {limit} are allowed")]
    Regions {
        /// Their number.
        count: u32,
        /// The most that are allowed.
        limit: usize,
    },
    /// Descriptors came that the request does not have, or too few.
    #[error("request {request} came with {found} descriptors, and has {expected}")]
    Descriptors {
        /// Its number.
        request: u32,
        /// Descriptors that came.
        found: usize,
        /// Descriptors that it has.
        expected: usize,
    },
    /// The device cannot obey, and the front end does not ask whether it did.
    #[error("request {request} cannot be obeyed: {reason}")]
    Refused {
        /// Its number.
        request: u32,
        /// Why not.
        reason: String,
    },
    /// The front end does not read its replies.
    #[error("the front end does not read its replies")]
    Unread,
    /// The front end went in the middle of a message.
    #[error("the front end went in the middle of a message")]
    Cut,
}

impl DeviceError {
    /// For `map_err`: the system call that does `doing` failed.
    pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System {
            doing,
            source: error.into(),
        }
    }
}

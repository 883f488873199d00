//! Why a device ended, or could not begin.

use std::io;

use crate::front_end::MessageError;

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

impl DeviceError {
    /// For `map_err`: the system call that does `doing` failed.
    pub(crate) fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::System {
            doing,
            source: error.into(),
        }
    }
}

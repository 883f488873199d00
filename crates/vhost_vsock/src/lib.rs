//! A virtio-vsock device: stream sockets between a virtual machine and its host, for QEMU 7.2 and newer.
//!
//! QEMU (the front end) speaks vhost-user over a socket. This crate is the back end: one [`Device`] per machine, one
//! thread per device. The guest calls ports of the host (CID 2), which the [`Services`] of the device answer; the host
//! calls ports of the guest by a [`Handle`].
//!
//! ```text
//!  program in the guest                                     Services::connect(port) -> stream
//!   │ AF_VSOCK                                               ▲
//!  driver ══ two rings in guest memory ══▶ Device (1 thread) ┤
//!             QEMU ── vhost-user socket ──▶   ▲              ▼
//!                                   Handle ───┘             Handle::connect(port) -> stream
//! ```
//!
//! The pieces, from the outside in:
//!
//! 1. [`Config`], [`Memory`], [`Limits`], [`Services`]: what a device is given.
//! 2. [`Handle`], [`Counters`]: what the other threads have of a device.
//! 3. [`Device`]: the loop of the thread.
//! 4. `front_end`: the messages of vhost-user, read, checked and obeyed.
//! 5. `memory`: guest memory, reached by `pread(2)` and `pwrite(2)`. It is never mapped.
//! 6. `queue`: a split ring of virtio in that memory; `event_index`: when each side of it wants to hear of the other.
//! 7. `packet`: the header of a packet of virtio-vsock.
//! 8. `connection`, `credit`: what may happen on a connection when, as plain values.
//! 9. `stream`, `table`: the sockets behind the connections, and all connections together.
//! 10. `exchange`: packets between the rings and the table.
//!
//! # Trust
//!
//! The guest and its drivers are hostile, and so is a front end that the guest has taken over. All that they send is
//! bounded and checked. A guest that breaks the rules of a connection loses that connection. A guest that breaks a ring
//! loses all connections until its driver starts again. A front end that breaks the protocol ends its own device.
//!
//! The front end's socket, its memory file and its event descriptors are used without blocking. One way to hold up the
//! thread remains: a front end that handles its own page faults (`userfaultfd(2)`) may let an access to
//! [`Memory::OfProcess`] wait. It holds up its own device only, and the wait ends with the process.
//!
//! # What this crate does not do
//!
//! It maps no memory, opens no path, starts no thread, writes no log and has no unsafe code. It does not offer
//! indirect descriptors, datagrams, `SOCK_SEQPACKET`, dirty logging or reconnection: QEMU refuses to save a machine
//! that has the device, so the device is unplugged before and plugged again afterwards.

mod config;
mod connection;
mod credit;
mod device;
mod error;
mod event_index;
mod exchange;
mod front_end;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handle;
mod memory;
mod packet;
mod poll;
mod queue;
mod stream;
mod table;
#[cfg(any(test, fuzzing))]
mod testing;

pub use config::{Config, Limits, Memory, Services};
pub use device::{Device, End};
pub use error::{DeviceError, MessageError};
pub use handle::{Counters, Handle};

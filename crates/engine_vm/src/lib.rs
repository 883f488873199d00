//! The engine of virtual machines: `VirtualMachine` documents run in QEMU.
//!
//! ```text
//! hcsd ── VmEngine ──exec──▶ worker ──fork, jail, exec──▶ QEMU ──▶ guest
//!   └── worker.sock (protocol.rs) ──▶│ └──── QMP, serial ports ───▶│
//! ```
//!
//! The pieces, from the outside in:
//!
//! 1. [`VmEngine`] and its machines (`machine`): what the service calls ([`hcs_engine::engine`]).
//! 2. `plan`: what a document asks for. `pipe`: named pipes of documents. `virtio_serial`: ports of virtio. `disk`:
//!    disk images. `storage`: limits on what disks do. `firmware`: boot by UEFI. `hv_socket`: who may use sockets
//!    between host and guest. `shares`: directories that it sees. `crash_memory`: where the memory of a guest goes that
//!    crashed. `hot_memory`: memory that comes and goes. `persistent_memory`: an image that the guest has as memory.
//!    `dhcp`: addresses of guests without an agent. `identity`: a user of the host for each machine. `grants`: which
//!    files it may use.
//! 3. `argv`: the command line of QEMU, a file per switch.
//! 4. [`worker`]: one process per machine, which owns QEMU and outlives the service.
//! 5. `protocol`: the messages between service and worker.
//! 6. `qmp`: QEMU's monitor.
//! 7. `exit`: how a machine ended, and the file that says so.
//! 8. `sys`: raw system calls, the only unsafe code.
//!
//! A machine is a worker and a QEMU in control groups of their own. QEMU has an unprivileged user, namespaces and a
//! root of its own, and no path of the host. The guest is not trusted, nor is QEMU, which may be the guest's by now.

mod argv;
mod config;
mod crash_memory;
mod dhcp;
mod disk;
mod engine;
mod exit;
mod firmware;
#[cfg(fuzzing)]
pub mod fuzzing;
mod grants;
mod host;
mod hot_memory;
mod hv_socket;
mod identity;
mod machine;
mod persistent_memory;
mod pipe;
mod plan;
mod protocol;
mod qmp;
mod record;
mod screen;
mod shares;
mod storage;
mod sys;
mod virtio_serial;
pub mod worker;

pub use config::{Acceleration, EngineConfig};
pub use engine::VmEngine;
pub use identity::Users;

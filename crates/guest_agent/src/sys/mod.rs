//! The agent's only unsafe code: what neither the standard library nor `rustix` offers.
//!
//! 1. [`signals`]: dispositions, the mask, the descriptor that says when children have ended, sending by number.
//! 2. [`spawn`]: starting a program by `clone(2)` and `execve(2)`, the agent's side.
//! 3. [`child`]: the same, the child's side, between `clone` and `execve`.
//! 4. [`stack`]: memory for the child to stand on meanwhile.
//! 5. [`vsock`], [`random`]: for a virtual machine.

mod child;
pub(crate) mod random;
pub(crate) mod signals;
pub(crate) mod spawn;
mod stack;
pub(crate) mod vsock;

pub(crate) use spawn::{Launch, LaunchError, SpawnStage, Spawner, Times};

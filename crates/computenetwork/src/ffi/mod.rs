//! The exports. Each one: keep panics in, empty the out-parameters, check pointers and handles, convert, call
//! `hcs::network`, convert back. A call that fails fills its ErrorRecord; one that succeeds leaves it NULL.
//!
//! 1. [`answer`]: a call and its ErrorRecord. [`guid`]: ids. [`objects`]: the objects that handles stand for.
//! 2. [`calls`]: networks, endpoints and namespaces. [`callbacks`]: what happens to them, by way of [`boundary`].
//!    [`hns`]: the API of version 1. [`absent`], [`reserved`]: what is not implemented. [`frees`]: the functions that
//!    release strings.

#![expect(
    unsafe_code,
    reason = "C passes raw pointers; this is where they are made safe"
)]

mod absent;
mod answer;
mod boundary;
mod callbacks;
mod calls;
mod frees;
mod guid;
mod hns;
mod objects;
mod reserved;

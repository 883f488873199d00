//! The exports. Each one: keep panics in, empty the out-parameters, check pointers and handles, convert, call
//! `hcs::raw`, convert back. Nothing is decided here that another client of the service would have to decide again.
//!
//! 1. `c_border`: panics, strings, out-parameters and handles at the border. [`frees`] releases strings.
//! 2. [`named`]: the objects that the handles of C stand for.
//! 3. [`callback`], [`boundary`]: calling back into C. [`absent`]: functions that are not implemented.
//! 4. [`operation`], [`system`], [`process`], [`service`], [`vm`], [`storage`], [`reserved`]: the functions, by the
//!    thing they are about. The headers in `include/` describe each of them.
//! 5. [`wide`]: the functions with strings once more, for a `wchar_t` of 32 bits.

#![expect(
    unsafe_code,
    reason = "C passes raw pointers; this is where they are made safe"
)]

mod absent;
mod boundary;
mod callback;
mod frees;
mod named;
mod operation;
mod process;
mod reserved;
mod service;
mod storage;
mod system;
mod vm;
mod wide;

use c_border::{handle, out, panic, string};

#[cfg(test)]
mod signatures_tests;

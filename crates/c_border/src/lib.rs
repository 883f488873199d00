//! What the C libraries share at their border: strings, out-parameters, handles, and no panic that leaves them.
//!
//! 1. [`mod@panic`] keeps panics in. 2. [`string`] has UTF-16 in and out. 3. [`out`] has parameters through which C
//!    receives something. 4. [`handle`] has the numbers that C holds for objects. 5. [`types`] are those of the
//!    headers.
//!
//! The functions that C sees stand in the libraries, each with the names that it exports.

#![expect(
    unsafe_code,
    reason = "C passes raw pointers; this is where they are made safe"
)]

pub mod handle;
pub mod out;
pub mod panic;
pub mod string;
#[expect(
    clippy::upper_case_acronyms,
    reason = "types have the names of the reference"
)]
pub mod types;

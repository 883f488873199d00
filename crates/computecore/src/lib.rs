//! ComputeCore: the C ABI of the Host Compute Service.
//!
//! `ffi` has the exports, `layers` what those for layers do; the others are calls of the service.
//! `include/*.h` is its documentation, `exports.txt` the list of its symbols. Rust programs use the crate `hcs`.

#[expect(
    non_camel_case_types,
    non_snake_case,
    clippy::upper_case_acronyms,
    reason = "types and fields have the names of the reference"
)]
pub mod abi;
mod ffi;
mod layers;

//! ComputeNetwork: the C ABI of the Host Compute Network service.
//!
//! `ComputeNetwork.h`, which stands beside `ComputeCore.h`, is its documentation, `exports.txt` the list of its
//! symbols. Rust programs use `hcs::network`.

#[expect(
    non_camel_case_types,
    non_snake_case,
    clippy::upper_case_acronyms,
    reason = "types and fields have the names of the reference"
)]
mod abi;
mod ffi;

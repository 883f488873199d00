//! The last line: no panic leaves the library.

use std::panic::{self, AssertUnwindSafe};

use hcs_schema::HResult;

use crate::types::HRESULT;

/// Runs `call` and returns its HRESULT, or `E_UNEXPECTED` if it panics.
///
/// State that a panic left half changed is behind locks that recover, so calls that follow are safe.
pub fn guard(call: impl FnOnce() -> Result<(), HResult>) -> HRESULT {
    match guard_or(Err(HResult::E_UNEXPECTED), call) {
        Ok(()) => HResult::S_OK.0,
        Err(code) => code.0,
    }
}

/// Runs `call` and returns its result, or `fallback` if it panics.
pub fn guard_or<R>(fallback: R, call: impl FnOnce() -> R) -> R {
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_e_unexpected() {
        assert_eq!(guard(|| panic!("on purpose")), HResult::E_UNEXPECTED.0);
        assert_eq!(guard_or(5, || panic!("on purpose")), 5);
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(guard(|| Err(HResult::E_HANDLE)), HResult::E_HANDLE.0);
    }
}

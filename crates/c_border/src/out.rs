//! Parameters through which C receives something.

use std::ptr::NonNull;

use hcs::raw::{Document, Error};
use hcs_schema::HResult;

use crate::{string::give, types::PWSTR};

/// A parameter of type `T*` that C is to find filled, or empty, after the call; NULL if C does not care.
///
/// It is emptied at once, so whatever way the call fails, C finds zeros.
#[derive(Debug)]
pub struct Out<T>(Option<NonNull<T>>);

impl<T: Copy> Out<T> {
    /// Empties what `pointer` points to.
    ///
    /// # Safety
    /// `pointer` is NULL, or points to memory for a `T` that no other code uses during the call. All zeros is a `T`.
    pub unsafe fn new(pointer: *mut T) -> Self {
        let place = NonNull::new(pointer);
        if let Some(place) = place {
            // SAFETY: the caller promises the memory, and that zeros are fine.
            unsafe { place.write_bytes(0, 1) };
        }
        Self(place)
    }

    /// Refuses NULL.
    ///
    /// # Errors
    /// `E_INVALIDARG`.
    pub const fn required(self) -> Result<Self, HResult> {
        match self.0 {
            Some(_) => Ok(self),
            None => Err(HResult::E_INVALIDARG),
        }
    }

    /// Whether C wants it.
    pub const fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Hands `value` to C, if C wants it.
    pub fn set(&self, value: T) {
        if let Some(place) = self.0 {
            // SAFETY: the caller of `new` promised memory for a `T` for the whole call.
            unsafe { place.write(value) };
        }
    }
}

impl Out<PWSTR> {
    /// Hands a document to C, if there is one and C wants it.
    ///
    /// # Errors
    /// `HCS_E_OPERATION_RESULT_ALLOCATION_FAILED`.
    pub fn document(&self, document: Option<&Document>) -> Result<(), HResult> {
        if let (true, Some(document)) = (self.is_wanted(), document) {
            let given =
                give(document).map_err(|_| HResult::HCS_E_OPERATION_RESULT_ALLOCATION_FAILED)?;
            self.set(given);
        }
        Ok(())
    }

    /// Hands the document of a failure to C as far as memory goes, and returns its code.
    pub fn failure(&self, error: &Error) -> HResult {
        // The failure itself says more than that its document could not be allocated.
        let _ = self.document(error.document.as_ref());
        error.hresult
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::string::{read, release};

    #[test]
    fn it_is_empty_until_it_is_set() {
        let mut value = 5_u32;
        // SAFETY: the variable outlives it.
        let out = unsafe { Out::new(&raw mut value) };
        assert_eq!(value, 0);
        out.set(7);
        assert_eq!(value, 7);
    }

    #[test]
    fn null_is_refused_or_ignored() {
        // SAFETY: NULL is allowed.
        let out = unsafe { Out::<u32>::new(ptr::null_mut()) };
        out.set(1);
        assert!(!out.is_wanted());
        assert_eq!(out.required().err(), Some(HResult::E_INVALIDARG));
    }

    #[test]
    fn a_document_becomes_a_string_of_the_caller() {
        let mut text: PWSTR = ptr::null_mut();
        // SAFETY: the variable outlives it.
        let out = unsafe { Out::new(&raw mut text) };
        assert_eq!(out.document(None), Ok(()));
        assert!(text.is_null());
        assert_eq!(out.document(Some(&"{}".into())), Ok(()));
        // SAFETY: it is a string of this library, not released yet.
        let back = unsafe { read(text) };
        assert_eq!(back.as_deref(), Some("{}"));
        // SAFETY: as above.
        unsafe { release(text.cast()) };
    }
}

//! Strings across the border: UTF-16 in, UTF-16 out of one allocator, and the functions that release them.
//!
//! Strings that go out are allocated with `malloc(3)`, so both names of the release function, in whatever library of
//! the program they end up, mean the same.

use std::{ffi::c_void, mem::MaybeUninit, slice};

use hcs_schema::HResult;

use crate::{
    panic::guard_or,
    types::{PCWSTR, PWSTR},
};

/// Longest id, in UTF-16 units.
const LONGEST_ID: usize = 256;

/// Reads a string that C passed; `None` for NULL. A surrogate that stands alone becomes U+0000.
///
/// U+0000 cannot come from C in any other way, and no JSON document may hold it. So a document in broken UTF-16 stays
/// an invalid one, with the place of the fault in it.
///
/// # Safety
/// `text` is NULL, or points to UTF-16 units of which one is 0, and no thread changes them during the call.
pub unsafe fn read(text: PCWSTR) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut end = text;
    // SAFETY: the caller promises a terminator, and no unit before this one was 0, so it is still inside.
    while unsafe { *end } != 0 {
        // SAFETY: this was not the terminator, so one more unit follows.
        end = unsafe { end.add(1) };
    }
    let length = (end.addr() - text.addr()) / size_of::<u16>();
    // SAFETY: these units were just read, and the caller promises that they stay as they are.
    let units = unsafe { slice::from_raw_parts(text, length) };
    let characters = char::decode_utf16(units.iter().copied());
    Some(characters.map(|c| c.unwrap_or('\0')).collect())
}

/// Reads a document or path that must be there.
///
/// # Errors
/// `E_INVALIDARG` for NULL.
///
/// # Safety
/// As [`read`].
pub unsafe fn required(text: PCWSTR) -> Result<String, HResult> {
    // SAFETY: the caller's promise is the same.
    unsafe { read(text) }.ok_or(HResult::E_INVALIDARG)
}

/// Reads a document that need not be there: NULL and "" are none.
///
/// # Safety
/// As [`read`].
pub unsafe fn optional(text: PCWSTR) -> Option<String> {
    // SAFETY: the caller's promise is the same.
    unsafe { read(text) }.filter(|text| !text.is_empty())
}

/// Reads an id: there, valid, neither empty nor too long.
///
/// # Errors
/// `E_INVALIDARG`.
///
/// # Safety
/// As [`read`].
pub unsafe fn id(text: PCWSTR) -> Result<String, HResult> {
    // SAFETY: the caller's promise is the same.
    let id = unsafe { required(text) }?;
    let length = id.encode_utf16().count();
    if length == 0 || length > LONGEST_ID || id.contains('\0') {
        return Err(HResult::E_INVALIDARG);
    }
    Ok(id)
}

/// Allocates `text` for C, which releases it with `LocalFree` or `CoTaskMemFree`.
///
/// # Errors
/// `E_OUTOFMEMORY`.
pub fn give(text: &str) -> Result<PWSTR, HResult> {
    // Nearly all documents are, and then a unit is a byte: whole registers of them are converted at a time.
    let is_ascii = text.is_ascii();
    let units = if is_ascii {
        text.len()
    } else {
        text.encode_utf16().count()
    };
    let bytes = (units + 1)
        .checked_mul(size_of::<u16>())
        .ok_or(HResult::E_OUTOFMEMORY)?;
    // SAFETY: any size may be asked for.
    let start: PWSTR = unsafe { libc::malloc(bytes) }.cast();
    if start.is_null() {
        return Err(HResult::E_OUTOFMEMORY);
    }
    // SAFETY: the block has room for that many units, no other code knows it, and malloc aligns for every type.
    let block: &mut [MaybeUninit<u16>] =
        unsafe { slice::from_raw_parts_mut(start.cast(), units + 1) };
    let (places, end) = block.split_at_mut(units);
    if is_ascii {
        for (place, byte) in places.iter_mut().zip(text.bytes()) {
            place.write(u16::from(byte));
        }
    } else {
        for (place, unit) in places.iter_mut().zip(text.encode_utf16()) {
            place.write(unit);
        }
    }
    for place in end {
        place.write(0);
    }
    Ok(start)
}

/// Releases a string of [`give`]; NULL is ignored.
///
/// # Safety
/// `memory` is NULL, or a string of [`give`] that is not released yet.
pub unsafe fn release(memory: *mut c_void) {
    // SAFETY: the caller's promise is what `free` asks for.
    guard_or((), || unsafe { libc::free(memory) });
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    fn terminated(units: &[u16]) -> Vec<u16> {
        units.iter().copied().chain([0]).collect()
    }

    fn read_units(units: &[u16]) -> Option<String> {
        // SAFETY: the vector ends with 0 and outlives the call.
        unsafe { read(terminated(units).as_ptr()) }
    }

    fn id_of(text: &str) -> Result<String, HResult> {
        let units: Vec<u16> = text.encode_utf16().collect();
        // SAFETY: the vector ends with 0 and outlives the call.
        unsafe { id(terminated(&units).as_ptr()) }
    }

    #[test]
    fn strings_survive_the_way_in() {
        for text in ["", "a", "{\"Ä\": \"😀\"}", "\u{FFFF}"] {
            let units: Vec<u16> = text.encode_utf16().collect();
            assert_eq!(read_units(&units).as_deref(), Some(text));
        }
    }

    #[test]
    fn null_is_told_from_empty_where_it_matters() {
        let empty = terminated(&[]);
        for (text, document) in [
            (ptr::null(), Err(HResult::E_INVALIDARG)),
            (empty.as_ptr(), Ok(String::new())),
        ] {
            // SAFETY: NULL is allowed, and the vector ends with 0.
            assert_eq!(unsafe { required(text) }, document);
            // SAFETY: as above.
            assert_eq!(unsafe { optional(text) }, None);
        }
    }

    #[test]
    fn lone_surrogates_stay_visible() {
        for units in [
            &[0x41, 0xD800][..],
            &[0x41, 0xDC00],
            &[0x41, 0xD83D, 0x41],
            &[0x41, 0xDE00, 0xD83D],
        ] {
            assert!(read_units(units).unwrap().contains('\0'));
        }
    }

    #[test]
    fn ids_are_bounded() {
        assert!(id_of(&"x".repeat(256)).is_ok());
        assert_eq!(id_of(&"x".repeat(257)), Err(HResult::E_INVALIDARG));
        assert_eq!(id_of(&"😀".repeat(129)), Err(HResult::E_INVALIDARG));
        assert_eq!(id_of(""), Err(HResult::E_INVALIDARG));
        let broken = terminated(&[0x41, 0xD800]);
        for text in [ptr::null(), broken.as_ptr()] {
            // SAFETY: NULL is allowed, and the vector ends with 0.
            assert_eq!(unsafe { id(text) }, Err(HResult::E_INVALIDARG));
        }
    }

    #[test]
    fn strings_survive_the_way_out() {
        for text in ["", "a", "Ä 😀"] {
            let given = give(text).unwrap();
            // SAFETY: `give` ends its strings with 0.
            let back = unsafe { read(given) };
            assert_eq!(back.as_deref(), Some(text));
            // SAFETY: it was not released yet.
            unsafe { release(given.cast()) };
        }
    }
}

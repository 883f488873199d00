//! Ids, as C has them and as the service does.

use hcn::Guid;
use hcs_schema::Failure;

use super::answer::missing;
use crate::abi::GUID;

/// Reads an id.
///
/// # Errors
/// `E_INVALIDARG` for NULL.
///
/// # Safety
/// `id` is NULL, or points to an id that no thread changes during the call.
pub(super) unsafe fn read(id: *const GUID) -> Result<Guid, Failure> {
    if id.is_null() {
        return Err(missing("Id"));
    }
    // SAFETY: the caller promises an id there; it need not be aligned, as programs keep them in packed structures.
    let id = unsafe { id.read_unaligned() };
    Ok(of(id))
}

fn of(id: GUID) -> Guid {
    let [a, b, c] = [id.Data1, id.Data2.into(), id.Data3.into()].map(u128::from);
    let rest = u128::from(u64::from_be_bytes(id.Data4));
    Guid(a << 96 | b << 80 | c << 64 | rest)
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn an_id_has_its_digits_in_their_order() {
        let id = GUID {
            Data1: 0x1234_5678,
            Data2: 0x9abc,
            Data3: 0xdef0,
            Data4: [1, 2, 3, 4, 5, 6, 7, 8],
        };
        assert_eq!(of(id).to_string(), "12345678-9ABC-DEF0-0102-030405060708");
        // SAFETY: the variable outlives the call.
        assert_eq!(unsafe { read(&raw const id) }.ok(), Some(of(id)));
        // SAFETY: NULL is allowed.
        let refused = unsafe { read(ptr::null()) };
        assert!(refused.unwrap_err().message.contains("Id"));
    }
}

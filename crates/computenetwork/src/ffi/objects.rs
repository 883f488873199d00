//! The objects that handles stand for: their ids. The service names objects by these in each call and keeps no handles,
//! so closing one is nothing that it has to be told.

use c_border::{
    handle::{Kind, Table},
    out::Out,
    types::Handle,
};
use hcs_schema::{Failure, HResult};

use super::answer::missing;

/// Handles of type `HCN_NETWORK`.
pub(super) static NETWORKS: Table<String> = Table::new(Kind::Network);
/// Handles of type `HCN_ENDPOINT`.
pub(super) static ENDPOINTS: Table<String> = Table::new(Kind::Endpoint);
/// Handles of type `HCN_NAMESPACE`.
pub(super) static NAMESPACES: Table<String> = Table::new(Kind::Namespace);
/// Handles of type `HCN_LOADBALANCER`.
pub(super) static LOAD_BALANCERS: Table<String> = Table::new(Kind::LoadBalancer);

/// A parameter that receives a handle.
///
/// # Errors
/// `E_INVALIDARG` for NULL.
///
/// # Safety
/// `place` is NULL, or a place for a handle that no other code uses during the call.
pub(super) unsafe fn place(place: *mut Handle, name: &str) -> Result<Out<Handle>, Failure> {
    // SAFETY: the caller's promise is the same.
    let out = unsafe { Out::new(place) };
    out.required().map_err(|_| missing(name))
}

/// Hands C a handle for the object with this id.
///
/// # Errors
/// `E_OUTOFMEMORY`.
pub(super) fn give(table: &Table<String>, id: String, out: &Out<Handle>) -> Result<(), Failure> {
    let made = table.insert_with(|_| id);
    let (handle, _) = made.map_err(|code| Failure::new(code, "too many handles are open"))?;
    out.set(handle);
    Ok(())
}

/// The id of the object that a handle stands for.
///
/// # Errors
/// `E_INVALIDARG` for NULL, `E_HANDLE` for one that is closed or of another kind.
pub(super) fn id_of(table: &Table<String>, handle: Handle, name: &str) -> Result<String, Failure> {
    let found = table.get(handle);
    found
        .map(|id| id.as_ref().clone())
        .map_err(|code| refused(code, name))
}

/// Closes a handle.
///
/// # Errors
/// As [`id_of`].
pub(super) fn close(table: &Table<String>, handle: Handle, name: &str) -> Result<(), Failure> {
    let closed = table.remove(handle);
    closed.map(drop).map_err(|code| refused(code, name))
}

/// The failure of a handle that is not accepted.
pub(super) fn refused(code: HResult, name: &str) -> Failure {
    match code {
        HResult::E_INVALIDARG => missing(name),
        code => {
            let message = format!("the parameter {name} is no open handle of its kind");
            Failure::new(code, message)
        }
    }
}

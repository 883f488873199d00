//! Networks, endpoints, namespaces and load balancers.

use std::ptr;

use c_border::{
    out::Out,
    string,
    types::{HRESULT, Handle, PCWSTR, PWSTR},
};
use hcs::network::{self, ObjectKind};
use hcs_schema::Failure;

use super::{
    answer::{answer, missing},
    guid,
    objects::{ENDPOINTS, LOAD_BALANCERS, NAMESPACES, NETWORKS, close, give, id_of, place},
};
use crate::abi::GUID;

/// A string that C receives.
///
/// # Safety
/// `place` is NULL, or a place for a pointer that no other code uses during the call.
unsafe fn text_out(place: *mut PWSTR, name: &str) -> Result<Out<PWSTR>, Failure> {
    // SAFETY: the caller's promise is the same.
    let out = unsafe { Out::new(place) };
    out.required().map_err(|_| missing(name))
}

fn hand_over(text: &str, out: &Out<PWSTR>) -> Result<(), Failure> {
    let given = string::give(text);
    out.set(given.map_err(|code| Failure::new(code, "memory for the answer is missing"))?);
    Ok(())
}

/// A document that has to be given.
///
/// # Safety
/// `text` is NULL or a string.
unsafe fn document(text: PCWSTR, name: &str) -> Result<String, Failure> {
    // SAFETY: the caller's promise is the same.
    unsafe { string::required(text) }.map_err(|_| missing(name))
}

/// A query, which may be left out.
///
/// # Safety
/// `text` is NULL or a string.
unsafe fn query(text: PCWSTR) -> String {
    // SAFETY: the caller's promise is the same.
    unsafe { string::optional(text) }.unwrap_or_default()
}

/// Exports what all kinds of objects have.
macro_rules! objects {
    ($kind:ident, $table:ident, $handle:literal;
     $enumerate:ident, $open:ident, $modify:ident, $query:ident, $delete:ident, $close:ident) => {
        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $enumerate(
            query_document: PCWSTR,
            ids: *mut PWSTR,
            record: *mut PWSTR,
        ) -> HRESULT {
            let call = || {
                // SAFETY: the caller passes NULL or a place for a pointer.
                let out = unsafe { text_out(ids, "the ids") }?;
                // SAFETY: the caller passes NULL or a string.
                let query = unsafe { query(query_document) };
                let found = network::enumerate(ObjectKind::$kind, &query).wait()?;
                hand_over(&list(&found), &out)
            };
            // SAFETY: the caller passes NULL or a place for a pointer.
            unsafe { answer(record, call) }
        }

        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $open(
            id: *const GUID,
            handle: *mut Handle,
            record: *mut PWSTR,
        ) -> HRESULT {
            let call = || {
                // SAFETY: the caller passes NULL or a place for a handle.
                let out = unsafe { place(handle, $handle) }?;
                // SAFETY: the caller passes NULL or an id.
                let id = unsafe { guid::read(id) }?;
                let id = network::open(ObjectKind::$kind, &id.to_string()).wait()?;
                give(&$table, id, &out)
            };
            // SAFETY: the caller passes NULL or a place for a pointer.
            unsafe { answer(record, call) }
        }

        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $modify(
            handle: Handle,
            settings: PCWSTR,
            record: *mut PWSTR,
        ) -> HRESULT {
            let call = || {
                // SAFETY: the caller passes NULL or a string.
                let settings = unsafe { document(settings, "Settings") }?;
                let id = id_of(&$table, handle, $handle)?;
                network::modify(ObjectKind::$kind, &id, &settings).wait()
            };
            // SAFETY: the caller passes NULL or a place for a pointer.
            unsafe { answer(record, call) }
        }

        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $query(
            handle: Handle,
            query_document: PCWSTR,
            properties: *mut PWSTR,
            record: *mut PWSTR,
        ) -> HRESULT {
            let call = || {
                // SAFETY: the caller passes NULL or a place for a pointer.
                let out = unsafe { text_out(properties, "Properties") }?;
                // SAFETY: the caller passes NULL or a string.
                let query = unsafe { query(query_document) };
                let id = id_of(&$table, handle, $handle)?;
                let found = network::query(ObjectKind::$kind, &id, &query).wait()?;
                hand_over(&found, &out)
            };
            // SAFETY: the caller passes NULL or a place for a pointer.
            unsafe { answer(record, call) }
        }

        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $delete(id: *const GUID, record: *mut PWSTR) -> HRESULT {
            let call = || {
                // SAFETY: the caller passes NULL or an id.
                let id = unsafe { guid::read(id) }?;
                network::delete(ObjectKind::$kind, &id.to_string()).wait()
            };
            // SAFETY: the caller passes NULL or a place for a pointer.
            unsafe { answer(record, call) }
        }

        /// See `ComputeNetwork.h`.
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $close(handle: Handle) -> HRESULT {
            // SAFETY: no record is asked for.
            unsafe { answer(ptr::null_mut(), || close(&$table, handle, $handle)) }
        }
    };
}

objects! {
    Network, NETWORKS, "Network";
    HcnEnumerateNetworks, HcnOpenNetwork, HcnModifyNetwork, HcnQueryNetworkProperties, HcnDeleteNetwork, HcnCloseNetwork
}
objects! {
    Endpoint, ENDPOINTS, "Endpoint";
    HcnEnumerateEndpoints, HcnOpenEndpoint, HcnModifyEndpoint, HcnQueryEndpointProperties, HcnDeleteEndpoint,
    HcnCloseEndpoint
}
objects! {
    Namespace, NAMESPACES, "Namespace";
    HcnEnumerateNamespaces, HcnOpenNamespace, HcnModifyNamespace, HcnQueryNamespaceProperties, HcnDeleteNamespace,
    HcnCloseNamespace
}

objects! {
    LoadBalancer, LOAD_BALANCERS, "LoadBalancer";
    HcnEnumerateLoadBalancers, HcnOpenLoadBalancer, HcnModifyLoadBalancer, HcnQueryLoadBalancerProperties,
    HcnDeleteLoadBalancer, HcnCloseLoadBalancer
}

/// A JSON array of ids, which need no escapes.
fn list(ids: &[String]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", quoted.join(","))
}

/// Creates a network, a namespace or a load balancer.
///
/// # Safety
/// As the exports that call it.
unsafe fn create(
    kind: ObjectKind,
    id: *const GUID,
    settings: PCWSTR,
    out: &Out<Handle>,
) -> Result<(), Failure> {
    // SAFETY: the caller passes NULL or an id.
    let id = unsafe { guid::read(id) }?;
    // SAFETY: the caller passes NULL or a string.
    let settings = unsafe { document(settings, "Settings") }?;
    let made = network::create(kind, &id.to_string(), &settings).wait()?;
    let table = match kind {
        ObjectKind::Network => &NETWORKS,
        ObjectKind::Endpoint => &ENDPOINTS,
        ObjectKind::Namespace => &NAMESPACES,
        ObjectKind::LoadBalancer => &LOAD_BALANCERS,
    };
    kept(kind, give(table, made.clone(), out), &made)
}

/// An object that C got no handle for is not left behind.
fn kept(kind: ObjectKind, given: Result<(), Failure>, id: &str) -> Result<(), Failure> {
    given.inspect_err(|_| {
        let _what_failed_first_is_told = network::delete(kind, id).wait();
    })
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnCreateNetwork(
    id: *const GUID,
    settings: PCWSTR,
    handle: *mut Handle,
    record: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a handle.
        let out = unsafe { place(handle, "Network") }?;
        // SAFETY: the caller passes NULL or what the function wants.
        unsafe { create(ObjectKind::Network, id, settings, &out) }
    };
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { answer(record, call) }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnCreateNamespace(
    id: *const GUID,
    settings: PCWSTR,
    handle: *mut Handle,
    record: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a handle.
        let out = unsafe { place(handle, "Namespace") }?;
        // SAFETY: the caller passes NULL or what the function wants.
        unsafe { create(ObjectKind::Namespace, id, settings, &out) }
    };
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { answer(record, call) }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnCreateLoadBalancer(
    id: *const GUID,
    settings: PCWSTR,
    handle: *mut Handle,
    record: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a handle.
        let out = unsafe { place(handle, "LoadBalancer") }?;
        // SAFETY: the caller passes NULL or what the function wants.
        unsafe { create(ObjectKind::LoadBalancer, id, settings, &out) }
    };
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { answer(record, call) }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnCreateEndpoint(
    network_handle: Handle,
    id: *const GUID,
    settings: PCWSTR,
    handle: *mut Handle,
    record: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a handle.
        let out = unsafe { place(handle, "Endpoint") }?;
        // SAFETY: the caller passes NULL or an id.
        let id = unsafe { guid::read(id) }?;
        // SAFETY: the caller passes NULL or a string.
        let settings = unsafe { document(settings, "Settings") }?;
        let of = id_of(&NETWORKS, network_handle, "Network")?;
        let made = network::create_endpoint(&of, &id.to_string(), &settings).wait()?;
        let given = give(&ENDPOINTS, made.clone(), &out);
        kept(ObjectKind::Endpoint, given, &made)
    };
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { answer(record, call) }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnQueryEndpointStats(
    endpoint: Handle,
    query_document: PCWSTR,
    stats: *mut PWSTR,
    record: *mut PWSTR,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { text_out(stats, "Stats") }?;
        let id = id_of(&ENDPOINTS, endpoint, "Endpoint")?;
        // SAFETY: the caller passes NULL or a string.
        let query = unsafe { query(query_document) };
        hand_over(&network::statistics(&id, &query).wait()?, &out)
    };
    // SAFETY: the caller passes NULL or a place for a pointer.
    unsafe { answer(record, call) }
}

#[cfg(test)]
mod tests {
    use hcs_schema::HResult;

    use super::*;

    #[test]
    fn handles_are_refused_by_kind_and_when_they_are_closed() {
        let mut handle = ptr::null_mut();
        // SAFETY: the variable outlives the place.
        let out = unsafe { place(&raw mut handle, "Network") }.unwrap();
        give(&NETWORKS, "A".to_owned(), &out).unwrap();
        assert_eq!(id_of(&NETWORKS, handle, "Network").unwrap(), "A");
        assert_eq!(HcnCloseEndpoint(handle), HResult::E_HANDLE.0);
        assert_eq!(HcnCloseNetwork(handle), HResult::S_OK.0);
        assert_eq!(HcnCloseNetwork(handle), HResult::E_HANDLE.0);
        assert_eq!(HcnCloseNetwork(ptr::null_mut()), HResult::E_INVALIDARG.0);
    }

    #[test]
    fn a_list_of_ids_is_json() {
        let ids = ["A".to_owned(), "B".to_owned()];
        let read: Vec<String> = serde_json::from_str(&list(&ids)).unwrap();
        assert_eq!(read, ids);
        assert_eq!(list(&[]), "[]");
    }
}

//! Callbacks for what happens to networks.

use std::{
    ffi::c_void,
    iter, ptr,
    sync::atomic::{AtomicPtr, Ordering},
};

use c_border::{
    handle::{Kind, Table},
    types::{HRESULT, Handle},
};
use hcs::network::{NetworkEvent, Watcher};
use hcs_schema::Failure;

use super::{
    answer::{answer, missing},
    boundary::{self, Callback},
    objects::{place, refused},
};
use crate::abi::HCN_NOTIFICATION_CALLBACK;

/// Handles of type `HCN_CALLBACK`.
static CALLBACKS: Table<Watcher> = Table::new(Kind::Callback);

/// The function of a program, as the client takes it.
fn told(callback: Callback, context: *const c_void) -> impl Fn(&NetworkEvent) + Send + Sync {
    // Never followed here. C vouches that its callback may get it on another thread.
    let context = AtomicPtr::new(context.cast_mut());
    move |event| {
        let units = |text: &String| text.encode_utf16().chain(iter::once(0)).collect();
        let data: Option<Vec<u16>> = event.data.as_ref().map(units);
        let pointer = data.as_ref().map_or(ptr::null(), |units| units.as_ptr());
        let context = context.load(Ordering::Acquire);
        // SAFETY: C gave a function of this type and keeps it callable until it is unregistered, which waits for it;
        // the data live until it returns.
        unsafe { boundary::call(callback, event.kind, context, event.status.0, pointer) };
    }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcnRegisterServiceCallback(
    callback: HCN_NOTIFICATION_CALLBACK,
    context: *const c_void,
    callback_handle: *mut Handle,
) -> HRESULT {
    let call = || {
        // SAFETY: the caller passes NULL or a place for a handle.
        let out = unsafe { place(callback_handle, "CallbackHandle") }?;
        let callback = callback.ok_or_else(|| missing("Callback"))?;
        let watcher = Watcher::new(told(callback, context))?;
        let made = CALLBACKS.insert_with(|_| watcher);
        let (handle, watcher) =
            made.map_err(|code| Failure::new(code, "too many handles are open"))?;
        // Before it is called: a callback may unregister itself.
        out.set(handle);
        watcher.begin().inspect_err(|_| {
            out.set(ptr::null_mut());
            let _what_failed_is_told = CALLBACKS.remove(handle);
        })
    };
    // SAFETY: no record is asked for.
    unsafe { answer(ptr::null_mut(), call) }
}

/// See `ComputeNetwork.h`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn HcnUnregisterServiceCallback(callback_handle: Handle) -> HRESULT {
    let call = || {
        let found = CALLBACKS.remove(callback_handle);
        let watcher = found.map_err(|code| refused(code, "CallbackHandle"))?;
        watcher.end();
        Ok(())
    };
    // SAFETY: no record is asked for.
    unsafe { answer(ptr::null_mut(), call) }
}

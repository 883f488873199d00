//! Calling back into C.

use std::{
    ffi::c_void,
    iter, ptr,
    sync::{
        Arc,
        atomic::{AtomicPtr, Ordering},
    },
};

use hcs::raw::{self, event_options};
use hcs_schema::HResult;

use crate::{
    abi::{HCS_EVENT, HCS_EVENT_CALLBACK, HCS_OPERATION_COMPLETION, Handle, PCWSTR},
    ffi::{boundary, operation},
};

/// `HcsEventOptionEnableOperationCallbacks`, `...EnableVmLifecycle` and `...EnableLiveMigrationEvents`.
const KNOWN_EVENT_OPTIONS: i32 = 0b111;

/// A context pointer, never followed here. C vouches that its callbacks may get it on another thread.
pub(crate) type Context = Arc<AtomicPtr<c_void>>;

/// A context with the value `pointer`.
pub(crate) fn context(pointer: *const c_void) -> Context {
    Arc::new(AtomicPtr::new(pointer.cast_mut()))
}

/// The callback of an operation that C knows as `handle`.
pub(crate) fn completion(
    callback: HCS_OPERATION_COMPLETION,
    handle: Handle,
    context: &Context,
) -> Option<raw::Callback> {
    let callback = callback?;
    let context = Arc::clone(context);
    let address = handle.addr();
    Some(Arc::new(move |_| {
        let handle = ptr::without_provenance_mut(address);
        // SAFETY: C gave a function of this type and keeps it callable until the operation is closed, which `hcs`
        // waits for.
        unsafe {
            boundary::call(
                callback as *const c_void,
                handle,
                context.load(Ordering::Acquire),
            );
        };
    }))
}

/// How the strings of a program are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strings {
    /// UTF-16.
    Narrow,
    /// UTF-32.
    Wide,
}

/// A string that ends with 0, for as long as a callback runs.
enum Lent {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Lent {
    fn new(text: &str, strings: Strings) -> Self {
        match strings {
            Strings::Narrow => Self::Narrow(text.encode_utf16().chain(iter::once(0)).collect()),
            Strings::Wide => {
                let units = text.chars().map(u32::from);
                Self::Wide(units.chain(iter::once(0)).collect())
            }
        }
    }

    /// The type says UTF-16; a program with wide strings has declared its callback otherwise.
    const fn pointer(&self) -> PCWSTR {
        match self {
            Self::Narrow(units) => units.as_ptr(),
            Self::Wide(units) => units.as_ptr().cast(),
        }
    }
}

/// The event callback of a system or process.
pub(crate) fn events(
    callback: HCS_EVENT_CALLBACK,
    pointer: *const c_void,
    strings: Strings,
) -> Option<raw::EventCallback> {
    let callback = callback?;
    let context = context(pointer);
    Some(Arc::new(move |event| {
        let data = event.data.as_ref().map(|data| Lent::new(data, strings));
        let event = HCS_EVENT {
            Type: event.event_type.cast_signed(),
            EventData: data.as_ref().map_or(ptr::null(), Lent::pointer),
            Operation: event
                .operation
                .as_ref()
                .and_then(operation::handle_of)
                .unwrap_or(ptr::null_mut()),
        };
        // SAFETY: C gave a function of this type and keeps it callable until the handle is closed or the callback
        // replaced, which `hcs` waits for; the event and its data live until it returns.
        unsafe {
            boundary::call(
                callback as *const c_void,
                (&raw const event).cast(),
                context.load(Ordering::Acquire),
            );
        };
    }))
}

/// Reads `HCS_EVENT_OPTIONS`.
///
/// # Errors
/// `E_INVALIDARG` for a flag that does not exist.
pub(crate) fn options(options: i32) -> Result<u32, HResult> {
    if options & !KNOWN_EVENT_OPTIONS != 0 {
        return Err(HResult::E_INVALIDARG);
    }
    Ok(options.cast_unsigned() & event_options::ENABLE_OPERATION_CALLBACKS)
}

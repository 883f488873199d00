//! Exports that are not implemented: each empties its out-parameters, refuses NULL where it must not be, then refuses
//! the call with the reason. None reports success.

/// Exports functions that return `E_NOTIMPL`. Each parameter has a kind, which decides the values that it must not
/// have; see `argument!`. With `record` there is an ErrorRecord as last parameter.
macro_rules! absent {
    ($reason:literal; $(fn $name:ident($($parameter:ident: $kind:ident),* $(,)?) $(, $record:ident)?;)*) => {$(
        /// See `ComputeNetwork.h`. Functions that it does not have are exported by the Windows library and declared by
        /// no header: programs look them up by name, and the calling convention lets a callee ignore their parameters.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            $($parameter: $crate::ffi::absent::argument!(type $kind),)*
            $($record: *mut c_border::types::PWSTR,)?
        ) -> c_border::types::HRESULT {
            let call = || {
                $($crate::ffi::absent::argument!(empty $kind $parameter);)*
                $($crate::ffi::absent::argument!(given $kind $parameter);)*
                Err($crate::ffi::answer::not_implemented(stringify!($name), $reason))
            };
            let _record: *mut c_border::types::PWSTR = std::ptr::null_mut();
            $(let _record = $record;)?
            // SAFETY: the caller passes NULL or a place for a pointer, where the function has one.
            unsafe { $crate::ffi::answer::answer(_record, call) }
        }
    )*};
}

/// The kinds of parameters: an `id` must be there, as places that receive a value (`text_out`, `handle_out`,
/// `range_out`, `entries_out`, `count_out`) and functions (`callback`) must; the others are not looked at.
macro_rules! argument {
    (type id) => { *const $crate::abi::GUID };
    (type text) => { c_border::types::PCWSTR };
    (type handle) => { c_border::types::Handle };
    (type number) => { i32 };
    (type port) => { u16 };
    (type context) => { *const std::ffi::c_void };
    (type callback) => { $crate::abi::HCN_NOTIFICATION_CALLBACK };
    (type text_out) => { *mut c_border::types::PWSTR };
    (type handle_out) => { *mut c_border::types::Handle };
    (type range_out) => { *mut $crate::abi::HCN_PORT_RANGE_RESERVATION };
    (type entries_out) => { *mut *mut $crate::abi::HCN_PORT_RANGE_ENTRY };
    (type count_out) => { *mut u32 };

    (empty id $it:ident) => {};
    (empty text $it:ident) => { let _not_looked_at = $it; };
    (empty handle $it:ident) => { let _not_looked_at = $it; };
    (empty number $it:ident) => { let _not_looked_at = $it; };
    (empty port $it:ident) => { let _not_looked_at = $it; };
    (empty context $it:ident) => { let _not_looked_at = $it; };
    (empty callback $it:ident) => {};
    (empty $out:ident $it:ident) => {
        // SAFETY: the caller passes NULL or a place for what it is to receive.
        let $it = unsafe { c_border::out::Out::new($it) };
    };

    (given id $it:ident) => {
        // SAFETY: the caller passes NULL or an id.
        unsafe { $crate::ffi::guid::read($it) }?;
    };
    (given callback $it:ident) => {
        $it.ok_or_else(|| $crate::ffi::answer::missing(stringify!($it)))?;
    };
    (given text $it:ident) => {};
    (given handle $it:ident) => {};
    (given number $it:ident) => {};
    (given port $it:ident) => {};
    (given context $it:ident) => {};
    (given $out:ident $it:ident) => {
        $it.required().map_err(|_| $crate::ffi::answer::missing(stringify!($it)))?;
    };
}

pub(super) use {absent, argument};

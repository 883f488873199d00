//! Exports that are not implemented: each refuses bad arguments, then the call. None reports success.

/// Exports functions that return `E_NOTIMPL`. Each parameter has a kind, which decides the values that it must not
/// have; see `argument!`. Out-parameters are emptied first, then NULL is refused, then handles that are not valid.
macro_rules! absent {
    ($($(#[$attribute:meta])* fn $name:ident($($parameter:ident: $kind:ident),* $(,)?);)*) => {$(
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(
            $($parameter: $crate::ffi::absent::argument!(type $kind)),*
        ) -> $crate::abi::HRESULT {
            $crate::ffi::panic::guard(|| {
                $($crate::ffi::absent::argument!(empty $kind $parameter);)*
                $($crate::ffi::absent::argument!(given $kind $parameter);)*
                $($crate::ffi::absent::argument!(valid $kind $parameter);)*
                Err(hcs_schema::HResult::E_NOTIMPL)
            })
        }
    )*};
}

/// The kinds of parameters: `text` and `id` must be there, `any_text`, `any_options` and `access` are not looked at;
/// `file` is a HANDLE that must not be NULL; `system` and `operation` must be valid handles; `text_out` and
/// `system_out` must be there, `any_out` may be NULL.
macro_rules! argument {
    (type text) => { $crate::abi::PCWSTR };
    (type any_text) => { $crate::abi::PCWSTR };
    (type id) => { $crate::abi::PCWSTR };
    (type any_options) => { *const i32 };
    (type access) => { u32 };
    (type file) => { $crate::abi::HANDLE };
    (type system) => { $crate::abi::Handle };
    (type operation) => { $crate::abi::Handle };
    (type text_out) => { *mut $crate::abi::PWSTR };
    (type any_out) => { *mut $crate::abi::PCWSTR };
    (type system_out) => { *mut $crate::abi::Handle };

    (empty text_out $it:ident) => {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let $it = unsafe { $crate::ffi::out::Out::new($it) };
    };
    (empty any_out $it:ident) => {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let _optional = unsafe { $crate::ffi::out::Out::new($it) };
    };
    (empty system_out $it:ident) => {
        // SAFETY: the caller passes NULL or a place for a handle.
        let $it = unsafe { $crate::ffi::out::Out::new($it) };
    };
    (empty $kind:ident $it:ident) => {};

    (given text $it:ident) => {
        // SAFETY: the caller passes NULL or a string.
        unsafe { $crate::ffi::string::required($it) }?;
    };
    (given id $it:ident) => {
        // SAFETY: the caller passes NULL or a string.
        unsafe { $crate::ffi::string::id($it) }?;
    };
    (given file $it:ident) => { $crate::ffi::system::both($it, $it)?; };
    (given system $it:ident) => { $crate::ffi::system::both($it, $it)?; };
    (given operation $it:ident) => { $crate::ffi::system::both($it, $it)?; };
    (given text_out $it:ident) => { $it.required()?; };
    (given system_out $it:ident) => { $it.required()?; };
    (given any_out $it:ident) => {};
    (given $kind:ident $it:ident) => { let _not_looked_at = $it; };

    (valid system $it:ident) => { $crate::ffi::named::SYSTEMS.get($it)?; };
    (valid operation $it:ident) => { $crate::ffi::operation::track($it, |_| Ok(()))?; };
    (valid $kind:ident $it:ident) => {};
}

pub(crate) use {absent, argument};

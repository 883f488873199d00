//! The functions for layers, and for virtual disks as layers.

use std::{os::fd::BorrowedFd, path::Path};

use c_border::{out::Out, panic::guard, string};
use hcs_schema::HResult;

use crate::{
    abi::{HANDLE, HRESULT, PCWSTR, PWSTR},
    layers,
};

/// Exports functions of which all parameters are strings that have to be given.
macro_rules! of_texts {
    ($(fn $name:ident($($parameter:ident),*) = $function:ident;)*) => {$(
        /// See `ComputeStorage.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($parameter: PCWSTR),*) -> HRESULT {
            guard(|| {
                $(
                    // SAFETY: the caller passes NULL or a string.
                    let $parameter = unsafe { string::required($parameter) }?;
                )*
                layers::$function($(&$parameter),*)
            })
        }
    )*};
}

of_texts! {
    fn HcsImportLayer(layer_path, source_folder_path, layer_data) = import;
    fn HcsExportLayer(layer_path, export_folder_path, layer_data, options) = export;
    fn HcsDestroyLayer(layer_path) = destroy;
    fn HcsAttachLayerStorageFilter(layer_path, layer_data) = attach;
    fn HcsDetachLayerStorageFilter(layer_path) = detach;
    fn HcsAttachOverlayFilter(volume_mount_point, layer_data) = attach;
    fn HcsDetachOverlayFilter(volume_mount_point, layer_data) = detach_filter;
    fn HcsExportLegacyWritableLayer(mount_path, folder_path, export_folder_path, layer_data) = export_legacy;
    fn HcsSetupBaseOSVolume(layer_path, volume_path, options) = set_up_volume;
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsInitializeWritableLayer(
    writable_layer_path: PCWSTR,
    layer_data: PCWSTR,
    options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a string.
        let path = unsafe { string::required(writable_layer_path) }?;
        // SAFETY: as above.
        let data = unsafe { string::required(layer_data) }?;
        // SAFETY: as above.
        if unsafe { string::optional(options) }.is_some() {
            return Err(HResult::E_INVALIDARG);
        }
        layers::initialize(&path, &data)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsInitializeLegacyWritableLayer(
    writable_layer_mount_path: PCWSTR,
    writable_layer_folder_path: PCWSTR,
    layer_data: PCWSTR,
    options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a string.
        let path = unsafe { string::required(writable_layer_mount_path) }?;
        // SAFETY: as above.
        let folder = unsafe { string::required(writable_layer_folder_path) }?;
        // SAFETY: as above.
        let data = unsafe { string::required(layer_data) }?;
        // SAFETY: as above.
        if unsafe { string::optional(options) }.is_some() {
            return Err(HResult::NOT_SUPPORTED);
        }
        layers::initialize_legacy(&path, &folder, &data)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetupBaseOSLayer(
    layer_path: PCWSTR,
    vhd_handle: HANDLE,
    options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a string.
        let layer = unsafe { string::required(layer_path) }?;
        // SAFETY: the caller keeps it open during the call.
        let file = unsafe { file(vhd_handle) }?;
        // SAFETY: the caller passes NULL or a string.
        let options = unsafe { string::required(options) }?;
        layers::set_up_disk(&layer, file, &options)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsFormatWritableLayerVhd(vhd_handle: HANDLE) -> HRESULT {
    guard(|| {
        // SAFETY: the caller keeps it open during the call.
        layers::format(unsafe { file(vhd_handle) }?)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetLayerVhdMountPath(
    vhd_handle: HANDLE,
    mount_path: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let out = unsafe { Out::new(mount_path) }.required()?;
        // SAFETY: the caller keeps it open during the call.
        let path = layers::mount_path(unsafe { file(vhd_handle) }?)?;
        out.set(string::give(&path)?);
        Ok(())
    })
}

/// The file that a HANDLE is.
///
/// # Errors
/// `E_INVALIDARG` for NULL, `E_HANDLE` where no file is open under that number.
///
/// # Safety
/// What is open under that number stays open for `'a`.
unsafe fn file<'a>(handle: HANDLE) -> Result<BorrowedFd<'a>, HResult> {
    if handle.is_null() {
        return Err(HResult::E_INVALIDARG);
    }
    let number = i32::try_from(handle.addr()).map_err(|_| HResult::E_HANDLE)?;
    // A number behind which no file is: a link to nothing.
    if std::fs::symlink_metadata(Path::new("/proc/self/fd").join(number.to_string())).is_err() {
        return Err(HResult::E_HANDLE);
    }
    // SAFETY: it is open, and stays so by the caller's promise.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

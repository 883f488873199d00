//! The functions for layers: none is implemented, each refuses bad arguments and answers `E_NOTIMPL`.

use hcs_schema::HResult;

use crate::{
    abi::{HANDLE, HRESULT, PCWSTR, PWSTR},
    ffi::{out::Out, panic::guard, string, system::both},
};

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsImportLayer(
    layer_path: PCWSTR,
    source_folder_path: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(source_folder_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsExportLayer(
    layer_path: PCWSTR,
    export_folder_path: PCWSTR,
    layer_data: PCWSTR,
    options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(export_folder_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(options) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsExportLegacyWritableLayer(
    writable_layer_mount_path: PCWSTR,
    writable_layer_folder_path: PCWSTR,
    export_folder_path: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(writable_layer_mount_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(writable_layer_folder_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(export_folder_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsDestroyLayer(layer_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetupBaseOSVolume(
    layer_path: PCWSTR,
    volume_path: PCWSTR,
    options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(volume_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(options) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsInitializeWritableLayer(
    writable_layer_path: PCWSTR,
    layer_data: PCWSTR,
    _options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(writable_layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsInitializeLegacyWritableLayer(
    writable_layer_mount_path: PCWSTR,
    writable_layer_folder_path: PCWSTR,
    layer_data: PCWSTR,
    _options: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(writable_layer_mount_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(writable_layer_folder_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsAttachLayerStorageFilter(
    layer_path: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsDetachLayerStorageFilter(layer_path: PCWSTR) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsAttachOverlayFilter(
    volume_mount_point: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(volume_mount_point) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsDetachOverlayFilter(
    volume_mount_point: PCWSTR,
    layer_data: PCWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(volume_mount_point) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_data) }?;
        Err(HResult::E_NOTIMPL)
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
        both(vhd_handle, vhd_handle)?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(layer_path) }?;
        // SAFETY: the caller passes a string.
        unsafe { string::required(options) }?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsFormatWritableLayerVhd(vhd_handle: HANDLE) -> HRESULT {
    guard(|| {
        both(vhd_handle, vhd_handle)?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeStorage.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetLayerVhdMountPath(
    vhd_handle: HANDLE,
    mount_path: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a pointer.
        unsafe { Out::new(mount_path) }.required()?;
        both(vhd_handle, vhd_handle)?;
        Err(HResult::E_NOTIMPL)
    })
}

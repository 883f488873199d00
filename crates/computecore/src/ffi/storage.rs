//! The functions for layers. Those of virtual disks and of the old form of Windows are not implemented.

use c_border::{panic::guard, string};
use hcs_schema::HResult;

use crate::{
    abi::{HRESULT, PCWSTR},
    ffi::absent::absent,
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

absent! {
    /// See `ComputeStorage.h`.
    fn HcsExportLegacyWritableLayer(
        writable_layer_mount_path: text,
        writable_layer_folder_path: text,
        export_folder_path: text,
        layer_data: text,
    );
    /// See `ComputeStorage.h`.
    fn HcsInitializeLegacyWritableLayer(
        writable_layer_mount_path: text,
        writable_layer_folder_path: text,
        layer_data: text,
        options: any_text,
    );
    /// See `ComputeStorage.h`.
    fn HcsSetupBaseOSVolume(layer_path: text, volume_path: text, options: text);
    /// See `ComputeStorage.h`.
    fn HcsSetupBaseOSLayer(layer_path: text, vhd_handle: file, options: text);
    /// See `ComputeStorage.h`.
    fn HcsFormatWritableLayerVhd(vhd_handle: file);
    /// See `ComputeStorage.h`.
    fn HcsGetLayerVhdMountPath(vhd_handle: file, mount_path: text_out);
}

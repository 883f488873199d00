//! The functions for layers: none is implemented.

use crate::ffi::absent::absent;

absent! {
    /// See `ComputeStorage.h`.
    fn HcsImportLayer(layer_path: text, source_folder_path: text, layer_data: text);
    /// See `ComputeStorage.h`.
    fn HcsExportLayer(layer_path: text, export_folder_path: text, layer_data: text, options: text);
    /// See `ComputeStorage.h`.
    fn HcsExportLegacyWritableLayer(
        writable_layer_mount_path: text,
        writable_layer_folder_path: text,
        export_folder_path: text,
        layer_data: text,
    );
    /// See `ComputeStorage.h`.
    fn HcsDestroyLayer(layer_path: text);
    /// See `ComputeStorage.h`.
    fn HcsSetupBaseOSVolume(layer_path: text, volume_path: text, options: text);
    /// See `ComputeStorage.h`.
    fn HcsInitializeWritableLayer(writable_layer_path: text, layer_data: text, options: any_text);
    /// See `ComputeStorage.h`.
    fn HcsInitializeLegacyWritableLayer(
        writable_layer_mount_path: text,
        writable_layer_folder_path: text,
        layer_data: text,
        options: any_text,
    );
    /// See `ComputeStorage.h`.
    fn HcsAttachLayerStorageFilter(layer_path: text, layer_data: text);
    /// See `ComputeStorage.h`.
    fn HcsDetachLayerStorageFilter(layer_path: text);
    /// See `ComputeStorage.h`.
    fn HcsAttachOverlayFilter(volume_mount_point: text, layer_data: text);
    /// See `ComputeStorage.h`.
    fn HcsDetachOverlayFilter(volume_mount_point: text, layer_data: text);
    /// See `ComputeStorage.h`.
    fn HcsSetupBaseOSLayer(layer_path: text, vhd_handle: file, options: text);
    /// See `ComputeStorage.h`.
    fn HcsFormatWritableLayerVhd(vhd_handle: file);
    /// See `ComputeStorage.h`.
    fn HcsGetLayerVhdMountPath(vhd_handle: file, mount_path: text_out);
}

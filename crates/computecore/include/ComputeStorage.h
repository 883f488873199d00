/*
 * ComputeStorage.h - the functions of the Host Compute Service API for the layers of containers.
 *
 * Names and parameters are those of the Windows header of the same name; the page of the HCS reference that describes a
 * function has the function's name. The functions live in libcomputecore too. None is implemented yet: every one
 * returns E_NOTIMPL, or E_INVALIDARG for NULL where it is not allowed. General rules: see ComputeCore.h.
 */
#ifndef COMPUTECORE_COMPUTESTORAGE_H
#define COMPUTECORE_COMPUTESTORAGE_H

#include "ComputeDefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Makes a layer of this host out of an exported one. */
HRESULT HCS_API HcsImportLayer(_In_ PCWSTR layerPath, _In_ PCWSTR sourceFolderPath, _In_ PCWSTR layerData);

/** Writes a layer in a form that can be taken to another host. */
HRESULT HCS_API HcsExportLayer(_In_ PCWSTR layerPath, _In_ PCWSTR exportFolderPath, _In_ PCWSTR layerData,
                               _In_ PCWSTR options);

/** Writes a writable layer in its old form. */
HRESULT HCS_API HcsExportLegacyWritableLayer(_In_ PCWSTR writableLayerMountPath, _In_ PCWSTR writableLayerFolderPath,
                                             _In_ PCWSTR exportFolderPath, _In_ PCWSTR layerData);

/** Deletes a layer and all that is in it. */
HRESULT HCS_API HcsDestroyLayer(_In_ PCWSTR layerPath);

/** Prepares a layer that has an operating system, on a virtual disk. */
HRESULT HCS_API HcsSetupBaseOSLayer(_In_ PCWSTR layerPath, _In_ HANDLE vhdHandle, _In_ PCWSTR options);

/** Prepares a layer that has an operating system, on a mounted volume. */
HRESULT HCS_API HcsSetupBaseOSVolume(_In_ PCWSTR layerPath, _In_ PCWSTR volumePath, _In_ PCWSTR options);

/** Prepares the writable layer of a container. */
HRESULT HCS_API HcsInitializeWritableLayer(_In_ PCWSTR writableLayerPath, _In_ PCWSTR layerData,
                                           _In_opt_ PCWSTR options);

/** Prepares the writable layer of a container in its old form. */
HRESULT HCS_API HcsInitializeLegacyWritableLayer(_In_ PCWSTR writableLayerMountPath,
                                                 _In_ PCWSTR writableLayerFolderPath, _In_ PCWSTR layerData,
                                                 _In_opt_ PCWSTR options);

/** Joins a writable layer and the layers below it into one view. */
HRESULT HCS_API HcsAttachLayerStorageFilter(_In_ PCWSTR layerPath, _In_ PCWSTR layerData);

/** Undoes HcsAttachLayerStorageFilter. */
HRESULT HCS_API HcsDetachLayerStorageFilter(_In_ PCWSTR layerPath);

/** Makes a file system for a writable layer on a virtual disk. */
HRESULT HCS_API HcsFormatWritableLayerVhd(_In_ HANDLE vhdHandle);

/**
 * Says where a virtual disk with a writable layer is mounted.
 *
 * @param mountPath Receives the path, to be released by the caller.
 */
HRESULT HCS_API HcsGetLayerVhdMountPath(_In_ HANDLE vhdHandle, _Outptr_ PWSTR *mountPath);

/** Joins a volume and the layers below it into one view. */
HRESULT HCS_API HcsAttachOverlayFilter(_In_ PCWSTR volumeMountPoint, _In_ PCWSTR layerData);

/** Undoes HcsAttachOverlayFilter. */
HRESULT HCS_API HcsDetachOverlayFilter(_In_ PCWSTR volumeMountPoint, _In_ PCWSTR layerData);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* COMPUTECORE_COMPUTESTORAGE_H */

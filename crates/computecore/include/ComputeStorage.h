/*
 * ComputeStorage.h - the functions of the Host Compute Service API for the layers of containers.
 *
 * Names and parameters are those of the Windows header of the same name; the page of the HCS reference that describes a
 * function has the function's name. The functions live in libcomputecore, of which libcomputestorage is another name.
 * They need no service: they work in the calling process, with its rights, and return when they are done. Any thread
 * may call them. General rules: see ComputeCore.h.
 *
 * A layer is a directory with files, in which removed files are marked as overlayfs marks them; containers take it as a
 * layer of their Storage. A writable layer has `upper` and `work` in it: it is a scratch (Storage.Path) of containers.
 * In LayerData the layers come topmost first. Paths are absolute.
 *
 * Beside what is said below, each returns E_INVALIDARG for NULL where it is not allowed and for a path that is not
 * absolute, HCS_E_INVALID_JSON for a document that is none of its kind, and HRESULT_FROM_WIN32 of ERROR_FILE_NOT_FOUND,
 * ERROR_ACCESS_DENIED and others for what the system refuses. Those for virtual disks, for the old form of layers and
 * for what Windows boots from return E_NOTIMPL.
 */
#ifndef COMPUTECORE_COMPUTESTORAGE_H
#define COMPUTECORE_COMPUTESTORAGE_H

#include "ComputeDefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Makes a layer of this host out of an exported one, whole or not at all. The source is a folder with `layer.tar` (or
 * layer.tar.gz, layer.tar.zst) and nothing else, such an archive itself, or a folder with the files of the layer. A
 * call that is killed leaves a directory `.partial-...` beside the layer, which the next one there removes.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) where layerPath is no empty directory; HCS_E_INVALID_LAYER for
 *         a source that is no layer, or that reaches beyond it.
 */
HRESULT HCS_API HcsImportLayer(_In_ PCWSTR layerPath, _In_ PCWSTR sourceFolderPath, _In_ PCWSTR layerData);

/**
 * Writes a layer in a form that can be taken to another host: `layer.tar` in the folder exportFolderPath, which exists,
 * with the marks of the OCI image specification. The same layer makes the same bytes. With IsWritableLayer in the
 * options it is what a writable layer has beyond its parents.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) where the folder has one; HCS_E_INVALID_LAYER for a layer that
 *         is not writable; HRESULT_FROM_WIN32(ERROR_BUSY) for one that is attached, or that a container uses.
 */
HRESULT HCS_API HcsExportLayer(_In_ PCWSTR layerPath, _In_ PCWSTR exportFolderPath, _In_ PCWSTR layerData,
                               _In_ PCWSTR options);

/** Writes a writable layer in its old form. */
HRESULT HCS_API HcsExportLegacyWritableLayer(_In_ PCWSTR writableLayerMountPath, _In_ PCWSTR writableLayerFolderPath,
                                             _In_ PCWSTR exportFolderPath, _In_ PCWSTR layerData);

/**
 * Deletes a layer and all that is in it, and nothing that links in it lead to.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND) where there is none; HRESULT_FROM_WIN32(ERROR_BUSY) for one
 *         that is attached, in which something is mounted, or that a container uses as its scratch.
 */
HRESULT HCS_API HcsDestroyLayer(_In_ PCWSTR layerPath);

/** Prepares a layer that has an operating system, on a virtual disk. */
HRESULT HCS_API HcsSetupBaseOSLayer(_In_ PCWSTR layerPath, _In_ HANDLE vhdHandle, _In_ PCWSTR options);

/** Prepares a layer that has an operating system, on a mounted volume. */
HRESULT HCS_API HcsSetupBaseOSVolume(_In_ PCWSTR layerPath, _In_ PCWSTR volumePath, _In_ PCWSTR options);

/**
 * Makes the writable layer of a container, at an empty directory or where there is none. `options` must be NULL.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) for one that is a writable layer already,
 *         HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY) for a directory with other files.
 */
HRESULT HCS_API HcsInitializeWritableLayer(_In_ PCWSTR writableLayerPath, _In_ PCWSTR layerData,
                                           _In_opt_ PCWSTR options);

/** Prepares the writable layer of a container in its old form. */
HRESULT HCS_API HcsInitializeLegacyWritableLayer(_In_ PCWSTR writableLayerMountPath,
                                                 _In_ PCWSTR writableLayerFolderPath, _In_ PCWSTR layerData,
                                                 _In_opt_ PCWSTR options);

/**
 * Shows a writable layer and its antecedent layers as one tree at layerPath: an overlay is mounted over it in the
 * caller's mount namespace, which takes root. Set-user-ID programs and device nodes have no effect there. After a
 * restart of the machine it is attached again.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) for one that is attached; HCS_E_INVALID_LAYER for one that is
 *         not writable; E_INVALIDARG without a layer in layerData, or with more of them than the kernel mounts;
 *         HRESULT_FROM_WIN32(ERROR_BUSY) where a container uses it.
 */
HRESULT HCS_API HcsAttachLayerStorageFilter(_In_ PCWSTR layerPath, _In_ PCWSTR layerData);

/**
 * Undoes HcsAttachLayerStorageFilter. The layer keeps what was written.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_NOT_FOUND) for one that is not attached; HRESULT_FROM_WIN32(ERROR_BUSY) while
 *         a process uses files there.
 */
HRESULT HCS_API HcsDetachLayerStorageFilter(_In_ PCWSTR layerPath);

/** Makes a file system for a writable layer on a virtual disk. */
HRESULT HCS_API HcsFormatWritableLayerVhd(_In_ HANDLE vhdHandle);

/**
 * Says where a virtual disk with a writable layer is mounted.
 *
 * @param mountPath Receives the path, to be released by the caller.
 */
HRESULT HCS_API HcsGetLayerVhdMountPath(_In_ HANDLE vhdHandle, _Outptr_ PWSTR *mountPath);

/** The same as HcsAttachLayerStorageFilter, for a volume that is a writable layer; FilterType may say which filter. */
HRESULT HCS_API HcsAttachOverlayFilter(_In_ PCWSTR volumeMountPoint, _In_ PCWSTR layerData);

/** Undoes HcsAttachOverlayFilter, as HcsDetachLayerStorageFilter does. */
HRESULT HCS_API HcsDetachOverlayFilter(_In_ PCWSTR volumeMountPoint, _In_ PCWSTR layerData);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* COMPUTECORE_COMPUTESTORAGE_H */

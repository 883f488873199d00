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
 * ERROR_ACCESS_DENIED, ERROR_WRITE_PROTECT and others for what the system refuses.
 *
 * A virtual disk is a VHDX or a VHD, and its handle a file descriptor that is open for reading and writing, never 0.
 * Its volume is an ext4 file system on the whole disk, without partitions. A disk with a parent is never used, and none
 * is converted. Where no file is open under a handle, the answer is E_HANDLE; for a file that is no virtual disk
 * HRESULT_FROM_WIN32(ERROR_FILE_CORRUPT); for a kind that is not used, and for a host without mkfs.ext4 or loop
 * devices, HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED); for a disk that is mounted, or that a virtual machine has,
 * HRESULT_FROM_WIN32(ERROR_BUSY).
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
 * call that is killed leaves a directory `.partial-...` beside the layer, which the next one there removes. A layer
 * that root imports belongs to root and has the mode 0700, as other users of the host could run the set-user-ID
 * programs in it. A container whose topmost layer it is has a root of mode 0755. `chmod` opens the layer to others.
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

/**
 * Writes a writable layer as HcsExportLayer does with IsWritableLayer. Linux has no registry, so
 * writableLayerFolderPath, the folder of its hives, is an empty directory, or the writable layer itself.
 *
 * @return As HcsExportLayer; HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY) for a folder of hives with files in it.
 */
HRESULT HCS_API HcsExportLegacyWritableLayer(_In_ PCWSTR writableLayerMountPath, _In_ PCWSTR writableLayerFolderPath,
                                             _In_ PCWSTR exportFolderPath, _In_ PCWSTR layerData);

/**
 * Deletes a layer and all that is in it, and nothing that links in it lead to.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND) where there is none; HRESULT_FROM_WIN32(ERROR_BUSY) for one
 *         that is attached, in which something is mounted, or that a container uses as its scratch.
 */
HRESULT HCS_API HcsDestroyLayer(_In_ PCWSTR layerPath);

/**
 * Makes a formatted virtual disk, which is not mounted, an empty writable layer above the layer at layerPath. Copies of
 * its file are writable layers, too. `options` is an OsLayerOptions document, or empty. This takes root.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) for one that is a writable layer already;
 *         HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) for the type Vm; as HcsGetLayerVhdMountPath for what cannot be
 *         mounted.
 */
HRESULT HCS_API HcsSetupBaseOSLayer(_In_ PCWSTR layerPath, _In_ HANDLE vhdHandle, _In_ PCWSTR options);

/**
 * The same for a volume: the root of a mounted file system, or any other directory, which is empty.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) for one that is a writable layer already;
 *         HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY) for a directory with other files;
 *         HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) for the type Vm.
 */
HRESULT HCS_API HcsSetupBaseOSVolume(_In_ PCWSTR layerPath, _In_ PCWSTR volumePath, _In_ PCWSTR options);

/**
 * Makes the writable layer of a container, at an empty directory or where there is none. `options` must be NULL.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS) for one that is a writable layer already,
 *         HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY) for a directory with other files.
 */
HRESULT HCS_API HcsInitializeWritableLayer(_In_ PCWSTR writableLayerPath, _In_ PCWSTR layerData,
                                           _In_opt_ PCWSTR options);

/**
 * Makes a writable layer as HcsInitializeWritableLayer does. Linux has no registry, so writableLayerFolderPath, the
 * folder of its hives, is an empty directory, or the writable layer itself, and nothing is written to it.
 *
 * @return As HcsInitializeWritableLayer; HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY) also for a folder of hives with files
 *         in it; HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) with options.
 */
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
 *         HRESULT_FROM_WIN32(ERROR_BUSY) where a container uses it; HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) on a file
 *         system to which no overlay can write: one that is read-only, or an overlay, as the root of a container is.
 */
HRESULT HCS_API HcsAttachLayerStorageFilter(_In_ PCWSTR layerPath, _In_ PCWSTR layerData);

/**
 * Undoes HcsAttachLayerStorageFilter. The layer keeps what was written.
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_NOT_FOUND) for one that is not attached; HRESULT_FROM_WIN32(ERROR_BUSY) while
 *         a process uses files there.
 */
HRESULT HCS_API HcsDetachLayerStorageFilter(_In_ PCWSTR layerPath);

/**
 * Makes an empty file system on a virtual disk; all that was on it is gone, also where this fails. A VHDX gets all its
 * blocks, one after the other; its file takes space only for what is written. This takes mkfs.ext4 (e2fsprogs).
 *
 * @return S_OK; HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED) for a handle that is not open for writing;
 *         HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) for a disk with a parent, a VHD that grows, or a VHDX with changes in
 *         its log.
 */
HRESULT HCS_API HcsFormatWritableLayerVhd(_In_ HANDLE vhdHandle);

/**
 * Says where the volume of a virtual disk is mounted. Linux has no AttachVirtualDisk: where it is not mounted yet, this
 * mounts it, in the caller's mount namespace, which takes root and loop devices. Set-user-ID programs and device nodes
 * have no effect in it. HcsInitializeWritableLayer makes a writable layer of the path, which then is the scratch
 * (Storage.Path) of containers. It stays mounted until umount2(mountPath, UMOUNT_NOFOLLOW), or the end of the machine.
 *
 * @param mountPath Receives the path, to be released by the caller.
 * @return S_OK; HCS_E_INVALID_LAYER for a disk that HcsFormatWritableLayerVhd has not formatted;
 *         HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED) where the file does not belong to root, or others may write to it;
 *         HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) for a VHDX whose blocks are not all in the file in their order.
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

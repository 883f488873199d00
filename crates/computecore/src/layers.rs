//! What the functions for layers do. They work in the caller's process and with the caller's rights, without a service;
//! `hcs_storage` does the work.

use std::{
    fs,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    slice,
};

use hcs_schema::{
    HResult,
    coverage::STORAGE,
    documents::{ExportLayerOptions, LayerData, OsLayerOptions},
    parse::{parse, parse_optional},
    win32,
};
use hcs_storage::{
    Refusal, StorageError, disk,
    layer::{self, Marks, Options, writable},
};
use hcs_wire::errno;
use rustix::io::Errno;

/// `ERROR_DIR_NOT_EMPTY`.
const DIR_NOT_EMPTY: u16 = 145;
/// `ERROR_WRITE_PROTECT`.
const WRITE_PROTECT: u16 = 19;
/// `ERROR_FILE_CORRUPT`.
const FILE_CORRUPT: u16 = 1392;

type LayerResult = Result<(), HResult>;

/// `HcsImportLayer`.
pub(crate) fn import(layer: &str, source: &str, data: &str) -> LayerResult {
    let (layer, source) = (path(layer)?, path(source)?);
    parents(data)?;
    let (marks, options) = (Marks::of_caller(), Options::of_caller());
    layer::import_from(&source, marks, &layer, &options).map_err(code)
}

/// `HcsExportLayer`.
pub(crate) fn export(layer: &str, folder: &str, data: &str, options: &str) -> LayerResult {
    let (layer, folder) = (path(layer)?, path(folder)?);
    parents(data)?;
    let asked: ExportLayerOptions = parse_optional(Some(options)).map_err(|it| it.hresult)?;
    match asked.is_writable_layer {
        Some(true) => export_writable(&layer, &folder),
        _ => export_all(&layer, &folder),
    }
}

fn export_writable(layer: &Path, folder: &Path) -> LayerResult {
    let upper = writable::Upper::of(layer).map_err(code)?;
    export_all(&upper.path(), folder)
}

fn export_all(source: &Path, folder: &Path) -> LayerResult {
    let (marks, options) = (Marks::of_caller(), Options::of_caller());
    let exported = layer::export_to_folder(source, marks, &options, folder);
    exported.map(|_| ()).map_err(code)
}

/// `HcsExportLegacyWritableLayer`.
pub(crate) fn export_legacy(layer: &str, hives: &str, folder: &str, data: &str) -> LayerResult {
    let (layer, hives, folder) = (path(layer)?, path(hives)?, path(folder)?);
    parents(data)?;
    without_hives(&layer, &hives)?;
    export_writable(&layer, &folder)
}

/// `HcsInitializeLegacyWritableLayer`, without options.
pub(crate) fn initialize_legacy(layer: &str, hives: &str, data: &str) -> LayerResult {
    let (layer, hives) = (path(layer)?, path(hives)?);
    let parents = parents(data)?;
    without_hives(&layer, &hives)?;
    writable::initialize(&layer, &parents).map_err(code)
}

/// Refuses a folder of hives that has something in it, which would be lost: Linux has no registry. It may be the
/// writable layer itself.
fn without_hives(layer: &Path, hives: &Path) -> LayerResult {
    if layer == hives {
        return Ok(());
    }
    let mut names = fs::read_dir(hives).map_err(|error| errno::of_io(&error))?;
    match names.next() {
        None => Ok(()),
        Some(_) => Err(HResult::from_win32(DIR_NOT_EMPTY)),
    }
}

/// `HcsSetupBaseOSVolume`.
pub(crate) fn set_up_volume(layer: &str, volume: &str, options: &str) -> LayerResult {
    let (layer, volume) = (path(layer)?, path(volume)?);
    for_containers(options)?;
    writable::initialize(&volume, slice::from_ref(&layer)).map_err(code)
}

/// `HcsSetupBaseOSLayer`.
pub(crate) fn set_up_disk(layer: &str, file: BorrowedFd<'_>, options: &str) -> LayerResult {
    let layer = path(layer)?;
    for_containers(options)?;
    disk::set_up(&layer, file).map_err(code)
}

/// Reads an `OsLayerOptions` document.
fn for_containers(options: &str) -> LayerResult {
    let asked: OsLayerOptions = parse_optional(Some(options)).map_err(|it| it.hresult)?;
    STORAGE.check(&asked).map_err(|it| it.hresult)
}

/// `HcsFormatWritableLayerVhd`.
pub(crate) fn format(file: BorrowedFd<'_>) -> LayerResult {
    disk::format(file).map_err(code)
}

/// `HcsGetLayerVhdMountPath`.
pub(crate) fn mount_path(file: BorrowedFd<'_>) -> Result<String, HResult> {
    let path = disk::mount_path(file).map_err(code)?;
    Ok(path.to_string_lossy().into_owned())
}

/// `HcsDestroyLayer`.
pub(crate) fn destroy(layer: &str) -> LayerResult {
    layer::destroy(&path(layer)?).map_err(code)
}

/// `HcsInitializeWritableLayer`, without the options that are reserved.
pub(crate) fn initialize(layer: &str, data: &str) -> LayerResult {
    writable::initialize(&path(layer)?, &parents(data)?).map_err(code)
}

/// `HcsAttachLayerStorageFilter`, `HcsAttachOverlayFilter`.
pub(crate) fn attach(layer: &str, data: &str) -> LayerResult {
    let attached = writable::attach(&path(layer)?, &parents(data)?);
    attached.map_err(|error| match error.refusal() {
        Some(Refusal::Attached) => HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
        _ => code(error),
    })
}

/// `HcsDetachLayerStorageFilter`.
pub(crate) fn detach(layer: &str) -> LayerResult {
    writable::detach(&path(layer)?).map_err(code)
}

/// `HcsDetachOverlayFilter`, whose document only says which filter it is.
pub(crate) fn detach_filter(layer: &str, data: &str) -> LayerResult {
    let layer = path(layer)?;
    parents(data)?;
    writable::detach(&layer).map_err(code)
}

/// A path as a parameter: absolute, and without a slash at its end, behind which a link would be followed.
fn path(text: &str) -> Result<PathBuf, HResult> {
    let path: PathBuf = Path::new(text).components().collect();
    if path.is_absolute() && !text.contains('\0') {
        Ok(path)
    } else {
        Err(HResult::E_INVALIDARG)
    }
}

/// The layers in a `LayerData` document, topmost first.
fn parents(data: &str) -> Result<Vec<PathBuf>, HResult> {
    let data: LayerData = parse(data).map_err(|it| it.hresult)?;
    STORAGE.check(&data).map_err(|it| it.hresult)?;
    let layers = data.layers.unwrap_or_default().into_iter();
    Ok(layers
        .filter_map(|layer| layer.path.map(PathBuf::from))
        .collect())
}

/// The HRESULT of a failure.
fn code(error: StorageError) -> HResult {
    match error {
        StorageError::Refused { refusal, .. } => match refusal {
            Refusal::Attached
            | Refusal::LayerInUse
            | Refusal::HasMounts { .. }
            | Refusal::DiskInUse
            | Refusal::Replaced => HResult::from_win32(win32::ERROR_BUSY),
            Refusal::NotAttached => HResult::NOT_FOUND,
            Refusal::AlreadyWritable => HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
            Refusal::NotEmpty => HResult::from_win32(DIR_NOT_EMPTY),
            Refusal::NoDisk(_) => HResult::from_win32(FILE_CORRUPT),
            Refusal::OtherDisk(_)
            | Refusal::Unfit(_)
            | Refusal::NoProgram { .. }
            | Refusal::NoLoopDevices => HResult::NOT_SUPPORTED,
            Refusal::OthersDisk => HResult::from_win32(win32::ERROR_ACCESS_DENIED),
            Refusal::NotFormatted { .. } => HResult::E_FAIL,
            Refusal::NoParents | Refusal::TooManyParents { .. } => HResult::E_INVALIDARG,
            _ => HResult::HCS_E_INVALID_LAYER,
        },
        StorageError::Step { errno, .. } => of_errno(errno),
        StorageError::Stream { source, .. } => {
            Errno::from_io_error(&source).map_or(HResult::E_FAIL, of_errno)
        }
    }
}

fn of_errno(found: Errno) -> HResult {
    match found {
        Errno::BUSY => HResult::from_win32(win32::ERROR_BUSY),
        Errno::EXIST => HResult::from_win32(win32::ERROR_ALREADY_EXISTS),
        Errno::NOTEMPTY => HResult::from_win32(DIR_NOT_EMPTY),
        Errno::ROFS => HResult::from_win32(WRITE_PROTECT),
        other => errno::hresult(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_end_with_a_name() {
        assert_eq!(path("/a/b/"), Ok("/a/b".into()));
        assert_eq!(path("/a/./b//."), Ok("/a/b".into()));
        for wrong in ["", "a", "./a", "/a\0b"] {
            assert_eq!(path(wrong), Err(HResult::E_INVALIDARG), "{wrong:?}");
        }
    }

    #[test]
    fn the_layers_of_a_document_are_its_paths() {
        let data = r#"{"SchemaVersion": {"Major": 2, "Minor": 1}, "FilterType": "UnionFS",
            "Layers": [{"Id": "4f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a1", "Path": "/b"}, {"Path": "/a"}]}"#;
        assert_eq!(parents(data), Ok(vec!["/b".into(), "/a".into()]));
        assert_eq!(parents("{}"), Ok(Vec::new()));
        for (wrong, code) in [
            ("", HResult::HCS_E_INVALID_JSON),
            (r#"{"Layers": [{}]}"#, HResult::HCS_E_INVALID_JSON),
            (
                r#"{"Layers": [{"Path": "b"}]}"#,
                HResult::HCS_E_INVALID_JSON,
            ),
            (
                r#"{"Layers": [{"Path": "b", "PathType": "VirtualSmbShareName"}]}"#,
                HResult::NOT_SUPPORTED,
            ),
        ] {
            assert_eq!(parents(wrong), Err(code), "{wrong}");
        }
    }
}

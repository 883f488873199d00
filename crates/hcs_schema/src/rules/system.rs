//! Rules of the documents that make a compute system.

use crate::{
    documents::{
        ComputeSystem, ContainerImage, ContainerMemory, ContainerProcessor, GuestOs, Layer,
        MappedDevice, MappedDirectory, MappedPipe, ModifySettingRequest, PathType, Storage,
        TemporaryDirectory, Version,
    },
    fault::{Faults, Path, quote},
    rules::{no_nul, required},
};

/// Longest host name Linux takes, in bytes.
const MAX_HOST_NAME: usize = 64;

/// Parts of the machine or of the whole weight that a container's processor settings are counted in.
const WHOLE_PROCESSOR: i64 = 10_000;

/// One kind of system, of a schema version that is known.
pub(crate) fn compute_system(document: &ComputeSystem, path: &Path<'_>, faults: &mut Faults) {
    const EXPECTED: &str = "exactly one of \"Container\", \"VirtualMachine\" and \"HostedSystem\"";
    let kinds = [
        ("Container", document.container.is_some()),
        ("VirtualMachine", document.virtual_machine.is_some()),
        ("HostedSystem", document.hosted_system.is_some()),
    ];
    let given: Vec<String> = kinds.iter().filter(|k| k.1).map(|k| quote(k.0)).collect();
    match given.as_slice() {
        [_] => {}
        [] => faults.rule(path, "it says nothing of the system to create", EXPECTED),
        many => faults.rule(
            path,
            format!("{} are given together", many.join(" and ")),
            EXPECTED,
        ),
    }
    if let Some(version) = &document.schema_version {
        schema_version(version, &path.key("SchemaVersion"), faults);
    }
    if let Some(id) = &document.hosting_system_id {
        no_nul(id, &path.key("HostingSystemId"), faults);
    }
}

/// Only major version 2 is the schema these types are of. Minor versions are supersets of each other.
fn schema_version(version: &Version, path: &Path<'_>, faults: &mut Faults) {
    const EXPECTED: &str = "schema version 2.x";
    match version.major {
        Some(2) => {}
        Some(1) => faults.rule(
            &path.key("Major"),
            "documents of version 1 belong to the API before this one",
            EXPECTED,
        ),
        Some(other) => faults.rule(
            &path.key("Major"),
            format!("schema version {other} is unknown"),
            EXPECTED,
        ),
        None => faults.missing(path, "Major"),
    }
}

/// A name the kernel takes.
pub(crate) fn guest_os(document: &GuestOs, path: &Path<'_>, faults: &mut Faults) {
    let Some(name) = &document.host_name else {
        return;
    };
    let path = path.key("HostName");
    no_nul(name, &path, faults);
    if name.len() > MAX_HOST_NAME {
        let message = format!("{} is {} bytes long", quote(name), name.len());
        faults.rule(
            &path,
            message,
            format!("a host name of at most {MAX_HOST_NAME} bytes"),
        );
    }
}

/// A layer without a path is none. Below a share a path is relative.
pub(crate) fn layer(document: &Layer, path: &Path<'_>, faults: &mut Faults) {
    required(document.path.as_deref(), "Path", path, faults);
    if document.path_type != Some(PathType::VirtualSmbShareName) {
        absolute(document.path.as_deref(), &path.key("Path"), faults);
    }
}

/// An empty path of a scratch, or of a directory of the host, means nothing.
pub(crate) fn storage(document: &Storage, path: &Path<'_>, faults: &mut Faults) {
    if document.path.is_some() {
        required(document.path.as_deref(), "Path", path, faults);
        absolute(document.path.as_deref(), &path.key("Path"), faults);
    }
    if document.host_directory.is_some() {
        let directory = document.host_directory.as_deref();
        required(directory, "HostDirectory", path, faults);
        absolute(directory, &path.key("HostDirectory"), faults);
    }
}

/// A store, and which image in it.
pub(crate) fn container_image(document: &ContainerImage, path: &Path<'_>, faults: &mut Faults) {
    required(document.store.as_deref(), "Store", path, faults);
    absolute(document.store.as_deref(), &path.key("Store"), faults);
    required(document.digest.as_deref(), "Digest", path, faults);
}

/// A place, and a size that is some.
pub(crate) fn temporary_directory(
    document: &TemporaryDirectory,
    path: &Path<'_>,
    faults: &mut Faults,
) {
    let place = document.container_path.as_deref();
    required(place, "ContainerPath", path, faults);
    absolute(place, &path.key("ContainerPath"), faults);
    if document.size_in_mb == Some(0) {
        faults.rule(
            &path.key("SizeInMB"),
            "it is 0",
            "a number of megabytes, at least 1",
        );
    }
}

/// Both ends are named, and absolute.
pub(crate) fn mapped_directory(document: &MappedDirectory, path: &Path<'_>, faults: &mut Faults) {
    required(document.host_path.as_deref(), "HostPath", path, faults);
    required(
        document.container_path.as_deref(),
        "ContainerPath",
        path,
        faults,
    );
    if document.host_path_type != Some(PathType::VirtualSmbShareName) {
        absolute(document.host_path.as_deref(), &path.key("HostPath"), faults);
    }
    absolute(
        document.container_path.as_deref(),
        &path.key("ContainerPath"),
        faults,
    );
}

/// A device is named, and what may be done with it in letters.
pub(crate) fn mapped_device(document: &MappedDevice, path: &Path<'_>, faults: &mut Faults) {
    required(document.host_path.as_deref(), "HostPath", path, faults);
    absolute(document.host_path.as_deref(), &path.key("HostPath"), faults);
    if document.container_path.is_some() {
        let place = document.container_path.as_deref();
        required(place, "ContainerPath", path, faults);
        absolute(place, &path.key("ContainerPath"), faults);
    }
    let letters = document.access.as_deref();
    if letters.is_some_and(|letters| letters.is_empty() || letters.contains(|c| !"rwm".contains(c)))
    {
        let found = quote(letters.unwrap_or_default());
        faults.rule(
            &path.key("Access"),
            format!("it is {found}"),
            "letters out of \"rwm\", such as \"r\" or \"rw\"",
        );
    }
}

/// Requires an absolute path, so that no working directory decides which files are shared. Missing and empty paths are
/// reported elsewhere.
fn absolute(text: Option<&str>, path: &Path<'_>, faults: &mut Faults) {
    if let Some(text) = text.filter(|text| !text.is_empty() && !is_absolute(text)) {
        faults.rule(
            path,
            format!("{} is not absolute", quote(text)),
            "an absolute path",
        );
    }
}

/// Linux paths start with a slash; Windows paths are left to the engine, which says why it has no such thing.
fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    matches!(bytes, [b'/' | b'\\', ..] | [_, b':', b'\\' | b'/', ..])
}

/// Both ends are named.
pub(crate) fn mapped_pipe(document: &MappedPipe, path: &Path<'_>, faults: &mut Faults) {
    required(
        document.container_pipe_name.as_deref(),
        "ContainerPipeName",
        path,
        faults,
    );
    required(document.host_path.as_deref(), "HostPath", path, faults);
}

/// No memory at all is no limit that anything could run under.
pub(crate) fn memory(document: &ContainerMemory, path: &Path<'_>, faults: &mut Faults) {
    if document.size_in_mb == Some(0) {
        faults.rule(
            &path.key("SizeInMB"),
            "0 is not a size",
            "at least 1 megabyte",
        );
    }
    if document
        .size_in_mb
        .is_some_and(|size| size > u64::MAX >> 20)
    {
        faults.rule(
            &path.key("SizeInMB"),
            "it is more bytes than 64 bits can count",
            "a size in megabytes",
        );
    }
}

/// One of the three ways to say it, within its range.
pub(crate) fn processor(document: &ContainerProcessor, path: &Path<'_>, faults: &mut Faults) {
    let given = [
        ("Count", document.count.is_some()),
        ("Maximum", document.maximum.is_some()),
        ("Weight", document.weight.is_some()),
    ];
    let given: Vec<String> = given.iter().filter(|g| g.1).map(|g| quote(g.0)).collect();
    if given.len() > 1 {
        let message = format!("{} are given together", given.join(" and "));
        faults.rule(
            path,
            message,
            "only one of \"Count\", \"Maximum\" and \"Weight\"",
        );
    }
    if document.count == Some(0) {
        faults.rule(
            &path.key("Count"),
            "0 processors can run nothing",
            "at least 1",
        );
    }
    let ranges = [
        ("Maximum", document.maximum, 1),
        ("Weight", document.weight, 0),
    ];
    for (name, value, least) in ranges {
        let outside = value.filter(|v| !(least..=WHOLE_PROCESSOR).contains(v));
        if let Some(value) = outside {
            let expected = format!("a whole number from {least} to {WHOLE_PROCESSOR}");
            faults.value(
                &path.key(name),
                format!("{value} is not {expected}"),
                expected,
            );
        }
    }
}

/// A change is of some resource, or for the guest.
pub(crate) fn modify(document: &ModifySettingRequest, path: &Path<'_>, faults: &mut Faults) {
    let named = document
        .resource_path
        .as_deref()
        .is_some_and(|path| !path.is_empty());
    if !named && document.guest_request.is_none() {
        faults.rule(
            path,
            "it does not say what to change",
            "\"ResourcePath\", or \"GuestRequest\"",
        );
    }
}

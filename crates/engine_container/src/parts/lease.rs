//! The lease on the image that a container's layers are of (`hcs_storage`): while the container is there, no process
//! removes them from the store.

use std::{
    error::Error as _,
    path::{Path, PathBuf},
};

use hcs_engine::engine::CreateRequest;
use hcs_schema::{
    Failure, HResult,
    documents::{ContainerImage, Storage},
    win32,
};
use hcs_storage::{
    Digest, Refusal, StorageError,
    image::{Store, Wanted, give_back},
    layer::Options,
};

use crate::steps::done;

/// JSON pointer of the property that asks for it.
const POINTER: &str = "/Container/Storage/Image";

/// A lease, which is given back unless it is kept.
#[derive(Debug)]
pub(crate) struct Lease {
    file: PathBuf,
    kept: bool,
}

impl Lease {
    /// Leaves it to the container; returns its file.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.file.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept {
            give_back(&self.file);
        }
    }
}

/// Takes the lease that the document of `request` asks for, if it asks for one.
///
/// # Errors
/// The store cannot be used, or has not what the document names.
pub(crate) fn apply(request: &CreateRequest) -> Result<Option<Lease>, Failure> {
    let container = request.document.container.as_ref();
    let storage = container.and_then(|container| container.storage.as_ref());
    let Some((storage, image)) =
        storage.and_then(|storage| Some((storage, storage.image.as_ref()?)))
    else {
        return Ok(None);
    };
    let file = lease(request, storage, image).map_err(|error| refused(&request.id, &error))?;
    done("leased the image");
    Ok(Some(Lease { file, kept: false }))
}

fn lease(
    request: &CreateRequest,
    storage: &Storage,
    image: &ContainerImage,
) -> Result<PathBuf, StorageError> {
    let place = Path::new(image.store.as_deref().unwrap_or_default());
    let digest = image.digest.as_deref().unwrap_or_default();
    let manifest: Digest = digest.parse().map_err(|refusal| StorageError::Refused {
        what: format!("the digest {digest:?}"),
        refusal,
    })?;
    let store =
        Store::existing(place, Options::of_caller())?.ok_or_else(|| StorageError::Refused {
            what: format!("the store {place:?}"),
            refusal: Refusal::Missing,
        })?;
    let layers = storage.layers.iter().flatten();
    let layers: Vec<&Path> = layers
        .filter_map(|layer| layer.path.as_deref())
        .map(Path::new)
        .collect();
    store.lease(&Wanted {
        system: &request.id,
        runtime_id: &request.runtime_id,
        record: &request.directory,
        manifest,
        layers: &layers,
    })
}

fn refused(id: &str, error: &StorageError) -> Failure {
    let hresult = match error.refusal() {
        Some(Refusal::Missing) => HResult::FILE_NOT_FOUND,
        Some(Refusal::InUse { .. }) => HResult::from_win32(win32::ERROR_BUSY),
        Some(Refusal::OthersPlace) => HResult::E_ACCESSDENIED,
        Some(_) => HResult::E_INVALIDARG,
        None => HResult::E_FAIL,
    };
    let mut why = error.to_string();
    if let Some(source) = error.source() {
        why.push_str(&format!(": {source}"));
    }
    let message = format!("the image of the container {id:?} cannot be used");
    Failure::new(hresult, message).cause_at(POINTER, why)
}

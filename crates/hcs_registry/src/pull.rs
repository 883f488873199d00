//! One image out of a registry into a store.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use hcs_storage::{
    Content, Digest, Refusal, StorageError,
    image::{
        Incoming, Loaded, Store, check_document,
        document::{Descriptor, Index, MANIFESTS, Manifest, Platform},
        platform::machines,
    },
};
use ureq::http::header;

use crate::{
    blob::Blob,
    connection::{RegistryRequest, document},
    credentials::CredentialFiles,
    error::{RegistryError, shown},
    patience::Patience,
    reference::Reference,
    session::Session,
    settings::{Place, Settings},
};

/// Bytes of a manifest or a list, at most.
const LARGEST: u64 = 4 << 20;
/// Lists within lists, at most.
const DEEPEST: usize = 4;

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// Mirrors and insecure registries.
    pub settings: Settings,
    /// Names and passwords for registries.
    pub credentials: CredentialFiles,
    /// Whether the image's own registry may be without TLS, or with a certificate that is not known.
    pub insecure: bool,
    /// How long a registry may say nothing.
    pub stall: Duration,
    /// How long is waited in all where a registry is busy, or asks to be left alone for some time.
    pub patience: Duration,
    /// Contents that are fetched at the same time, at least one.
    pub parallel: usize,
    /// The machine whose image is taken from lists; none for this one. The store says which images it takes at all.
    pub platform: Option<Platform>,
}

/// How far a pull is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of so many have come.
    Receiving {
        /// Bytes that have come.
        received: u64,
        /// All bytes that are not there yet.
        total: u64,
    },
    /// The registry is busy, and is asked again after so long.
    Waiting(Duration),
    /// All are there, and are unpacked.
    Unpacking,
}

impl Access {
    /// As files of this user and machine have it.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of_caller() -> Result<Self, RegistryError> {
        Ok(Self {
            settings: Settings::of_caller()?,
            credentials: CredentialFiles::of_caller(),
            insecure: false,
            stall: Duration::from_secs(30),
            patience: Duration::from_secs(120),
            parallel: 4,
            platform: None,
        })
    }
}

/// Opens the store that an image goes to.
pub type Open<'a> = dyn Fn() -> Result<Store, StorageError> + 'a;

/// Gets the image of `reference` for the machine of `access` into the store, from the first place that has it. `store`
/// is opened once one has answered with a manifest. `progress` is told often, by several threads.
///
/// # Errors
/// No place has it, or what it has is refused; the failure is that of the last place, with those before it. What fails
/// on this machine is not tried with another place. No image is added then.
pub fn pull(
    store: &Open<'_>,
    reference: &Reference,
    access: &Access,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Loaded, RegistryError> {
    let places = access.settings.places(reference, access.insecure)?;
    let mut failures = Vec::new();
    for place in &places {
        match pull_from(store, reference, access, place, progress) {
            Ok(loaded) => return Ok(loaded),
            Err(error) => failures.push(error),
        }
        if failures.last().is_some_and(RegistryError::is_local) {
            break;
        }
    }
    let last = failures.pop().unwrap_or_else(|| {
        RegistryError::refused(&reference.path(), "no place is configured for it")
    });
    match failures.is_empty() {
        true => Err(last),
        false => Err(RegistryError::Everywhere {
            earlier: failures,
            last: Box::new(last),
        }),
    }
}

/// A manifest, and what it is.
struct Found {
    media_type: String,
    text: Vec<u8>,
    manifest: Manifest,
}

fn pull_from(
    store: &Open<'_>,
    reference: &Reference,
    access: &Access,
    place: &Place,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Loaded, RegistryError> {
    let waits = |time| progress(Progress::Waiting(time));
    let patience = Patience::new(access.patience, &waits);
    let session = Session::open(place, &access.credentials, access.stall, patience)?;
    let machine = access.platform.clone().unwrap_or_else(Platform::host);
    let mut way = Way {
        machine: &machine,
        lists: Vec::new(),
    };
    let found = manifest(
        &session,
        &reference.version(),
        reference.digest,
        None,
        &mut way,
    )?;
    let store = store().map_err(RegistryError::Store)?;
    let incoming = store.receive().map_err(RegistryError::Store)?;
    let manifest = &found.manifest;
    let received = receive(&session, &incoming, manifest, access.parallel, progress);
    if received
        .as_ref()
        .is_err_and(RegistryError::is_of_connection)
    {
        incoming.leave_for_later(manifest);
    }
    received?;
    progress(Progress::Unpacking);
    let names: Vec<_> = reference.name().cloned().into_iter().collect();
    let loaded = incoming.finish(&found.media_type, &found.text, &names, &way.lists);
    loaded.map_err(|source| RegistryError::Unpack {
        host: session.host().to_owned(),
        source,
    })
}

/// How a manifest is found.
struct Way<'a> {
    machine: &'a Platform,
    /// Digests of the lists on the way.
    lists: Vec<Digest>,
}

/// What a list has for `machine`, the best of all.
fn fitting<'a>(index: &'a Index, machine: &Platform) -> Result<&'a Descriptor, Refusal> {
    let images = index.manifests.iter();
    let images = images.filter(|one| one.is_manifest() || one.is_index());
    let ranked = images.filter_map(|one| Some((one.rank(machine)?, one)));
    let best = ranked.min_by_key(|(rank, _)| *rank);
    best.map(|(_, one)| one).ok_or_else(|| Refusal::NoPlatform {
        wanted: machine.to_string(),
        found: machines(&index.manifests),
    })
}

/// Refuses content that is not what named it says.
fn check_expected(
    found: &Content,
    digest: Option<Digest>,
    size: Option<u64>,
) -> Result<(), Refusal> {
    if let Some(expected) = digest.filter(|digest| *digest != found.digest) {
        let (expected, found) = (expected.to_string(), found.digest.to_string());
        return Err(Refusal::WrongDigest { expected, found });
    }
    if let Some(expected) = size.filter(|size| *size != found.size) {
        let found = found.size;
        return Err(Refusal::WrongSize { expected, found });
    }
    Ok(())
}

/// The manifest for the machine that `version` leads to, which may be in a list; the digests of those on the way are
/// added to `way`.
fn manifest(
    session: &Session<'_>,
    version: &str,
    digest: Option<Digest>,
    size: Option<u64>,
    way: &mut Way<'_>,
) -> Result<Found, RegistryError> {
    let path = format!("manifests/{version}");
    let refused = |refusal: Refusal| {
        RegistryError::refused(
            &format!("{} of {}", path, session.host()),
            refusal.to_string(),
        )
    };
    let request = RegistryRequest {
        accept: &MANIFESTS,
        ..RegistryRequest::default()
    };
    let answer = session.get(&path, &request)?;
    let said = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let said = said.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_owned());
    let text = document(answer, LARGEST, &path)?;
    let found = Content {
        digest: Digest::of(&text),
        size: text.len() as u64,
    };
    check_document(&path, found.size).map_err(|source| storage(session, source))?;
    check_expected(&found, digest, size).map_err(refused)?;
    let bad = |error: serde_json::Error| refused(Refusal::BadDocument(error.to_string()));
    let kind = media_type(&text, said).map_err(bad)?;
    let listed = Descriptor::new(&kind, found.digest, found.size);
    if listed.is_manifest() {
        let manifest = serde_json::from_slice(&text).map_err(bad)?;
        return Ok(Found {
            media_type: kind,
            text,
            manifest,
        });
    }
    if !listed.is_index() || way.lists.len() >= DEEPEST {
        let what = format!(
            "mediaType {:?} is neither that of an image nor of a list of images",
            shown(&kind)
        );
        return Err(refused(Refusal::BadDocument(what)));
    }
    let index: Index = serde_json::from_slice(&text).map_err(bad)?;
    let next = fitting(&index, way.machine).map_err(refused)?;
    let version = next.digest.to_string();
    way.lists.push(found.digest);
    manifest(session, &version, Some(next.digest), Some(next.size), way)
}

/// What a document is: as it says itself, else as the registry says.
fn media_type(text: &[u8], said: Option<String>) -> Result<String, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
    }
    let kind: Kind = serde_json::from_slice(text)?;
    Ok(kind.media_type.or(said).unwrap_or_default())
}

/// Fetches the contents of an image that are not in the store: the configuration first, which says whether it is one,
/// and then several layers at a time.
fn receive(
    session: &Session<'_>,
    incoming: &Incoming<'_>,
    manifest: &Manifest,
    parallel: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), RegistryError> {
    let failed = |source| storage(session, source);
    incoming.admit(manifest).map_err(failed)?;
    let config = content(&manifest.config);
    if !incoming.has(config) {
        let stop = AtomicBool::new(false);
        let blob = Blob::open(session, config, &stop, &|_| ())?;
        incoming.keep(config, blob).map_err(failed)?;
    }
    incoming.check(manifest).map_err(failed)?;
    let mut seen = BTreeSet::new();
    let parts: Vec<Content> = manifest
        .layers
        .iter()
        .map(content)
        .filter(|part| seen.insert(part.digest) && !incoming.has(*part))
        .collect();
    receive_parts(session, incoming, &parts, parallel, progress)
}

fn content(part: &Descriptor) -> Content {
    Content {
        digest: part.digest,
        size: part.size,
    }
}

fn receive_parts(
    session: &Session<'_>,
    incoming: &Incoming<'_>,
    parts: &[Content],
    parallel: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(), RegistryError> {
    let total = parts
        .iter()
        .fold(0, |sum: u64, part| sum.saturating_add(part.size));
    let (next, received, stop) = (
        AtomicUsize::new(0),
        AtomicU64::new(0),
        AtomicBool::new(false),
    );
    let failure = Mutex::new(None);
    let came = |bytes: u64| {
        let received = received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        progress(Progress::Receiving { received, total });
    };
    let work = || {
        while !stop.load(Ordering::Relaxed)
            && let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let kept = Blob::open(session, *part, &stop, &came).and_then(|blob| {
                incoming
                    .keep(*part, blob)
                    .map_err(|source| storage(session, source))
            });
            if let Err(error) = kept {
                let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
                // What fails after the first is stopped by it.
                first.get_or_insert(error);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..parallel.min(parts.len()) {
            scope.spawn(work);
        }
        work();
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(()), Err)
}

fn storage(session: &Session<'_>, source: StorageError) -> RegistryError {
    RegistryError::Storage {
        host: session.host().to_owned(),
        source,
    }
}

//! Images of registries, and how far they are.

use std::{
    io::{IsTerminal as _, stderr},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use hcs_registry::{Access, Progress, Reference, RegistryError, pull as fetch};
use hcs_schema::{Failure, HResult};
use hcs_storage::{
    image::{Loaded, Store, document::Platform},
    layer::Options,
};

use crate::{complain, images};

/// How often progress is shown.
const OFTEN: Duration = Duration::from_millis(200);

/// Reads a name of an image of a registry.
///
/// # Errors
/// It is none.
pub(crate) fn reference(text: &str) -> Result<Reference, String> {
    text.parse()
        .map_err(|error: RegistryError| error.to_string())
}

/// What is asked for of a registry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The machine that the image has to be for.
    pub(crate) platform: Option<Platform>,
    /// Whether the registry may be without TLS.
    pub(crate) insecure: bool,
    /// Whether no progress is shown.
    pub(crate) quiet: bool,
}

/// Gets an image into the store at `place`, which is made where the image can be had.
///
/// # Errors
/// It cannot be had, or is refused.
pub(crate) fn pull(
    place: &Path,
    options: Options,
    reference: &Reference,
    asked: &Asked,
) -> Result<Loaded, Failure> {
    let access = Access::of_caller().map(|access| Access {
        insecure: asked.insecure,
        platform: asked.platform.clone(),
        ..access
    });
    let store = || {
        let store = Store::open(place, options)?;
        Ok(store.for_platform(asked.platform.clone()))
    };
    let line = Line::new(!asked.quiet && stderr().is_terminal());
    let pulled = access
        .and_then(|access| fetch(&store, reference, &access, &|progress| line.show(progress)));
    line.clear();
    pulled.map_err(|error| failure(reference, &error))
}

fn failure(reference: &Reference, error: &RegistryError) -> Failure {
    let message = format!("the image {reference} cannot be pulled");
    let RegistryError::Everywhere { earlier, last } = error else {
        return Failure::new(code(error), message).because(error);
    };
    let failure = Failure::new(code(last), message).because(&**last);
    let told = |failure: Failure, error| failure.cause("before that").because(error);
    earlier
        .iter()
        .rev()
        .fold(failure, |failure, error| told(failure, error))
}

fn code(error: &RegistryError) -> HResult {
    match error {
        RegistryError::NotFound { .. } => HResult::NOT_FOUND,
        RegistryError::Denied { .. } | RegistryError::Blocked { .. } => HResult::E_ACCESSDENIED,
        RegistryError::BadReference { .. }
        | RegistryError::File { .. }
        | RegistryError::Refused { .. } => HResult::E_INVALIDARG,
        RegistryError::Storage { source, .. }
        | RegistryError::Unpack { source, .. }
        | RegistryError::Store(source) => images::code(source),
        _ => HResult::E_FAIL,
    }
}

/// A line of a terminal that is written over.
struct Line {
    /// When it was written last; none where it is not to be.
    written: Option<Mutex<Option<Instant>>>,
}

impl Line {
    fn new(is_shown: bool) -> Self {
        Self {
            written: is_shown.then(|| Mutex::new(None)),
        }
    }

    fn show(&self, progress: Progress) {
        let Some(written) = &self.written else {
            return;
        };
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match progress {
            Progress::Unpacking => "unpacking".to_owned(),
            Progress::Waiting(time) => {
                format!(
                    "the registry is busy: asked again in {} s",
                    time.as_secs().max(1)
                )
            }
            Progress::Receiving { received, total } => {
                if written.is_some_and(|last| last.elapsed() < OFTEN) {
                    return;
                }
                format!("{} of {} MB", received >> 20, total.div_ceil(1 << 20))
            }
        };
        *written = Some(Instant::now());
        complain(&format!("\r\x1b[K{text}"));
    }

    fn clear(&self) {
        if let Some(written) = &self.written
            && written
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some()
        {
            complain("\r\x1b[K");
        }
    }
}

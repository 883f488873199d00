//! Images of registries, and how far they are.

use std::{
    io::{IsTerminal as _, stderr},
    path::Path,
};

use hcs_registry::{Access, Progress, Reference, RegistryError, pull as fetch};
use hcs_schema::{Failure, HResult};
use hcs_storage::{
    image::{Loaded, Store, document::Platform},
    layer::Options,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::images;

/// How often progress is drawn in a second.
const PICTURES: u8 = 5;
/// What is drawn while bytes come.
const RECEIVING: &str = "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}";

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
    let bar = Bar::new(!asked.quiet && stderr().is_terminal());
    let pulled =
        access.and_then(|access| fetch(&store, reference, &access, &|progress| bar.show(progress)));
    bar.clear();
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

/// A bar of a terminal, which is drawn over and goes in the end. It has no thread: it is drawn where it is told
/// something.
struct Bar(ProgressBar);

impl Bar {
    fn new(is_shown: bool) -> Self {
        let target = match is_shown {
            true => ProgressDrawTarget::stderr_with_hz(PICTURES),
            false => ProgressDrawTarget::hidden(),
        };
        Self(ProgressBar::with_draw_target(None, target))
    }

    fn show(&self, progress: Progress) {
        let bar = &self.0;
        match progress {
            Progress::Receiving { received, total } => {
                if bar.length() != Some(total) {
                    bar.set_style(style(RECEIVING));
                    bar.set_length(total);
                }
                bar.set_position(received);
            }
            Progress::Waiting(time) => {
                let seconds = time.as_secs().max(1);
                self.say(format!("the registry is busy: asked again in {seconds} s"));
            }
            Progress::Unpacking => self.say("unpacking".to_owned()),
        }
    }

    /// Shows a text in place of the bar, until more bytes come.
    fn say(&self, text: String) {
        self.0.unset_length();
        self.0.set_style(style("{msg}"));
        self.0.set_message(text);
        // It may be drawn last, and is not left out as one of many.
        self.0.force_draw();
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// A style of the program itself, which is one.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_of_the_bar_is_one() {
        assert!(ProgressStyle::with_template(RECEIVING).is_ok());
    }
}

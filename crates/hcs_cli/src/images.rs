//! The image that a container is made from, found in a store.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hcs_schema::{Failure, HResult, win32};
use hcs_storage::{
    Refusal, StorageError,
    image::{Broken, Hold, Image, Name, Store, document::Platform},
    layer::{Omitted, Options},
};
use rustix::io::Errno;
use serde_json::Value;

use crate::{
    complain,
    options::{container::ContainerOptions, image::ChosenImage, pull::Pull},
    output::printable,
    owners,
    pulling::{self, Asked},
};

/// What to do where an image is not there.
pub(crate) const WAYS: &str = "`hcs image list` shows all; `hcs image pull NAME` gets one of a registry, `hcs image load FILE` adds \
     one from an archive of skopeo or docker save, `hcs image import FILE NAME` makes one of a root file system";
/// Digits that are an id rather than a name, at least.
const ID_DIGITS: usize = 8;
/// Names that are shown in place of one that is not there.
const SHOWN: usize = 5;
/// How much a name may differ from one that is not there, from 0 to 1 for the same.
const ALIKE: f64 = 0.7;

/// Reads the name of an image.
///
/// # Errors
/// It is none.
pub(crate) fn name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|refusal: Refusal| refusal.to_string())
}

/// Tells on standard error what a layer does not have of what it was made from.
pub(crate) fn tell_left_out(omitted: Omitted) {
    let Some(text) = left_out(omitted) else {
        return;
    };
    let why = (omitted.owners > 0).then(owners::why_not).flatten();
    let why = why.map_or_else(String::new, |why| format!("; owners: {why}"));
    complain(&format!("hcs: left out: {text}{why}\n"));
}

/// Tells on standard error of what is damaged in the store, and `then` what follows of that.
pub(crate) fn tell_broken(broken: &[Broken], then: &str) {
    for one in broken {
        let (name, why) = (printable(one.called()), printable(&one.why));
        let told = match name.is_empty() {
            true => format!(
                "an entry without a name is damaged in the store: {why}; `hcs image prune` removes it"
            ),
            false => format!(
                "{name} is damaged in the store: {why}; `hcs image pull` or `hcs image load` gets an image again, \
                 `hcs image remove {name}` removes it"
            ),
        };
        complain(&format!("hcs: {told}{then}\n"));
    }
}

/// What the layers do not have of their archives, in words.
fn left_out(omitted: Omitted) -> Option<String> {
    let counts = [
        (omitted.owners, "owners"),
        (omitted.devices, "device nodes"),
        (omitted.set_id, "set-user-ID bits and capabilities"),
        (omitted.attributes, "attributes"),
        (omitted.sockets, "sockets"),
    ];
    let some = counts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = some
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// Where the store is: what was asked for, else this user's own.
///
/// # Errors
/// This user has no place for one.
pub(crate) fn place(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    let place = asked.map(Path::to_owned).or_else(Store::default_place);
    let place = place.ok_or_else(|| {
        let message = "this user has no home for a store of images; name one with --store";
        Failure::new(HResult::E_INVALIDARG, message)
    })?;
    // Paths of layers are printed, for commands in any directory.
    Ok(std::path::absolute(&place).unwrap_or(place))
}

/// The image that a container is to be made from, if it is one, as [`choose`] answers it.
///
/// # Errors
/// As of [`choose`], or there is a store and no image.
pub(crate) fn of(
    container: &ContainerOptions,
    typed: bool,
) -> Result<Option<(ChosenImage, Hold)>, Failure> {
    let store = container.store.as_deref();
    let odd = |message: &'static str| Err(Failure::new(HResult::E_INVALIDARG, message));
    let Some(image) = &container.image else {
        return match (store, container.pull, &container.platform) {
            (Some(_), _, _) => odd("--store names where an image is, and no image is named"),
            (_, Some(_), _) => odd("--pull says when an image is pulled, and no image is named"),
            (_, _, None) if container.unpacking.given().is_some() => {
                let name = container.unpacking.given().unwrap_or_default();
                let message =
                    format!("{name} says how an image is unpacked, and no image is named");
                Err(Failure::new(HResult::E_INVALIDARG, message))
            }
            (None, None, None) => Ok(None),
            _ => odd("--platform says which image of several is taken, and no image is named"),
        };
    };
    let choice = Choice {
        wanted: image,
        store,
        typed,
        platform: container.platform.as_ref(),
        options: container.unpacking.options(),
    };
    let pull = container.pull.unwrap_or_default();
    if !owners::are_granted() || choice.is_ready(pull)? {
        return choice.make(pull).map(Some);
    }
    // What is in the store then is found there.
    let place = place(store)?;
    prepare_apart(&place, container, (image, typed, pull))?;
    let choice = Choice {
        store: Some(&place),
        ..choice
    };
    choice.make(Pull::Never).map(Some)
}

/// What [`prepare`] is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<'a> {
    pub(crate) wanted: &'a str,
    pub(crate) place: &'a Path,
    pub(crate) typed: bool,
    pub(crate) platform: Option<&'a Platform>,
    pub(crate) options: Options,
    pub(crate) pull: Pull,
}

/// Has an image in the store with all its layers unpacked, as a container is made from.
///
/// # Errors
/// As of the container: there is no such image, it is for another machine, or it cannot be unpacked.
pub(crate) fn prepare(asked: Preparation<'_>) -> Result<(), Failure> {
    let choice = Choice {
        wanted: asked.wanted,
        store: Some(asked.place),
        typed: asked.typed,
        platform: asked.platform,
        options: asked.options,
    };
    choice.make(asked.pull).map(drop)
}

/// The same by a process of its own, which can enter a user namespace: this one is still to speak to a service.
fn prepare_apart(
    place: &Path,
    container: &ContainerOptions,
    (wanted, typed, pull): (&str, bool, Pull),
) -> Result<(), Failure> {
    let message = "the process that unpacks the image could not be started, or ended early";
    apart(message, |command| {
        command.args(["image", "prepare", "--store"]).arg(place);
        if typed {
            command.arg("--typed");
        }
        if let Some(platform) = &container.platform {
            command.args(["--platform", &platform.to_string()]);
        }
        command.args(["--pull", pull.word()]);
        command.args(container.unpacking.words());
        command.args(["--", wanted]);
    })
}

/// Runs this program once more, with the arguments that `complete` gives it, and waits for its end.
///
/// # Errors
/// The failure that it writes to its standard output; one with `message` where it writes none.
pub(crate) fn apart(
    message: &'static str,
    complete: impl FnOnce(&mut Command),
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(HResult::E_FAIL, message).because(&error);
    let mut command = Command::new("/proc/self/exe");
    complete(&mut command);
    // Progress and what is left out go to our standard error, a failure to its standard output.
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output);
    let output = output.map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    match (
        output.status.success(),
        serde_json::from_str::<Value>(&said),
    ) {
        (true, _) => Ok(()),
        (false, Ok(document)) => {
            let code = serde_json::from_value(document["Error"].clone());
            Err(Failure::from_document(
                code.unwrap_or(HResult::E_FAIL),
                &said,
            ))
        }
        (false, Err(_)) => Err(failed(std::io::Error::other(output.status.to_string()))),
    }
}

/// Which image is wanted.
#[derive(Clone, Copy)]
struct Choice<'a> {
    wanted: &'a str,
    /// The store, where one was named.
    store: Option<&'a Path>,
    /// Whether the word could have been meant as a command of this machine.
    typed: bool,
    /// The machine that it is to be for, where one was named.
    platform: Option<&'a Platform>,
    /// How it is unpacked.
    options: Options,
}

impl Choice<'_> {
    /// Whether the store has it with all its layers, so that nothing has to be written there.
    fn is_ready(self, pull: Pull) -> Result<bool, Failure> {
        let place = place(self.store)?;
        let failed = failed("the image cannot be used");
        let store = Store::existing(&place, self.options).map_err(&failed)?;
        let Some(store) = store.filter(|_| pull != Pull::Always) else {
            return Ok(false);
        };
        let found = held(&store, self.wanted).map_err(failed)?;
        Ok(found.is_some_and(|(image, _hold)| {
            check_platform(&image, self.wanted, self.platform).is_ok()
                && store.layers(&image).iter().all(|layer| layer.is_dir())
        }))
    }

    /// Finds it, with all its layers unpacked. While the answered hold lives, no process removes any of it.
    ///
    /// # Errors
    /// There is no such image, it is for another machine, or it cannot be unpacked.
    fn make(self, pull: Pull) -> Result<(ChosenImage, Hold), Failure> {
        let place = place(self.store)?;
        let wanted = self.wanted;
        let failed = failed("the image cannot be used");
        if pull == Pull::Always {
            return self.pulled(&place)?.make_from(&place);
        }
        let store = Store::existing(&place, self.options).map_err(&failed)?;
        let found = store.as_ref().map(|store| held(store, wanted)).transpose();
        if let (Some(store), Some((image, hold))) = (&store, found.map_err(&failed)?.flatten()) {
            let fits = check_platform(&image, wanted, self.platform);
            // A registry may have an image of the same name for the machine. What was loaded, or is in no list, is all
            // that there is of its name: no registry is asked for another, unless a caller named the machine.
            let of_several = self.platform.is_some() || image.is_of_list();
            if let Err(other) = fits {
                if !of_several || pull != Pull::Missing || is_id(wanted) {
                    return Err(other);
                }
                drop(hold);
                let pulled = self.pulled(&place);
                let pulled = pulled.map_err(|failure| with_tried(other, &failure))?;
                return pulled.make_from(&place);
            }
            tell_left_out(store.ready_held(&image, &hold).map_err(&failed)?);
            return Ok((chosen(store, image, wanted)?, hold));
        }
        let images = store.as_ref().map_or(Ok(Vec::new()), Store::images);
        let images = images.map_err(&failed)?;
        let names = images.iter().flat_map(|image| &image.names);
        let names: Vec<&str> = names.map(Name::as_str).collect();
        let unknown = unknown(wanted, &place, &names, self.typed);
        if pull != Pull::Missing || is_id(wanted) {
            return Err(unknown);
        }
        let pulled = self.pulled(&place).map_err(|failure| {
            let unknown = with_tried(unknown, &failure);
            Failure {
                hresult: failure.hresult,
                ..unknown
            }
        })?;
        pulled.make_from(&place)
    }

    /// Gets it from its registry.
    fn pulled(self, place: &Path) -> Result<Pulled<Self>, Failure> {
        let name = pull_into(place, self.options, self.wanted, self.platform)?;
        Ok(Pulled { choice: self, name })
    }
}

/// What was pulled, and what it is called in the store.
struct Pulled<C> {
    choice: C,
    name: String,
}

impl Pulled<Choice<'_>> {
    fn make_from(&self, place: &Path) -> Result<(ChosenImage, Hold), Failure> {
        let choice = Choice {
            wanted: &self.name,
            store: Some(place),
            ..self.choice
        };
        choice.make(Pull::Never)
    }
}

/// The failure `known`, with what was tried after it.
fn with_tried(known: Failure, tried: &Failure) -> Failure {
    let causes = tried.causes.iter().map(|cause| cause.message.to_string());
    let tried = std::iter::once(tried.message.to_string()).chain(causes);
    known.cause(tried.collect::<Vec<_>>().join(": "))
}

/// Refuses an image for another machine than was asked for, or than this one.
fn check_platform(image: &Image, wanted: &str, asked: Option<&Platform>) -> Result<(), Failure> {
    let found = image.config.platform();
    let fits = match asked {
        Some(asked) => asked.fits_image(&image.config),
        None => Platform::is_of_host(&found),
    };
    if fits {
        return Ok(());
    }
    let wanted = printable(wanted);
    let message = match asked {
        Some(asked) => format!("the image {wanted} is for {found}, and {asked} was asked for"),
        None => {
            let host = Platform::host();
            format!("the image {wanted} is for {found}, and this machine is {host}")
        }
    };
    let failure = Failure::new(HResult::NOT_SUPPORTED, message);
    let always = "--pull always gets the image for it, if its registry has one";
    Err(match asked {
        Some(_) => failure.cause(always),
        None => failure.cause(always).cause(format!(
            "--platform {found} runs it nevertheless, if the kernel has an emulator for its programs (binfmt_misc, as Debian's \
             qemu-user-static sets up)"
        )),
    })
}

/// Whether `wanted` can be meant as the first digits of an id only: no registry is asked for what those are.
fn is_id(wanted: &str) -> bool {
    let digits = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    digits.len() >= ID_DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// The image called `wanted`, and what keeps it there; none where there is none.
fn held(store: &Store, wanted: &str) -> Result<Option<(Image, Hold)>, StorageError> {
    match store.held(wanted) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.refusal() == Some(&Refusal::NoImage) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Gets the image called `wanted` from its registry; returns what it is called in the store. The digest in a name may
/// be that of a list, which the store does not have.
fn pull_into(
    place: &Path,
    options: Options,
    wanted: &str,
    platform: Option<&Platform>,
) -> Result<String, Failure> {
    let bad = |message: String| Failure::new(HResult::E_INVALIDARG, message);
    if is_id(wanted) {
        return Err(bad(format!(
            "{wanted:?} is the id of an image, which no registry is asked for; expected a name, or --pull never"
        )));
    }
    let reference = pulling::reference(wanted).map_err(bad)?;
    let asked = Asked {
        // What does not run here is not fetched, unless it was asked for.
        platform: Some(platform.cloned().unwrap_or_else(Platform::host)),
        ..Asked::default()
    };
    let loaded = pulling::pull(place, options, &reference, &asked)?;
    tell_left_out(loaded.omitted);
    Ok(match wanted.split_once('@') {
        Some((name, _)) => format!("{name}@{}", loaded.manifest),
        None => wanted.to_owned(),
    })
}

fn chosen(store: &Store, image: Image, wanted: &str) -> Result<ChosenImage, Failure> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let message =
                format!("the store {path:?} is not UTF-8, so no JSON document can name it");
            Err(Failure::new(HResult::E_INVALIDARG, message))
        }
    };
    let layers = store.layers(&image);
    let asked = wanted.parse::<Name>().ok();
    let name = asked.and_then(|name| image.called(&name).cloned());
    let name = name.or_else(|| image.names.first().cloned());
    Ok(ChosenImage {
        name: name.map_or_else(|| image.id().to_string(), |name| name.to_string()),
        digest: image.descriptor.digest.to_string(),
        store: text(store.root())?,
        layers: layers
            .iter()
            .map(|path| text(path))
            .collect::<Result<_, _>>()?,
        execution: image.config.config.unwrap_or_default(),
    })
}

/// The failure of a name that no image has.
fn unknown(wanted: &str, place: &Path, names: &[&str], typed: bool) -> Failure {
    let message = format!("there is no image {wanted:?} in {}", place.display());
    let mut failure = Failure::new(HResult::NOT_FOUND, message);
    let alike = alike(wanted, names);
    if !alike.is_empty() {
        failure = failure.cause(format!("there is {}", alike.join(", ")));
    }
    failure = failure.cause(WAYS);
    if typed && is_program(wanted) {
        failure = failure.cause(format!(
            "{wanted} is also a program of this machine: `hcs run -- {wanted}` runs that"
        ));
    }
    failure
}

/// The names that `wanted` may have been meant as, the likeliest first.
fn alike<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let plain = |name: &str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default().to_owned()
    };
    let likeness = |name: &str| match plain(name) == plain(wanted) {
        true => 2.0,
        false => strsim::jaro_winkler(&plain(name), &plain(wanted)),
    };
    let mut alike: Vec<(f64, &str)> = names.iter().map(|name| (likeness(name), *name)).collect();
    alike.retain(|(likeness, _)| *likeness >= ALIKE);
    alike.sort_by(|one, other| other.0.total_cmp(&one.0));
    alike
        .into_iter()
        .map(|(_, name)| name)
        .take(SHOWN)
        .collect()
}

/// Whether a shell would run a program by that name.
fn is_program(name: &str) -> bool {
    let is_file = |path: PathBuf| path.is_file();
    if name.contains('/') {
        return is_file(name.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    !name.is_empty() && env::split_paths(&path).any(|folder| is_file(folder.join(name)))
}

/// The failure of what `message` names.
pub(crate) fn failed(message: &'static str) -> impl Fn(StorageError) -> Failure {
    move |error| {
        let failure = Failure::new(code(&error), message).because(&error);
        match error.refusal() {
            Some(Refusal::DeviceNode | Refusal::SetId) => {
                failure.cause("run hcs as root, or leave such files out with --omit-privileged")
            }
            _ => failure,
        }
    }
}

pub(crate) fn code(error: &StorageError) -> HResult {
    match error {
        StorageError::Refused { refusal, .. } => match refusal {
            Refusal::NoImage | Refusal::NotMounted => HResult::NOT_FOUND,
            Refusal::InUse { .. } | Refusal::Used { .. } | Refusal::DiskInUse => {
                HResult::from_win32(win32::ERROR_BUSY)
            }
            Refusal::OthersDisk => HResult::E_ACCESSDENIED,
            _ => HResult::E_INVALIDARG,
        },
        StorageError::Step { errno, .. } if matches!(*errno, Errno::ACCESS | Errno::PERM) => {
            HResult::E_ACCESSDENIED
        }
        StorageError::Step { .. } | StorageError::Stream { .. } => HResult::E_FAIL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_and_a_way_out() {
        let refused = |refusal| {
            let what = "x".to_owned();
            failed("it failed")(StorageError::Refused { what, refusal })
        };
        assert_eq!(refused(Refusal::NoImage).hresult, HResult::NOT_FOUND);
        let told = refused(Refusal::DeviceNode);
        assert_eq!(told.hresult, HResult::E_INVALIDARG);
        assert!(told.causes[1].message.contains("--omit-privileged"));
    }

    #[test]
    fn digits_of_an_id_are_no_name_to_pull() {
        let whole = format!("sha256:{}", "a".repeat(64));
        for id in ["0123abcd", &whole[..20], &whole] {
            assert!(is_id(id), "{id}");
            let told = pull_into(Path::new("/none"), Options::of_caller(), id, None).unwrap_err();
            assert_eq!(told.hresult, HResult::E_INVALIDARG, "{id}");
        }
        for name in ["abcdef", "0123abcd:1", "debian", "tool/0123abcd"] {
            assert!(!is_id(name), "{name}");
        }
    }

    #[test]
    fn names_that_may_have_been_meant_are_shown() {
        let names = [
            "alpine:3",
            "debian:12",
            "docker.io/library/debian:11",
            "tools:latest",
        ];
        assert_eq!(
            alike("debian", &names),
            ["debian:12", "docker.io/library/debian:11"]
        );
        assert_eq!(alike("debain:12", &names)[0], "debian:12");
        assert_eq!(alike("tool", &names), ["tools:latest"]);
        assert!(alike("xyz", &names).is_empty());
    }

    #[test]
    fn a_name_that_is_not_there_is_told_with_what_to_type() {
        let words = |failure: Failure| {
            let causes = failure.causes.iter().map(|cause| cause.message.clone());
            causes.collect::<Vec<_>>().join("\n")
        };
        let told = unknown("sh", Path::new("/store"), &["shell:1"], true);
        assert_eq!(told.message, "there is no image \"sh\" in /store");
        let told = words(told);
        for part in ["there is shell:1", "hcs image load", "`hcs run -- sh`"] {
            assert!(told.contains(part), "{told}");
        }
        let told = words(unknown("sh", Path::new("/store"), &[], false));
        assert!(!told.contains("hcs run -- sh"), "{told}");
    }

    #[test]
    fn what_is_left_out_is_counted_in_words() {
        assert_eq!(left_out(Omitted::default()), None);
        let omitted = Omitted {
            owners: 3,
            set_id: 1,
            ..Omitted::default()
        };
        let words = left_out(omitted).unwrap();
        assert_eq!(words, "3 owners, 1 set-user-ID bits and capabilities");
    }
}

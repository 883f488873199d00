//! Mirrors, and registries that may be without TLS: the `registries.conf` of podman and skopeo, version 2.
//!
//! Read are `$CONTAINERS_REGISTRIES_CONF`, else that of the user, else that of the machine; and after it the files of
//! the folders `registries.conf.d` of the machine and of the user, or of `$CONTAINERS_REGISTRIES_CONF_DIR`. The last
//! file that speaks of a prefix counts.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use hcs_wire::environment;
use serde::Deserialize;

use crate::{error::RegistryError, reference::Reference};

/// Bytes of a file that are read, at most.
const LARGEST: u64 = 1 << 20;
const MACHINE: &str = "/etc/containers/registries.conf";

/// What is configured.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    rules: Vec<(Rule, PathBuf)>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    registry: Vec<Rule>,
}

/// Where settings are.
#[derive(Debug)]
struct Files {
    /// The file of `$CONTAINERS_REGISTRIES_CONF`.
    chosen: Option<PathBuf>,
    /// The folder of `$CONTAINERS_REGISTRIES_CONF_DIR`.
    folder: Option<PathBuf>,
    /// The file of the user, which need not be there; the folder of further ones is beside it.
    own: Option<PathBuf>,
    /// The same of the machine.
    machine: PathBuf,
}

/// What holds for the images whose names begin with the prefix.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    /// Whether mirrors are asked for images that are named by their digests only.
    #[serde(rename = "mirror-by-digest-only")]
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Mirror {
    location: String,
    insecure: bool,
    #[serde(rename = "pull-from-mirror")]
    pull_from_mirror: Option<Asked>,
}

/// What a mirror is asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    All,
    DigestOnly,
    TagOnly,
}

impl Mirror {
    /// Whether it is asked for an image that is named by a digest, or is not. What a tag stands for may be older there.
    fn has(&self, rule: &Rule, by_digest: bool) -> bool {
        match self.pull_from_mirror {
            Some(Asked::DigestOnly) => by_digest,
            Some(Asked::TagOnly) => !by_digest,
            Some(Asked::All) => true,
            None => by_digest || !rule.mirror_by_digest_only,
        }
    }
}

/// A place that an image is asked for from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The host, with its port.
    pub(crate) host: String,
    pub(crate) repository: String,
    /// Whether it may be without TLS, or with a certificate that is not known.
    pub(crate) insecure: bool,
}

impl Settings {
    /// Those of this user and machine; of the machine alone for a program with more rights than its caller.
    ///
    /// # Errors
    /// A file is there and cannot be read, or is none of settings.
    pub fn of_caller() -> Result<Self, RegistryError> {
        let named = |name| environment::variable(name).map(PathBuf::from);
        let config = named("XDG_CONFIG_HOME");
        let config = config.or_else(|| named("HOME").map(|home| home.join(".config")));
        Self::of(&Files {
            chosen: named("CONTAINERS_REGISTRIES_CONF"),
            folder: named("CONTAINERS_REGISTRIES_CONF_DIR"),
            own: config.map(|config| config.join("containers/registries.conf")),
            machine: MACHINE.into(),
        })
    }

    fn of(files: &Files) -> Result<Self, RegistryError> {
        // What cannot be looked at is not passed over: it may block registries.
        let is_there = |own: &PathBuf| {
            own.try_exists().map_err(|error| RegistryError::File {
                path: own.clone(),
                why: error.to_string(),
            })
        };
        let main = match (&files.chosen, &files.own) {
            (Some(chosen), _) => chosen,
            (None, Some(own)) if is_there(own)? => own,
            _ => &files.machine,
        };
        let beside = |main: &PathBuf| main.with_extension("conf.d");
        let folders = match &files.folder {
            Some(folder) => vec![folder.clone()],
            // What blocks a registry for the whole machine does so for users with settings of their own, too.
            None => [Some(&files.machine), files.own.as_ref()]
                .into_iter()
                .flatten()
                .map(beside)
                .collect(),
        };
        let mut all = vec![main.clone()];
        for folder in folders {
            let mut more = parts(&folder)?;
            more.sort();
            all.extend(more);
        }
        Self::read(&all)
    }

    /// Those in `files`; one that is not there is passed over.
    ///
    /// # Errors
    /// One cannot be read, or is none of settings.
    pub fn read(files: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut settings = Self::default();
        for path in files {
            let failed = |why: String| RegistryError::File {
                path: path.clone(),
                why,
            };
            let Some(text) = text(path)? else {
                continue;
            };
            settings.add(&text, path).map_err(failed)?;
        }
        Ok(settings)
    }

    fn add(&mut self, text: &str, path: &Path) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        for mut rule in file.registry {
            trim(&mut rule.prefix);
            trim(&mut rule.location);
            let mirrors = rule.mirror.iter_mut();
            mirrors.for_each(|mirror| trim(&mut mirror.location));
            if rule.mirror_by_digest_only
                && rule.mirror.iter().any(|one| one.pull_from_mirror.is_some())
            {
                return Err(format!(
                    "the registry {:?} has mirror-by-digest-only, and a mirror of it pull-from-mirror; expected one of both",
                    rule.location
                ));
            }
            if rule.prefix.is_empty() {
                rule.prefix.clone_from(&rule.location);
            }
            // Of a prefix with a wildcard only the end of the host is known, so no place stands for it.
            if rule.location.is_empty() && !rule.prefix.starts_with("*.") {
                rule.location.clone_from(&rule.prefix);
            }
            self.rules.retain(|(there, _)| there.prefix != rule.prefix);
            self.rules.push((rule, path.to_owned()));
        }
        Ok(())
    }

    /// The places of an image, the first to ask first. `insecure` says that a caller has asked for that of the last
    /// one.
    ///
    /// # Errors
    /// Its registry is blocked.
    pub(crate) fn places(
        &self,
        reference: &Reference,
        insecure: bool,
    ) -> Result<Vec<Place>, RegistryError> {
        let image = reference.path();
        let fitting = self
            .rules
            .iter()
            .filter(|(rule, _)| covers(&rule.prefix, &image));
        let Some((rule, file)) = fitting.max_by_key(|(rule, _)| rule.prefix.len()) else {
            return Ok(vec![place(&image, insecure)]);
        };
        if rule.blocked {
            let file = file.clone();
            return Err(RegistryError::Blocked { image, file });
        }
        let moved = |location: &str| match location.is_empty() {
            true => image.clone(),
            false => format!("{location}{}", &image[matched(&rule.prefix, &image)..]),
        };
        let by_digest = reference.digest.is_some();
        let mirrors = rule.mirror.iter();
        let mirrors = mirrors.filter(|mirror| mirror.has(rule, by_digest));
        let mut places: Vec<Place> = mirrors
            .map(|mirror| place(&moved(&mirror.location), mirror.insecure))
            .collect();
        places.push(place(&moved(&rule.location), insecure || rule.insecure));
        Ok(places)
    }
}

/// A slash at the end means nothing.
fn trim(path: &mut String) {
    path.truncate(path.trim_end_matches('/').len());
}

/// The files of a folder of settings; none where it is not there.
///
/// # Errors
/// It cannot be read: what it has could block a registry.
fn parts(folder: &Path) -> Result<Vec<PathBuf>, RegistryError> {
    let failed = |error: std::io::Error| RegistryError::File {
        path: folder.to_owned(),
        why: error.to_string(),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "conf"));
    Ok(paths)
}

/// Whether a rule for `prefix` is about `image`.
fn covers(prefix: &str, image: &str) -> bool {
    if let Some(end) = prefix.strip_prefix('*') {
        let host = image.split('/').next().unwrap_or_default();
        return end.starts_with('.') && host.ends_with(end);
    }
    let rest = image.strip_prefix(prefix);
    !prefix.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Bytes of `image` that a rule for `prefix`, which [covers] it, is about; a wildcard stands for all of a host.
fn matched(prefix: &str, image: &str) -> usize {
    match prefix.starts_with("*.") {
        true => image.find('/').unwrap_or(image.len()),
        false => prefix.len(),
    }
}

fn place(path: &str, insecure: bool) -> Place {
    let (host, repository) = path.split_once('/').unwrap_or((path, ""));
    let host = match host {
        // Where the images of that name are.
        "docker.io" => "registry-1.docker.io",
        host => host,
    };
    Place {
        host: host.to_owned(),
        repository: repository.to_owned(),
        insecure,
    }
}

/// The text of a file; none where nothing is.
///
/// # Errors
/// It cannot be read, or is too large.
pub(crate) fn text(path: &Path) -> Result<Option<String>, RegistryError> {
    let failed = |why: String| RegistryError::File {
        path: path.to_owned(),
        why,
    };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    match text.len() as u64 > LARGEST {
        true => Err(failed(format!("it has more than {LARGEST} bytes"))),
        false => Ok(Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, image: &str) -> Vec<String> {
        let mut settings = Settings::default();
        settings.add(text, Path::new("/etc/x")).unwrap();
        let places = settings.places(&image.parse().unwrap(), false);
        let shown = |place: Place| {
            let end = if place.insecure { " insecure" } else { "" };
            format!("{}/{}{end}", place.host, place.repository)
        };
        match places {
            Ok(places) => places.into_iter().map(shown).collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn the_longest_prefix_says_where_an_image_is() {
        let text = r#"
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            location = "host:5000"
            insecure = true
            [[registry]]
            prefix = "host:5000/team"
            location = "other/of/team"
            [[registry.mirror]]
            location = "near:1"
            insecure = true
            [[registry]]
            prefix = "*.example"
            blocked = true
            [[registry]]
            prefix = "docker.io"
            [[registry.mirror]]
            location = "near:1/hub"
        "#;
        assert_eq!(places(text, "host:5000/a"), ["host:5000/a insecure"]);
        assert_eq!(
            places(text, "host:5000/team/a"),
            ["near:1/a insecure", "other/of/team/a"]
        );
        assert_eq!(
            places(text, "host:5000/teams/a"),
            ["host:5000/teams/a insecure"]
        );
        assert!(places(text, "a.example/x")[0].contains("is blocked by"));
        assert_eq!(
            places(text, "debian"),
            [
                "near:1/hub/library/debian",
                "registry-1.docker.io/library/debian"
            ]
        );
        assert_eq!(places("", "a.host/a/b"), ["a.host/a/b"]);
    }

    #[test]
    fn a_wildcard_stands_for_all_of_a_host() {
        let text = r#"
            [[registry]]
            prefix = "*.example"
            insecure = true
            [[registry.mirror]]
            location = "near:1/of"
            [[registry]]
            prefix = "*.far.example"
            location = "in.place/of"
            [[registry]]
            prefix = "own.far.example"
        "#;
        assert_eq!(
            places(text, "a.b.example/c/d:1"),
            ["near:1/of/c/d", "a.b.example/c/d insecure"]
        );
        assert_eq!(places(text, "a.far.example/c"), ["in.place/of/c"]);
        assert_eq!(places(text, "own.far.example/c"), ["own.far.example/c"]);
        assert_eq!(
            places(text, "example/c"),
            ["registry-1.docker.io/example/c"]
        );
        assert_eq!(places(text, "x.y/a.example"), ["x.y/a.example"]);
    }

    #[test]
    fn folders_of_the_machine_and_of_the_user_add_to_the_file_that_counts() {
        let place = tempfile::tempdir().unwrap();
        let rule = |name: &str, prefix: &str, location: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = format!("[[registry]]\nprefix = \"{prefix}\"\nlocation = \"{location}\"\n");
            fs::write(&path, text).unwrap();
            path
        };
        let mut files = Files {
            chosen: None,
            folder: None,
            own: Some(place.path().join("own/registries.conf")),
            machine: rule("machine/registries.conf", "a.x", "machine.x"),
        };
        let at = |files: &Files, image: &str| {
            let settings = Settings::of(files).unwrap();
            let places = settings.places(&image.parse().unwrap(), false).unwrap();
            places[0].host.clone()
        };
        rule("machine/registries.conf.d/2.conf", "b.x", "second.x");
        rule("machine/registries.conf.d/1.conf", "b.x", "first.x");
        assert_eq!(
            (at(&files, "a.x/i"), at(&files, "b.x/i")),
            ("machine.x".into(), "second.x".into())
        );
        rule("own/registries.conf", "a.x", "own.x");
        assert_eq!(
            (at(&files, "a.x/i"), at(&files, "b.x/i")),
            ("own.x".into(), "second.x".into())
        );
        rule("own/registries.conf.d/0.conf", "b.x", "mine.x");
        assert_eq!(at(&files, "b.x/i"), "mine.x");
        files.chosen = Some(rule("chosen", "a.x", "chosen.x"));
        assert_eq!(
            (at(&files, "a.x/i"), at(&files, "b.x/i")),
            ("chosen.x".into(), "mine.x".into())
        );
        files.folder = Some(place.path().join("none"));
        assert_eq!(
            (at(&files, "a.x/i"), at(&files, "b.x/i")),
            ("chosen.x".into(), "b.x".into())
        );
    }

    #[test]
    fn a_mirror_is_asked_for_what_it_is_said_to_have() {
        let digest = hcs_storage::Digest::of(b"");
        let (tag, exact) = ("h.x/a:1", format!("h.x/a@{digest}"));
        let mirrored = |rule: &str, mirror: &str| {
            let text = format!(
                "[[registry]]\nlocation = \"h.x/\"\n{rule}\n[[registry.mirror]]\nlocation = \"near/b/\"\n{mirror}"
            );
            [tag, &exact].map(|image| places(&text, image).len() == 2)
        };
        assert_eq!(mirrored("", ""), [true, true]);
        assert_eq!(mirrored("mirror-by-digest-only = true", ""), [false, true]);
        for (what, expected) in [
            ("all", [true, true]),
            ("digest-only", [false, true]),
            ("tag-only", [true, false]),
        ] {
            let mirror = format!("pull-from-mirror = \"{what}\"");
            assert_eq!(mirrored("", &mirror), expected, "{what}");
        }
        let mut settings = Settings::default();
        for text in [
            "[[registry]]\nlocation = \"h\"\n[[registry.mirror]]\npull-from-mirror = \"x\"",
            "[[registry]]\nlocation = \"h\"\nmirror-by-digest-only = true\n[[registry.mirror]]\npull-from-mirror = \"all\"",
        ] {
            assert!(settings.add(text, Path::new("/etc/x")).is_err(), "{text}");
        }
        let trimmed = "[[registry]]\nprefix = \"h.x/\"\nlocation = \"far/c/\"";
        assert_eq!(places(trimmed, "h.x/a"), ["far/c/a"]);
    }

    #[test]
    fn a_folder_of_settings_is_read_or_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let none = parts(&place.path().join("none")).unwrap();
        assert!(none.is_empty());
        let file = place.path().join("file.conf");
        fs::write(&file, "").unwrap();
        assert!(parts(&file).is_err());
        assert_eq!(parts(place.path()).unwrap(), [file]);
    }
}

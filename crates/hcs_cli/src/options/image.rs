//! What the configuration of an image says, in the words of our documents.

use std::collections::{BTreeMap, BTreeSet};

use hcs_schema::{
    Failure, HResult,
    documents::{ContainerImage, ProcessDefaults, Signal},
};
use hcs_storage::{
    Refusal,
    image::document::{Execution, Platform},
};
use serde::de::IgnoredAny;

/// Reads a kind of machine.
///
/// # Errors
/// It is none.
pub(crate) fn platform(text: &str) -> Result<Platform, String> {
    text.parse().map_err(|refusal: Refusal| refusal.to_string())
}

/// An image that a container is made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChosenImage {
    /// A name of it, for people.
    pub(crate) name: String,
    /// The digest of its manifest.
    pub(crate) digest: String,
    /// The store that it is in.
    pub(crate) store: String,
    /// The directories of its layers, topmost first.
    pub(crate) layers: Vec<String>,
    /// How its program runs.
    pub(crate) execution: Execution,
}

impl ChosenImage {
    /// The command: what was typed, else what the image says; what stands before it is the image's entry point, or
    /// `instead`, which is none where it is empty.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn command(
        &self,
        instead: Option<&str>,
        typed: &[String],
    ) -> Result<Vec<String>, Failure> {
        let execution = &self.execution;
        let mut command: Vec<String> = match instead {
            Some(program) => [program].map(str::to_owned).to_vec(),
            None => execution.entrypoint.clone().unwrap_or_default(),
        };
        command.retain(|word| instead.is_none() || !word.is_empty());
        match (typed, instead) {
            // The arguments of the image are for its own entry point.
            ([], None) => command.extend(execution.cmd.clone().unwrap_or_default()),
            (typed, _) => command.extend_from_slice(typed),
        }
        if command.is_empty() {
            let name = &self.name;
            let message = format!(
                "the image {name} says of no command what to run: name one, as in hcs run {name} sh"
            );
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        Ok(command)
    }

    /// What all processes of the container get unless they say otherwise; none where the image says nothing.
    ///
    /// # Errors
    /// The configuration has what no process can have.
    pub(crate) fn defaults(&self) -> Result<Option<ProcessDefaults>, Failure> {
        let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mut environment = BTreeMap::new();
        for variable in self.execution.env.iter().flatten() {
            let (name, value) = variable
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| self.odd("Env", variable, "NAME=VALUE"))?;
            environment.insert(name.to_owned(), value.to_owned());
        }
        // Builders have always taken a relative directory as one of the root.
        let directory = said(&self.execution.working_dir).map(|path| match path.starts_with('/') {
            true => path,
            false => format!("/{path}"),
        });
        let defaults = ProcessDefaults {
            user: said(&self.execution.user),
            working_directory: directory,
            environment: (!environment.is_empty()).then_some(environment),
        };
        let strings = [
            ("User", &defaults.user),
            ("WorkingDir", &defaults.working_directory),
        ];
        for (name, text) in strings {
            if let Some(text) = text.as_ref().filter(|text| text.contains('\0')) {
                return Err(self.odd(name, text, "text without NUL"));
            }
        }
        let mut variables = self.execution.env.iter().flatten();
        if let Some(variable) = variables.find(|variable| variable.contains('\0')) {
            return Err(self.odd("Env", variable, "text without NUL"));
        }
        Ok((defaults != ProcessDefaults::default()).then_some(defaults))
    }

    /// The signal that asks its program to end; none where the image says nothing.
    ///
    /// # Errors
    /// The configuration names no signal.
    pub(crate) fn stop_signal(&self) -> Result<Option<Signal>, Failure> {
        let named = self.execution.stop_signal.as_deref();
        let named = named.filter(|name| !name.is_empty());
        let read = |name| {
            let expected = "the name of a signal such as SIGTERM, or a number from 1 to 64";
            super::signal(name).map_err(|_| self.odd("StopSignal", name, expected))
        };
        named.map(read).transpose()
    }

    /// What the document of a container says of it, so that no process removes it meanwhile.
    ///
    /// # Errors
    /// The configuration has something else in the place of labels.
    pub(crate) fn document(&self) -> Result<ContainerImage, Failure> {
        Ok(ContainerImage {
            store: Some(self.store.clone()),
            digest: Some(self.digest.clone()),
            name: Some(self.name.clone()),
            labels: self.labels()?,
            exposed_ports: self.keys("ExposedPorts")?,
        })
    }

    /// The directories that are to be volumes; none where the image says nothing.
    ///
    /// # Errors
    /// The configuration names what is no directory below the root.
    pub(crate) fn volumes(&self) -> Result<Option<Vec<String>>, Failure> {
        let Some(named) = self.keys("Volumes")? else {
            return Ok(None);
        };
        let mut volumes = BTreeSet::new();
        for name in &named {
            // Builders have always taken a relative directory as one of the root.
            let parts = name.split('/').filter(|part| !matches!(*part, "" | "."));
            let parts: Vec<&str> = parts.collect();
            if parts.is_empty() || parts.contains(&"..") || name.contains('\0') {
                return Err(self.odd("Volumes", name, "a directory below /, without \"..\""));
            }
            volumes.insert(format!("/{}", parts.join("/")));
        }
        Ok(Some(volumes.into_iter().collect()))
    }

    /// The names in an object whose values say nothing; none where there are none.
    fn keys(&self, property: &'static str) -> Result<Option<Vec<String>>, Failure> {
        let Some(found) = self.execution.other.get(property) else {
            return Ok(None);
        };
        let read: Option<BTreeMap<String, IgnoredAny>> = serde_json::from_value(found.clone())
            .map_err(|_| self.odd(property, &found.to_string(), "an object"))?;
        let read = read.filter(|read| !read.is_empty());
        Ok(read.map(|read| read.into_keys().collect()))
    }

    fn labels(&self) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let Some(labels) = self.execution.other.get("Labels") else {
            return Ok(None);
        };
        let read: Option<BTreeMap<String, String>> = serde_json::from_value(labels.clone())
            .map_err(|_| self.odd("Labels", &labels.to_string(), "an object of texts"))?;
        Ok(read.filter(|labels| !labels.is_empty()))
    }

    /// The failure of a configuration that has `found` where `expected` is.
    fn odd(&self, property: &str, found: &str, expected: &str) -> Failure {
        const SHOWN: usize = 80;
        let short: String = found.chars().take(SHOWN).collect();
        let message = format!(
            "the configuration of the image {} has {short:?} in {property}; expected {expected}",
            self.name
        );
        Failure::new(HResult::E_INVALIDARG, message)
    }
}

/// What stands behind the options of `hcs run`: an image, and the words of a command.
///
/// Only the place of a word says what it is, and neither the images nor the programs that there are: so a line means
/// the same on each machine and on each day. `named` says that an option names the files of the container; then all
/// words are the command. So they are behind `--`. Otherwise the first one is an image.
pub(crate) fn part(
    mut words: Vec<String>,
    named: bool,
    behind_dashes: bool,
) -> (Option<String>, Vec<String>) {
    if named || behind_dashes || words.is_empty() {
        return (None, words);
    }
    let image = words.remove(0);
    if words.first().is_some_and(|word| word == "--") {
        words.remove(0);
    }
    (Some(image), words)
}

/// Whether the last `count` words of a command line stand behind `--`.
pub(crate) fn behind_dashes<S: AsRef<std::ffi::OsStr>>(line: &[S], count: usize) -> bool {
    let before = line.len().checked_sub(count + 1);
    before
        .and_then(|before| line.get(before))
        .is_some_and(|word| word.as_ref() == "--")
}

#[cfg(test)]
mod tests {
    use hcs_schema::Document as _;
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;

    fn image(execution: Value) -> ChosenImage {
        ChosenImage {
            name: "tools:1".to_owned(),
            execution: serde_json::from_value(execution).unwrap(),
            ..ChosenImage::default()
        }
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_command_is_of_the_image_and_of_what_was_typed() {
        let both = image(json!({"Entrypoint": ["/entry", "-x"], "Cmd": ["a", "b"]}));
        for (instead, typed, expected) in [
            (None, "", "/entry -x a b"),
            (None, "c", "/entry -x c"),
            (Some("/other"), "", "/other"),
            (Some("/other"), "c d", "/other c d"),
            (Some(""), "c d", "c d"),
        ] {
            let command = both.command(instead, &words(typed)).unwrap();
            assert_eq!(command, words(expected), "{instead:?} {typed}");
        }
        let plain = image(json!({"Cmd": ["sh"]}));
        assert_eq!(plain.command(None, &[]).unwrap(), ["sh"]);
        let none = image(json!({"Entrypoint": null, "Cmd": []}));
        let told = none.command(None, &[]).unwrap_err().message;
        assert!(told.contains("hcs run tools:1 sh"), "{told}");
        assert!(both.command(Some(""), &[]).is_err());
    }

    #[test]
    fn a_configuration_becomes_the_defaults_of_all_processes() {
        let full = image(json!({
            "User": "app:app", "WorkingDir": "srv/x", "Env": ["A=1", "B=x=y", "A=2", "C="], "Labels": {"a": "b"},
        }));
        let expected = json!({
            "User": "app:app", "WorkingDirectory": "/srv/x", "Environment": {"A": "2", "B": "x=y", "C": ""},
        });
        let defaults = full.defaults().unwrap().unwrap();
        assert_eq!(serde_json::to_value(defaults).unwrap(), expected);
        assert_eq!(full.labels().unwrap().unwrap()["a"], "b");
        let others = image(
            json!({"ExposedPorts": {"80/tcp": {}}, "Volumes": {"/a//b/": {}, "a/b": {}, "c": null}}),
        );
        assert_eq!(others.volumes().unwrap().unwrap(), ["/a/b", "/c"]);
        assert_eq!(
            others.document().unwrap().exposed_ports.unwrap(),
            ["80/tcp"]
        );
        let empty = image(json!({"User": "", "WorkingDir": "", "Env": [], "Labels": null}));
        assert_eq!(empty.defaults().unwrap(), None);
        assert_eq!(empty.labels().unwrap(), None);
    }

    #[test]
    fn what_no_process_can_have_is_named() {
        for (execution, property) in [
            (json!({"User": "a\u{0}b"}), "User"),
            (json!({"WorkingDir": "/a\u{0}b"}), "WorkingDir"),
            (json!({"Env": ["A=\u{0}"]}), "Env"),
            (json!({"Env": ["PLAIN"]}), "Env"),
            (json!({"Env": ["=x"]}), "Env"),
        ] {
            let told = image(execution).defaults().unwrap_err().message;
            assert!(told.contains("the image tools:1 has"), "{told}");
            assert!(told.contains(&format!("in {property};")), "{told}");
        }
        for volumes in [json!({"/": {}}), json!({"/a/../b": {}}), json!(["/a"])] {
            let told = image(json!({"Volumes": volumes}))
                .volumes()
                .unwrap_err()
                .message;
            assert!(told.contains("in Volumes; expected"), "{told}");
        }
        let labels = image(json!({"Labels": ["a"]}));
        assert!(labels.labels().unwrap_err().message.contains("Labels"));
    }

    proptest! {
        /// Whatever an image says is refused here, or is what the service takes.
        #[test]
        fn a_configuration_is_refused_or_fits_a_document(
            user in any::<String>(),
            directory in any::<String>(),
            variables in vec("[A-C=\\x00\\x01/ ]{0,6}", 0..6),
        ) {
            let execution = json!({"User": user, "WorkingDir": directory, "Env": variables});
            if let Ok(Some(defaults)) = image(execution).defaults() {
                prop_assert!(defaults.check().is_ok(), "{defaults:?}");
                let absolute = |path: &String| path.starts_with('/');
                prop_assert!(defaults.working_directory.as_ref().is_none_or(absolute));
            }
        }
    }

    #[test]
    fn the_place_of_a_word_says_what_it_is() {
        let image = |line: &str, named: bool, dashes: bool| {
            let (image, command) = part(words(line), named, dashes);
            (image.unwrap_or_default(), command.join(" "))
        };
        let pair = |image: &str, command: &str| (image.to_owned(), command.to_owned());
        assert_eq!(
            image("debian:12 ls -l", false, false),
            pair("debian:12", "ls -l")
        );
        assert_eq!(image("debian:12", false, false), pair("debian:12", ""));
        assert_eq!(
            image("debian:12 -- ls --", false, false),
            pair("debian:12", "ls --")
        );
        assert_eq!(image("ls -l", false, true), pair("", "ls -l"));
        assert_eq!(image("ls -l", true, false), pair("", "ls -l"));
        assert_eq!(image("", false, false), pair("", ""));
    }

    #[test]
    fn dashes_are_found_before_the_words_of_a_command() {
        let behind = |line: &str, count| behind_dashes(&words(line), count);
        assert!(behind("hcs run -i -- sh", 1));
        assert!(behind("hcs run -- sh -- x", 3));
        assert!(!behind("hcs run sh -- x", 3));
        assert!(!behind("hcs run sh", 1));
        assert!(!behind("sh", 1));
    }
}

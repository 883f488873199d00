//! `hcs commit`: an image out of what a container has written.

use clap::Args;
use hcs_schema::{Failure, documents::ComputeSystem};
use hcs_storage::{image::Name, layer::Marks};

use crate::{
    client,
    committing::{Written, unfit},
    failure::Stop,
    images::name,
    options::{limit::Limit, unpacking::CostOptions},
    output::{print, printable},
    owners,
};

/// Make an image of a container of an image, with what it has written since as one more layer
///
/// The container has to be made with --scratch, which keeps what is written. The layer has exactly that: new and
/// changed files, marks of deleted ones, and the empty files and directories that mounts stand on. What is in a --mount
/// or a --tmpfs is not in it. The command, user and variables of the image stay. A file that is written while it is
/// read is refused: pause the container before.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs run -d --id box --scratch ./out debian:12 sleep 1000
  hcs pause box && hcs commit box tools:1 && hcs resume box")]
pub(crate) struct Commit {
    /// The container
    id: String,

    /// The name of the image; without a tag it gets :latest
    #[arg(value_parser = name)]
    name: Name,

    #[command(flatten, next_help_heading = "Limits")]
    cost: CostOptions,

    #[command(flatten)]
    limit: Limit,
}

impl Commit {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let clock = self.limit.begin("commit");
        let system = clock.open(&self.id)?;
        let document = client::made_from(&system, clock);
        let document = document.map_err(|failure| clock.stop(&self.id, failure))?;
        let made = Made::of(&self.id, &document)?;
        let written = Written {
            container: self.id,
            store: made.store.to_owned(),
            digest: made.digest.to_owned(),
            layers: made.layers.into_iter().map(str::to_owned).collect(),
            scratch: made.scratch.to_owned(),
            user_marks: matches!(made.marks, Marks::User),
            name: self.name,
            cost: self.cost,
        };
        // What processes of other users in the container have written is theirs. A limit is kept by a thread of this
        // process, and a process with threads enters no user namespace.
        match owners::are_granted() {
            true => written.record_apart()?,
            false => written.record()?,
        }
        print(&format!("{}\n", printable(written.name.as_str())))?;
        Ok(0)
    }
}

/// What a container was made of.
struct Made<'a> {
    store: &'a str,
    digest: &'a str,
    layers: Vec<&'a str>,
    scratch: &'a str,
    marks: Marks,
}

impl<'a> Made<'a> {
    fn of(id: &str, document: &'a ComputeSystem) -> Result<Self, Failure> {
        let container = document.container.as_ref();
        let storage = container.and_then(|container| container.storage.as_ref());
        let image = storage.and_then(|storage| storage.image.as_ref());
        let place =
            image.and_then(|image| Some((image.store.as_deref()?, image.digest.as_deref()?)));
        let (store, digest) = place.ok_or_else(|| {
            unfit(
                id,
                "is made of no image: hcs run -d --id NAME --scratch DIR IMAGE CMD makes one that can be committed",
            )
        })?;
        let scratch = storage.and_then(|storage| storage.path.as_deref());
        let scratch = scratch.ok_or_else(|| {
            unfit(
                id,
                "keeps nothing that it writes, which --scratch DIR at its creation would change; its files as one layer: \
                 hcs cp NAME:/ - | hcs image import - NEW",
            )
        })?;
        let layers = storage.and_then(|storage| storage.layers.as_ref());
        let layers = layers.into_iter().flatten();
        // The service says so whatever asked for it, as a user namespace is what decides the marks of an overlay.
        let user = container.and_then(|container| container.user_namespace) == Some(true);
        Ok(Self {
            store,
            digest,
            layers: layers.filter_map(|layer| layer.path.as_deref()).collect(),
            scratch,
            marks: if user { Marks::User } else { Marks::Trusted },
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(storage: &Value) -> Result<(String, Marks), String> {
        let document = json!({"Container": {"Storage": storage}});
        let document: ComputeSystem = serde_json::from_value(document).unwrap();
        let made = Made::of("box", &document).map_err(|failure| failure.message.to_string())?;
        Ok((made.scratch.to_owned(), made.marks))
    }

    #[test]
    fn marks_are_those_that_the_service_tells() {
        let marks = |user: &Value| {
            let storage =
                json!({"Image": {"Store": "/s", "Digest": "sha256:0"}, "Path": "/scratch"});
            let document = json!({"Container": {"Storage": storage, "UserNamespace": user}});
            let document: ComputeSystem = serde_json::from_value(document).unwrap();
            Made::of("box", &document).unwrap().marks
        };
        assert_eq!(marks(&json!(true)), Marks::User);
        assert_eq!(marks(&json!(false)), Marks::Trusted);
        assert_eq!(marks(&Value::Null), Marks::Trusted);
    }

    #[test]
    fn only_a_kept_scratch_above_an_image_becomes_one() {
        let image = json!({"Store": "/s", "Digest": "sha256:0"});
        let layers = json!([{"Path": "/s/layers/0"}]);
        let full = json!({"Image": image, "Layers": layers, "Path": "/scratch"});
        assert_eq!(made(&full).unwrap().0, "/scratch");
        let told = made(&json!({"Image": image, "Layers": layers})).unwrap_err();
        assert!(told.contains("\"box\" keeps nothing"), "{told}");
        let told = made(&json!({"Layers": layers, "Path": "/scratch"})).unwrap_err();
        assert!(told.contains("--scratch DIR IMAGE CMD"), "{told}");
    }
}

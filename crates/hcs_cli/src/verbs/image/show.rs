//! `hcs image list`, `inspect` and `history`.

use clap::Args;
use hcs_schema::Failure;
use hcs_storage::image::{Image, Name, Store, Survey, document::History as Step};
use serde_json::{Value, json};

use super::{StoreOption, failed};
use crate::{
    images::tell_broken,
    output::{Format, FormatOption, JsonOption, print, print_json, printable, table},
};

/// Digits of an id that are shown in tables.
const SHORT: usize = 12;

/// List the images: name, id, the kind of machine, size, when they were made
///
/// What is damaged in the store is named on standard error, with what to do.
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  hcs image list
  hcs image list -q                only the names
  hcs image list --json"
)]
pub(super) struct List {
    /// Only the names, one a line; the id of an image without one
    #[arg(long, short, conflicts_with_all = ["format", "json"])]
    quiet: bool,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    store: StoreOption,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.existing()?;
        let survey = store.as_ref().map_or(Ok(Survey::default()), Store::survey);
        let Survey { images, broken } = survey.map_err(failed("the images cannot be listed"))?;
        tell_broken(&broken, "");
        if self.quiet {
            return print(
                &images
                    .iter()
                    .flat_map(names)
                    .map(|name| name + "\n")
                    .collect::<String>(),
            );
        }
        match self.format.chosen() {
            Format::Json => print_json(
                &images
                    .iter()
                    .zip(store.iter().cycle())
                    .map(|(image, store)| json_of(store, image))
                    .collect::<Vec<_>>(),
            ),
            Format::Table => print(&text(&images)),
        }
    }
}

/// Print an image as JSON: its names, layers, and how its program runs
///
/// Layers are printed topmost first, as hcs run --layer takes them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image inspect debian:12
  hcs image inspect 1f2a3b4c")]
pub(super) struct Inspect {
    /// The image: a name, or the first digits of its id
    image: String,

    #[command(flatten)]
    _json: JsonOption,

    #[command(flatten)]
    store: StoreOption,
}

impl Inspect {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.with(&self.image)?;
        let failed = failed("the image cannot be inspected");
        let image = store.image(&self.image).map_err(failed)?;
        print_json(&json_of(&store, &image))
    }
}

/// Show how an image was made, as it says itself
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image history debian:12
  hcs image history --json debian:12")]
pub(super) struct History {
    /// The image: a name, or the first digits of its id
    image: String,

    #[command(flatten)]
    format: FormatOption,

    #[command(flatten)]
    store: StoreOption,
}

impl History {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.with(&self.image)?;
        let failed = failed("the image cannot be inspected");
        let image = store.image(&self.image).map_err(failed)?;
        let steps = image.config.history.unwrap_or_default();
        match self.format.chosen() {
            Format::Json => print_json(&steps),
            Format::Table => print(&history(&steps)),
        }
    }
}

/// The names of an image; its id where it has none.
fn names(image: &Image) -> Vec<String> {
    match &*image.names {
        [] => vec![image.id().to_string()],
        names => names.iter().map(|name| printable(name.as_str())).collect(),
    }
}

fn text(images: &[Image]) -> String {
    let mut rows: Vec<[String; 5]> = Vec::new();
    for image in images {
        let names = match &*image.names {
            [] => vec!["-"],
            names => names.iter().map(Name::as_str).collect(),
        };
        for name in names {
            rows.push([
                name.to_owned(),
                image.id().hex()[..SHORT].to_owned(),
                image.config.platform().to_string(),
                size(image.size()),
                image
                    .config
                    .created
                    .clone()
                    .unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table(["NAME", "ID", "PLATFORM", "SIZE", "CREATED"], &rows)
}

fn history(steps: &[Step]) -> String {
    let rows: Vec<[String; 3]> = steps
        .iter()
        .map(|step| {
            [
                step.created.clone().unwrap_or_else(|| "-".to_owned()),
                if step.empty_layer { "no" } else { "yes" }.to_owned(),
                step.created_by.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(["CREATED", "LAYER", "BY"], &rows)
}

/// Bytes in the largest unit that leaves a whole number.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KB", bytes >> 10),
        _ => format!("{} MB", bytes >> 20),
    }
}

fn json_of(store: &Store, image: &Image) -> Value {
    let paths = store.layers(image);
    let layers = paths.iter().zip(image.manifest.layers.iter().rev());
    let layers = layers.zip(image.config.rootfs.diff_ids.iter().rev());
    let layers: Vec<_> = layers
        .map(|((path, layer), diff_id)| {
            json!({
                "Path": path.display().to_string(),
                "Digest": layer.digest.to_string(),
                "Size": layer.size,
                "DiffId": diff_id.to_string(),
            })
        })
        .collect();
    json!({
        "Id": image.id().to_string(),
        "Names": image.names.iter().map(Name::as_str).collect::<Vec<_>>(),
        "Manifest": image.descriptor.digest.to_string(),
        "Created": image.config.created,
        "Architecture": image.config.architecture,
        "Variant": image.config.variant,
        "Os": image.config.os,
        "Size": image.size(),
        "Config": image.config.config,
        "Layers": layers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_whole_numbers() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1 KB");
        assert_eq!(size(3 << 20), "3 MB");
    }

    #[test]
    fn a_step_is_a_line() {
        let step = Step {
            created_by: Some("RUN \u{1b}x".to_owned()),
            ..Step::default()
        };
        let expected = "CREATED  LAYER  BY\n-        yes    RUN \\u{1b}x\n";
        assert_eq!(history(&[step]), expected);
    }
}

//! `hcs image tag`, `remove`, `prune` and `repair`.

use clap::Args;
use hcs_schema::Failure;
use hcs_storage::image::{Broken, Name, Pruned, Repaired};
use serde_json::json;

use super::{StoreOption, failed, name};
use crate::{
    images::tell_broken,
    output::{print, print_json, printable},
};

/// Give an image another name, which is taken from the image that has it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image tag debian:12 base
  hcs image tag 1f2a3b4c tools:2")]
pub(super) struct Tag {
    /// The image: a name, or the first digits of its id
    image: String,

    /// The name; without a tag it gets :latest
    #[arg(value_parser = name)]
    name: Name,

    #[command(flatten)]
    store: StoreOption,
}

impl Tag {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.with(&self.image)?;
        let failed = failed("the image cannot be given that name");
        let image = store.image(&self.image).map_err(&failed)?;
        store.tag(&image, &self.name).map_err(failed)
    }
}

/// Remove names of images; an image goes with its last name, or by its id
///
/// Layers go when no image and no container needs them. The last name of an image that a container uses stays;
/// `hcs list` shows which. An image that is damaged in the store is removed in the same way. A container that was made
/// with --layer of them is not known here, and has to be ended first.
#[derive(Args, Debug)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  hcs image remove debian:12
  hcs image remove 1f2a3b4c tools"
)]
pub(super) struct Remove {
    /// Names, or first digits of ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    #[command(flatten)]
    store: StoreOption,
}

impl Remove {
    pub(super) fn run(self) -> Result<(), Failure> {
        let wanted = self.images.first().map_or("", String::as_str);
        let store = self.store.with(wanted)?;
        for image in &self.images {
            let removed = store
                .remove(image)
                .map_err(failed("the image cannot be removed"))?;
            let names = removed.iter().map(|name| printable(name.as_str()) + "\n");
            print(&names.collect::<String>())?;
        }
        Ok(())
    }
}

/// Remove images without a name, and what no image needs
///
/// What containers use stays, whether they run or not. A container that was made with --layer of an image without a
/// name has to be ended first: it is not known here. While an image is damaged in the store, all stays that it may
/// need.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image prune
  hcs image prune --json")]
pub(super) struct Prune {
    /// Print what was removed as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    store: StoreOption,
}

impl Prune {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.existing()?;
        let pruned = store.map_or(Ok(Pruned::default()), |store| store.prune());
        let pruned = pruned.map_err(failed("nothing was pruned"))?;
        let Pruned {
            images,
            layers,
            bytes,
            broken,
        } = pruned;
        tell_broken(&broken, "; until then all is kept that it may need");
        if self.json {
            let images: Vec<_> = images.iter().map(ToString::to_string).collect();
            let broken: Vec<_> = broken.iter().map(Broken::called).collect();
            return print_json(
                &json!({"Images": images, "Layers": layers, "Bytes": bytes, "Damaged": broken}),
            );
        }
        print(&format!("{} images, {layers} layers\n", images.len()))
    }
}

/// Make the list of images again, where a disk or another program has garbled it
///
/// The list is index.json in the store. Names are those of a copy of it, which hcs keeps beside it; what has no name
/// there is found by its contents, and gets one by hcs image tag. A list that can be read stays as it is. Until then
/// nothing is removed from the store, and containers that run go on.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image repair && hcs image list")]
pub(super) struct Repair {
    #[command(flatten)]
    store: StoreOption,
}

impl Repair {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.existing()?;
        let repaired = store.map_or(Ok(Repaired::default()), |store| store.repair());
        let repaired = repaired.map_err(failed("the list of images cannot be made again"))?;
        if !repaired.was_damaged {
            return print("the list of images is whole\n");
        }
        let names = repaired.names.iter().map(|name| printable(name.as_str()));
        let nameless = repaired.nameless.iter();
        let nameless = nameless.map(|digest| format!("{digest} (no name: `hcs image tag`)"));
        let lines = names.chain(nameless).map(|line| line + "\n");
        print(&lines.collect::<String>())
    }
}

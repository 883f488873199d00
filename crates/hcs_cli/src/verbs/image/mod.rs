//! `hcs image`: images of containers, and their layers.
//!
//! 1. [`mod@pull`]. 2. [`ways`]: load, save, import. 3. [`show`]: list, inspect, history. 4. [`names`]: tag, remove,
//!    prune, repair. 5. [`whole`]: files that are whole or not there. 6. [`prepare`], [`mod@record`]: images of an
//!    ordinary user's containers, and out of them.

mod names;
mod prepare;
mod pull;
mod record;
mod show;
mod ways;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hcs_schema::{Failure, HResult};
use hcs_storage::{image::Store, layer::Options};

use crate::{
    failure::Stop,
    images::{self, failed, name, tell_left_out},
    options::unpacking::{CostOptions, PrivilegedOption, UnpackingOptions},
    owners,
};

/// Pull, load, save, list and remove images of containers
///
/// Images are kept as an OCI image layout, which skopeo and umoci read, with each layer unpacked once beside it. The
/// store of root is /var/lib/hcs/storage; that of another user is hcs/storage in $XDG_DATA_HOME, else in
/// ~/.local/share. A container is made from an image by its name: hcs run debian:12.
#[derive(Args, Debug)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs image pull debian:12
  hcs image import rootfs.tar.gz tools
  skopeo copy docker://debian:12 oci-archive:debian.tar:debian:12 && hcs image load debian.tar
  hcs image list
  hcs image inspect debian:12
  hcs image save debian:12 | gzip > debian.tar.gz
  hcs image remove tools"
)]
pub(crate) struct Image {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Pull(pull::Pull),
    Load(ways::Load),
    Save(ways::Save),
    Import(ways::Import),
    List(show::List),
    Inspect(show::Inspect),
    History(show::History),
    Tag(names::Tag),
    Remove(names::Remove),
    Prune(names::Prune),
    Repair(names::Repair),
    #[command(hide = true)]
    Prepare(prepare::Prepare),
    #[command(hide = true)]
    Record(record::Record),
}

impl Action {
    /// Whether it is done in a user namespace that has granted ids, if this user has any.
    fn wants_ids(&self) -> bool {
        // A directory of another user's, as of root, would seem to be of `nobody` there.
        let is_foreign = matches!(self, Self::Import(import) if import.is_of_unknown_owner());
        self.changes_layers() && !is_foreign
    }

    /// Whether it makes or removes layers.
    const fn changes_layers(&self) -> bool {
        match self {
            Self::Pull(_)
            | Self::Load(_)
            | Self::Import(_)
            | Self::Remove(_)
            | Self::Prune(_)
            | Self::Prepare(_)
            | Self::Record(_) => true,
            Self::Save(_)
            | Self::List(_)
            | Self::Inspect(_)
            | Self::History(_)
            | Self::Tag(_)
            | Self::Repair(_) => false,
        }
    }
}

impl Image {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        if self.action.wants_ids() {
            owners::enter();
        }
        match self.action {
            Action::Pull(action) => action.run(),
            Action::Load(action) => action.run(),
            Action::Save(action) => action.run(),
            Action::Import(action) => action.run(),
            Action::List(action) => action.run(),
            Action::Inspect(action) => action.run(),
            Action::History(action) => action.run(),
            Action::Tag(action) => action.run(),
            Action::Remove(action) => action.run(),
            Action::Prune(action) => action.run(),
            Action::Repair(action) => action.run(),
            Action::Prepare(action) => return action.run(),
            Action::Record(action) => return action.run(),
        }?;
        Ok(0)
    }
}

/// Which store.
#[derive(Args, Clone, Debug)]
struct StoreOption {
    /// The store, in place of this user's own
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl StoreOption {
    /// Opens it, where there is one: what only reads makes none, and removes nothing.
    fn existing(&self) -> Result<Option<Store>, Failure> {
        let place = images::place(self.store.as_deref())?;
        let failed = failed("the store of images cannot be opened");
        Store::existing(&place, Options::of_caller()).map_err(failed)
    }

    /// Opens the store that has the image `wanted`.
    ///
    /// # Errors
    /// There is no store, so no image either.
    fn with(&self, wanted: &str) -> Result<Store, Failure> {
        self.existing()?.ok_or_else(|| {
            let place = images::place(self.store.as_deref()).unwrap_or_default();
            let message = format!(
                "there is no image {wanted:?}, and no store of images in {}",
                place.display()
            );
            Failure::new(HResult::NOT_FOUND, message).cause(images::WAYS)
        })
    }

    /// Opens it for images of others.
    fn open_for(&self, privileged: PrivilegedOption, cost: CostOptions) -> Result<Store, Failure> {
        let (place, options) = self.place_for(privileged, cost)?;
        let failed = failed("the store of images cannot be opened");
        Store::open(&place, options).map_err(failed)
    }

    /// Where it is, and how images of others come into it.
    fn place_for(
        &self,
        privileged: PrivilegedOption,
        cost: CostOptions,
    ) -> Result<(PathBuf, Options), Failure> {
        let unpacking = UnpackingOptions { cost, privileged };
        Ok((images::place(self.store.as_deref())?, unpacking.options()))
    }
}

//! What `hcs commit` does in a store: an image with what a container has written as one more layer.
//!
//! An ordinary user's files of other owners are read in a user namespace ([`crate::owners`]), which a process with
//! threads cannot enter: then a process of its own does it ([`Written::record_apart`]).

use std::path::{Path, PathBuf};

use clap::Args;
use hcs_schema::{Failure, HResult};
use hcs_storage::{
    image::{Image, Name, Store},
    layer::{Marks, Options, writable::Upper},
};

use crate::{
    images::{apart, failed, name, tell_left_out},
    options::unpacking::CostOptions,
};

/// What a container of an image has written, and what becomes of it.
#[derive(Args, Debug)]
pub(crate) struct Written {
    /// The container
    #[arg(long, value_name = "ID")]
    pub(crate) container: String,

    /// The store of its image
    #[arg(long, value_name = "DIR")]
    pub(crate) store: String,

    /// The digest of its image
    #[arg(long)]
    pub(crate) digest: String,

    /// A layer that it is made of, the uppermost one first
    #[arg(long = "layer", value_name = "DIR")]
    pub(crate) layers: Vec<String>,

    /// Where it keeps what it writes
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: String,

    /// Its overlay has the marks of a user namespace
    #[arg(long)]
    pub(crate) user_marks: bool,

    /// The name of the new image
    #[arg(value_parser = name)]
    pub(crate) name: Name,

    #[command(flatten)]
    pub(crate) cost: CostOptions,
}

impl Written {
    /// Makes the image.
    ///
    /// # Errors
    /// What was written cannot be read, or is no layer above those of the image.
    pub(crate) fn record(&self) -> Result<(), Failure> {
        let failed = failed("no image was made");
        let options = Options {
            limits: self.cost.limits(),
            ..Options::of_caller()
        };
        let store = Store::open(Path::new(&self.store), options).map_err(&failed)?;
        // Its layers are leased by the container, and by us its contents.
        let (image, hold) = store.held(&self.digest).map_err(&failed)?;
        self.check_layers(&store, &image)?;
        let upper = Upper::in_use(Path::new(&self.scratch)).map_err(&failed)?;
        let by = format!("hcs commit {}", self.container);
        let marks = if self.user_marks {
            Marks::User
        } else {
            Marks::Trusted
        };
        let committed = store.commit(hold, &image, &upper.path(), marks, &self.name, &by);
        let (_, omitted) = committed.map_err(failed)?;
        tell_left_out(omitted);
        Ok(())
    }

    /// The same by a process of its own, which can enter a user namespace.
    ///
    /// # Errors
    /// As of [`Self::record`].
    pub(crate) fn record_apart(&self) -> Result<(), Failure> {
        let message = "the process that makes the image could not be started, or ended early";
        apart(message, |command| {
            command.args(["image", "record"]);
            for (option, value) in [
                ("--container", &self.container),
                ("--store", &self.store),
                ("--digest", &self.digest),
                ("--scratch", &self.scratch),
            ] {
                // A value may begin with a dash.
                command.arg(format!("{option}={value}"));
            }
            let layers = self.layers.iter().map(|layer| format!("--layer={layer}"));
            command.args(layers);
            if self.user_marks {
                command.arg("--user-marks");
            }
            command.args(self.cost.words());
            command.args(["--", self.name.as_str()]);
        })
    }

    /// What was written is above the layers of the image, and of nothing else.
    fn check_layers(&self, store: &Store, image: &Image) -> Result<(), Failure> {
        let layers: Vec<PathBuf> = store.layers(image);
        let same = layers.iter().eq(self.layers.iter().map(Path::new));
        match same {
            true => Ok(()),
            false => Err(unfit(
                &self.container,
                "has other layers than its image, which a further image cannot have",
            )),
        }
    }
}

/// The refusal of a container that no image can be made of.
pub(crate) fn unfit(id: &str, why: &str) -> Failure {
    let message = format!("the container {id:?} {why}");
    Failure::new(HResult::E_INVALIDARG, message)
}

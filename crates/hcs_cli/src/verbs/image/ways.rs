//! `hcs image load`, `save` and `import`.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use hcs_schema::{Failure, HResult};
use hcs_storage::image::{Format, Loaded, Name, document::Platform};

use super::{CostOptions, PrivilegedOption, StoreOption, failed, name, tell_left_out};
use crate::{
    complain,
    options::image::platform,
    output::{cannot_write, print, print_json, printable},
    owners,
    whole::to_file,
};

/// Load images: an OCI image layout, an OCI archive, or what docker save writes
///
/// An archive may be compressed by gzip or zstd. Its digests and sizes are checked, its layers are unpacked; an image
/// that is refused leaves nothing in the store.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image load debian.tar
  docker save debian:12 | hcs image load
  hcs image load --max-size 2G --max-files 100000 untrusted.tar
  buildah push tools oci-archive:tools.tar:tools && hcs image load tools.tar
  hcs image load --platform linux/arm64 several.tar
  hcs image load --name tools:1 ./layout")]
pub(super) struct Load {
    /// An archive, or a directory with an image layout; - is standard input
    #[arg(default_value = "-")]
    file: PathBuf,

    /// The name of the image, in place of the one that it has there
    #[arg(long, short, value_parser = name)]
    name: Option<Name>,

    /// The kind of machine whose images are taken, as linux/arm64 or linux/arm/v7 [default: of lists this machine's,
    /// else all]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<Platform>,

    /// Print what was loaded as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Limits")]
    cost: CostOptions,

    #[command(flatten)]
    privileged: PrivilegedOption,

    #[command(flatten)]
    store: StoreOption,
}

impl Load {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.open_for(self.privileged, self.cost)?;
        let store = store.for_platform(self.platform);
        let name = self.name.as_ref();
        let loaded = if self.file.is_dir() {
            store.load_folder(&self.file, name)
        } else {
            match open(&self.file)? {
                Archive::Stream(stream) => store.load_archive(stream, name),
                Archive::File(file) => store.load_file(file, name),
            }
        };
        told(&loaded.map_err(failed("no image was loaded"))?, self.json)
    }
}

/// Write an image as an archive, to standard output or a file
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image save --output debian.tar debian:12
  hcs image save --format docker debian:12 | docker load
  hcs image save --format directory --output ./layout debian:12")]
pub(super) struct Save {
    /// The image: a name, or the first digits of its id
    image: String,

    /// What to write
    #[arg(long, value_enum, default_value_t)]
    format: Form,

    /// The file, or for a directory where it is made; the same image always makes the same bytes
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    store: StoreOption,
}

/// What an image is saved as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// An archive of an OCI image layout
    #[default]
    Oci,
    /// An archive as docker save writes it
    Docker,
    /// An OCI image layout, as a directory
    Directory,
}

impl Save {
    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.with(&self.image)?;
        let failed = failed("the image cannot be saved");
        let image = store.image(&self.image).map_err(&failed)?;
        let format = match self.format {
            Form::Oci => Format::Oci,
            Form::Docker => Format::Docker,
            Form::Directory => {
                let target = self.output.ok_or_else(|| {
                    let message = "a directory cannot go to standard output; name it with --output";
                    Failure::new(HResult::E_INVALIDARG, message)
                })?;
                return store.save_folder(&image, &target).map_err(failed);
            }
        };
        match self.output {
            Some(path) => to_file(&path, |file| {
                store.save(&image, format, file).map_err(failed)
            }),
            None if io::stdout().is_terminal() => {
                let message = "an archive is not written to a terminal; name a file with --output";
                Err(Failure::new(HResult::E_INVALIDARG, message))
            }
            None => {
                let mut out = io::stdout().lock();
                store.save(&image, format, &mut out).map_err(failed)?;
                out.flush().map_err(|error| cannot_write(&error))
            }
        }
    }
}

/// Make an image of one layer out of a root file system: an archive, or a directory
///
/// The archive may be compressed by gzip or zstd. A directory has to be on one file system, and must not change
/// meanwhile; its sockets are left out. The image has no command, no variables and no user of its own.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs image import rootfs.tar.gz tools
  hcs image import ./rootfs tools
  tar -C ./rootfs -c . | hcs image import - tools:1")]
pub(super) struct Import {
    /// The archive, or the directory; - is standard input
    file: PathBuf,

    /// The name of the image
    #[arg(value_parser = name)]
    name: Name,

    /// Print what was made as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten, next_help_heading = "Limits")]
    cost: CostOptions,

    #[command(flatten)]
    privileged: PrivilegedOption,

    #[command(flatten)]
    store: StoreOption,
}

impl Import {
    /// Whether the owner of the directory, if it is one, is neither this user nor one of the granted ids.
    pub(super) fn is_of_unknown_owner(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|told| told.is_dir() && !owners::are_known(told.uid()))
    }

    pub(super) fn run(self) -> Result<(), Failure> {
        let store = self.store.open_for(self.privileged, self.cost)?;
        let loaded = if self.file.is_dir() {
            store.import_folder(&self.file, &self.name)
        } else {
            match open(&self.file)? {
                Archive::Stream(stream) => store.import(stream, &self.name),
                Archive::File(file) => store.import(file, &self.name),
            }
        };
        told(&[loaded.map_err(failed("no image was made"))?], self.json)
    }
}

/// An archive that is read.
enum Archive {
    Stream(io::Stdin),
    File(File),
}

/// Opens an archive; `-` is standard input.
fn open(path: &Path) -> Result<Archive, Failure> {
    if path.as_os_str() == "-" {
        if io::stdin().is_terminal() {
            let message = "an archive is not read from a terminal; name a file, or pipe one in";
            return Err(Failure::new(HResult::E_INVALIDARG, message));
        }
        return Ok(Archive::Stream(io::stdin()));
    }
    match File::open(path) {
        Ok(file) => Ok(Archive::File(file)),
        Err(error) => {
            let message = format!("{} cannot be read", path.display());
            Err(Failure::new(HResult::E_INVALIDARG, message).because(&error))
        }
    }
}

/// Prints what was loaded; what is not there of it is told on standard error.
pub(super) fn told(loaded: &[Loaded], json: bool) -> Result<(), Failure> {
    for image in loaded {
        tell_left_out(image.omitted);
        if !image.passed_over.is_empty() {
            let what = printable(&image.passed_over.join(", "));
            complain(&format!("hcs: left out, as it is no image: {what}\n"));
        }
    }
    if json {
        return print_json(&loaded.iter().map(json_of).collect::<Vec<_>>());
    }
    let line = |image: &Loaded| match &*image.names {
        [] => format!("{}\n", image.id),
        names => names
            .iter()
            .map(|name| printable(name.as_str()) + "\n")
            .collect(),
    };
    print(&loaded.iter().map(line).collect::<String>())
}

fn json_of(image: &Loaded) -> serde_json::Value {
    let names: Vec<_> = image.names.iter().map(Name::as_str).collect();
    let omitted = image.omitted;
    serde_json::json!({
        "Id": image.id.to_string(),
        "Manifest": image.manifest.to_string(),
        "Names": names,
        "LeftOut": {
            "Owners": omitted.owners,
            "Devices": omitted.devices,
            "SetIds": omitted.set_id,
            "Attributes": omitted.attributes,
        },
    })
}

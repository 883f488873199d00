//! `hcs guest-image`: what virtual machines boot whose documents name no kernel.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use guest_image::{
    build::{self, Recipe, build, identity},
    find::{self, Kernel},
    store::{DEFAULT, Image, Store},
};
use hcs_schema::{Failure, HResult};

use crate::{
    failure::Stop,
    options::{
        Surroundings,
        machine::{Boot, MachineOptions},
    },
    output::{Format, FormatOption, print, print_json, printable, table},
};

/// The agent's program, beside that of hcs.
const AGENT: &str = "hcs-guest";

/// Make, list and remove guest images: a kernel and an initial ramdisk for virtual machines
///
/// An image has a kernel of this host or of a package, unpacked so that it boots at once. It has an initial ramdisk
/// with the kernel modules of virtio and the guest agent as its first process. The service of root uses images in
/// /var/lib/hcs/guest-images; those of another user are below ~/.local/share/hcs.
#[derive(Args, Debug)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs guest-image build              the image \"default\", with a kernel of this host
  hcs guest-image build --kernel ./linux-image tools --root ./rootfs
  hcs guest-image list
  hcs guest-image remove tools"
)]
pub(crate) struct GuestImage {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an image, in place of one of the same name
    ///
    /// Without --kernel the kernel that runs is taken, else the newest one in /boot or /lib/modules that this user may
    /// read and whose modules have vsock.
    #[command(after_help = "\
Examples:
  hcs guest-image build
  hcs guest-image build --kernel /boot/vmlinuz-6.1.0-9-amd64
  hcs guest-image build --kernel ./linux-image tools --root ./rootfs")]
    Build {
        /// Its name
        #[arg(default_value = DEFAULT)]
        name: String,

        /// A kernel (bzImage or ELF), or a directory with boot/ and lib/modules/ as a package has them
        #[arg(long, value_name = "PATH")]
        kernel: Option<PathBuf>,

        /// The directory of the kernel's modules, where it is not found beside the kernel
        #[arg(long, value_name = "DIR", requires = "kernel")]
        modules: Option<PathBuf>,

        /// A further module of the kernel, with all it needs; may be given again
        #[arg(long = "module", value_name = "NAME")]
        more: Vec<String>,

        /// Files for the root file system of the guest, which it has in memory [default: busybox of this machine, or
        /// some of its programs]
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,

        /// The program of the guest agent, where it is not beside hcs
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// List the images of this user
    #[command(
        visible_alias = "ls",
        after_help = "\
Examples:
  hcs guest-image list
  hcs guest-image list --json"
    )]
    List {
        #[command(flatten)]
        format: FormatOption,
    },
    /// Remove images; machines that run are not disturbed
    #[command(
        visible_alias = "rm",
        after_help = "\
Examples:
  hcs guest-image remove tools"
    )]
    Remove {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

impl GuestImage {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        let store = Store::of_user()?;
        match self.action {
            Action::Build {
                name,
                kernel,
                modules,
                more,
                root,
                agent,
            } => {
                let kernel = match kernel {
                    Some(path) => find::at(&path, modules.as_deref())?,
                    None => find::find(Path::new("/"), &running())?,
                };
                let recipe = Recipe {
                    kernel,
                    agent: agent.map_or_else(own_agent, Ok)?,
                    modules: more,
                    root,
                    automatic: false,
                };
                print(&line(&build(&store, &name, &recipe)?))?;
            }
            Action::List { format } => {
                let images = store.list()?;
                match format.chosen() {
                    Format::Json => print_json(&images.iter().map(json).collect::<Vec<_>>())?,
                    Format::Table => print(&text(&images))?,
                }
            }
            Action::Remove { names } => {
                for name in names {
                    store.remove(&name)?;
                    print(&format!("{}\n", printable(&name)))?;
                }
            }
        }
        Ok(0)
    }
}

/// What a virtual machine boots that these options describe. An image that is needed and not there is made.
///
/// # Errors
/// A file or an image that was named is not there; no kernel is found; the image cannot be made.
pub(crate) fn boot(machine: &MachineOptions, here: &Surroundings) -> Result<Boot, Failure> {
    let found = |kernel: &Path| {
        find::at(kernel, None).map_err(|failure| match kernel.is_file() {
            true => failure.cause(
                "an image of a kernel and modules in any places is made by `hcs guest-image build --kernel FILE --modules DIR \
                 NAME`, and named by --guest-image NAME",
            ),
            false => failure,
        })
    };
    if let (Some(kernel), Some(initrd)) = (machine.kernel(), machine.initrd()) {
        let kernel = match kernel.is_dir() {
            true => found(kernel)?.image,
            false => kernel.clone(),
        };
        return Ok(Boot {
            kernel: here.absolute(&kernel)?,
            initrd: here.absolute(initrd)?,
        });
    }
    let store = Store::of_user()?;
    let image = match (machine.kernel(), machine.image().unwrap_or(DEFAULT)) {
        (Some(kernel), _) => {
            let kernel = found(kernel)?;
            let name = build::name(&kernel)?;
            match store.get(&name) {
                Ok(image) => refreshed_of(&store, image, kernel),
                Err(_) => make(&store, &name, kernel, Vec::new())?,
            }
        }
        (None, DEFAULT) => match store.get(DEFAULT) {
            Err(missing) if missing.hresult == HResult::FILE_NOT_FOUND => {
                let kernel = find::find(Path::new("/"), &running())?;
                make(&store, DEFAULT, kernel, Vec::new())?
            }
            image => refreshed(&store, image?),
        },
        (None, name) => store.get(name)?,
    };
    Ok(Boot {
        kernel: here.absolute(&image.kernel)?,
        initrd: here.absolute(machine.initrd().unwrap_or(&image.initrd))?,
    })
}

/// The image with the agent that is installed: an image that no user has built is made again when there is another one.
/// Where that is not possible, the image stays as it is, and may do.
fn refreshed(store: &Store, image: Image) -> Image {
    match find::at(Path::new(&image.about.source), None) {
        Ok(kernel) => refreshed_of(store, image, kernel),
        Err(_) => image,
    }
}

/// The same, where the kernel was found.
fn refreshed_of(store: &Store, image: Image, kernel: Kernel) -> Image {
    let about = &image.about;
    let is_current = own_agent().is_ok_and(|agent| identity(&agent) == about.agent);
    if is_current || !about.automatic {
        return image;
    }
    let made = make(store, &image.name, kernel, about.modules.clone());
    made.unwrap_or(image)
}

fn make(store: &Store, name: &str, kernel: Kernel, modules: Vec<String>) -> Result<Image, Failure> {
    let recipe = Recipe {
        kernel,
        agent: own_agent()?,
        modules,
        root: None,
        automatic: true,
    };
    build(store, name, &recipe)
}

/// The release of the kernel that runs.
fn running() -> String {
    let about = rustix::system::uname();
    about.release().to_string_lossy().into_owned()
}

/// The agent's program that was installed with this one.
fn own_agent() -> Result<PathBuf, Failure> {
    let beside = env::current_exe()
        .ok()
        .map(|this| this.with_file_name(AGENT));
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        let message = format!("the program {AGENT} is not beside hcs; name it with --agent");
        Failure::new(HResult::FILE_NOT_FOUND, message)
    })
}

fn line(image: &Image) -> String {
    format!(
        "{}: Linux {}, {} MB, {} modules\n",
        printable(&image.name),
        printable(&image.about.release),
        image.size() >> 20,
        image.about.modules.len()
    )
}

fn text(images: &[Image]) -> String {
    let rows: Vec<[String; 4]> = images
        .iter()
        .map(|image| {
            [
                image.name.clone(),
                image.about.release.clone(),
                format!("{} MB", image.size() >> 20),
                image.about.root.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(["NAME", "LINUX", "SIZE", "ROOT"], &rows)
}

fn json(image: &Image) -> serde_json::Value {
    let mut value = serde_json::to_value(&image.about).unwrap_or_default();
    value["Name"] = image.name.clone().into();
    value["Kernel"] = image.kernel.display().to_string().into();
    value["InitRd"] = image.initrd.display().to_string().into();
    value
}

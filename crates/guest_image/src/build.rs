//! Making an image from a kernel, its modules and the agent.

use std::{
    fs::File,
    io::{BufWriter, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};

use crate::{
    cpio::Archive,
    find::{self, Kernel},
    kernel::{self, MAX_FILE},
    modules, program,
    store::{About, Image, Store},
    tools, tree,
};

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The kernel and its modules.
    pub kernel: Kernel,
    /// The agent's program on this host.
    pub agent: PathBuf,
    /// Modules beyond the usual ones.
    pub modules: Vec<String>,
    /// A directory whose files are to be the root file system of the guest. Without it the guest has some programs of the
    /// host ([`tools`]).
    pub root: Option<PathBuf>,
    /// Whether no user asked for it in particular: it may be made again for another agent.
    pub automatic: bool,
}

/// Directories that a guest has in any case.
const DIRECTORIES: [(&str, u32); 7] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("root", 0o700),
    ("modules", 0o700),
];

/// Makes the image `name` in `store`, in place of one that is there.
///
/// # Errors
/// A part is missing or not usable, or a file cannot be written.
pub fn build(store: &Store, name: &str, recipe: &Recipe) -> Result<Image, Failure> {
    let image = &recipe.kernel.image;
    let file = find::read(image, MAX_FILE)?;
    let draft = store.draft(name)?;
    let unpack = || {
        kernel::elf(&file).map_err(|error| {
            let message = format!("{} cannot be used as a kernel", image.display());
            Failure::new(HResult::E_INVALIDARG, message).because(&error)
        })
    };
    store.kernel(&file, unpack, &draft.kernel())?;
    let loaded = initrd_file(recipe, &draft.initrd())?;
    let source = std::path::absolute(image);
    draft.keep(&About {
        release: recipe.kernel.release.clone(),
        source: source.as_ref().unwrap_or(image).display().to_string(),
        modules: loaded,
        root: recipe.root.as_ref().map(|root| root.display().to_string()),
        agent: identity(&recipe.agent),
        automatic: recipe.automatic,
    })
}

/// Tells the program at `path` from an earlier or later one: its size, and when it was written. Empty where it is not.
#[must_use]
pub fn identity(path: &Path) -> String {
    let about = std::fs::metadata(path);
    about.map_or_else(
        |_| String::new(),
        |about| {
            format!(
                "{} {}.{:09}",
                about.len(),
                about.mtime(),
                about.mtime_nsec()
            )
        },
    )
}

/// Writes the initial ramdisk to a new file at `path`; answers the modules in it, in the order that they are loaded.
///
/// # Errors
/// A part is missing or not usable, or the file cannot be written.
pub fn initrd_file(recipe: &Recipe, path: &Path) -> Result<Vec<String>, Failure> {
    let unwritten = |error: &std::io::Error| {
        let message = format!("{} cannot be written", path.display());
        Failure::new(HResult::E_FAIL, message).because(error)
    };
    let file = File::create_new(path).map_err(|error| unwritten(&error))?;
    let mut file = BufWriter::new(file);
    let (archive, loaded) = archive(recipe)?;
    let written = archive.write(&mut file).and_then(|_| file.flush());
    written.map_err(|error| unwritten(&error))?;
    Ok(loaded)
}

/// The entries of the initial ramdisk, and the modules in it.
fn archive(recipe: &Recipe) -> Result<(Archive, Vec<String>), Failure> {
    let selected = modules::select(&recipe.kernel.modules, &recipe.modules)?;
    let names: Vec<String> = selected.iter().map(|module| module.name.clone()).collect();
    let mut archive = Archive::default();
    program::add(&mut archive, &recipe.agent, "init")?;
    if recipe.root.is_none() {
        tools::add(&mut archive)?;
    }
    let added = add_all(&mut archive, selected, recipe.root.as_deref());
    added.map_err(|error| {
        Failure::new(
            HResult::E_INVALIDARG,
            "the initial ramdisk cannot be put together",
        )
        .because(&error)
    })?;
    Ok((archive, names))
}

fn add_all(
    archive: &mut Archive,
    modules: Vec<modules::Module>,
    root: Option<&Path>,
) -> std::io::Result<()> {
    let mut order = String::new();
    for module in modules {
        order += &format!("{}.ko\n", module.name);
        archive.file(&format!("modules/{}.ko", module.name), 0o600, module.bytes)?;
    }
    archive.file("modules/order", 0o600, order.into_bytes())?;
    // The kernel opens it before it runs the agent.
    archive.device("dev/console", 0o600, (5, 1))?;
    if let Some(root) = root {
        tree::add(archive, root)?;
    }
    for (path, permissions) in DIRECTORIES {
        archive.directory(path, permissions)?;
    }
    for (path, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
    ] {
        if !archive.has(path) {
            archive.file(path, 0o644, text.into())?;
        }
    }
    Ok(())
}

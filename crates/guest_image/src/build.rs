//! Making an image from a kernel, its modules and the agent.

use std::{
    io::{BufWriter, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use sha2::{Digest as _, Sha256};

use crate::{
    cpio::Archive,
    find::{self, Kernel},
    kernel::{self, MAX_FILE},
    modules, program,
    store::{self, About, Image, Store},
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
    /// A directory whose files are to be the root file system of the guest. Without it the guest has some programs of
    /// the host ([`tools`]).
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

/// Bytes of a digest in the name of an image.
const NAMED: usize = 16;

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
    draft.put_kernel(&file, unpack)?;
    let shown = store.root().join(name).join("initrd");
    let loaded = write_initrd(recipe, &draft.initrd(), &shown)?;
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

/// The name of the image that is made of `kernel` for a user who names none: the same for the same kernel file and
/// modules wherever they are, another for any other. The kernel counts by its bytes, modules by the names, sizes and
/// times of their files: this is asked for at each start, and all modules of a kernel are hundreds of megabytes. So a
/// module that was changed with the size and the time of the earlier one is taken for that.
///
/// # Errors
/// The kernel or its modules cannot be read.
pub fn name(kernel: &Kernel) -> Result<String, Failure> {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    part(&find::read(&kernel.image, MAX_FILE)?);
    part(kernel.release.as_bytes());
    part(modules::listing(&kernel.modules)?.as_bytes());
    let digest = digest.finalize();
    let name = digest.iter().take(NAMED).map(|byte| format!("{byte:02x}"));
    Ok(format!("kernel-{}", name.collect::<String>()))
}

/// Writes the initial ramdisk to a new file at `path`; answers the modules in it, in the order that they are loaded.
///
/// # Errors
/// A part is missing or not usable, or the file cannot be written.
pub fn initrd_file(recipe: &Recipe, path: &Path) -> Result<Vec<String>, Failure> {
    write_initrd(recipe, path, path)
}

/// The same, with the path that a failure names.
fn write_initrd(recipe: &Recipe, path: &Path, shown: &Path) -> Result<Vec<String>, Failure> {
    let unwritten = |error: &std::io::Error| {
        let message = format!("{} cannot be written", shown.display());
        Failure::new(HResult::E_FAIL, message).because(error)
    };
    let file = store::create(path).map_err(|error| unwritten(&error))?;
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn the_name_is_that_of_what_is_in_the_image() {
        let place = tempfile::tempdir().unwrap();
        let kernel = |folder: &str, image: &str, module: &str| {
            let root = place.path().join(folder);
            let modules = root.join("lib/modules/6.12.0+");
            fs::create_dir_all(modules.join("kernel")).unwrap();
            fs::create_dir_all(root.join("boot")).unwrap();
            fs::write(root.join("boot/vmlinuz-6.12.0+"), image).unwrap();
            let file = File::create(modules.join("kernel/virtio.ko")).unwrap();
            { &file }.write_all(module.as_bytes()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
            name(&find::at(&root, None).unwrap()).unwrap()
        };
        let one = kernel("one", "a", "m");
        assert_eq!(one, kernel("moved", "a", "m"));
        assert_ne!(one, kernel("image", "b", "m"));
        assert_ne!(one, kernel("module", "a", "mm"));
        let store = Store::new(place.path().join("images"));
        store.draft(&one).unwrap();
    }
}

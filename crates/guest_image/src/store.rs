//! Where images are kept: a directory for each, with `kernel`, `initrd` and `image.json`.
//!
//! ```text
//!   ROOT/NAME/{kernel,initrd,image.json}     an image, complete or not there
//!   ROOT/.kernels/SHA256                     unpacked kernels by their files, linked into images
//!   ROOT/.new-*                              an image that is being made
//! ```
//!
//! An image is replaced as a whole, so a machine that is made meanwhile boots the old one or the new one.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The image that machines boot when no other is named.
pub const DEFAULT: &str = "default";
/// Where the service of root looks for images.
const ROOT_OF_ROOT: &str = "/var/lib/hcs/guest-images";
/// Names another place for the images of this user.
const PLACE: &str = "HCS_GUEST_IMAGES";
/// Unpacked kernels.
const KERNELS: &str = ".kernels";
/// The longest name.
const MAX_NAME: usize = 64;
/// The largest description.
const MAX_ABOUT: u64 = 1 << 20;
/// The most images that are listed.
const MOST: usize = 10_000;

/// What is said of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct About {
    /// The release of its kernel.
    pub release: String,
    /// The file that the kernel was taken from.
    pub source: String,
    /// Its modules, in the order that they are loaded.
    pub modules: Vec<String>,
    /// The directory whose files are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// What its agent's program was ([`crate::build::identity`]).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// Whether it was made without a user's asking for it ([`crate::build::Recipe::automatic`]).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// The kernel, an ELF file.
    pub kernel: PathBuf,
    /// The initial ramdisk.
    pub initrd: PathBuf,
    /// What is said of it.
    pub about: About,
}

impl Image {
    /// How many bytes its two files have.
    #[must_use]
    pub fn size(&self) -> u64 {
        let size = |path: &Path| fs::metadata(path).map_or(0, |about| about.len());
        size(&self.kernel) + size(&self.initrd)
    }
}

/// All images of a directory.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// An image that is being made. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    folder: tempfile::TempDir,
    store: Store,
    name: String,
}

impl Store {
    /// The images in `root`.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The images of this user: where the variable `HCS_GUEST_IMAGES` says, if it has an absolute path; else of root in
    /// `/var/lib/hcs`, of others below their home directory.
    ///
    /// # Errors
    /// An ordinary user has no home directory.
    pub fn of_user() -> Result<Self, Failure> {
        let absolute = |name| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        if let Some(named) = absolute(PLACE) {
            return Ok(Self::new(named));
        }
        if rustix::process::geteuid().is_root() {
            return Ok(Self::new(ROOT_OF_ROOT.into()));
        }
        let data =
            absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
        data.map(|data| Self::new(data.join("hcs/guest-images"))).ok_or_else(|| {
            let message = "guest images have no place: neither XDG_DATA_HOME nor HOME is an absolute path";
            Failure::new(HResult::FILE_NOT_FOUND, message)
        })
    }

    /// Where they are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The image `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn get(&self, name: &str) -> Result<Image, Failure> {
        check_name(name)?;
        let folder = self.root.join(name);
        let about = folder.join("image.json");
        if !about.is_file() {
            let message = format!(
                "there is no guest image {name:?} in {}",
                self.root.display()
            );
            let advice = "`hcs guest-image build` makes one, `hcs guest-image list` shows all";
            return Err(Failure::new(HResult::FILE_NOT_FOUND, message).cause(advice));
        }
        let text = crate::find::read(&about, MAX_ABOUT)?;
        let read = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("{} is no description of an image", about.display());
            Failure::new(HResult::E_INVALIDARG, message).because(&error)
        })?;
        Ok(Image {
            name: name.to_owned(),
            kernel: folder.join("kernel"),
            initrd: folder.join("initrd"),
            about: read,
        })
    }

    /// All images by their names. What is none is left out.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<Image>, Failure> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| failed("cannot be read", &self.root, &error))?,
        };
        let names = entries.flatten().take(MOST);
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut images: Vec<Image> = names.filter_map(|name| self.get(&name).ok()).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Removes the image `name`, and a kernel that no other image has. Machines that run are not disturbed.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        let image = self.get(name)?;
        let folder = image.kernel.parent().unwrap_or(&self.root);
        // From now on it is none.
        let about = folder.join("image.json");
        fs::remove_file(&about).map_err(|error| failed("cannot be removed", &about, &error))?;
        fs::remove_dir_all(folder).map_err(|error| failed("cannot be removed", folder, &error))?;
        self.forget_kernels();
        Ok(())
    }

    /// Begins the image `name`.
    ///
    /// # Errors
    /// The name is none, or the directory cannot be made.
    pub fn draft(&self, name: &str) -> Result<Draft, Failure> {
        check_name(name)?;
        let kernels = self.root.join(KERNELS);
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&kernels);
        made.map_err(|error| failed("cannot be made", &kernels, &error))?;
        let folder = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&self.root);
        let folder = folder.map_err(|error| failed("cannot be written to", &self.root, &error))?;
        Ok(Draft {
            folder,
            store: self.clone(),
            name: name.to_owned(),
        })
    }

    /// Links the kernel that was unpacked from `file` to `to`; `unpack` does it if that has not been done.
    ///
    /// # Errors
    /// That of `unpack`, or a file cannot be written.
    pub fn kernel(
        &self,
        file: &[u8],
        unpack: impl FnOnce() -> Result<Vec<u8>, Failure>,
        to: &Path,
    ) -> Result<(), Failure> {
        let digest = Sha256::digest(file);
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = self.root.join(KERNELS).join(name);
        if fs::hard_link(&kept, to).is_ok() {
            return Ok(());
        }
        let unpacked = unpack()?;
        let written = fs::write(to, unpacked).and_then(|()| match fs::hard_link(to, &kept) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        written.map_err(|error| failed("cannot be written", to, &error))
    }

    /// Removes kernels that no image has. One that stays is removed the next time.
    fn forget_kernels(&self) {
        let entries = fs::read_dir(self.root.join(KERNELS));
        for entry in entries.into_iter().flatten().flatten() {
            if entry.metadata().is_ok_and(|about| about.nlink() == 1) {
                let _next_time = fs::remove_file(entry.path());
            }
        }
    }
}

impl Draft {
    /// Where the kernel goes.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.folder.path().join("kernel")
    }

    /// Where the initial ramdisk goes.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        self.folder.path().join("initrd")
    }

    /// Makes it an image of the store, in place of the one of the same name.
    ///
    /// # Errors
    /// It cannot be written or moved to its place.
    pub fn keep(self, about: &About) -> Result<Image, Failure> {
        let from = self.folder.path();
        let text = serde_json::to_vec_pretty(about).unwrap_or_default();
        let to = self.store.root.join(&self.name);
        let kept = fs::write(from.join("image.json"), text)
            .and_then(|()| {
                fs::set_permissions(from, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            })
            .and_then(|()| exchange(from, &to));
        kept.map_err(|error| failed("cannot be written", &to, &error))?;
        // What is there now is the old image, or nothing.
        drop(self.folder);
        self.store.forget_kernels();
        self.store.get(&self.name)
    }
}

/// Moves a directory to `to`; one that is there comes to `from`.
fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::EXIST) => {
            Ok(renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?)
        }
        other => Ok(other?),
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.starts_with('.')
        && name.chars().all(plain)
    {
        return Ok(());
    }
    let message = format!(
        "{name:?} is no name of a guest image: 1 to {MAX_NAME} letters, digits, '.', '_' and '-' were expected, no '.' first"
    );
    Err(Failure::new(HResult::E_INVALIDARG, message))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => HResult::E_ACCESSDENIED,
        _ => HResult::E_FAIL,
    };
    Failure::new(code, format!("{} {what}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(store: &Store, name: &str, kernel: &str, release: &str) -> Image {
        let draft = store.draft(name).unwrap();
        let unpack = || Ok(format!("unpacked {kernel}").into_bytes());
        store
            .kernel(kernel.as_bytes(), unpack, &draft.kernel())
            .unwrap();
        fs::write(draft.initrd(), "").unwrap();
        let about = About {
            release: release.to_owned(),
            ..About::default()
        };
        draft.keep(&about).unwrap()
    }

    fn kernels(store: &Store) -> usize {
        fs::read_dir(store.root().join(KERNELS)).unwrap().count()
    }

    #[test]
    fn images_are_replaced_as_a_whole_and_kernels_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("images"));
        assert_eq!(store.list().unwrap(), []);
        make(&store, "one", "a", "1");
        let two = make(&store, "two", "a", "2");
        assert_eq!(fs::read(&two.kernel).unwrap(), b"unpacked a");
        assert_eq!((store.list().unwrap().len(), kernels(&store)), (2, 1));
        make(&store, "two", "b", "3");
        assert_eq!(store.get("two").unwrap().about.release, "3");
        assert_eq!(kernels(&store), 2);
        store.remove("one").unwrap();
        assert_eq!((store.list().unwrap().len(), kernels(&store)), (1, 1));
        let left: Vec<_> = fs::read_dir(store.root()).unwrap().collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(
            store
                .remove("one")
                .unwrap_err()
                .message
                .contains("no guest image")
        );
    }

    #[test]
    fn a_kernel_is_unpacked_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        make(&store, "one", "a", "1");
        let draft = store.draft("two").unwrap();
        let never = || Err(Failure::new(HResult::E_FAIL, "it is there"));
        store.kernel(b"a", never, &draft.kernel()).unwrap();
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        drop(store.draft("one").unwrap());
        assert_eq!(store.list().unwrap(), []);
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 1);
    }

    #[test]
    fn names_are_no_paths() {
        let store = Store::new("/nowhere".into());
        for name in [
            "",
            ".",
            "..",
            ".kernels",
            "a/b",
            "a b",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(store.draft(name).is_err(), "{name}");
            assert!(
                store.get(name).unwrap_err().message.contains("no name"),
                "{name}"
            );
        }
    }
}

//! Where images are kept: a directory for each, with `kernel`, `initrd` and `image.json`.
//!
//! ```text
//!   ROOT/NAME/{kernel,initrd,image.json}     an image, complete or not there
//!   ROOT/.kernels/SHA256                     unpacked kernels by their files, linked into images
//!   ROOT/.new-*                              an image that is being made
//! ```
//!
//! An image is replaced as a whole, so a machine that is made meanwhile boots the old one or the new one.
//!
//! A user who can change a kernel or an agent has every machine that boots it. So files are made that no other user can
//! write to, whatever the mask of the process is; and what other users could change is not used.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use hcs_schema::{Failure, HResult};
use hcs_wire::{
    environment, errno,
    trust::{Reason, Trusted, Untrusted},
};
use rustix::{
    fs::{CWD, FileType, RenameFlags, fstat, renameat_with},
    io::Errno,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The image that machines boot when no other is named.
pub const DEFAULT: &str = "default";
/// Where the service of root looks for images.
const ROOT_OF_ROOT: &str = "/var/lib/hcs/guest-images";
/// Names another place for the images of this user.
const PLACE: &str = "HCS_GUEST_IMAGES";
/// What is said of an image.
const ABOUT: &str = "image.json";
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
            environment::variable(name)
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
    /// There is none, or other users could change it.
    pub fn get(&self, name: &str) -> Result<Image, Failure> {
        let image = self.read(name)?;
        let about = image.kernel.with_file_name(ABOUT);
        for path in [&about, &image.kernel, &image.initrd] {
            let found = absolute(path).and_then(|path| Trusted::of_process().open(&path));
            found.map_err(|untrusted| {
                let message = format!("the guest image {name:?} is not used: {untrusted}");
                let advice = "`hcs guest-image build` makes an image again, in place of the one that is there";
                Failure::new(HResult::E_ACCESSDENIED, message).cause(advice)
            })?;
        }
        Ok(image)
    }

    /// The image `name`, whose files others may be able to change.
    fn read(&self, name: &str) -> Result<Image, Failure> {
        check_name(name)?;
        let folder = self.root.join(name);
        let about = folder.join(ABOUT);
        if !self.is_there()? || !about.is_file() {
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

    /// Whether the directory is there; one that other users could change is refused.
    fn is_there(&self) -> Result<bool, Failure> {
        match own(&self.root, None) {
            Ok(_) => Ok(true),
            Err(untrusted) if untrusted.reason == Reason::Io(Errno::NOENT) => Ok(false),
            Err(untrusted) => Err(self.refused(&untrusted)),
        }
    }

    fn refused(&self, untrusted: &Untrusted) -> Failure {
        let root = self.root.display();
        let message = format!("{root} is not used for guest images: {untrusted}");
        Failure::new(HResult::E_ACCESSDENIED, message)
    }

    /// All images by their names, those that [`Store::get`] refuses as well. What is none is left out.
    ///
    /// # Errors
    /// The directory cannot be read, or other users could change it.
    pub fn list(&self) -> Result<Vec<Image>, Failure> {
        if !self.is_there()? {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&self.root);
        let entries = entries.map_err(|error| failed("cannot be read", &self.root, &error))?;
        let names = entries.flatten().take(MOST);
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut images: Vec<Image> = names.filter_map(|name| self.read(&name).ok()).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Removes the image `name`, and a kernel that no other image has. Machines that run are not disturbed.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        let image = self.read(name)?;
        let folder = image.kernel.parent().unwrap_or(&self.root);
        // From now on it is none.
        let about = folder.join(ABOUT);
        fs::remove_file(&about).map_err(|error| failed("cannot be removed", &about, &error))?;
        fs::remove_dir_all(folder).map_err(|error| failed("cannot be removed", folder, &error))?;
        self.forget_kernels();
        Ok(())
    }

    /// Begins the image `name`.
    ///
    /// # Errors
    /// The name is none; or the directory cannot be made, or could be changed by other users.
    pub fn draft(&self, name: &str) -> Result<Draft, Failure> {
        check_name(name)?;
        for folder in [self.root.clone(), self.root.join(KERNELS)] {
            let made = own(&folder, Some(0o755));
            made.map_err(|untrusted| self.refused(&untrusted))?;
        }
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
        // Its name says what it was made of, and not what it has now.
        if is_own_file(&kept) {
            if fs::hard_link(&kept, to).is_ok() {
                return Ok(());
            }
        } else {
            // What cannot be removed is not linked either.
            let _other = fs::remove_file(&kept);
        }
        let unpacked = unpack()?;
        let written = write(to, &unpacked).and_then(|()| match fs::hard_link(to, &kept) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        });
        written.map_err(|error| failed("cannot be written", to, &error))
    }

    /// Removes kernels that no image has. A kernel that stays is removed the next time.
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
        let kept = write(&from.join(ABOUT), &text)
            .and_then(|()| fs::set_permissions(from, Permissions::from_mode(0o755)))
            .and_then(|()| exchange(from, &to));
        kept.map_err(|error| failed("cannot be written", &to, &error))?;
        // What is there now is the old image, or nothing.
        drop(self.folder);
        self.store.forget_kernels();
        self.store.get(&self.name)
    }
}

/// Makes the file `path`, which this user can write to, whatever the mask of the process is, and no other one. Others
/// can read it where the mask lets them.
///
/// # Errors
/// It is there, or cannot be made.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    let mode = file.metadata()?.mode() & 0o044;
    file.set_permissions(Permissions::from_mode(0o600 | mode))?;
    Ok(file)
}

fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    create(path)?.write_all(contents)
}

/// The directory at `path`, in which no other user can make or change anything. With a `mode` it is made where nothing
/// is.
fn own(path: &Path, mode: Option<u32>) -> Result<OwnedFd, Untrusted> {
    let path = absolute(path)?;
    let found = Trusted::of_process().directory(&path, mode)?;
    let about = fstat(&found).map_err(|errno| untrusted(&path, errno))?;
    // In such a directory others can make what is not there yet.
    if about.st_mode & 0o1000 != 0 && about.st_mode & 0o022 != 0 {
        let reason = Reason::Writable {
            owner: about.st_uid,
            group: about.st_gid,
            mode: about.st_mode & 0o7777,
        };
        return Err(Untrusted { path, reason });
    }
    Ok(found)
}

/// Whether a regular file is at `path`, not by way of a link, that no other user can change.
fn is_own_file(path: &Path) -> bool {
    let is_file = fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    let found = absolute(path).and_then(|path| Trusted::of_process().open(&path));
    let about = found.ok().and_then(|found| fstat(&found).ok());
    is_file && about.is_some_and(|about| FileType::from_raw_mode(about.st_mode).is_file())
}

fn absolute(path: &Path) -> Result<PathBuf, Untrusted> {
    let absolute = std::path::absolute(path);
    absolute.map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
        untrusted(path, errno)
    })
}

fn untrusted(path: &Path, errno: Errno) -> Untrusted {
    Untrusted {
        path: path.to_owned(),
        reason: Reason::Io(errno),
    }
}

/// Moves a directory to `to`; one that is there comes to `from`.
fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Ok(renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE)?),
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
    let message = format!("{} {what}", path.display());
    Failure::new(errno::of_io(error), message).because(error)
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
    fn a_directory_of_another_user_is_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("images"));
        make(&store, "one", "a", "1");
        let refused = |why: &str| {
            let draft = store.draft("two").unwrap_err();
            let others = [
                store.get("one").unwrap_err(),
                store.list().unwrap_err(),
                store.remove("one").unwrap_err(),
            ];
            for failure in others.iter().chain([&draft]) {
                assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:?}");
                assert!(failure.message.contains(why), "{failure:?}");
            }
        };
        for mode in [0o777, 0o1777] {
            fs::set_permissions(store.root(), Permissions::from_mode(mode)).unwrap();
            refused("can be changed by all users");
        }
        fs::set_permissions(store.root(), Permissions::from_mode(0o755)).unwrap();
        // Only root can give a directory away.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(store.root(), Some(1000), None).unwrap();
            refused("belongs to user 1000");
        }
    }

    #[test]
    fn a_kept_kernel_that_others_could_change_is_unpacked_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        make(&store, "one", "a", "1");
        let kernels = fs::read_dir(store.root().join(KERNELS)).unwrap();
        let kept = kernels.flatten().next().unwrap().path();
        fs::write(&kept, "evil").unwrap();
        let link = folder.path().join("evil");
        fs::write(&link, "evil").unwrap();
        for number in 0..3 {
            match number {
                0 => fs::set_permissions(&kept, Permissions::from_mode(0o666)).unwrap(),
                1 if rustix::process::geteuid().is_root() => {
                    fs::write(&kept, "evil").unwrap();
                    std::os::unix::fs::chown(&kept, Some(1000), None).unwrap();
                }
                _ => {
                    fs::remove_file(&kept).unwrap();
                    std::os::unix::fs::symlink(&link, &kept).unwrap();
                }
            }
            let image = make(&store, "two", "a", "1");
            assert_eq!(fs::read(&image.kernel).unwrap(), b"unpacked a", "{number}");
            assert!(is_own_file(&image.kernel) && is_own_file(&kept), "{number}");
        }
        assert_eq!(fs::read(&link).unwrap(), b"evil");
    }

    #[test]
    fn an_image_that_others_could_change_is_not_booted_and_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("images"));
        let image = make(&store, "one", "a", "1");
        for file in ["kernel", "initrd", ABOUT, "."] {
            let path = store.root().join("one").join(file);
            fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
            let failure = store.get("one").unwrap_err();
            assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:?}");
            assert!(failure.message.contains("chmod go-w"), "{failure:?}");
            assert_eq!(store.list().unwrap(), std::slice::from_ref(&image));
            assert_eq!(make(&store, "one", "a", "1"), image);
        }
        fs::set_permissions(&image.initrd, Permissions::from_mode(0o777)).unwrap();
        store.remove("one").unwrap();
        assert_eq!(store.list().unwrap(), []);
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

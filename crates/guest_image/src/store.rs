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
//!
//! A container may have the directory mapped and write there, so what has the name of a folder now may lead anywhere.
//! The directory is opened once. All in it is made, read and removed below its descriptor, and no link is followed.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
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
    fs::{
        AtFlags, Mode, OFlags, RenameFlags, Stat, fchmod, fstat, linkat, mkdirat, renameat_with,
        unlinkat,
    },
    io::Errno,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::beneath::{below, file_below, folder_below, is_file, path_of};

/// The image that machines boot when no other is named.
pub const DEFAULT: &str = "default";
/// Where the service of root looks for images.
const ROOT_OF_ROOT: &str = "/var/lib/hcs/guest-images";
/// Names another place for the images of this user.
const PLACE: &str = "HCS_GUEST_IMAGES";
/// The kernel of an image.
const KERNEL: &str = "kernel";
/// The initial ramdisk of an image.
const INITRD: &str = "initrd";
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
        let size = |path: &Path| fs::symlink_metadata(path).map_or(0, |about| about.len());
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
    /// Its directory by a path below `root`, which is open for longer.
    folder: tempfile::TempDir,
    /// The same directory.
    opened: OwnedFd,
    /// The store.
    root: OwnedFd,
    /// Its unpacked kernels.
    kernels: OwnedFd,
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
        let root = self.opened_for(name)?;
        let image = self.read(&root, name)?;
        let about = image.kernel.with_file_name(ABOUT);
        for path in [&about, &image.kernel, &image.initrd] {
            let found = absolute(path).and_then(|path| {
                check_plain(&root, name, &path)?;
                Trusted::of_process().open(&path)
            });
            found.map_err(|untrusted| {
                let message = format!("the guest image {name:?} is not used: {untrusted}");
                let advice = "`hcs guest-image build` makes an image again, in place of the one that is there";
                Failure::new(HResult::E_ACCESSDENIED, message).cause(advice)
            })?;
        }
        Ok(image)
    }

    /// The image `name`, whose files others may be able to change.
    fn read(&self, root: &OwnedFd, name: &str) -> Result<Image, Failure> {
        check_name(name)?;
        let folder = self.root.join(name);
        let about = folder.join(ABOUT);
        let file = folder_below(root, name).and_then(|opened| file_below(&opened, ABOUT));
        let file = file.map_err(|_| self.none(name))?;
        let mut text = Vec::new();
        let read = file.take(MAX_ABOUT).read_to_end(&mut text);
        read.map_err(|error| failed("cannot be read", &about, &error))?;
        let read = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("{} is no description of an image", about.display());
            Failure::new(HResult::E_INVALIDARG, message).because(&error)
        })?;
        Ok(Image {
            name: name.to_owned(),
            kernel: folder.join(KERNEL),
            initrd: folder.join(INITRD),
            about: read,
        })
    }

    /// The directory, if it is there; one that other users could change is refused.
    fn opened(&self) -> Result<Option<OwnedFd>, Failure> {
        match own(&self.root, None) {
            Ok(root) => Ok(Some(root)),
            Err(untrusted) if untrusted.reason == Reason::Io(Errno::NOENT) => Ok(None),
            Err(untrusted) => Err(self.refused(&untrusted)),
        }
    }

    /// The directory, for the image `name`.
    fn opened_for(&self, name: &str) -> Result<OwnedFd, Failure> {
        check_name(name)?;
        self.opened()?.ok_or_else(|| self.none(name))
    }

    fn none(&self, name: &str) -> Failure {
        let root = self.root.display();
        let message = format!("there is no guest image {name:?} in {root}");
        let advice = "`hcs guest-image build` makes one, `hcs guest-image list` shows all";
        Failure::new(HResult::FILE_NOT_FOUND, message).cause(advice)
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
        let Some(root) = self.opened()? else {
            return Ok(Vec::new());
        };
        let entries = fs::read_dir(path_of(&root));
        let entries = entries.map_err(|error| failed("cannot be read", &self.root, &error))?;
        let names = entries.flatten().take(MOST);
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut images: Vec<Image> = names
            .filter_map(|name| self.read(&root, &name).ok())
            .collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// Removes the image `name`, and a kernel that no other image has. Machines that run are not disturbed.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), Failure> {
        let root = self.opened_for(name)?;
        self.read(&root, name)?;
        let folder = self.root.join(name);
        let unremoved = |error: &io::Error| failed("cannot be removed", &folder, error);
        // From now on it is none.
        let removed =
            folder_below(&root, name).and_then(|opened| unlinkat(&opened, ABOUT, AtFlags::empty()));
        removed.map_err(|errno| unremoved(&errno.into()))?;
        // Neither the directory nor anything in it is followed as a link.
        let removed = fs::remove_dir_all(path_of(&root).join(name));
        removed.map_err(|error| unremoved(&error))?;
        forget_kernels(&root);
        Ok(())
    }

    /// Begins the image `name`.
    ///
    /// # Errors
    /// The name is none; or the directory cannot be made, or could be changed by other users.
    pub fn draft(&self, name: &str) -> Result<Draft, Failure> {
        check_name(name)?;
        let root = own(&self.root, Some(0o755));
        let root = root.map_err(|untrusted| self.refused(&untrusted))?;
        let kernels = self.kernels(&root);
        let kernels = kernels.map_err(|untrusted| self.refused(&untrusted))?;
        let unwritten = |error: &io::Error| failed("cannot be written to", &self.root, error);
        let folder = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(path_of(&root));
        let folder = folder.map_err(|error| unwritten(&error))?;
        let opened = folder_below(&root, name_of(&folder));
        Ok(Draft {
            opened: opened.map_err(|errno| unwritten(&errno.into()))?,
            folder,
            root,
            kernels,
            store: self.clone(),
            name: name.to_owned(),
        })
    }

    /// The directory of unpacked kernels, which is made where it is not there.
    fn kernels(&self, root: &OwnedFd) -> Result<OwnedFd, Untrusted> {
        let path = absolute(&self.root)?.join(KERNELS);
        let mode = Mode::from_raw_mode(0o755);
        let made = match mkdirat(root, KERNELS, mode) {
            Err(Errno::EXIST) => Ok(false),
            made => made.map(|()| true),
        };
        let opened = made.and_then(|made| {
            let opened = folder_below(root, KERNELS)?;
            if made {
                // The mask of this process may have taken some of it.
                fchmod(&opened, mode)?;
            }
            Ok((fstat(root)?, fstat(&opened)?, opened))
        });
        let (above, about, opened) = opened.map_err(|errno| untrusted(&path, errno))?;
        if is_own(&about, &above) {
            return Ok(opened);
        }
        let (owner, mode) = (about.st_uid, about.st_mode & 0o7777);
        let reason = match mode & 0o022 {
            0 => Reason::Owner {
                owner,
                user: rustix::process::geteuid().as_raw(),
                mode,
            },
            _ => Reason::Writable {
                owner,
                group: about.st_gid,
                mode,
            },
        };
        Err(Untrusted { path, reason })
    }
}

/// Removes kernels that no image has. A kernel that stays is removed the next time.
fn forget_kernels(root: &OwnedFd) {
    let Ok(kernels) = folder_below(root, KERNELS) else {
        return;
    };
    let entries = fs::read_dir(path_of(&kernels));
    for entry in entries.into_iter().flatten().flatten() {
        let about = entry.metadata();
        if about.is_ok_and(|about| about.is_file() && about.nlink() == 1) {
            let _next_time = unlinkat(&kernels, entry.file_name(), AtFlags::empty());
        }
    }
}

impl Draft {
    /// Links the kernel that was unpacked from `file` to its place; `unpack` does it if that has not been done.
    ///
    /// # Errors
    /// That of `unpack`, or a file cannot be written.
    pub fn put_kernel(
        &self,
        file: &[u8],
        unpack: impl FnOnce() -> Result<Vec<u8>, Failure>,
    ) -> Result<(), Failure> {
        let digest = Sha256::digest(file);
        let kept: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let none = AtFlags::empty();
        // Its name says what it was made of, and not what it has now.
        if is_own_file(&self.kernels, &kept) {
            if linkat(&self.kernels, &*kept, &self.opened, KERNEL, none).is_ok() {
                return Ok(());
            }
        } else {
            // What cannot be removed is not linked either.
            let _other = unlinkat(&self.kernels, &*kept, none);
        }
        let unpacked = unpack()?;
        let written = write(&path_of(&self.opened).join(KERNEL), &unpacked).and_then(|()| {
            match linkat(&self.opened, KERNEL, &self.kernels, &*kept, none) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        });
        let to = self.store.root.join(&self.name).join(KERNEL);
        written.map_err(|error| failed("cannot be written", &to, &error))
    }

    /// Where the initial ramdisk goes: a path for as long as this lives.
    #[must_use]
    pub fn initrd(&self) -> PathBuf {
        path_of(&self.opened).join(INITRD)
    }

    /// Makes it an image of the store, in place of the one of the same name.
    ///
    /// # Errors
    /// It cannot be written or moved to its place.
    pub fn keep(self, about: &About) -> Result<Image, Failure> {
        let text = serde_json::to_vec_pretty(about).unwrap_or_default();
        let to = self.store.root.join(&self.name);
        let kept = write(&path_of(&self.opened).join(ABOUT), &text)
            .and_then(|()| Ok(fchmod(&self.opened, Mode::from_raw_mode(0o755))?))
            .and_then(|()| exchange(&self.root, name_of(&self.folder), &self.name));
        kept.map_err(|error| failed("cannot be written", &to, &error))?;
        // What is there now is the old image, or nothing.
        drop(self.folder);
        forget_kernels(&self.root);
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

/// Refuses what is no regular file, where the image `name` has its file `path`.
fn check_plain(root: &OwnedFd, name: &str, path: &Path) -> Result<(), Untrusted> {
    let place = Path::new(name).join(path.file_name().unwrap_or_default());
    let about = below(root, place, OFlags::PATH).and_then(|found| fstat(&found));
    let about = about.map_err(|errno| untrusted(path, errno))?;
    match is_file(&about) {
        true => Ok(()),
        false => Err(Untrusted {
            path: path.to_owned(),
            reason: Reason::Kind,
        }),
    }
}

/// Whether no other user can change it, in a directory of that kind.
fn is_own(about: &Stat, above: &Stat) -> bool {
    about.st_mode & 0o022 == 0 && Trusted::of_process().owns_in(about.st_uid, above.st_mode)
}

/// Whether a regular file has this name in `folder`, that no other user can change.
fn is_own_file(folder: &OwnedFd, name: &str) -> bool {
    let found = below(folder, name, OFlags::PATH).and_then(|found| fstat(&found));
    match (found, fstat(folder)) {
        (Ok(about), Ok(above)) => is_file(&about) && is_own(&about, &above),
        _ => false,
    }
}

fn name_of(folder: &tempfile::TempDir) -> &OsStr {
    folder.path().file_name().unwrap_or_default()
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

/// Gives a directory of `root` the name `to`; one that has it gets the name `from`.
fn exchange(root: &OwnedFd, from: &OsStr, to: &str) -> io::Result<()> {
    match renameat_with(root, from, root, to, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => Ok(renameat_with(root, from, root, to, RenameFlags::EXCHANGE)?),
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
    use std::{collections::BTreeMap, os::unix::fs::symlink};

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    fn make(store: &Store, name: &str, kernel: &str, release: &str) -> Image {
        let draft = store.draft(name).unwrap();
        let unpack = || Ok(format!("unpacked {kernel}").into_bytes());
        draft.put_kernel(kernel.as_bytes(), unpack).unwrap();
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
        draft.put_kernel(b"a", never).unwrap();
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
                    symlink(&link, &kept).unwrap();
                }
            }
            let image = make(&store, "two", "a", "1");
            assert_eq!(fs::read(&image.kernel).unwrap(), b"unpacked a", "{number}");
            for path in [&image.kernel, &kept] {
                let above = File::open(path.parent().unwrap()).unwrap();
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(is_own_file(&above.into(), name), "{number} {name}");
            }
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

    fn texts(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = fs::read_dir(folder).unwrap();
        let paths = paths.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    /// As a container may put it there that has the store mapped.
    #[test]
    fn a_link_in_place_of_what_a_store_has_leads_nowhere() {
        for place in [KERNELS, "one", "one/kernel", "one/initrd", "one/image.json"] {
            let folder = tempfile::tempdir().unwrap();
            let victim = tempfile::tempdir().unwrap();
            for name in [KERNEL, INITRD, ABOUT, "other"] {
                fs::write(victim.path().join(name), "{}").unwrap();
            }
            let before = texts(victim.path());
            let store = Store::new(folder.path().join("images"));
            make(&store, "one", "a", "1");
            let at = store.root().join(place);
            fs::rename(&at, folder.path().join("aside")).unwrap();
            let target = match place.strip_prefix("one/") {
                Some(name) => victim.path().join(name),
                None => victim.path().to_owned(),
            };
            symlink(target, &at).unwrap();
            assert_eq!(store.get("one").is_ok(), place == KERNELS, "{place}");
            store.list().unwrap();
            let removed = store.remove("one");
            assert_eq!(texts(victim.path()), before, "{place}: {removed:?}");
            let made = store.draft("one").and_then(|draft| {
                draft.put_kernel(b"a", || Ok(b"b".to_vec()))?;
                fs::write(draft.initrd(), "").unwrap();
                draft.keep(&About::default())
            });
            assert_eq!(made.is_ok(), place != KERNELS, "{place}: {made:?}");
            assert_eq!(texts(victim.path()), before, "{place}");
        }
    }

    #[test]
    fn a_draft_whose_directory_is_swapped_for_a_link_writes_nothing_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let victim = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let draft = store.draft("one").unwrap();
        let name = store.root().join(name_of(&draft.folder));
        fs::rename(&name, folder.path().join(".aside")).unwrap();
        symlink(victim.path(), &name).unwrap();
        draft.put_kernel(b"a", || Ok(b"b".to_vec())).unwrap();
        fs::write(draft.initrd(), "").unwrap();
        draft.keep(&About::default()).unwrap_err();
        assert_eq!(texts(victim.path()), BTreeMap::new());
        assert_eq!(store.list().unwrap(), []);
    }

    #[test]
    fn a_fifo_in_place_of_a_file_holds_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        let image = make(&store, "one", "a", "1");
        let kernels = fs::read_dir(store.root().join(KERNELS)).unwrap();
        let kept = kernels.flatten().next().unwrap().path();
        for path in [&image.kernel, &kept, &image.kernel.with_file_name(ABOUT)] {
            fs::remove_file(path).unwrap();
            mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
            let listed = store.list().unwrap();
            assert_eq!(listed.is_empty(), path.ends_with(ABOUT));
            if *path == kept {
                make(&store, "two", "a", "1");
                store.remove("two").unwrap();
            } else {
                store.get("one").unwrap_err();
                assert_eq!(make(&store, "one", "a", "1"), image);
            }
        }
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

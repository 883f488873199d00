//! Virtual disks as writable layers: made, formatted and mounted, for containers and as disks of virtual machines.
//!
//! A disk is a VHDX or a VHD of fixed size that has an ext4 file system and no partitions. Its bytes are one stretch of
//! its file, which takes no more space on the host than what was written to it; so a loop device shows it, and no
//! program has to run as long as it is mounted. [`format()`] makes any VHDX so that has no parent. The volume that it
//! has becomes a writable layer by [`crate::layer::writable::initialize`].
//!
//! 1. [`create`], [`create_formatted`], [`format()`], [`mount_path`], [`unmount`], [`set_up`]: what is done with a
//!    file.
//! 2. [`vhdx`], [`vhd`]: where the disk is in the file. 3. [`ext4`]: its file system. 4. [`volume`]: where it is
//!    mounted.
//! 5. [`exposed`]: those that are mounted while a container could write to their files. 6. [`step`]: how one of the
//!    steps fails.

mod exposed;
mod ext4;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod step;
mod vhd;
mod vhdx;
mod volume;

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use hcs_wire::{holds, written};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, Stat, fcntl_getfl, fstat, fsync, linkat, openat,
        statat,
    },
    io::Errno,
    process::geteuid,
};

pub use exposed::mounted_in;
use step::{Failed, Stretch};

use crate::{Refusal, StorageError, layer::writable};

/// How long the mounts of a container that has just ended may keep a disk, and how often its lock is looked at.
const LAST_MOMENTS: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// The file of a disk, as a caller has it.
struct Found<'a> {
    handle: BorrowedFd<'a>,
    stat: Stat,
    name: PathBuf,
}

/// The same, opened and locked for as long as this is open, also by a loop device.
struct Opened {
    file: File,
}

impl<'a> Found<'a> {
    /// # Errors
    /// It is no regular file, or not open for reading and writing.
    fn new(handle: BorrowedFd<'a>) -> Result<Self, StorageError> {
        let name =
            fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd())).unwrap_or_default();
        let failed = |errno: Errno| Failed::from(errno).of("looking at the disk", &name);
        let stat = fstat(handle).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Failed::from(Refusal::NoFile).of("", &name));
        }
        let access = fcntl_getfl(handle).map_err(failed)? & (OFlags::RWMODE | OFlags::PATH);
        if access != OFlags::RDWR {
            return Err(Failed::from(Errno::ACCESS)
                .of("writing, with a handle that is not open for it, to", &name));
        }
        Ok(Self { handle, stat, name })
    }

    /// Opens it for itself: a lock belongs to an open file, and the caller's has its own.
    fn open(&self) -> Result<Opened, Failed> {
        let own = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let file = openat(CWD, own, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let end = Instant::now() + LAST_MOMENTS;
        loop {
            match holds::lock_disk(file.as_fd(), holds::Kind::Alone) {
                Ok(()) => return Ok(Opened { file: file.into() }),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(LOOK),
                Err(Errno::WOULDBLOCK) => return Err(Refusal::DiskInUse.into()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Checks that no container may have it writable, or had, nor a tree that it lies in, and that it has no second
    /// name, which may lie in one: root of a container writes to the file below the kernel then, whatever owner and
    /// mode are.
    fn check_tree(&self) -> Result<(), Failed> {
        let (Some(folder), Some(name)) = (self.name.parent(), self.name.file_name()) else {
            return Err(Errno::STALE.into());
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, folder, flags, Mode::empty())?;
        let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if (found.st_dev, found.st_ino) != (self.stat.st_dev, self.stat.st_ino) {
            return Err(Errno::STALE.into());
        }
        if written::is_marked_file(self.handle)? {
            return Err(Refusal::MappedDisk.into());
        }
        match self.stat.st_nlink > 1 || written::is_within(folder.as_fd())? {
            true => Err(Refusal::ContainersDisk.into()),
            false => Ok(()),
        }
    }

    /// Mounts it, attached nowhere.
    fn mount(&self) -> Result<OwnedFd, Failed> {
        // A user who may write to the file could change the file system below the kernel.
        if self.stat.st_uid != geteuid().as_raw() || self.stat.st_mode & 0o022 != 0 {
            return Err(Refusal::OthersDisk.into());
        }
        let image = self.open()?;
        let (disk, kind) = image.disk()?;
        let mut superblock = [0; ext4::SUPERBLOCK.1];
        image
            .file
            .read_exact_at(&mut superblock, disk.offset + ext4::SUPERBLOCK.0)?;
        ext4::check(&superblock).map_err(Refusal::NoVolume)?;
        if let Kind::Vhdx(structures) = kind {
            structures.note_write(&image.file)?;
        }
        volume::mounted(image.file.as_fd(), disk)
    }
}

/// What a file is.
enum Kind {
    Vhdx(vhdx::Image),
    Vhd(Stretch),
}

impl Opened {
    /// What it is, by its own bytes: a VHDX begins as one, and a VHD ends as one.
    fn kind(&self) -> Result<Kind, Failed> {
        let mut start = [0; 8];
        self.file.read_exact_at(&mut start, 0)?;
        match (start.starts_with(vhdx::MAGIC), vhd::stretch(&self.file)?) {
            (true, None) => Ok(Kind::Vhdx(vhdx::Image::read(&self.file)?)),
            (false, Some(disk)) => Ok(Kind::Vhd(disk)),
            // A guest may have written the one to its disk that is the other. An image that was laid out here does not
            // end with its disk.
            (true, Some(_)) => Err(Refusal::NoDisk("it begins as a VHDX and ends as a VHD").into()),
            (false, None) => Err(Refusal::NoDisk("it is neither a VHDX nor a VHD").into()),
        }
    }

    /// Where the disk is.
    fn disk(&self) -> Result<(Stretch, Kind), Failed> {
        let kind = self.kind()?;
        let disk = match &kind {
            Kind::Vhdx(image) => image.stretch(&self.file)?,
            Kind::Vhd(disk) => *disk,
        };
        large_enough(disk.length)?;
        Ok((disk, kind))
    }
}

fn large_enough(size: u64) -> Result<(), Failed> {
    if size < ext4::SMALLEST {
        return Err(Refusal::NoDisk("it is smaller than 4 MiB").into());
    }
    Ok(())
}

/// Makes a VHDX at `path`, where nothing is yet, for a disk of `size` bytes, which are whole MiB. The disk is empty.
/// The file takes no space for it: what is not written is a hole.
///
/// # Errors
/// The size is too small or too large; something is at `path` (`EEXIST`); or it cannot be written.
pub fn create(path: &Path, size: u64) -> Result<(), StorageError> {
    let made = made(path, size, |_, _| Ok(()));
    made.map_err(|failed| failed.of("making the disk", path))
}

/// The same with an empty file system on it, as [`format()`] makes it.
///
/// # Errors
/// As of [`create`] and [`format()`]; nothing is at `path` then.
pub fn create_formatted(path: &Path, size: u64) -> Result<(), StorageError> {
    made(path, size, ext4::make).map_err(|failed| failed.of("making the disk", path))
}

fn made(
    path: &Path,
    size: u64,
    complete: impl Fn(&File, Stretch) -> Result<(), Failed>,
) -> Result<(), Failed> {
    large_enough(size)?;
    if !size.is_multiple_of(1 << 20) {
        return Err(Refusal::NoDisk("its size is not one of whole MiB").into());
    }
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = openat(CWD, parent.unwrap_or(Path::new(".")), flags, Mode::empty())?;
    let name = path.file_name().ok_or(Errno::INVAL)?;
    // A file without a name goes with the process that was killed.
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(openat(&parent, ".", flags, Mode::RUSR | Mode::WUSR)?);
    for (offset, bytes) in vhdx::new(size)? {
        file.write_all_at(&bytes, offset)?;
    }
    let disk = vhdx::Image::read(&file)?.lay_out(&file)?;
    complete(&file, disk)?;
    file.sync_all()?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, own, &parent, name, AtFlags::SYMLINK_FOLLOW)?;
    Ok(fsync(&parent)?)
}

/// Makes an empty ext4 file system on the disk in the file `handle`, which is open for reading and writing. All that
/// was on the disk is gone, also where this fails. A VHDX is laid out so that [`mount_path`] can mount it.
///
/// # Errors
/// It is no VHDX or VHD, or one that is not used: with a parent, with changes in its log, or a VHD that grows; it is
/// mounted, a virtual machine has it, or another program has locked it; `mkfs.ext4` is missing; or a step fails.
pub fn format(handle: BorrowedFd<'_>) -> Result<(), StorageError> {
    let found = Found::new(handle)?;
    let formatted = || {
        let image = found.open()?;
        let disk = match image.kind()? {
            Kind::Vhdx(structures) => structures.lay_out(&image.file)?,
            Kind::Vhd(disk) => disk,
        };
        large_enough(disk.length)?;
        ext4::make(&image.file, disk)?;
        image.file.sync_all()?;
        Ok(())
    };
    formatted().map_err(|failed: Failed| failed.of("formatting the disk", &found.name))
}

/// Where the disk in the file `handle` is mounted: it is mounted if it is not yet, in the caller's mount namespace.
/// That takes root, to whom the file has to belong. It stays mounted until [`unmount`], or `umount(8)` of this path.
///
/// # Errors
/// As of [`format()`]; or it was not formatted so, belongs to another user, or cannot be mounted.
pub fn mount_path(handle: BorrowedFd<'_>) -> Result<PathBuf, StorageError> {
    let found = Found::new(handle)?;
    let mounted = || {
        let places = volume::Places::take()?;
        found.check_tree()?;
        if !places.has(&found.stat)? {
            places.add(&found.stat, &found.mount()?)?;
            // What maps it first marks it, and then looks whether it is mounted.
            found.check_tree().inspect_err(|_| {
                let _mounted = places.remove(&found.stat);
            })?;
        }
        Ok(volume::Places::path(&found.stat))
    };
    mounted().map_err(|failed: Failed| failed.of("mounting the disk", &found.name))
}

/// Ends what [`mount_path`] did. What was written is in the file then.
///
/// # Errors
/// It is not mounted, or files in it are open (`EBUSY`).
pub fn unmount(handle: BorrowedFd<'_>) -> Result<(), StorageError> {
    let found = Found::new(handle)?;
    let unmounted = || {
        let places = volume::Places::take()?;
        match places.has(&found.stat)? {
            true => places.remove(&found.stat),
            false => Err(Refusal::NotMounted.into()),
        }
    };
    unmounted().map_err(|failed: Failed| failed.of("unmounting the disk", &found.name))
}

/// Makes the disk in the file `handle` an empty writable layer above the layer `base`. A copy of the file is one, too.
///
/// # Errors
/// As of [`mount_path`] and [`writable::initialize`]; or it is mounted.
pub fn set_up(base: &Path, handle: BorrowedFd<'_>) -> Result<(), StorageError> {
    let found = Found::new(handle)?;
    let places = volume::Places::take();
    let mounted = places.and_then(|_in_turn| {
        found.check_tree()?;
        found.mount()
    });
    let mounted = mounted.map_err(|failed| failed.of("mounting the disk", &found.name))?;
    // A link of /proc is not followed at the end of a path.
    let root = format!("/proc/self/fd/{}/.", mounted.as_fd().as_raw_fd());
    writable::initialize(Path::new(&root), &[base.to_owned()]).map_err(|error| match error {
        StorageError::Refused { refusal, .. } if refusal != Refusal::NoFile => {
            Failed::from(refusal).of("", &found.name)
        }
        other => other,
    })
}

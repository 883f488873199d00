//! `hcs disk`: virtual disks that keep what containers write.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use hcs_schema::Failure;
use hcs_storage::disk;
use hcs_wire::errno;

use crate::{
    failure::Stop,
    images::failed,
    options::memory,
    output::{print, printable},
};

/// Make and mount virtual disks, for what containers write
///
/// A disk is one file: a VHDX, or a VHD of fixed size, with a file system (ext4). It takes as much of this machine's
/// space as was written to it, and no more than its size. Mounted, it is the --scratch of containers; not mounted, it
/// can be copied, kept, or be a --disk of a virtual machine. Mounting takes root, and loop devices.
#[derive(Args, Debug)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Examples:
  hcs disk create --size 10G work.vhdx
  hcs run --scratch work.vhdx --layer ./rootfs -- make install
  hcs disk unmount work.vhdx"
)]
pub(crate) struct Disk {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(Create),
    Format(Format),
    Mount(Mount),
    Unmount(Unmount),
}

impl Disk {
    pub(crate) fn run(self) -> Result<u8, Stop> {
        match self.action {
            Action::Create(action) => action.run(),
            Action::Format(action) => action.run(),
            Action::Mount(action) => action.run(),
            Action::Unmount(action) => action.run(),
        }?;
        Ok(0)
    }
}

/// Make a disk with an empty file system
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs disk create work.vhdx
  hcs disk create --size 2G work.vhdx")]
struct Create {
    /// How much can be written to it, in megabytes or as 2G
    #[arg(long, value_name = "MB", default_value = "20G", value_parser = memory::megabytes)]
    size: u64,

    /// The file, where nothing is yet
    file: PathBuf,
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let size = self.size.saturating_mul(1 << 20);
        disk::create_formatted(&self.file, size).map_err(failed("no disk was made"))
    }
}

/// Make an empty file system on a disk of another program, and remove all that is on it
///
/// It is a VHDX without a parent, which then has all its blocks, or a VHD of fixed size.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  qemu-img create -f vhdx work.vhdx 10G && hcs disk format work.vhdx")]
struct Format {
    /// The file
    file: PathBuf,
}

impl Format {
    fn run(self) -> Result<(), Failure> {
        let formatted = disk::format(opened(&self.file)?.as_fd());
        formatted.map_err(failed("the disk was not formatted"))
    }
}

/// Mount a disk, and print where
///
/// One that is mounted stays as it is. It stays mounted until hcs disk unmount, or umount of what is printed.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs run --scratch \"$(hcs disk mount work.vhdx)\" -- make install")]
struct Mount {
    /// The file, which belongs to root and is not writable by others
    file: PathBuf,
}

impl Mount {
    fn run(self) -> Result<(), Failure> {
        let path = disk::mount_path(opened(&self.file)?.as_fd());
        let path = path.map_err(failed("the disk was not mounted"))?;
        print(&format!("{}\n", printable(&path.to_string_lossy())))
    }
}

/// Unmount a disk
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hcs disk unmount work.vhdx")]
struct Unmount {
    /// The file
    file: PathBuf,
}

impl Unmount {
    fn run(self) -> Result<(), Failure> {
        let unmounted = disk::unmount(opened(&self.file)?.as_fd());
        unmounted.map_err(failed("the disk was not unmounted"))
    }
}

/// Has the scratch be where its disk is mounted, by this call if it is not yet, if it is a file.
///
/// # Errors
/// The file is no virtual disk, or cannot be mounted.
pub(crate) fn mount_scratch(scratch: &mut Option<PathBuf>) -> Result<(), Failure> {
    let Some(path) = scratch.as_mut().filter(|path| path.is_file()) else {
        return Ok(());
    };
    let mounted = disk::mount_path(opened(path)?.as_fd());
    *path = mounted.map_err(failed(
        "the file that --scratch names cannot be mounted; expected a directory, or a disk of `hcs disk create`",
    ))?;
    Ok(())
}

/// Opens the file of a disk.
fn opened(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| {
        let message = format!("{} cannot be opened: {error}", path.display());
        Failure::new(errno::of_io(&error), message)
    })
}

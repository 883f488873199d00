//! Disks that come and go while the machine runs.
//!
//! 1. [`attach`], [`detach`]: the steps.
//! 2. [`HeldFiles`]: files that QEMU has not closed yet. A QEMU before 9.1 closes none that it was given while the
//!    processors stand still, so the lock on a disk would stay; a disk is then not taken from it before they run again.
//! 3. [`check_files`]: QEMU has opened nothing but what it was given.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    time::Duration,
};

use rustix::event::{EventfdFlags, eventfd};
use serde_json::json;

use crate::{
    argv::blockdev,
    disk::{Disk, Place},
    qmp::{
        Client, Event, QmpError,
        command::{
            AddFd, BlockdevAdd, BlockdevDel, DeviceAdd, DeviceDel, QueryFdsets,
            QueryNamedBlockNodes, QueryStatus, RemoveFd,
        },
        message::plain,
    },
};

/// How long QEMU may take for one step.
const LIMIT: Duration = Duration::from_secs(2);

/// QEMU's words for a node that is not there; a node in use is refused in others.
const NO_NODE: &str = "find node";

/// The most files that are to be closed later; a machine that stands still is given no more disks then.
const MOST_HELD: usize = 16;

/// The number of a file that is given and taken to see whether QEMU closes it; those of disks are lower.
const TRIAL: u32 = 1 << 16;

/// Why a disk was not plugged in or pulled out.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    /// QEMU would keep the file.
    #[error(
        "this QEMU closes a disk's file only while the machine runs, and the machine stands still: resume it first"
    )]
    StandsStill,
    /// QEMU keeps the file for now.
    #[error(
        "the disk is out, but this QEMU closes its file only while the machine runs: it is closed when the machine is resumed"
    )]
    StillOpen,
    /// The image was another one when it was looked at.
    #[error(
        "QEMU opened {0:?} for a disk, which no document names: the image was changed after it had been checked"
    )]
    NamesAnother(String),
    /// A step failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

/// Files that were taken from a QEMU which has not closed them yet.
#[derive(Debug, Default)]
pub(super) struct HeldFiles {
    files: Vec<RemoveFd>,
    /// Whether this QEMU closes files while the processors stand still. It tells when that is needed first.
    closes_at_once: Option<bool>,
    /// Whether something limits each disk.
    limited: bool,
}

impl HeldFiles {
    /// None so far, of a machine whose disks are limited or not.
    pub(super) fn new(limited: bool) -> Self {
        Self {
            limited,
            ..Self::default()
        }
    }

    /// Takes a file. Returns whether QEMU has closed it; if not, it is taken again later.
    fn take(&mut self, monitor: &mut Client, file: RemoveFd) -> Result<bool, QmpError> {
        match monitor.execute(&file, LIMIT) {
            // A set that is not there any more was removed before.
            Ok(_) | Err(QmpError::Refused(..)) => {}
            Err(error) => {
                self.keep(file);
                return Err(error);
            }
        }
        // One of which nothing is known is asked for again, too.
        let is_open = has_file(monitor, file);
        if !matches!(is_open, Ok(false)) {
            self.keep(file);
        }
        is_open.map(|open| !open)
    }

    /// Takes a file later.
    pub(super) fn keep(&mut self, file: RemoveFd) {
        if !self.files.contains(&file) {
            self.files.push(file);
        }
    }

    /// The processors run now: takes what is left again. What is not closed now is kept for the next time.
    pub(super) fn let_go(&mut self, monitor: &mut Client) {
        let mut files = std::mem::take(&mut self.files).into_iter();
        // A QEMU that does not answer is not asked for each file.
        while let Some(file) = files.next()
            && self.take(monitor, file).is_ok()
        {}
        files.for_each(|file| self.keep(file));
    }

    /// Whether QEMU would close a file that is taken from it now.
    fn closes_now(&mut self, monitor: &mut Client) -> Result<bool, QmpError> {
        if monitor.execute(&QueryStatus, LIMIT)?.running {
            return Ok(true);
        }
        if let Some(known) = self.closes_at_once {
            return Ok(known);
        }
        let nothing = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| QmpError::Io(e.into()))?;
        let (set, file) = (TRIAL, nothing.as_fd());
        let fd = Some(monitor.execute(&AddFd { set, file }, LIMIT)?.fd);
        let closes = self.take(monitor, RemoveFd { set, fd })?;
        self.closes_at_once = Some(closes);
        Ok(closes)
    }
}

fn has_file(monitor: &mut Client, file: RemoveFd) -> Result<bool, QmpError> {
    let sets = monitor.execute(&QueryFdsets, LIMIT)?;
    let mut of_set = sets.iter().filter(|set| set.fdset_id == file.set);
    Ok(of_set.any(|set| {
        let named = |fd: i64| set.fds.iter().any(|known| known.fd == fd);
        file.fd.map_or(!set.fds.is_empty(), named)
    }))
}

/// Plugs a disk in. After a step that fails, all are undone: also one whose answer is late, which may be done by now.
/// What another disk at this place has is left alone: its node is in use, and its file is another one of the set.
pub(super) fn attach(
    monitor: &mut Client,
    held: &mut HeldFiles,
    disk: &Disk,
    file: &OwnedFd,
) -> Result<(), DiskError> {
    if held.files.len() >= MOST_HELD {
        held.let_go(monitor);
        if held.files.len() >= MOST_HELD {
            return Err(DiskError::StandsStill);
        }
    }
    let place = disk.place;
    let set = place.file();
    let file = file.as_fd();
    let fd = Some(monitor.execute(&AddFd { set, file }, LIMIT)?.fd);
    let plugged = plug(monitor, disk);
    if plugged.is_err() {
        let _perhaps_there = remove(monitor, held, place);
        let _perhaps_kept = held.take(monitor, RemoveFd { set, fd });
    }
    plugged
}

fn plug(monitor: &mut Client, disk: &Disk) -> Result<(), DiskError> {
    monitor.execute(&BlockdevAdd(blockdev::image(disk)), LIMIT)?;
    check_files(monitor)?;
    if let Some(limit) = blockdev::limit(disk) {
        monitor.execute(&BlockdevAdd(limit), LIMIT)?;
    }
    let plugged = monitor.execute(&DeviceAdd(blockdev::device(disk)), LIMIT);
    if matches!(plugged, Err(QmpError::Late(_))) {
        let _perhaps_there = unplug(monitor, disk.place);
    }
    Ok(plugged.map(drop)?)
}

/// Pulls a disk out. The guest is not asked: what it has not written yet is lost to it. A step that is refused does not
/// keep the next one from being tried, so a second call finishes what the first one has left half done.
pub(super) fn detach(
    monitor: &mut Client,
    held: &mut HeldFiles,
    place: Place,
) -> Result<(), DiskError> {
    if !held.closes_now(monitor)? {
        return Err(DiskError::StandsStill);
    }
    let unplugged = unplug(monitor, place);
    let closed = remove(monitor, held, place);
    let set = place.file();
    let mut take_file = |monitor: &mut Client| match held.take(monitor, RemoveFd { set, fd: None })
    {
        Ok(true) => Ok(()),
        // A guest that went to sleep meanwhile.
        Ok(false) => Err(DiskError::StillOpen),
        Err(error) => Err(error.into()),
    };
    match (unplugged, closed) {
        (_, Ok(())) => take_file(monitor),
        // Nothing is there, but the file may be left of an earlier call.
        (Err(QmpError::Refused(name, why)), Err(QmpError::Refused(_, missing)))
            if missing.contains(NO_NODE) =>
        {
            match has_file(monitor, RemoveFd { set, fd: None })? {
                true => take_file(monitor),
                false => Err(QmpError::Refused(name, why).into()),
            }
        }
        (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error.into()),
    }
}

/// Closes the image, and first what limits it. That is not there where a former call has come so far.
fn remove(monitor: &mut Client, held: &HeldFiles, place: Place) -> Result<(), QmpError> {
    if held.limited {
        match monitor.execute(&BlockdevDel(json!(place.limit_node())), LIMIT) {
            Ok(_) => {}
            Err(QmpError::Refused(_, why)) if why.contains(NO_NODE) => {}
            Err(error) => return Err(error),
        }
    }
    let removed = monitor.execute(&BlockdevDel(json!(place.node())), LIMIT);
    removed.map(drop)
}

fn unplug(monitor: &mut Client, place: Place) -> Result<(), QmpError> {
    let device = place.device();
    monitor.execute(&DeviceDel(json!(device)), LIMIT)?;
    let unplugged = monitor.wait_for(&Event::Unplugged(device), "device_del", LIMIT);
    unplugged.map(drop)
}

/// QEMU has opened nothing for disks but what was asked for. The header of an image is looked at before QEMU reads it,
/// and the owner of the file may have changed it in between. The guest has not read from the image yet.
pub(super) fn check_files(monitor: &mut Client) -> Result<(), DiskError> {
    let nodes = monitor.execute(&QueryNamedBlockNodes, LIMIT)?;
    // QEMU gives such a name to what it opened of its own accord.
    let own = |name: &String| !name.starts_with('#');
    let other = nodes
        .into_iter()
        .find(|node| !node.node_name.as_ref().is_some_and(own));
    match other {
        Some(node) => Err(DiskError::NamesAnother(plain(&node.file))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;

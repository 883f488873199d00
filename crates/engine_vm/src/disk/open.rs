//! Opens the image of a disk, looks at its header and locks it.
//!
//! The lock belongs to the open file, which QEMU inherits: so it lasts as long as QEMU, whatever becomes of the
//! service. The lock of a writer takes a descriptor for writing ([`holds::lock_disk`]): a user who may read the file
//! cannot hold it.

use std::{
    fs::File,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use engine_container::shared::{open_file, open_file_to_write};
use hcs_schema::{Failure, HResult};
use hcs_wire::holds::{self, Kind};
use rustix::io::Errno;

use super::{
    Attached, device,
    format::{Format, LOOKED_AT},
};
use crate::grants::Grantee;

/// How long the QEMU of a machine that has just ended may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often its lock is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// `ERROR_SHARING_VIOLATION`.
pub(super) const IN_USE: u16 = 32;
/// `ERROR_FILE_CORRUPT`.
const CORRUPT: u16 = 1392;

/// Opens the file or device of a disk of `machine` with the care that all files of documents get, for writing unless it
/// is only read.
///
/// # Errors
/// It is not there, is no regular file or block device, is not granted to the machine, is in use, or is no image that
/// could be given to QEMU; by pointer.
pub(crate) fn open(attached: &Attached, machine: &Grantee) -> Result<OwnedFd, Failure> {
    match attached.disk.device {
        true => device::open(attached, machine),
        false => open_image(attached, machine),
    }
}

fn open_image(attached: &Attached, machine: &Grantee) -> Result<OwnedFd, Failure> {
    let Attached {
        disk,
        path,
        pointer,
    } = attached;
    let opened = match disk.read_only {
        true => open_file(path, pointer)?,
        false => open_file_to_write(path, pointer)?,
    };
    machine.check(&opened, (path, pointer), disk.read_only)?;
    let refused = |code: HResult, message: String| {
        Failure::new(code, message.clone()).cause_at(pointer, message)
    };
    lock(&opened, disk.read_only).map_err(|errno| match errno {
        Errno::WOULDBLOCK => refused(
            HResult::from_win32(IN_USE),
            format!("{path} is in use: it is a disk of another virtual machine, or locked by another program"),
        ),
        errno => refused(HResult::E_FAIL, format!("{path} cannot be locked: {errno}")),
    })?;
    let file = File::from(opened);
    let ends = ends(&file).map_err(|e| {
        let failure = Failure::new(HResult::E_FAIL, format!("{path} cannot be read"));
        failure.cause_at(pointer, e.to_string())
    })?;
    let named_raw = Path::new(path)
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("raw"));
    let is_plain = named_raw || disk.optical;
    let checked = disk.format.check(&ends.0, &ends.1, is_plain);
    checked.map_err(|why| {
        let code = match disk.format {
            Format::Raw => HResult::E_INVALIDARG,
            _ => HResult::from_win32(CORRUPT),
        };
        refused(code, format!("{path} cannot be a disk: {why}"))
    })?;
    Ok(file.into())
}

/// Locks a file for the life of all descriptors of this opening: for readers together, or for one writer.
///
/// # Errors
/// `WOULDBLOCK` when the file is in use and stays so; else the errno of `fcntl(2)`.
pub(crate) fn lock(file: &OwnedFd, read_only: bool) -> Result<(), Errno> {
    let kind = match read_only {
        true => Kind::Shared,
        false => Kind::Alone,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match holds::lock_disk(file.as_fd(), kind) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => thread::sleep(LOOK),
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
}

/// The first and the last bytes of a file.
fn ends(file: &File) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let length = file.metadata()?.len();
    let looked_at = length.min(LOOKED_AT as u64);
    let mut ends = [0, length - looked_at].map(|at| (at, Vec::new()));
    for (at, bytes) in &mut ends {
        bytes.resize(usize::try_from(looked_at).unwrap_or_default(), 0);
        file.read_exact_at(bytes, *at)?;
    }
    let [(_, start), (_, end)] = ends;
    Ok((start, end))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::disk::{Disk, Place};

    fn attached(path: &Path, read_only: bool) -> Attached {
        let path = path.to_str().unwrap().to_owned();
        Attached {
            disk: Disk {
                place: Place {
                    controller: 0,
                    slot: 0,
                },
                format: Format::of_name(&path).unwrap(),
                optical: false,
                read_only,
                ignores_flushes: false,
                limited: false,
                device: false,
            },
            path,
            pointer: "/A".to_owned(),
        }
    }

    #[test]
    fn a_disk_has_one_writer_or_any_number_of_readers() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, [0; 1024]).unwrap();
        let readers = [(); 2].map(|()| open(&attached(&path, true), &Grantee::of_tests()).unwrap());
        let refused = open(&attached(&path, false), &Grantee::of_tests()).unwrap_err();
        assert_eq!(refused.hresult, HResult::from_win32(IN_USE));
        assert_eq!(refused.causes[0].pointer.as_deref(), Some("/A"));
        drop(readers);
        let writer = open(&attached(&path, false), &Grantee::of_tests()).unwrap();
        let copy = writer.try_clone().unwrap();
        drop(writer);
        assert!(
            open(&attached(&path, true), &Grantee::of_tests()).is_err(),
            "the copy holds it"
        );
        drop(copy);
        open(&attached(&path, true), &Grantee::of_tests()).unwrap();
    }

    /// A user of the host, or a container, that may read the file.
    #[test]
    fn a_lock_by_a_reader_keeps_a_disk_from_no_machine() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("disk");
        fs::write(&path, [0; 1024]).unwrap();
        let reader = File::open(&path).unwrap();
        rustix::fs::flock(&reader, rustix::fs::FlockOperation::LockExclusive).unwrap();
        open(&attached(&path, false), &Grantee::of_tests()).unwrap();
        // A shared lock is one of a reader, which has no writer beside it.
        holds::lock_disk(reader.as_fd(), Kind::Shared).unwrap();
        open(&attached(&path, true), &Grantee::of_tests()).unwrap();
        open(&attached(&path, false), &Grantee::of_tests()).unwrap_err();
    }

    #[test]
    fn what_is_no_disk_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("empty"), "").unwrap();
        fs::write(path("none.qcow2"), [0; 1024]).unwrap();
        fs::write(path("none.vhd"), [0; 1024]).unwrap();
        fs::write(path("short.vhd"), "conectix").unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for name in [
            "missing",
            "",
            "empty",
            "none.qcow2",
            "none.vhd",
            "short.vhd",
            "fifo",
        ] {
            for read_only in [true, false] {
                let refused =
                    open(&attached(&path(name), read_only), &Grantee::of_tests()).unwrap_err();
                assert_eq!(
                    refused.causes[0].pointer.as_deref(),
                    Some("/A"),
                    "{name}: {refused:?}"
                );
            }
        }
    }
}

//! The file for the memory of a guest that crashed: `DebugOptions/BugcheckSavedStateFileName` of a document.
//!
//! It has to be there and to be granted to the machine, as a disk. What is in it stays until a guest crashes. Then it
//! gets an ELF core of the guest's memory, as debuggers of Linux kernels read it.

use std::os::fd::OwnedFd;

use engine_container::shared::open_file_to_write;
use hcs_schema::{Failure, HResult, documents::VirtualMachine};
use rustix::io::Errno;

use crate::{disk, grants::Grantee, plan::Named};

/// JSON pointer of the property that names it.
const POINTER: &str = "/VirtualMachine/DebugOptions/BugcheckSavedStateFileName";

/// `ERROR_SHARING_VIOLATION`.
const IN_USE: u16 = 32;

/// The file that `machine` names. An empty name is none.
pub(crate) fn of_machine(machine: &VirtualMachine) -> Option<Named> {
    let options = machine.debug_options.as_ref()?;
    let path = options.bugcheck_saved_state_file_name.as_ref();
    path.filter(|path| !path.is_empty()).map(|path| Named {
        path: path.clone(),
        pointer: POINTER,
    })
}

/// Opens it, and locks it for the life of its descriptors.
///
/// # Errors
/// It is not there, is no regular file, is not granted to the machine or is in use; by pointer.
pub(crate) fn open(file: &Named, machine: &Grantee) -> Result<OwnedFd, Failure> {
    let Named { path, pointer } = file;
    let opened = open_file_to_write(path, pointer).map_err(|failure| match failure.hresult {
        HResult::FILE_NOT_FOUND => {
            let message = "an empty file is enough; make one, and grant it to the machine";
            failure.cause_at(*pointer, message)
        }
        _ => failure,
    })?;
    machine.check(&opened, (path, pointer), false)?;
    disk::lock(&opened, false).map_err(|errno| {
        let (code, message) = match errno {
            Errno::WOULDBLOCK => (
                HResult::from_win32(IN_USE),
                format!("{path} is in use by another virtual machine or program"),
            ),
            errno => (HResult::E_FAIL, format!("{path} cannot be locked: {errno}")),
        };
        Failure::new(code, message.clone()).cause_at(*pointer, message)
    })?;
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_is_there_and_of_one_machine() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("memory");
        let text = format!(
            r#"{{"DebugOptions": {{"BugcheckSavedStateFileName": {:?}}}}}"#,
            path.display().to_string()
        );
        let machine: VirtualMachine = hcs_schema::parse(&text).unwrap();
        let file = of_machine(&machine).unwrap();
        let missing = open(&file, &Grantee::of_tests()).unwrap_err();
        assert_eq!(missing.hresult, HResult::FILE_NOT_FOUND);
        assert_eq!(missing.causes[0].pointer.as_deref(), Some(POINTER));
        fs::write(&path, "of the last crash").unwrap();
        let first = open(&file, &Grantee::of_tests()).unwrap();
        let used = open(&file, &Grantee::of_tests()).unwrap_err();
        assert_eq!(used.hresult, HResult::from_win32(IN_USE), "{used}");
        drop(first);
        assert_eq!(fs::read(&path).unwrap(), b"of the last crash");
        for none in [
            "{}",
            r#"{"DebugOptions": {"BugcheckSavedStateFileName": ""}}"#,
        ] {
            assert_eq!(of_machine(&hcs_schema::parse(none).unwrap()), None);
        }
    }
}

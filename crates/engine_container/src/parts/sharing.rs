//! What a container makes in directories of the host gives no power there, unless the document asks for it by name.
//!
//! A program with a set-user-ID bit that root in a container writes to a mapped directory would give every user of the
//! host what its owner may. Mount flags inside do not help: it is the host that looks at the bits. So a container to
//! which something writable is mapped is *guarded*: a filter refuses the bits ([`super::seccomp`]). It lacks the
//! capabilities to make device nodes ([`CAPABILITIES`]), to give files capabilities and to keep bits of a file that it
//! writes to. That holds for each kind of owner:
//!
//! - Without a user namespace, and with owners shifted, the files belong to users of the host; so they do when the
//!   service is an ordinary user's, who is root inside.
//! - With ids of its own and no shift they belong to ids that a later container may have: a user of the host who became
//!   one of these by a bit could trace that container's processes.
//!
//! A container to which anything else is mapped is guarded as well, and one that shares a network with others: a
//! process of a guarded container could hand it a descriptor of a writable directory through a socket.

use std::os::fd::AsFd;

use hcs_schema::{
    Failure, HResult,
    privileges::{Capabilities, Privileges},
};
use hcs_storage::disk;
use hcs_wire::written;
use rustix::{
    fs::{FileType, Stat, fstat},
    io::Errno,
};

use crate::{
    failure::{Attempt, StepError},
    privilege::Privilege,
    spec::{MappedSpec, Owners},
    steps::warn,
    user_namespace::IdRange,
};

/// What a guarded container lacks.
pub(crate) const CAPABILITIES: Capabilities = Capabilities::MKNOD
    .union(Capabilities::SETFCAP)
    .union(Capabilities::FSETID);

/// What the processes of a guarded container get.
pub(crate) fn without_power(asked: Privileges) -> Privileges {
    Privileges {
        possible: asked.possible.difference(CAPABILITIES),
        root: asked.root.difference(CAPABILITIES),
        others: asked.others.difference(CAPABILITIES),
        ..asked
    }
}

/// Makes sure that the capability to make nodes is not asked for by name in a guarded container, of all `possible`
/// ones.
///
/// # Errors
/// It is.
pub(crate) fn check_nodes(possible: Capabilities) -> Result<(), Failure> {
    if possible == Capabilities::ALL || !possible.contains(Capabilities::MKNOD) {
        return Ok(());
    }
    let message = "CAP_MKNOD cannot be given beside something that is mapped, or in a network that is shared: the nodes would be \
                   the host's. Say AllowSetId for a mapped directory, or leave the capability out";
    let failure = Failure::new(HResult::NOT_SUPPORTED, message);
    Err(failure.cause_at("/Container/AddCapabilities", message))
}

/// Whether a container with `mapped` has to be guarded. `joins`: it shares a network namespace with others.
///
/// # Errors
/// One mapped directory asks for it and another asks not to: the filter is one for all.
pub(crate) fn check(mapped: &[MappedSpec], joins: bool) -> Result<bool, Failure> {
    let mut writable = mapped.iter().filter(|spec| !spec.read_only);
    let guarded = writable.clone().find(|spec| !spec.allow_set_id);
    let allowed = writable.find(|spec| spec.allow_set_id);
    match (guarded, allowed) {
        (Some(guarded), Some(allowed)) => {
            let message = format!(
                "{:?} is mapped with AllowSetId and {:?} is writable without it, but bits and capabilities of files are \
                 allowed or refused in a container as a whole: say AllowSetId for all writable directories, map the \
                 others read-only, or leave it out",
                allowed.source.path, guarded.source.path
            );
            Err(refuse(HResult::NOT_SUPPORTED, allowed, message))
        }
        (None, Some(_)) => Ok(false),
        (Some(_), None) => Ok(true),
        (None, None) => {
            let allowed = mapped.iter().any(|spec| spec.allow_set_id);
            Ok(!allowed && (joins || !mapped.is_empty()))
        }
    }
}

/// The same for what is mapped into a container that runs, and is what it is.
///
/// # Errors
/// It is not `guarded` and would have to be, or the other way round.
pub(crate) fn check_late(spec: &MappedSpec, guarded: bool) -> Result<(), Failure> {
    if spec.read_only || spec.allow_set_id != guarded {
        return Ok(());
    }
    let path = &spec.source.path;
    let message = if guarded {
        format!(
            "{path:?} cannot be mapped with AllowSetId: the container was made without, for another directory's sake"
        )
    } else {
        format!(
            "{path:?} cannot be mapped writable into this container while it runs: it was made without the filter that \
             keeps it from making set-user-ID programs and device nodes on the host. Name a writable directory in its \
             document, map this one read-only (ReadOnly), or allow such files in it (AllowSetId)"
        )
    };
    Err(refuse(HResult::NOT_SUPPORTED, spec, message))
}

/// Marks the directories and files among `mapped` that a container may write to, before it can: no later path that a
/// document names is followed through a link in them, and no disk in them is mounted ([`written`]). In those that it
/// may only read no service of root starts.
///
/// # Errors
/// A directory is another one by now, or cannot be marked.
pub(crate) fn mark<'a>(mapped: impl IntoIterator<Item = &'a MappedSpec>) -> Result<(), StepError> {
    for spec in mapped.into_iter().filter(|spec| !spec.device) {
        let opened = spec.source.open()?;
        if spec.read_only {
            note_seen(&opened, &spec.source.path)?;
            continue;
        }
        let marked = mark_closed(&opened, &spec.source.path);
        marked.map_err(|error| error.asked_by(&spec.source.pointer))?;
    }
    Ok(())
}

/// Marks a directory that a container may read: no service of root is to start in it later, where that container would
/// read its records.
fn note_seen(opened: impl AsFd, path: &str) -> Result<(), StepError> {
    let step = "noting that a container may read";
    let found = fstat(&opened).step_at(step, path)?;
    if FileType::from_raw_mode(found.st_mode).is_dir() && Privilege::own() == Privilege::Root {
        // Where that cannot be noted, as on a file system of a program, it is mapped all the same.
        let _noted = written::see(opened.as_fd());
    }
    Ok(())
}

/// Marks what a container may write to, an open file or directory at `path` in which no disk is mounted.
///
/// # Errors
/// One is, or the mark cannot be set.
pub(crate) fn mark_closed(opened: impl AsFd + Copy, path: &str) -> Result<(), StepError> {
    // What is refused gets no mark. After the mark none in it is mounted, so one that came meanwhile is seen.
    check_disks(opened, path)?;
    mark_written(opened, path)?;
    check_disks(opened, path)
}

/// Makes sure that no disk is mounted whose file the container could write to, below the kernel.
fn check_disks(opened: impl AsFd, path: &str) -> Result<(), StepError> {
    let mounted = disk::mounted_in(opened);
    match mounted.step_at("looking for mounted disks in", path)? {
        None => Ok(()),
        Some(file) => {
            let step = format!(
                "mapping writable, with the disk {} in it that is mounted (unmount it by hcs disk unmount, keep it \
                 elsewhere, or map the directory read-only),",
                file.display()
            );
            Err(StepError {
                step: step.into(),
                ..StepError::new("", Errno::BUSY).at(path)
            })
        }
    }
}

/// The same for one open file or directory at `path`; sockets and FIFOs have nothing in them.
///
/// # Errors
/// It cannot be marked.
pub(crate) fn mark_written(opened: impl AsFd, path: &str) -> Result<(), StepError> {
    let step = "noting that a container may write to";
    let found = fstat(&opened).step_at(step, path)?;
    let is_root = Privilege::own() == Privilege::Root;
    let (marked, otherwise) = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => (
            written::mark(opened.as_fd(), is_root),
            "links in it may be followed",
        ),
        // Root alone mounts disks, and its own alone.
        FileType::RegularFile if is_root => (
            written::mark_file(opened.as_fd()),
            "a disk in it may be mounted",
        ),
        _ => return Ok(()),
    };
    if !marked.step_at(step, path)? {
        warn(format!(
            "{path} keeps no note that a container may write to it, so {otherwise}"
        ));
    }
    Ok(())
}

/// Makes sure that a container with ids of its own, out of `ranges` of users and groups, can use what is mapped as it
/// is mapped.
///
/// # Errors
/// It could not; or the path cannot be looked at.
pub(crate) fn check_usable(spec: &MappedSpec, ranges: (IdRange, IdRange)) -> Result<(), Failure> {
    if spec.owners != Owners::AsOnTheHost {
        return Ok(());
    }
    let path = &spec.source.path;
    let found = spec
        .source
        .open()
        .and_then(|opened| fstat(&opened).step_at("examining", &**path));
    let found = found.map_err(|error| error.into_failure(format!("{path:?} cannot be mapped")))?;
    if is_usable(&found, spec.read_only, ranges) {
        return Ok(());
    }
    let (what, instead) = match spec.read_only {
        true => ("read", "let others read it"),
        false => (
            "write to",
            "map it read-only (ReadOnly, or --mount HOST:GUEST:ro), or let others write to it",
        ),
    };
    let message = format!(
        "{path:?} belongs to user {} and group {} of the host, with mode {:04o}: the container, which has a user \
         namespace with ids of its own, could not {what} it. Have its owners shifted, so that root inside can do there \
         what root can (ShiftOwners, or --mount HOST:GUEST:shift), {instead}",
        found.st_uid,
        found.st_gid,
        found.st_mode & 0o7777
    );
    Err(refuse(HResult::E_ACCESSDENIED, spec, message))
}

fn is_usable(found: &Stat, read_only: bool, (users, groups): (IdRange, IdRange)) -> bool {
    if users.has(found.st_uid) && groups.has(found.st_gid) {
        return true;
    }
    let directory = FileType::from_raw_mode(found.st_mode).is_dir();
    let needed = match (directory, read_only) {
        (true, true) => 0o001,
        (true, false) => 0o003,
        (false, true) => 0o004,
        (false, false) => 0o006,
    };
    found.st_mode & needed == needed
}

fn refuse(hresult: HResult, spec: &MappedSpec, message: String) -> Failure {
    Failure::new(hresult, message.clone()).cause_at(&*spec.source.pointer, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn spec(read_only: bool, owners: Owners, allow_set_id: bool) -> MappedSpec {
        MappedSpec {
            source: Source::own("/somewhere".to_owned()),
            target: "/here".to_owned(),
            read_only,
            owners,
            allow_set_id,
            device: false,
            covered: Vec::new(),
        }
    }

    #[test]
    fn anything_that_is_mapped_guards_a_container() {
        use Owners::{AsOnTheHost, Shifted};
        let cases = [
            (spec(false, AsOnTheHost, false), true),
            (spec(false, Shifted, false), true),
            (spec(true, Shifted, false), true),
            (spec(true, AsOnTheHost, true), false),
            (spec(false, AsOnTheHost, true), false),
            (spec(false, Shifted, true), false),
        ];
        for (spec, expected) in cases {
            let guarded = check(std::slice::from_ref(&spec), false).unwrap();
            assert_eq!(guarded, expected, "{spec:?}");
        }
        assert!(!check(&[], false).unwrap());
        assert!(check(&[], true).unwrap());
    }

    #[test]
    fn what_asks_for_both_is_refused() {
        let both = [
            spec(false, Owners::AsOnTheHost, false),
            spec(false, Owners::Shifted, true),
        ];
        check(&both, false).unwrap_err();
    }

    #[test]
    fn a_running_container_gets_what_it_was_made_for() {
        let [plain, allowed] = [false, true].map(|a| spec(false, Owners::AsOnTheHost, a));
        check_late(&plain, true).unwrap();
        check_late(&plain, false).unwrap_err();
        check_late(&allowed, false).unwrap();
        check_late(&allowed, true).unwrap_err();
        check_late(&spec(true, Owners::AsOnTheHost, false), false).unwrap();
    }
}

//! Why a program did not start, in words.

use hcs_wire::errno;
use std::path::Path;

use hcs_schema::{
    Failure, HResult,
    privileges::{Capabilities, Limit, Privileges, limits},
};
use rustix::io::Errno;

use crate::{
    accounts::Identity,
    command::Command,
    sys::{LaunchError, SpawnStage},
};

/// `ERROR_DIRECTORY`: what Windows answers for a working directory that is none.
const DIRECTORY: HResult = HResult::from_win32(267);

/// The failure that `error` means for `command` as `identity`.
pub(super) fn launch(
    command: &Command,
    identity: &Identity,
    privileges: &Privileges,
    error: LaunchError,
) -> Failure {
    let program = &command.program;
    let directory = command.directory.to_string_lossy();
    let reason = reason(command, identity, privileges, error);
    let code = match (error.step, error.errno) {
        (SpawnStage::Directory, Errno::NOENT | Errno::NOTDIR) => DIRECTORY,
        (SpawnStage::Late, _) => HResult::TIMEOUT,
        (_, errno) => errno::hresult(errno),
    };
    let Identity { uid, gid, .. } = identity;
    let failure = Failure::new(code, format!("cannot run {program:?}: {reason}"))
        .cause(format!("as user {uid}, group {gid}, in {directory:?}"));
    if error.step == SpawnStage::Execute && command.path.is_some() {
        return failure.cause(format!("tried {}", tried(command)));
    }
    failure
}

fn reason(
    command: &Command,
    identity: &Identity,
    privileges: &Privileges,
    error: LaunchError,
) -> String {
    let directory = command.directory.to_string_lossy();
    let what = errno::words(error.errno);
    let Identity {
        uid, gid, groups, ..
    } = identity;
    // The kernel says so of ids that the user namespace does not have.
    let unknown = error.errno == Errno::INVAL;
    match error.step {
        SpawnStage::Clone if error.errno == Errno::AGAIN => format!(
            "no process can be made: {what}; as many processes and threads run as there may be in the container \
             (ProcessLimit, `hcs run --pids-limit`), or as its user may have"
        ),
        SpawnStage::Clone => format!("no process can be made: {what}"),
        SpawnStage::Session => format!("it gets no session of its own: {what}"),
        SpawnStage::Terminal => format!("its console cannot become its controlling terminal: {what}"),
        SpawnStage::Stdio => format!("its standard streams cannot be put in place: {what}"),
        SpawnStage::OomScore => format!("its OOM score cannot be set to 0: {what}"),
        SpawnStage::Groups if unknown => no_such_id("all of the groups", &listed(groups)),
        SpawnStage::Group if unknown => no_such_id("a group", &gid.to_string()),
        SpawnStage::User if unknown => no_such_id("a user", &uid.to_string()),
        SpawnStage::Groups => format!("it cannot be given the groups {}: {what}", listed(groups)),
        SpawnStage::Group => format!("it cannot be given the group {gid}: {what}"),
        SpawnStage::User => format!("it cannot be given the user {uid}: {what}"),
        SpawnStage::Limit => limit(privileges.limits.get(error.candidate), &what),
        SpawnStage::Capabilities => format!("it cannot be given its capabilities: {what}"),
        SpawnStage::NoNewPrivileges => format!("it cannot be kept from new privileges: {what}"),
        SpawnStage::Stopped => {
            "a process of the system stopped it by a signal before it ran, so it was ended".to_owned()
        }
        SpawnStage::Late => "it did not run within 30 seconds, so it was ended: the file system of its program or its \
                       directory does not answer, or it did not get its turn"
            .to_owned(),
        SpawnStage::Directory => {
            format!("the working directory {directory:?} cannot be entered by user {uid}: {what}")
        }
        SpawnStage::SignalMask => format!("its signal mask cannot be set: {what}"),
        SpawnStage::Execute => execution(command, identity, privileges, error),
    }
}

fn limit(limit: Option<&Limit>, what: &str) -> String {
    let Some(limit) = limit else {
        return format!("a limit cannot be set: {what}");
    };
    let name = limits::name(limit.number);
    let value = |value| match value {
        limits::UNLIMITED => "unlimited".to_owned(),
        value => value.to_string(),
    };
    format!(
        "its limit {name} cannot be {} (at most {}): {what}; a service without CAP_SYS_RESOURCE, or in a user namespace, \
         sets no limit above its own",
        value(limit.soft),
        value(limit.hard)
    )
}

fn no_such_id(what: &str, id: &str) -> String {
    format!(
        "its user namespace does not have {what} {id}: with a service of root it has those from 0 to 65535, with a \
         service of an ordinary user root, and as many others as /etc/subuid and /etc/subgid of the host grant to that user"
    )
}

/// The first of these groups.
fn listed(groups: &[u32]) -> String {
    const SHOWN: usize = 16;
    let first: Vec<String> = groups.iter().take(SHOWN).map(u32::to_string).collect();
    match groups.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn execution(
    command: &Command,
    identity: &Identity,
    privileges: &Privileges,
    error: LaunchError,
) -> String {
    let tried = command.candidates.get(error.candidate);
    let file = tried
        .map(|file| file.to_string_lossy().into_owned())
        .unwrap_or_default();
    let what = errno::words(error.errno);
    match (error.errno, &command.path) {
        (Errno::NOENT, _) if let Some(present) = present(command) => {
            format!("{present:?} is there, but the interpreter or loader it names is not")
        }
        (Errno::NOENT | Errno::NOTDIR, Some(path)) => format!("not found in PATH ({path})"),
        (Errno::NOENT, None) => "there is no such file".to_owned(),
        (Errno::ACCESS, _) => format!(
            "{file:?} may not be executed by user {}: {what}",
            identity.uid
        ),
        (Errno::PERM, _) if let Some(missing) = missing(command, &file, privileges) => format!(
            "{file:?} is a program that wants the capability {missing}, which processes of this container cannot have: add it when \
             the container is made (AddCapabilities, `hcs run --cap-add {}`)",
            missing.replace(", ", " --cap-add ")
        ),
        (Errno::NOEXEC, _) => {
            format!("{file:?} is neither a program for this machine nor a script with a #! line")
        }
        (Errno::TOOBIG, _) => format!("its arguments and environment are too large: {what}"),
        _ => format!("{file:?} cannot be executed: {what}"),
    }
}

/// The capabilities that `file` says it needs and that cannot be had, by their names.
fn missing(command: &Command, file: &str, privileges: &Privileges) -> Option<String> {
    let path = Path::new(command.directory.to_str().ok()?).join(file);
    let mut value = [0_u8; 24];
    let size = rustix::fs::getxattr(path, "security.capability", &mut value[..]).ok()?;
    let missing = permitted(value.get(..size)?)?.difference(privileges.possible);
    (!missing.is_empty()).then(|| missing.to_string().replace("CAP_", ""))
}

/// The capabilities that a file has, by its attribute (`struct vfs_ns_cap_data` of `linux/capability.h`): after the
/// revision the lower halves of what is permitted and inheritable, then the upper ones.
fn permitted(value: &[u8]) -> Option<Capabilities> {
    let word = |at: usize| {
        let bytes = value.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    Some(Capabilities::from_bits(word(4)? | word(12)? << 32))
}

/// The first candidate that is there after all, as far as the agent can see.
fn present(command: &Command) -> Option<String> {
    let directory = Path::new(command.directory.to_str().ok()?);
    let mut names = command
        .candidates
        .iter()
        .filter_map(|file| file.to_str().ok());
    names
        .find(|name| directory.join(name).is_file())
        .map(str::to_owned)
}

fn tried(command: &Command) -> String {
    let files: Vec<_> = command
        .candidates
        .iter()
        .map(|file| file.to_string_lossy())
        .collect();
    files.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capabilities_of_a_file_are_read() {
        let value = |words: [u32; 5]| words.map(u32::to_le_bytes).concat();
        let raw = permitted(&value([0x0200_0001, 1 << 13, 0, 1 << 6, 0])).unwrap();
        assert_eq!(raw.to_string(), "CAP_NET_RAW, CAP_PERFMON");
        assert_eq!(permitted(&[1, 2, 3]), None);
    }
}

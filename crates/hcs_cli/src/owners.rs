//! Owners of files in an ordinary user's store: a user namespace with the ids that the host grants (`/etc/subuid`).
//!
//! Only a process that has ids can give files to them, and remove what belongs to them. So what changes such a store
//! enters a namespace first ([`enter`]), of the same ids as the user's containers have. What also speaks to a service
//! stays outside, and has the work on the store done by a further process ([`crate::images`]).

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio, id},
};

use hcs_wire::{
    environment::is_elevated,
    subordinate::{GROUPS, Granted, USERS, granted_to},
};
use rustix::{
    io::Errno,
    process::{getegid, geteuid},
    thread::UnshareFlags,
};

use crate::complain;

/// Waits for a line, and gives process $1 the ids of user $2 and group $5 as those of root, and the granted ones
/// behind them.
const MAP: &str = "read -r go && newuidmap \"$1\" 0 \"$2\" 1 1 \"$3\" \"$4\" && newgidmap \"$1\" 0 \"$5\" 1 1 \"$6\" \"$7\"";

/// The programs that map granted ids.
const PROGRAMS: [&str; 2] = ["newuidmap", "newgidmap"];

/// The ids of users and of groups that this ordinary user has been granted, and can have.
///
/// # Errors
/// Why there are none, in words.
fn grants() -> Result<(Granted, Granted), String> {
    let user = geteuid().as_raw();
    let granted =
        |path| granted_to(user, path).ok_or_else(|| format!("{path} grants no ids to this user"));
    let grants = (granted(USERS)?, granted(GROUPS)?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_there = |name: &&&str| folders.iter().any(|folder| folder.join(name).exists());
    match PROGRAMS.iter().find(|name| !is_there(name)) {
        None => Ok(grants),
        Some(name) => Err(format!("{name} is missing, of Debian's package uidmap")),
    }
}

/// Whether this process is outside of a namespace that [`enter`] would enter.
pub(crate) fn are_granted() -> bool {
    !geteuid().is_root() && !is_elevated() && grants().is_ok()
}

/// Why files have not the owners that an archive gives them, and what would keep those; none for root of the host.
pub(crate) fn why_not() -> Option<String> {
    match (hcs_wire::environment::is_root(), geteuid().is_root()) {
        (true, _) => None,
        (false, true) => Some("this user namespace has no ids for them".to_owned()),
        (false, false) => Some(match grants() {
            Ok(_) => "these files were not read in the user namespace with the ids of /etc/subuid"
                .to_owned(),
            Err(why) => format!("{why}, so that all files belong to this user"),
        }),
    }
}

/// Whether files of this user of the host are shown as those of a user, and not of `nobody`, in the namespace that
/// [`enter`] enters.
pub(crate) fn are_known(user: u32) -> bool {
    let is_granted = |(users, _): (Granted, Granted)| {
        (users.first..users.first.saturating_add(users.count)).contains(&user)
    };
    user == geteuid().as_raw() || grants().is_ok_and(is_granted)
}

/// Makes this process, if it is an ordinary user's with granted ids, root of a user namespace that has these ids. Its
/// rights over what other users have do not change. Where that cannot be, all stays as it is.
pub(crate) fn enter() {
    if geteuid().is_root() || is_elevated() {
        return;
    }
    let Ok(grants) = grants() else {
        return;
    };
    let user = (geteuid().as_raw(), getegid().as_raw());
    // A program that maps ids has its rights outside of the namespace only, so it is started before.
    let Some((helper, go)) = helper(user, grants) else {
        return;
    };
    #[expect(
        deprecated,
        reason = "the other function is not safe to call, and no descriptors are unshared here"
    )]
    let left = rustix::thread::unshare(UnshareFlags::NEWUSER);
    let mapped = left
        .map_err(|errno| errno.to_string())
        .and_then(|()| map(helper, go));
    if let Err(why) = mapped {
        complain(&format!(
            "hcs: owners of files are not kept, as the ids of /etc/subuid cannot be had: {}\n",
            crate::output::printable(why.trim_end())
        ));
        if left.is_ok() {
            let _still_unnamed = map_one(user);
        }
    }
}

/// The process that maps the ids once a line is written to it; without one it ends.
fn helper(user: (u32, u32), (users, groups): (Granted, Granted)) -> Option<(Child, ChildStdin)> {
    let numbers = [
        id(),
        user.0,
        users.first,
        users.count,
        user.1,
        groups.first,
        groups.count,
    ];
    let mut helper = Command::new("/bin/sh")
        .args(["-c", MAP, "sh"])
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let go = helper.stdin.take()?;
    Some((helper, go))
}

/// Has the ids mapped.
fn map(mut helper: Child, mut go: ChildStdin) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    go.write_all(b"\n").map_err(words)?;
    drop(go);
    let mut said = String::new();
    if let Some(mut errors) = helper.stderr.take() {
        errors.read_to_string(&mut said).map_err(words)?;
    }
    match helper.wait().map_err(words)?.success() {
        true => Ok(()),
        false => Err(said),
    }
}

/// Gives this process in its new namespace the one id that needs no grant.
fn map_one((user, group): (u32, u32)) -> Result<(), Errno> {
    let write = |file: &str, text: String| {
        let path = format!("/proc/self/{file}");
        std::fs::write(path, text)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    // The users may be mapped already, as the groups alone have failed; a map is written once.
    let users = write("uid_map", format!("0 {user} 1"));
    if geteuid().as_raw() != 0 {
        users?;
    }
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("0 {group} 1"))
}

//! Directories of the host, which the guest mounts by 9P over a stream to one of the host's ports.
//!
//! 1. [`Wanted`]: one of them, as a request of the host or the kernel's command line (`hcs.share=`) names it.
//! 2. [`put`], [`take`]: mounting it, and the end of that.

use std::{
    ffi::CString,
    fs,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use hcs_schema::{Failure, HResult};
use hcs_wire::errno;
use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};
use serde::Deserialize;
use serde_json::Value;

/// What requests call one of them.
const RESOURCE: &str = "MappedDirectory";
/// The word of the kernel's command line for one: `hcs.share=PORT:NAME:PATH`, with `:ro` behind it for one that is only
/// read. Bytes are written as `%` with two digits where they would end a field or the word.
const WORD: &str = "hcs.share=";
/// The longest message of 9P.
const MESSAGE: u32 = 256 << 10;

/// A directory of the host, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The port of the host.
    pub(super) port: u32,
    /// Its name there.
    name: String,
    /// The directory that it is mounted on.
    target: String,
    read_only: bool,
}

/// What a request does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Mount(Wanted),
    Unmount(String),
}

/// The settings of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    mount_path: String,
    port: u32,
    share_name: String,
    #[serde(default)]
    read_only: bool,
}

/// Reads a request of the host; none that is about something else.
///
/// # Errors
/// It is about such a directory, and a value is missing or wrong.
pub(super) fn read(request: &Value) -> Option<Result<Change, Failure>> {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    (text("ResourceType") == Some(RESOURCE)).then(|| {
        let settings = request.get("Settings").unwrap_or(&Value::Null);
        let settings = Settings::deserialize(settings)
            .map_err(|e| wrong(format!("the settings of a {RESOURCE} are not valid: {e}")))?;
        let wanted = Wanted {
            port: settings.port,
            name: settings.share_name,
            target: settings.mount_path,
            read_only: settings.read_only,
        };
        wanted.check()?;
        match text("RequestType") {
            Some("Add") => Ok(Change::Mount(wanted)),
            Some("Remove") => Ok(Change::Unmount(wanted.target)),
            other => Err(wrong(format!(
                "a {RESOURCE} can be added and removed; the RequestType {other:?} is not supported"
            ))),
        }
    })
}

/// Those that the kernel's command line names.
pub(super) fn of_command_line(line: &str) -> impl Iterator<Item = Result<Wanted, Failure>> {
    let words = line.split_ascii_whitespace();
    words
        .take_while(|word| *word != "--")
        .filter_map(|word| word.strip_prefix(WORD))
        .map(|word| {
            let wanted = parse(word).ok_or_else(|| {
                wrong(format!(
                    "{WORD}{word} on the kernel's command line is no share"
                ))
            })?;
            wanted.check().map(|()| wanted)
        })
}

fn parse(word: &str) -> Option<Wanted> {
    let mut fields = word.split(':');
    let wanted = Wanted {
        port: fields.next()?.parse().ok()?,
        name: decode(fields.next()?)?,
        target: decode(fields.next()?)?,
        read_only: match fields.next() {
            None => false,
            Some("ro") => true,
            Some(_) => return None,
        },
    };
    fields.next().is_none().then_some(wanted)
}

fn decode(field: &str) -> Option<String> {
    let mut pieces = field.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

impl Wanted {
    fn check(&self) -> Result<(), Failure> {
        let Self { name, target, .. } = self;
        if !target.starts_with('/') || target.contains('\0') {
            return Err(wrong(format!(
                "{target:?} is no absolute path of a directory in the guest, as /mnt is"
            )));
        }
        // The options of a mount are one text.
        if name.contains([',', '\0']) {
            return Err(wrong(format!(
                "{name:?} cannot be the name of a share: a comma or a NUL is in it"
            )));
        }
        Ok(())
    }

    /// What went wrong with it.
    pub(super) fn failed(&self, failure: &Failure) -> Failure {
        let message = format!("the directory {} of the host is not there", self.target);
        let mut outer = Failure::new(failure.hresult, message).cause(failure.message.clone());
        outer.causes.extend(failure.causes.iter().cloned());
        outer
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(HResult::E_INVALIDARG, message)
}

/// Mounts `wanted` over a stream to its port. Its directory is made if it is not there. Waits for the answers of the
/// host.
///
/// # Errors
/// The guest's kernel or the host refused.
pub(super) fn put(wanted: &Wanted, stream: &OwnedFd) -> Result<(), Failure> {
    let target = Path::new(&wanted.target);
    fs::create_dir_all(target).map_err(|e| {
        let message = format!("the directory {} cannot be made", wanted.target);
        Failure::new(HResult::E_FAIL, message).because(&e)
    })?;
    let number = stream.as_raw_fd();
    let options = format!(
        "trans=fd,rfdno={number},wfdno={number},version=9p2000.L,msize={MESSAGE},aname={}",
        wanted.name
    );
    let options = CString::new(options).unwrap_or_default();
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    if wanted.read_only {
        flags |= MountFlags::RDONLY;
    }
    let mounted = mount("host", target, "9p", flags, options.as_c_str());
    mounted.map_err(|errno| match errno {
        Errno::NODEV => {
            let message = "the kernel of the guest has no 9P: of Debian's kernels linux-image-amd64 has it as modules, \
                           linux-image-cloud-amd64 has not";
            Failure::new(HResult::NOT_SUPPORTED, message)
        }
        Errno::NOENT => wrong(format!(
            "the host has no share {:?} at port {}",
            wanted.name, wanted.port
        )),
        errno => errno::failed(&format!("{} cannot be mounted", wanted.target), errno),
    })
}

/// Unmounts what is at `target`.
///
/// # Errors
/// Nothing is mounted there, or it is in use.
pub(super) fn take(target: &str) -> Result<(), Failure> {
    let taken = unmount(target, UnmountFlags::NOFOLLOW);
    taken.map_err(|errno| errno::failed(&format!("{target} cannot be unmounted"), errno))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(name: &str, target: &str, read_only: bool) -> Wanted {
        Wanted {
            port: 564,
            name: name.to_owned(),
            target: target.to_owned(),
            read_only,
        }
    }

    #[test]
    fn requests_are_read() {
        let settings =
            json!({"MountPath": "/tmp/001", "Port": 564, "ShareName": "0", "ReadOnly": true});
        let request = |kind: &str, settings: &Value| json!({"RequestType": kind, "ResourceType": RESOURCE, "Settings": settings});
        let mount = read(&request("Add", &settings)).unwrap().unwrap();
        assert_eq!(mount, Change::Mount(wanted("0", "/tmp/001", true)));
        let take = read(&request("Remove", &settings)).unwrap().unwrap();
        assert_eq!(take, Change::Unmount("/tmp/001".to_owned()));
        for (kind, name, value) in [
            ("Update", "Port", json!(564)),
            ("Add", "Port", Value::Null),
            ("Add", "MountPath", json!("tmp")),
            ("Add", "ShareName", json!("a,access=any")),
        ] {
            let mut settings = settings.clone();
            settings[name] = value;
            let refused = read(&request(kind, &settings)).unwrap().unwrap_err();
            assert_eq!(refused.hresult, HResult::E_INVALIDARG, "{refused}");
        }
        assert!(read(&json!({"ResourceType": "Network"})).is_none());
    }

    #[test]
    fn the_command_line_names_shares() {
        let line =
            "quiet hcs.share=564:0:/data hcs.share=564:1:/a%20b%3ac:ro panic=-1 -- hcs.share=x\n";
        let all: Vec<Wanted> = of_command_line(line).map(Result::unwrap).collect();
        let expected = [wanted("0", "/data", false), wanted("1", "/a b:c", true)];
        assert_eq!(all, expected);
        for none in [
            "",
            "564",
            "564:0",
            "x:0:/a",
            "564:0:a",
            "564:0:/a:rw",
            "564:0:/a:ro:ro",
            "564:0:/%4",
            "564:0:/%ff",
            "564:,:/a",
        ] {
            let line = format!("{WORD}{none}");
            assert!(of_command_line(&line).all(|read| read.is_err()), "{none}");
        }
    }
}

//! `--mount HOST:GUEST[:OPTION,...]`, or `--mount src=HOST,dst=GUEST[,OPTION...]`: a directory, file, socket or FIFO of
//! the host that appears inside.

use std::{fs, os::unix::fs::FileTypeExt as _, path::PathBuf};

use hcs_schema::{
    Failure, HResult,
    documents::{MappedDirectory, MappedPipe},
};

use super::Surroundings;

/// One thing that is mapped, as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mount {
    host: PathBuf,
    guest: String,
    read_only: bool,
    shift: bool,
    set_id: bool,
}

/// What the document has for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mapped {
    /// A directory or file.
    Directory(MappedDirectory),
    /// A socket or FIFO.
    Pipe(MappedPipe),
}

/// Reads `HOST:GUEST` or `HOST:GUEST:OPTIONS`, the options `ro`, `rw`, `shift` and `suid` with commas between them; a
/// colon in a path has a backslash before it. Or reads the same spelled out, `src=HOST,dst=GUEST,OPTIONS`, where colons
/// are plain and a comma in a path has the backslash.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mount = match is_spelled_out(text) {
        true => spelled_out(text)?,
        false => short(text)?,
    };
    if mount.host.as_os_str().is_empty() {
        return Err("the path on the host is empty".to_owned());
    }
    if !mount.guest.starts_with('/') {
        let guest = &mount.guest;
        return Err(format!(
            "the path inside, {guest:?}, must begin with a slash"
        ));
    }
    Ok(mount)
}

fn short(text: &str) -> Result<Mount, String> {
    let parts = split(text, ':');
    let (host, guest, options) = match &parts[..] {
        [host, guest] => (host, guest, None),
        [host, guest, options] => (host, guest, Some(options)),
        _ => {
            return Err(
                "expected HOST:GUEST or HOST:GUEST:OPTIONS; a colon in a path is written \\:, or all of it as \
                 src=HOST,dst=GUEST"
                    .to_owned(),
            );
        }
    };
    let mut mount = Mount {
        host: host.into(),
        guest: guest.clone(),
        ..Mount::default()
    };
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        mount.take(option)?;
    }
    Ok(mount)
}

/// The keys of a mount that is spelled out, those of other tools among them.
const KEYS: [&str; 6] = ["type", "src", "source", "dst", "destination", "target"];

fn is_spelled_out(text: &str) -> bool {
    let first = text.split(',').next().unwrap_or_default();
    let key = first.split_once('=').map(|(key, _)| key);
    key.is_some_and(|key| KEYS.contains(&key))
}

fn spelled_out(text: &str) -> Result<Mount, String> {
    let mut mount = Mount::default();
    for part in split(text, ',') {
        match part.split_once('=') {
            Some(("type", "bind")) => {}
            Some(("type", "tmpfs")) => {
                return Err("memory is asked for by --tmpfs PATH[:size=64M]".to_owned());
            }
            Some(("type", other)) => {
                return Err(format!(
                    "{other:?} is no type of a mount; there is bind: a path of the host"
                ));
            }
            Some(("src" | "source", host)) => mount.host = host.into(),
            Some(("dst" | "destination" | "target", guest)) => guest.clone_into(&mut mount.guest),
            _ => mount.take(&part)?,
        }
    }
    Ok(mount)
}

/// Parts `text` at each `separator` without a backslash before it, which is taken out.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    for character in text.chars() {
        let Some(part) = parts.last_mut() else {
            break;
        };
        if character != separator {
            part.push(character);
        } else if part.ends_with('\\') {
            part.pop();
            part.push(separator);
        } else {
            parts.push(String::new());
        }
    }
    parts
}

impl Mount {
    /// Where it appears inside.
    pub(super) fn guest(&self) -> &str {
        &self.guest
    }

    fn take(&mut self, option: &str) -> Result<(), String> {
        match option {
            "ro" | "readonly" => self.read_only = true,
            "rw" => self.read_only = false,
            "shift" => self.shift = true,
            "suid" => self.set_id = true,
            other => {
                return Err(format!(
                    "{other:?} is no option of a mount; there are ro, rw, shift and suid"
                ));
            }
        }
        Ok(())
    }

    /// What the document has for it. Looks at the host: a socket or FIFO is no directory there.
    ///
    /// # Errors
    /// The host's path is not UTF-8, or an option means nothing for what is there.
    pub(crate) fn document(&self, surroundings: &Surroundings) -> Result<Mapped, Failure> {
        let host = surroundings.absolute(&self.host)?;
        // What cannot be looked at is the service's to tell.
        let kind = fs::metadata(&host).map(|found| found.file_type());
        if kind.is_ok_and(|kind| kind.is_socket() || kind.is_fifo()) {
            if self.read_only || self.set_id {
                let message = format!(
                    "{host:?} is a socket or FIFO, for which ro and suid mean nothing: what a container sends through it \
                     cannot be kept from it but by leaving it out"
                );
                return Err(Failure::new(HResult::E_INVALIDARG, message));
            }
            return Ok(Mapped::Pipe(MappedPipe {
                container_pipe_name: Some(self.guest.clone()),
                host_path: Some(host),
                ..MappedPipe::default()
            }));
        }
        Ok(Mapped::Directory(MappedDirectory {
            host_path: Some(host),
            container_path: Some(self.guest.clone()),
            read_only: Some(self.read_only),
            shift_owners: self.shift.then_some(true),
            allow_set_id: self.set_id.then_some(true),
            ..MappedDirectory::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Surroundings {
        Surroundings {
            directory: Some("/home/me".into()),
            processors: || 1,
        }
    }

    #[test]
    fn mounts_have_two_paths_and_a_mode() {
        let mount = parse("src:/src:ro").unwrap();
        let Mapped::Directory(document) = mount.document(&here()).unwrap() else {
            panic!("a pipe");
        };
        assert_eq!(document.host_path.as_deref(), Some("/home/me/src"));
        assert_eq!(document.container_path.as_deref(), Some("/src"));
        assert_eq!(document.read_only, Some(true));
        assert!(!parse("/a:/b").unwrap().read_only);
        assert!(!parse("/a:/b:rw").unwrap().read_only);
        let mount = parse("/a:/b:ro,shift,suid").unwrap();
        assert!(mount.read_only && mount.shift && mount.set_id);
        assert_eq!(
            (document.shift_owners, document.allow_set_id),
            (None, None),
            "not asked for"
        );
        for bad in [
            "",
            "/a",
            ":/b",
            "/a:b",
            "/a:",
            "/a:/b:x",
            "/a:/b:ro:",
            "/a:/b:ro,",
            "src=/a",
            "src=/a,dst=b",
            "dst=/b",
            "src=/a,dst=/b,size=3",
            "type=tmpfs,dst=/b",
            "type=volume,src=x,dst=/b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn colons_and_commas_can_be_part_of_a_path() {
        let paths = |text: &str| {
            let mount = parse(text).unwrap();
            (mount.host.to_str().unwrap().to_owned(), mount.guest)
        };
        let both = |host: &str, guest: &str| (host.to_owned(), guest.to_owned());
        assert_eq!(paths(r"/a\:1:/b\:2:ro"), both("/a:1", "/b:2"));
        assert_eq!(paths(r"/a\b:/c"), both(r"/a\b", "/c"));
        assert_eq!(paths("src=/a:1,dst=/b:2"), both("/a:1", "/b:2"));
        assert_eq!(
            paths(r"type=bind,source=/a\,1,target=/b"),
            both("/a,1", "/b")
        );
        // A file of that name, and no key.
        assert_eq!(paths("x=y:/b"), both("x=y", "/b"));
        assert!(
            parse("source=/a,destination=/b,readonly")
                .unwrap()
                .read_only
        );
        assert!(parse("/a:1:/b:2").unwrap_err().contains(r"\:"));
    }

    #[test]
    fn sockets_and_fifos_are_pipes() {
        let place = tempfile::tempdir().unwrap();
        let socket = place.path().join("a:b.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let mount =
            |options: &str| parse(&format!("src={},dst=/s{options}", socket.display())).unwrap();
        let Mapped::Pipe(pipe) = mount("").document(&here()).unwrap() else {
            panic!("a directory");
        };
        assert_eq!(pipe.host_path.as_deref(), socket.to_str());
        assert_eq!(pipe.container_pipe_name.as_deref(), Some("/s"));
        assert!(mount(",shift").document(&here()).is_ok());
        for nonsense in [",ro", ",suid"] {
            let failure = mount(nonsense).document(&here()).unwrap_err();
            assert!(failure.message.contains("ro and suid"), "{failure}");
        }
    }
}

//! `--mount HOST:GUEST[:OPTION,...]`: a directory of the host that appears inside.

use std::path::PathBuf;

use hcs_schema::{Failure, documents::MappedDirectory};

use super::Surroundings;

/// One mapped directory, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    host: PathBuf,
    guest: String,
    read_only: bool,
    shift: bool,
    set_id: bool,
}

/// Reads `HOST:GUEST` or `HOST:GUEST:OPTIONS`, the options `ro`, `rw`, `shift` and `suid` with commas between them.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, options) = match parts[..] {
        [host, guest] => (host, guest, "rw"),
        [host, guest, options] => (host, guest, options),
        _ => {
            return Err(
                "expected HOST:GUEST or HOST:GUEST:OPTIONS; a path with a colon cannot be written here"
                    .to_owned(),
            );
        }
    };
    if host.is_empty() {
        return Err("the path on the host is empty".to_owned());
    }
    if !guest.starts_with('/') {
        return Err(format!(
            "the path inside, {guest:?}, must begin with a slash"
        ));
    }
    let mut mount = Mount {
        host: host.into(),
        guest: guest.to_owned(),
        read_only: false,
        shift: false,
        set_id: false,
    };
    for option in options.split(',') {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "shift" => mount.shift = true,
            "suid" => mount.set_id = true,
            other => {
                return Err(format!(
                    "{other:?} is no option of a mount; there are ro, rw, shift and suid"
                ));
            }
        }
    }
    Ok(mount)
}

impl Mount {
    /// The document.
    ///
    /// # Errors
    /// The host's path is not UTF-8.
    pub(crate) fn document(&self, surroundings: &Surroundings) -> Result<MappedDirectory, Failure> {
        Ok(MappedDirectory {
            host_path: Some(surroundings.absolute(&self.host)?),
            container_path: Some(self.guest.clone()),
            read_only: Some(self.read_only),
            shift_owners: self.shift.then_some(true),
            allow_set_id: self.set_id.then_some(true),
            ..MappedDirectory::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_have_two_paths_and_a_mode() {
        let mount = parse("src:/src:ro").unwrap();
        let surroundings = Surroundings {
            directory: Some("/home/me".into()),
            processors: 1,
        };
        let document = mount.document(&surroundings).unwrap();
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
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! `--mount HOST:GUEST[:ro]`: a directory of the host that appears inside.

use std::path::PathBuf;

use hcs_schema::{Failure, documents::MappedDirectory};

use super::Surroundings;

/// One mapped directory, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    host: PathBuf,
    guest: String,
    read_only: bool,
}

/// Reads `HOST:GUEST`, `HOST:GUEST:ro` or `HOST:GUEST:rw`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, guest, mode) =
        match parts[..] {
            [host, guest] => (host, guest, "rw"),
            [host, guest, mode] => (host, guest, mode),
            _ => return Err(
                "expected HOST:GUEST or HOST:GUEST:ro; a path with a colon cannot be written here"
                    .to_owned(),
            ),
        };
    if host.is_empty() {
        return Err("the path on the host is empty".to_owned());
    }
    if !guest.starts_with('/') {
        return Err(format!(
            "the path inside, {guest:?}, must begin with a slash"
        ));
    }
    let read_only = match mode {
        "ro" => true,
        "rw" => false,
        other => return Err(format!("{other:?} is no mode; there are ro and rw")),
    };
    Ok(Mount {
        host: host.into(),
        guest: guest.to_owned(),
        read_only,
    })
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
        for bad in ["", "/a", ":/b", "/a:b", "/a:", "/a:/b:x", "/a:/b:ro:"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

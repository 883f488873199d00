//! `--device HOST[:GUEST][:rwm]`: a device of the host that appears inside.

use std::path::PathBuf;

use hcs_schema::{Failure, documents::MappedDevice};

use super::{Surroundings, mount};

/// One device, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    host: PathBuf,
    guest: Option<String>,
    access: Option<String>,
}

/// Reads `HOST`, `HOST:GUEST`, `HOST:ACCESS` or `HOST:GUEST:ACCESS`; a colon in a path has a backslash before it.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Device, String> {
    let is_access = |part: &str| !part.is_empty() && part.chars().all(|c| "rwm".contains(c));
    let parts = mount::split(text, ':');
    let (host, guest, access) = match &parts[..] {
        [host] => (host, None, None),
        [host, access] if is_access(access) => (host, None, Some(access)),
        [host, guest] => (host, Some(guest), None),
        [host, guest, access] => (host, Some(guest), Some(access)),
        _ => {
            return Err(
                "expected HOST, HOST:GUEST or HOST:GUEST:rwm; a colon in a path is written \\:"
                    .to_owned(),
            );
        }
    };
    if host.is_empty() {
        return Err("the path on the host is empty".to_owned());
    }
    if let Some(guest) = guest.filter(|guest| !guest.starts_with('/')) {
        return Err(format!(
            "the path inside, {guest:?}, must begin with a slash"
        ));
    }
    if let Some(access) = access.filter(|access| !is_access(access)) {
        return Err(format!(
            "{access:?} is not what may be done with a device: letters out of rwm (read, write, make nodes)"
        ));
    }
    Ok(Device {
        host: host.into(),
        guest: guest.cloned(),
        access: access.cloned(),
    })
}

impl Device {
    /// The document.
    ///
    /// # Errors
    /// The host's path is not UTF-8.
    pub(crate) fn document(&self, surroundings: &Surroundings) -> Result<MappedDevice, Failure> {
        Ok(MappedDevice {
            host_path: Some(surroundings.absolute(&self.host)?),
            container_path: self.guest.clone(),
            access: self.access.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_a_place_and_a_use_or_the_usual_ones() {
        let here = Surroundings {
            directory: Some("/dev".into()),
            processors: || 1,
        };
        let read = |text: &str| {
            let document = parse(text).unwrap().document(&here).unwrap();
            let parts = [document.host_path, document.container_path, document.access];
            parts.map(Option::unwrap_or_default).join(" ")
        };
        assert_eq!(read("/dev/fuse"), "/dev/fuse  ");
        assert_eq!(read("fuse:/dev/f"), "/dev/fuse /dev/f ");
        assert_eq!(read("/dev/fuse:r"), "/dev/fuse  r");
        assert_eq!(read("/dev/fuse:/f:rw"), "/dev/fuse /f rw");
        assert_eq!(read(r"/dev/pci-0\:1:/p"), "/dev/pci-0:1 /p ");
        for bad in [
            "",
            ":/f",
            "/dev/fuse:f",
            "/dev/fuse:/f:x",
            "/dev/fuse:/f:",
            "/a:/b:r:w",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

//! The two ends of a copy.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
    path::PathBuf,
};

/// Where files come from, or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// A path in a container.
    Inside {
        /// The container.
        id: String,
        /// From its root.
        path: String,
    },
    /// A path of this machine.
    Here(PathBuf),
    /// Standard input or output, with a tar archive.
    Stream,
}

impl End {
    /// Reads one: what has a colon and does not begin as a path does is inside. A path of this machine may have any
    /// bytes; one inside is named by a JSON document.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn read(text: OsString) -> Result<Self, String> {
        let bytes = text.as_bytes();
        if bytes == b"-" {
            return Ok(Self::Stream);
        }
        let colon = bytes.iter().position(|byte| *byte == b':');
        let Some(colon) = colon.filter(|_| !bytes.starts_with(b"/") && !bytes.starts_with(b"."))
        else {
            return match bytes {
                [] => Err("expected a path".to_owned()),
                _ => Ok(Self::Here(text.into())),
            };
        };
        let (id, path) = (&bytes[..colon], &bytes[colon + 1..]);
        if id.is_empty() || path.is_empty() {
            return Err(
                "expected ID:PATH, such as box:/etc/hosts; a file of this machine that has a colon in its name is \
                 named with ./ before it"
                    .to_owned(),
            );
        }
        let name = |bytes| {
            OsStr::from_bytes(bytes).to_str().ok_or_else(|| {
                "what is inside is named by a JSON document, and this is not UTF-8: copy the directory that it is in"
                    .to_owned()
            })
        };
        let (id, path) = (name(id)?, name(path)?);
        let root = if path.starts_with('/') { "" } else { "/" };
        Ok(Self::Inside {
            id: id.to_owned(),
            path: format!("{root}{path}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_inside_here_or_a_stream() {
        let inside = |id: &str, path: &str| End::Inside {
            id: id.to_owned(),
            path: path.to_owned(),
        };
        for (text, end) in [
            ("box:/etc/hosts", inside("box", "/etc/hosts")),
            ("box:etc/.", inside("box", "/etc/.")),
            ("box:/a:b", inside("box", "/a:b")),
            ("./a:b", End::Here("./a:b".into())),
            ("/a:b", End::Here("/a:b".into())),
            ("file", End::Here("file".into())),
            ("-", End::Stream),
        ] {
            assert_eq!(End::read(text.into()), Ok(end), "{text}");
        }
        for text in ["", ":x", "box:"] {
            assert!(End::read(text.into()).is_err(), "{text}");
        }
        let odd = |bytes: &[u8]| End::read(OsStr::from_bytes(bytes).to_owned());
        let here = OsStr::from_bytes(b"a\xff").to_owned();
        assert_eq!(odd(b"a\xff"), Ok(End::Here(here.into())));
        assert!(odd(b"box:/a\xff").unwrap_err().contains("not UTF-8"));
    }
}

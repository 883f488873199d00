//! The two ends of a copy.

use std::{path::PathBuf, str::FromStr};

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

impl FromStr for End {
    type Err = String;

    /// What has a colon and does not begin as a path does is inside.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "-" {
            return Ok(Self::Stream);
        }
        let inside = text.split_once(':');
        let (id, path) = match inside.filter(|_| !text.starts_with(['/', '.'])) {
            Some(parts) => parts,
            None if text.is_empty() => return Err("expected a path".to_owned()),
            None => return Ok(Self::Here(text.into())),
        };
        if id.is_empty() || path.is_empty() {
            return Err(
                "expected ID:PATH, such as box:/etc/hosts; a file of this machine that has a colon in its name is \
                 named with ./ before it"
                    .to_owned(),
            );
        }
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
            assert_eq!(text.parse(), Ok(end), "{text}");
        }
        for text in ["", ":x", "box:"] {
            assert!(text.parse::<End>().is_err(), "{text}");
        }
    }
}

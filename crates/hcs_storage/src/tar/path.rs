//! A path below the root of a layer.

use super::super::{Refusal, error::shown};

/// Names with `/` between them: no name is empty, `.` or `..`, or longer than a file's may be. The root has no name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryPath(Vec<u8>);

/// The longest name of a file on Linux.
const NAME_MAX: usize = 255;
/// The longest path that the kernel takes, without its last NUL.
const PATH_MAX: usize = 4095;

impl EntryPath {
    /// The path that an archive gives as `raw`: `./a//b/` is `a/b`.
    ///
    /// # Errors
    /// It is absolute, leads up, has more than `depth` names, or no file can have it.
    pub fn parse(raw: &[u8], depth: usize) -> Result<Self, Refusal> {
        if raw.starts_with(b"/") {
            return Err(Refusal::AbsolutePath);
        }
        let mut path = Vec::with_capacity(raw.len().min(PATH_MAX));
        let mut names = 0;
        for name in raw.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(Refusal::Traversal),
                _ if name.contains(&0) => return Err(Refusal::BadPath("it has a NUL")),
                _ if name.len() > NAME_MAX => {
                    return Err(Refusal::BadPath("a name is longer than 255 bytes"));
                }
                _ => {}
            }
            names += 1;
            if names > depth {
                return Err(Refusal::TooDeep { limit: depth });
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        if path.len() > PATH_MAX {
            return Err(Refusal::BadPath("it is longer than 4095 bytes"));
        }
        Ok(Self(path))
    }

    /// The path of `name`, which is a name of a file, in this directory.
    pub(crate) fn join(&self, name: &[u8]) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The directory it is in, and its name there; the root has neither.
    #[must_use]
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(at) => Some((Self(self.0[..at].to_vec()), &self.0[at + 1..])),
            None => Some((Self::default(), &self.0)),
        }
    }

    /// Whether it is the root of the layer.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Its names, topmost first.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
    }

    /// Its bytes; none for the root.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Safe to show.
    #[must_use]
    pub fn shown(&self) -> String {
        shown(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &[u8]) -> Result<Vec<u8>, Refusal> {
        EntryPath::parse(raw, 3).map(|path| path.0)
    }

    #[test]
    fn needless_parts_are_left_out() {
        assert_eq!(parse(b"./a//b/./c/"), Ok(b"a/b/c".to_vec()));
        assert_eq!(parse(b"./"), Ok(Vec::new()));
        assert_eq!(parse(b"...\xff"), Ok(b"...\xff".to_vec()));
    }

    #[test]
    fn what_leads_out_is_refused() {
        assert_eq!(parse(b"/etc"), Err(Refusal::AbsolutePath));
        assert_eq!(parse(b"a/../b"), Err(Refusal::Traversal));
        assert_eq!(parse(b".."), Err(Refusal::Traversal));
    }

    #[test]
    fn what_no_file_can_be_called_is_refused() {
        assert_eq!(parse(b"a/b/c/d"), Err(Refusal::TooDeep { limit: 3 }));
        assert!(parse(b"a\0").is_err());
        assert!(parse(&[b'x'; 255]).is_ok());
        assert!(parse(&[b'x'; 256]).is_err());
        assert!(EntryPath::parse(&b"x/".repeat(2049), 9999).is_err());
    }

    #[test]
    fn a_path_splits_into_directory_and_name() {
        let path = EntryPath::parse(b"a/b/c", 3).unwrap();
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.as_bytes(), name), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(parent.join(name), path);
        assert_eq!(parent.names().count(), 2);
        let root = EntryPath::default();
        assert!(root.split().is_none() && root.names().next().is_none());
    }
}

//! Files of an image layout in a tar archive, which are read where they are in it: nothing of the archive is written
//! beside the store.
//!
//! The archive is looked through once, from header to header. A file of it is then found by its path, as in a folder:
//! links inside of the archive are followed, because `docker save` makes some, and none leads out. The archive may
//! change meanwhile; what is read of it is checked as everything else.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use rustix::io::Errno;

use crate::{
    Limits, Refusal, StorageError,
    error::shown,
    limits::Budget,
    tar::{Entry, EntryPath, Kind, TarReader},
};

/// Links on the way to one file, at most.
const MOST_LINKS: usize = 40;
/// The longest path of a file, as for the kernel.
const LONGEST: usize = 4095;
/// Bytes that are read at once where headers are looked for.
const HEADERS: usize = 4 << 10;

/// An archive whose entries are known.
pub(super) struct Archive {
    file: Arc<File>,
    end: u64,
    limits: Limits,
    nodes: HashMap<EntryPath, Node>,
}

/// What an entry is.
#[derive(Clone)]
enum Node {
    Directory {
        /// Whether an entry is of it, and not only the path of another one.
        is_named: bool,
    },
    /// A file, whose headers are at this place.
    File(u64),
    /// Hard links of a link have its target in common.
    Link(Arc<[u8]>),
    /// Something that cannot be read.
    Other,
}

/// A file of an archive.
pub(super) type Part = TarReader<BufReader<At>>;

/// An archive from one of its bytes on.
#[derive(Debug)]
pub(super) struct At {
    file: Arc<File>,
    position: u64,
    end: u64,
}

impl Archive {
    /// Looks through the archive in `file`, at most as far as `budget` goes.
    ///
    /// # Errors
    /// It cannot be read, is no archive, or an entry of it is refused.
    pub(super) fn open(file: File, budget: &mut Budget) -> Result<Self, StorageError> {
        let found = file.metadata();
        let found = found.map_err(|error| unreadable("the archive", error))?;
        let mut archive = Self {
            file: Arc::new(file),
            end: found.len(),
            limits: budget.limits,
            nodes: HashMap::new(),
        };
        let is_named = false;
        let root = EntryPath::default();
        archive.nodes.insert(root, Node::Directory { is_named });
        let mut reader = TarReader::within(archive.at(0, HEADERS), budget).seeking(skip);
        loop {
            reader.skip_content()?;
            let position = place(reader.source());
            let Some(entry) = reader.next_entry()? else {
                break;
            };
            let refused = |refusal| StorageError::refused(entry.path.as_bytes(), refusal);
            let (directories, bytes) = archive.add(&entry, position).map_err(refused)?;
            let charged = reader.charge_directories(directories, bytes);
            charged.map_err(refused)?;
        }
        reader.spend(budget);
        Ok(archive)
    }

    fn at(&self, position: u64, buffer: usize) -> BufReader<At> {
        let at = At {
            file: Arc::clone(&self.file),
            position,
            end: self.end,
        };
        BufReader::with_capacity(buffer, at)
    }

    /// Takes an entry. Returns how many directories its path names that no entry is of yet, and the bytes of their
    /// paths.
    fn add(&mut self, entry: &Entry, position: u64) -> Result<(u64, u64), Refusal> {
        let node = match &entry.kind {
            Kind::Directory => Node::Directory { is_named: true },
            Kind::File { .. } => Node::File(position),
            Kind::Symlink { target } => Node::Link(target.as_slice().into()),
            Kind::HardLink { target } => match self.nodes.get(target) {
                Some(node @ (Node::File(_) | Node::Link(_))) => node.clone(),
                _ => {
                    let target = target.shown();
                    return Err(Refusal::LinkToNothing { target });
                }
            },
            Kind::Character(_) | Kind::Block(_) => return Err(Refusal::DeviceNode),
            // Marks mean nothing outside of layers.
            Kind::Fifo | Kind::Whiteout | Kind::Opaque => Node::Other,
        };
        let made = self.reach(&entry.path)?;
        match (self.nodes.get(&entry.path), &node) {
            (None, _) | (Some(Node::Directory { is_named: false }), Node::Directory { .. }) => {}
            _ => return Err(Refusal::Duplicate),
        }
        self.nodes.insert(entry.path.clone(), node);
        Ok(made)
    }

    /// Makes sure that `path` is in a directory.
    fn reach(&mut self, path: &EntryPath) -> Result<(u64, u64), Refusal> {
        let mut made = (0, 0);
        let mut next = path.split().map(|(parent, _)| parent);
        while let Some(parent) = next {
            match self.nodes.get(&parent) {
                Some(Node::Directory { .. }) => break,
                Some(_) => return Err(Refusal::NotBelowDirectory),
                None => {}
            }
            made.0 += 1;
            made.1 += parent.as_bytes().len() as u64;
            next = parent.split().map(|(parent, _)| parent);
            let is_named = false;
            self.nodes.insert(parent, Node::Directory { is_named });
        }
        Ok(made)
    }

    /// The regular file at `path`, with its size; none where nothing is there.
    ///
    /// # Errors
    /// It is no file, its path leads out of the archive, or it cannot be read.
    pub(super) fn file(&self, path: &str) -> Result<Option<(Part, u64)>, StorageError> {
        let refused = |refusal| StorageError::refused(path.as_bytes(), refusal);
        let position = match self.find(path) {
            Ok(Some(Node::File(position))) => *position,
            Ok(None) => return Ok(None),
            Ok(Some(_)) => return Err(refused(Refusal::NoFile)),
            Err(Failed::Refused(refusal)) => return Err(refused(refusal)),
            Err(Failed::Path(errno)) => {
                return Err(StorageError::step("opening", path.as_bytes(), errno));
            }
        };
        let mut part = TarReader::new(self.at(position, HEADERS), &self.limits).seeking(skip);
        match part.next_entry()? {
            Some(Entry {
                kind: Kind::File { size },
                ..
            }) => Ok(Some((part, size))),
            _ => Err(refused(Refusal::BadArchive("it changes while it is read"))),
        }
    }

    /// What is at `path`, as the kernel would find it in a folder that no path leaves.
    fn find(&self, path: &str) -> Result<Option<&Node>, Failed> {
        if path.len() > LONGEST {
            return Err(Failed::Path(Errno::NAMETOOLONG));
        }
        if path.is_empty() {
            return Ok(None);
        }
        let mut left = Vec::new();
        push(&mut left, path.as_bytes())?;
        let mut links = 0;
        let mut at = EntryPath::default();
        while let Some(name) = left.pop() {
            if !matches!(self.nodes.get(&at), Some(Node::Directory { .. })) {
                return Ok(None);
            }
            match &*name {
                b"" | b"." => {}
                b".." => match at.split() {
                    Some((parent, _)) => at = parent,
                    None => return Err(Refusal::Traversal.into()),
                },
                name => {
                    let next = at.join(name);
                    match self.nodes.get(&next) {
                        None => return Ok(None),
                        Some(Node::Link(_)) if links == MOST_LINKS => {
                            return Err(Failed::Path(Errno::LOOP));
                        }
                        Some(Node::Link(target)) => {
                            links += 1;
                            push(&mut left, target)?;
                        }
                        Some(_) => at = next,
                    }
                }
            }
        }
        Ok(self.nodes.get(&at))
    }
}

/// Why nothing is found.
enum Failed {
    Refused(Refusal),
    Path(Errno),
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Adds the names of a path to those that are left, the first one last.
fn push(left: &mut Vec<Vec<u8>>, path: &[u8]) -> Result<(), Refusal> {
    if path.starts_with(b"/") {
        return Err(Refusal::Traversal);
    }
    let names = path.split(|byte| *byte == b'/').rev();
    left.extend(names.map(<[u8]>::to_vec));
    Ok(())
}

/// Where the next byte is.
fn place(source: &BufReader<At>) -> u64 {
    source.get_ref().position - source.buffer().len() as u64
}

/// Leaves bytes out; returns how many there were.
fn skip(source: &mut BufReader<At>, bytes: u64) -> io::Result<u64> {
    let position = place(source);
    let skipped = bytes.min(source.get_ref().end.saturating_sub(position));
    // Within the buffer nothing is read again.
    let buffered = source.buffer().len();
    match usize::try_from(skipped)
        .ok()
        .filter(|skipped| *skipped <= buffered)
    {
        Some(skipped) => io::BufRead::consume(source, skipped),
        None => {
            io::BufRead::consume(source, buffered);
            source.get_mut().position = position + skipped;
        }
    }
    Ok(skipped)
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_sub(self.position);
        let room = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.file.read_at(&mut buffer[..room], self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

fn unreadable(what: &str, error: io::Error) -> StorageError {
    StorageError::stream("reading", &shown(what.as_bytes()), error)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write as _};

    use super::*;
    use crate::tar::{TarWriter, Timestamp};

    fn archive(entries: &[(&str, Kind, &[u8])]) -> Result<Archive, StorageError> {
        let mut writer = TarWriter::new(Vec::new());
        for (path, kind, content) in entries {
            let entry = Entry {
                path: EntryPath::parse(path.as_bytes(), 9).unwrap(),
                kind: kind.clone(),
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: Timestamp::default(),
                xattrs: BTreeMap::new(),
            };
            writer.entry(&entry, &mut &**content).unwrap();
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&writer.finish().unwrap()).unwrap();
        Archive::open(file, &mut Budget::of(&Limits::default()))
    }

    fn file(content: &[u8]) -> Kind {
        let size = content.len() as u64;
        Kind::File { size }
    }

    fn link(target: &[u8]) -> Kind {
        let target = target.to_vec();
        Kind::Symlink { target }
    }

    fn read(archive: &Archive, path: &str) -> Result<Option<Vec<u8>>, Option<Refusal>> {
        let refusal = |error: StorageError| error.refusal().cloned();
        let Some((mut part, size)) = archive.file(path).map_err(refusal)? else {
            return Ok(None);
        };
        let mut text = Vec::new();
        part.read_to_end(&mut text).unwrap();
        assert_eq!(text.len() as u64, size);
        Ok(Some(text))
    }

    #[test]
    fn files_are_found_by_their_paths_and_through_links() {
        let large = vec![7; 100_000];
        let target = EntryPath::parse(b"a/large", 9).unwrap();
        let archive = archive(&[
            ("a/large", file(&large), &large),
            ("a/b", Kind::Directory, b""),
            ("a", Kind::Directory, b""),
            ("a/b/up", link(b"../small"), b""),
            ("a/small", file(b"text"), b"text"),
            ("folder", link(b"./a//b/"), b""),
            ("same", Kind::HardLink { target }, b""),
            ("out", link(b"a/../../x"), b""),
            ("root", link(b"/a/small"), b""),
            ("loop", link(b"loop"), b""),
            ("fifo", Kind::Fifo, b""),
        ])
        .unwrap();
        let found = |path: &str| read(&archive, path);
        assert_eq!(found("a/large"), Ok(Some(large.clone())));
        assert_eq!(found("same"), Ok(Some(large)));
        for path in [
            "a/small",
            "./a//small",
            "a/b/up",
            "folder/up",
            "a/b/../small",
        ] {
            assert_eq!(found(path), Ok(Some(b"text".to_vec())), "{path}");
        }
        for path in ["", "b", "a/small/x", "a/small/", "a/none", "folder/none"] {
            assert_eq!(found(path), Ok(None), "{path}");
        }
        for path in ["/a/small", "../a", "a/../..", "out", "root"] {
            assert_eq!(found(path), Err(Some(Refusal::Traversal)), "{path}");
        }
        for path in ["a", "fifo", "folder", "a/b/."] {
            assert_eq!(found(path), Err(Some(Refusal::NoFile)), "{path}");
        }
        for path in ["loop", &"a/".repeat(3000)] {
            assert_eq!(found(path), Err(None), "{path}");
        }
    }

    #[test]
    fn what_no_folder_could_be_is_refused() {
        let target = EntryPath::parse(b"none", 9).unwrap();
        let refusal = |entries: &[(&str, Kind, &[u8])]| {
            let error = archive(entries).err().unwrap();
            error.refusal().cloned().unwrap()
        };
        let one = ("a", file(b"x"), &b"x"[..]);
        let below = ("a/b", file(b""), &b""[..]);
        assert_eq!(refusal(&[one.clone(), one.clone()]), Refusal::Duplicate);
        assert_eq!(
            refusal(&[one.clone(), below.clone()]),
            Refusal::NotBelowDirectory
        );
        assert_eq!(refusal(&[below, one]), Refusal::Duplicate);
        let link = ("a", Kind::HardLink { target }, &b""[..]);
        assert!(matches!(refusal(&[link]), Refusal::LinkToNothing { .. }));
    }
}

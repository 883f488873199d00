//! Random folders, and what is in a folder.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    },
    path::{Path, PathBuf},
};

use proptest::{collection, prelude::*, sample};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chownat, lgetxattr,
    llistxattr, lsetxattr, makedev, mknodat, utimensat,
};

/// One file to be.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    directory: Vec<Vec<u8>>,
    name: Vec<u8>,
    what: What,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    attributes: Vec<(&'static str, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum What {
    File(Vec<u8>),
    /// A hole, and bytes after it.
    Sparse(u32, Vec<u8>),
    Directory,
    Opaque,
    Symlink(Vec<u8>),
    /// Another name of the file that was made as that number.
    Link(sample::Index),
    Device(FileType, u32, u32),
    Whiteout,
}

/// Folders with some of everything.
pub(crate) fn nodes() -> impl Strategy<Value = Vec<Node>> {
    collection::vec(node(), 0..30)
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec(), b"a-".to_vec(), b"wh.".to_vec()]),
        2 => collection::vec(any::<u8>(), 1..12),
        1 => collection::vec(128_u8.., 90..250),
    ]
    .prop_filter("a name of a file", |name| {
        !name.contains(&0) && !name.contains(&b'/') && !name.starts_with(b".")
    })
}

fn what() -> impl Strategy<Value = What> {
    let bytes = || collection::vec(any::<u8>(), 0..2000);
    let target = prop_oneof![
        Just(b"/etc/passwd".to_vec()),
        Just(b"../../..".to_vec()),
        collection::vec(1_u8.., 1..300),
    ];
    let device = sample::select(vec![
        FileType::CharacterDevice,
        FileType::BlockDevice,
        FileType::Fifo,
    ]);
    prop_oneof![
        4 => bytes().prop_map(What::File),
        1 => (0..1_000_000_u32, bytes()).prop_map(|(hole, bytes)| What::Sparse(hole, bytes)),
        3 => Just(What::Directory),
        1 => Just(What::Opaque),
        2 => target.prop_map(What::Symlink),
        2 => any::<sample::Index>().prop_map(What::Link),
        1 => (device, 0..4096_u32, 1..1_048_576_u32).prop_map(|(kind, major, minor)| What::Device(kind, major, minor)),
        1 => Just(What::Whiteout),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o644), Just(0o4755), Just(0), 0..0o10000_u32];
    let id = || prop_oneof![Just(0), 0..100_000_u32, 0..u32::MAX];
    let mtime = prop_oneof![
        (0..2_000_000_000_i64, Just(0)),
        (-2_000_000_000..2_000_000_000_i64, 0..1_000_000_000_i64),
    ];
    (
        collection::vec(name(), 0..4),
        name(),
        what(),
        mode,
        (id(), id()),
        mtime,
        attributes(),
    )
        .prop_map(
            |(directory, name, what, mode, owner, mtime, attributes)| Node {
                directory,
                name,
                what,
                mode,
                owner,
                mtime,
                attributes,
            },
        )
}

fn attributes() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let value = collection::vec(any::<u8>(), 0..200);
    let access = {
        // Version 2; the owner, user 7, the group, the mask, all others.
        let entry = |tag: u16, rights: u16, id: u32| {
            [
                &tag.to_le_bytes()[..],
                &rights.to_le_bytes(),
                &id.to_le_bytes(),
            ]
            .concat()
        };
        let none = u32::MAX;
        let entries = [
            (1, 6, none),
            (2, 4, 7),
            (4, 4, none),
            (16, 7, none),
            (32, 0, none),
        ];
        let entries = entries
            .map(|(tag, rights, id)| entry(tag, rights, id))
            .concat();
        [&2_u32.to_le_bytes()[..], &entries].concat()
    };
    // Version 2 of file capabilities: CAP_NET_BIND_SERVICE, permitted and effective.
    let capability = [0x0200_0001_u32, 1 << 10, 0, 0, 0]
        .map(u32::to_le_bytes)
        .concat();
    prop_oneof![
        3 => Just(Vec::new()),
        1 => (value.clone(), value).prop_map(|(one, other)| vec![("user.one", one), ("trusted.other", other)]),
        1 => Just(vec![("system.posix_acl_access", access)]),
        1 => Just(vec![("security.capability", capability)]),
    ]
}

/// Makes the folder `root` of `nodes`. What cannot be there (a second file of one name) is left out.
pub(crate) fn build(root: &Path, nodes: &[Node]) {
    fs::create_dir(root).unwrap();
    let mut made: Vec<PathBuf> = Vec::new();
    let mut directories = Vec::new();
    for node in nodes {
        let Some(mut path) = directory(root, &node.directory) else {
            continue;
        };
        path.push(OsStr::from_bytes(&node.name));
        if path.symlink_metadata().is_ok() || !make(node, &path, &made) {
            continue;
        }
        if matches!(node.what, What::Link(_) | What::Whiteout) {
            continue;
        }
        if matches!(node.what, What::Directory | What::Opaque) {
            directories.push((path.clone(), node));
        } else {
            made.push(path.clone());
        }
        decorate(node, &path);
    }
    // What was made in a directory has changed its time.
    for (path, node) in directories {
        set_time(&path, node.mtime);
    }
}

/// The directory that `names` lead to, made where it is missing; `None` where something else is in the way. A symbolic
/// link is: it could lead out of the folder.
fn directory(root: &Path, names: &[Vec<u8>]) -> Option<PathBuf> {
    let mut path = root.to_owned();
    for name in names {
        path.push(OsStr::from_bytes(name));
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return None,
            Err(_) if path.as_os_str().len() > 3000 => return None,
            Err(_) => fs::create_dir(&path).ok()?,
        }
    }
    Some(path)
}

fn make(node: &Node, path: &Path, made: &[PathBuf]) -> bool {
    let device = |kind, number| {
        mknodat(CWD, path, kind, Mode::RUSR, number).unwrap();
    };
    match &node.what {
        What::File(bytes) => fs::write(path, bytes).unwrap(),
        What::Sparse(hole, bytes) => {
            use std::os::unix::fs::FileExt as _;
            let file = fs::File::create(path).unwrap();
            file.write_all_at(bytes, u64::from(*hole)).unwrap();
        }
        What::Directory => fs::create_dir(path).unwrap(),
        What::Opaque => {
            fs::create_dir(path).unwrap();
            lsetxattr(path, "trusted.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
        }
        What::Symlink(target) => symlink(OsStr::from_bytes(target), path).unwrap(),
        What::Link(_) if made.is_empty() => return false,
        What::Link(index) => fs::hard_link(index.get(made), path).unwrap(),
        What::Device(kind, major, minor) => device(*kind, makedev(*major, *minor)),
        What::Whiteout => device(FileType::CharacterDevice, 0),
    }
    true
}

fn decorate(node: &Node, path: &Path) {
    let (owner, group) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    chownat(
        CWD,
        path,
        Some(owner),
        Some(group),
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    let is_link = matches!(node.what, What::Symlink(_));
    for (name, value) in &node.attributes {
        // The kernel does not let every kind of file have every attribute.
        let _refused = lsetxattr(path, *name, value, XattrFlags::empty());
    }
    if !is_link {
        fs::set_permissions(path, fs::Permissions::from_mode(node.mode)).unwrap();
    }
    set_time(path, node.mtime);
}

fn set_time(path: &Path, (tv_sec, tv_nsec): (i64, i64)) {
    let time = Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// All that a layer keeps of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    kind: String,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    time: (i64, i64),
    pub(crate) content: Vec<u8>,
    /// The first path of the same file.
    same_as: PathBuf,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What is in the folder `root`.
pub(crate) fn state(root: &Path) -> BTreeMap<PathBuf, State> {
    let mut files = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut rest = vec![PathBuf::new()];
    while let Some(path) = rest.pop() {
        let full = root.join(&path);
        if full.symlink_metadata().unwrap().is_dir() {
            let entries = fs::read_dir(&full).unwrap();
            let mut below: Vec<_> = entries
                .map(|entry| path.join(entry.unwrap().file_name()))
                .collect();
            below.sort_by_key(|path| std::cmp::Reverse(path.as_os_str().as_bytes().to_vec()));
            rest.extend(below);
        }
        let state = one(&full, &path, &mut names);
        files.insert(path, state);
    }
    files
}

fn one(full: &Path, path: &Path, names: &mut BTreeMap<u64, PathBuf>) -> State {
    let metadata = full.symlink_metadata().unwrap();
    let kind = metadata.file_type();
    let whiteout = kind.is_char_device() && metadata.rdev() == 0;
    let content = if kind.is_file() {
        fs::read(full).unwrap()
    } else if kind.is_symlink() {
        fs::read_link(full).unwrap().into_os_string().into_vec()
    } else {
        Vec::new()
    };
    if whiteout {
        let same_as = path.to_owned();
        let kind = "whiteout".to_owned();
        let (mode, owner, time) = (0, (0, 0), (0, 0));
        let attributes = BTreeMap::new();
        return State {
            kind,
            mode,
            owner,
            time,
            content,
            same_as,
            attributes,
        };
    }
    State {
        kind: format!("{:o} {}", metadata.mode() & 0o170_000, metadata.rdev()),
        mode: metadata.mode() & 0o7777,
        owner: (metadata.uid(), metadata.gid()),
        time: (metadata.mtime(), metadata.mtime_nsec()),
        content,
        same_as: names
            .entry(metadata.ino())
            .or_insert_with(|| path.to_owned())
            .clone(),
        attributes: attributes_of(full),
    }
}

/// Attributes; both forms of an opaque mark count as one.
fn attributes_of(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut buffer = vec![0; 64 << 10];
    let length = llistxattr(path, &mut buffer[..]).unwrap();
    let list = buffer[..length].to_vec();
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    let names = names.filter(|name| *name != b"user.overlay.opaque");
    names
        .map(|name| {
            let length = lgetxattr(path, name, &mut buffer[..]).unwrap();
            (name.to_vec(), buffer[..length].to_vec())
        })
        .collect()
}

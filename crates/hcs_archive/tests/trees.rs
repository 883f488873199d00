//! Trees that go through a stream, and streams of a hostile side.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    mem::MaybeUninit,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hcs_archive::{ArchiveError, Options, Target, pack, unpack};
use rustix::fs::{CWD, Mode, RenameFlags, inotify, mkfifoat, renameat_with};
use tar::{EntryType, Header};
use tempfile::{TempDir, tempdir};

const PLAIN: Options = Options {
    most_bytes: u64::MAX,
    most_files: u64::MAX,
    keep_owners: false,
    mode_mask: 0o777,
};

/// An archive of `path`, and the notes.
fn packed(path: &Path) -> (Vec<u8>, Vec<String>) {
    let (mut stream, mut notes) = (Vec::new(), Vec::new());
    pack(path, false, &mut stream, &mut |note| notes.push(note)).unwrap();
    (stream, notes)
}

/// Unpacks to `path`; the notes.
fn unpacked(
    stream: &[u8],
    path: &Path,
    expected: Option<&str>,
) -> Result<Vec<String>, ArchiveError> {
    let expected = Some(expected.map(OsString::from));
    let mut notes = Vec::new();
    let target = Target::Copy { expected };
    unpack(stream, path, target, PLAIN, &mut |note| notes.push(note))?;
    Ok(notes)
}

/// All below a directory: paths, and what is there in words.
fn listed(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let kind = found.file_type();
            let what = if kind.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else if kind.is_dir() {
                directories.push(path.clone());
                "directory".to_owned()
            } else if kind.is_fifo() {
                "fifo".to_owned()
            } else {
                format!("file {:?}", fs::read(&path).unwrap())
            };
            let mode = found.mode() & 0o7777;
            let name = path.strip_prefix(root).unwrap().display().to_string();
            all.insert(name, format!("{what} {mode:o} {}", found.mtime()));
        }
    }
    all
}

/// A tree of everything that is carried.
fn tree() -> TempDir {
    let tree = tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("top/empty")).unwrap();
    fs::write(at("top/file"), "content").unwrap();
    fs::write(at("top/nothing"), "").unwrap();
    fs::write(at("top/block"), [7; 1024]).unwrap();
    fs::write(at(&format!("top/{}", "long".repeat(50))), "long").unwrap();
    let deep = format!("top/{0}/{0}", "sixty".repeat(12));
    fs::create_dir_all(at(&deep)).unwrap();
    fs::write(at(&format!("{deep}/file")), "deep").unwrap();
    fs::hard_link(at("top/file"), at("top/second")).unwrap();
    symlink("/etc/passwd", at("top/absolute")).unwrap();
    symlink("x".repeat(300), at("top/long-link")).unwrap();
    rustix::fs::mknodat(
        CWD,
        at("top/fifo"),
        rustix::fs::FileType::Fifo,
        Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    fs::create_dir(at("top/closed")).unwrap();
    fs::write(at("top/closed/inside"), "x").unwrap();
    fs::set_permissions(at("top/file"), fs::Permissions::from_mode(0o641)).unwrap();
    fs::set_permissions(at("top/closed"), fs::Permissions::from_mode(0o555)).unwrap();
    tree
}

#[test]
fn a_tree_comes_out_as_it_went_in() {
    let (tree, to) = (tree(), tempdir().unwrap());
    let (stream, notes) = packed(&tree.path().join("top"));
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(
        unpacked(&stream, to.path(), Some("top")).unwrap(),
        Vec::<String>::new()
    );
    let expected = listed(&tree.path().join("top"));
    assert!(expected.len() > 10);
    assert_eq!(listed(&to.path().join("top")), expected);
    let inode = |name: &str| to.path().join(name).metadata().unwrap().ino();
    assert_eq!(inode("top/file"), inode("top/second"));
    // By another name, and what is in it.
    unpacked(&stream, &to.path().join("other"), Some("top")).unwrap();
    assert_eq!(listed(&to.path().join("other")), expected);
    let (content, _) = packed(&tree.path().join("top/."));
    unpacked(&content, &to.path().join("third"), None).unwrap();
    assert_eq!(listed(&to.path().join("third")), expected);
}

#[test]
fn the_tar_program_agrees() {
    let tree = tree();
    let to = tempdir().unwrap();
    let archive = to.path().join("archive");
    fs::write(&archive, packed(&tree.path().join("top")).0).unwrap();
    let tar = |words: &[&str], directory: &Path| {
        let mut command = std::process::Command::new("tar");
        let done = command.args(words).current_dir(directory).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        done.stdout
    };
    fs::create_dir(to.path().join("theirs")).unwrap();
    tar(
        &["xpf", archive.to_str().unwrap()],
        &to.path().join("theirs"),
    );
    let expected = listed(&tree.path().join("top"));
    assert_eq!(listed(&to.path().join("theirs/top")), expected);
    // The last one has no room for the longest names.
    for (format, skip) in [("gnu", "none"), ("pax", "none"), ("ustar", "top/long*")] {
        let (format, skip) = (format!("--format={format}"), format!("--exclude={skip}"));
        let stream = tar(&["c", &format, &skip, "-f", "-", "top"], tree.path());
        let to = tempdir().unwrap();
        unpack(&*stream, to.path(), Target::Into, PLAIN, &mut |_| {}).unwrap();
        let mut expected = expected.clone();
        expected.retain(|name, _| skip.ends_with("none") || !name.starts_with("long"));
        assert_eq!(listed(&to.path().join("top")), expected, "{format}");
    }
}

/// An archive of these entries: type, name, link, data.
fn archive(entries: &[(EntryType, &str, &str, &[u8])]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (entry_type, name, link, data) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*entry_type);
        header.set_size(data.len() as u64);
        header.set_mode(0o6777);
        header.set_uid(12345);
        header.set_gid(0);
        header.set_mtime(0);
        let old = header.as_old_mut();
        for (place, byte) in old.name.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        for (place, byte) in old.linkname.iter_mut().zip(link.bytes()) {
            *place = byte;
        }
        header.set_cksum();
        stream.extend_from_slice(header.as_bytes());
        stream.extend_from_slice(data);
        stream.resize(stream.len().next_multiple_of(512), 0);
    }
    stream.extend([0; 1024]);
    stream
}

const DIRECTORY: EntryType = EntryType::Directory;
const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;

/// A directory `to` for a copy called `top`, beside `outside/victim` and `to/mine`.
fn scene() -> TempDir {
    let scene = tempdir().unwrap();
    for directory in ["to", "outside"] {
        fs::create_dir(scene.path().join(directory)).unwrap();
    }
    for file in ["to/mine", "outside/victim"] {
        fs::write(scene.path().join(file), "untouched").unwrap();
    }
    scene
}

#[test]
fn a_hostile_stream_reaches_nothing_beside_the_copy() {
    let top = (DIRECTORY, "top/", "", &b""[..]);
    let outside = "../../outside";
    for entries in [
        // Names.
        &[top, (FILE, "top/../mine", "", b"evil")][..],
        &[top, (FILE, "../outside/victim", "", b"evil")],
        &[top, (FILE, "mine", "", b"evil")],
        &[(FILE, "mine", "", b"evil")],
        &[(DIRECTORY, "./", "", b""), (FILE, "mine", "", b"evil")],
        &[(FILE, "top/mine", "", b"evil")],
        // Through a link made before.
        &[
            top,
            (LINK, "top/l", outside, b""),
            (FILE, "top/l/victim", "", b"evil"),
        ],
        &[
            top,
            (LINK, "top/l", "..", b""),
            (FILE, "top/l/mine", "", b"evil"),
        ],
        &[
            top,
            (LINK, "top/l", "/", b""),
            (DIRECTORY, "top/l/evil", "", b""),
        ],
        &[
            top,
            (LINK, "top/l", "..", b""),
            (LINK, "top/l/evil", "x", b""),
        ],
        &[
            top,
            (LINK, "top/l", outside, b""),
            (DIRECTORY, "top/l", "", b""),
        ],
        &[
            (LINK, "top", outside, b""),
            (FILE, "top/victim", "", b"evil"),
        ],
        // By hard links.
        &[top, (HARD, "top/h", "mine", b"")],
        &[top, (HARD, "top/h", "../mine", b"")],
        &[top, (HARD, "top/h", "/etc/passwd", b"")],
        &[
            top,
            (LINK, "top/l", "..", b""),
            (HARD, "top/h", "top/l/mine", b""),
        ],
        // A directory that turns into a link before it gets its permissions.
        &[
            top,
            (DIRECTORY, "top/d", "", b""),
            (LINK, "top/d", outside, b""),
        ],
    ] {
        let scene = scene();
        let before = listed(&scene.path().join("outside"));
        let to = scene.path().join("to");
        let result = unpacked(&archive(entries), &to, Some("top"));
        assert!(result.is_err(), "{entries:?}");
        assert_eq!(listed(&scene.path().join("outside")), before, "{entries:?}");
        let mut left = listed(&to);
        left.retain(|name, _| name != "top" && !name.starts_with("top/"));
        assert_eq!(left.len(), 1, "{entries:?}: {left:?}");
        assert!(
            left["mine"].contains(&format!("{:?}", b"untouched")),
            "{left:?}"
        );
    }
}

#[test]
fn files_are_replaced_and_not_written_through() {
    let scene = scene();
    let to = scene.path().join("to");
    fs::create_dir(to.join("top")).unwrap();
    symlink("../../outside/victim", to.join("top/link")).unwrap();
    fs::hard_link(scene.path().join("outside/victim"), to.join("top/hard")).unwrap();
    let stream = archive(&[
        (DIRECTORY, "top/", "", b""),
        (FILE, "top/link", "", b"new"),
        (FILE, "top/hard", "", b"new"),
        (LINK, "top/twice", "../../outside/victim", b""),
        (FILE, "top/twice", "", b"new"),
    ]);
    let before = listed(&scene.path().join("outside"));
    unpacked(&stream, &to, Some("top")).unwrap();
    assert_eq!(listed(&scene.path().join("outside")), before);
    for name in ["link", "hard", "twice"] {
        assert_eq!(
            fs::read(to.join("top").join(name)).unwrap(),
            b"new",
            "{name}"
        );
        assert!(!to.join("top").join(name).is_symlink(), "{name}");
    }
}

#[test]
fn neither_devices_nor_setuid_files_come_out_of_a_stream() {
    let scene = scene();
    let to = scene.path().join("to");
    let stream = archive(&[
        (DIRECTORY, "top/", "", b""),
        (EntryType::Char, "top/null", "", b""),
        (EntryType::Block, "top/disk", "", b""),
        (FILE, "top/su", "", b"#!"),
        (EntryType::Fifo, "top/fifo", "", b""),
    ]);
    let mut notes = Vec::new();
    let target = Target::Copy { expected: None };
    let failed = unpack(&*stream, &to, target, PLAIN, &mut |note| notes.push(note));
    let failed = failed.unwrap_err().to_string();
    assert!(failed.starts_with("2 devices were left out"), "{failed}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    let found = listed(&to.join("top"));
    let kinds: Vec<_> = found
        .iter()
        .map(|(name, what)| format!("{name} {what}"))
        .collect();
    assert!(kinds[0].starts_with("fifo fifo "), "{kinds:?}");
    assert!(
        kinds[1].starts_with("su file") && kinds[1].ends_with("777 0"),
        "{kinds:?}"
    );
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    // What has no owner of its own belongs to the process.
    let own = fs::metadata(to.join("mine")).unwrap().uid();
    assert_eq!(fs::metadata(to.join("top/su")).unwrap().uid(), own);
}

#[test]
fn directories_that_are_there_stay_as_they_are() {
    let scene = scene();
    let to = scene.path().join("to");
    fs::create_dir(to.join("top")).unwrap();
    fs::set_permissions(to.join("top"), fs::Permissions::from_mode(0o700)).unwrap();
    let stream = archive(&[
        (DIRECTORY, "top/", "", b""),
        (DIRECTORY, "top/new", "", b""),
    ]);
    unpacked(&stream, &to, Some("top")).unwrap();
    let mode = |name: &str| fs::metadata(to.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("top"), mode("top/new")), (0o700, 0o777));
}

#[test]
fn zeros_take_no_space() {
    let tree = tempdir().unwrap();
    let file = fs::File::create(tree.path().join("holes")).unwrap();
    file.set_len(8 << 20).unwrap();
    drop(file);
    let (stream, _) = packed(&tree.path().join("holes"));
    assert!(stream.len() > 8 << 20);
    unpacked(&stream, &tree.path().join("copy"), Some("holes")).unwrap();
    let copy = fs::metadata(tree.path().join("copy")).unwrap();
    assert_eq!((copy.len(), copy.blocks()), (8 << 20, 0));
}

#[test]
fn what_is_cut_off_or_no_archive_is_an_error_and_half_a_file_is_none() {
    let tree = tree();
    let (stream, _) = packed(&tree.path().join("top"));
    let to = tempdir().unwrap();
    for cut in [0, 1, 511, 513, stream.len() / 2 + 1] {
        let cut_off = stream.get(..cut).unwrap();
        let failed = unpacked(cut_off, &to.path().join(cut.to_string()), Some("top")).unwrap_err();
        assert!(failed.other_side_ended(), "{cut}: {failed}");
    }
    let data = archive(&[(FILE, "top", "", b"half of it")]);
    let failed = unpacked(
        data.get(..517).unwrap(),
        &to.path().join("half"),
        Some("top"),
    );
    assert!(failed.is_err() && !to.path().join("half").exists());
    let mut damaged = stream;
    damaged[700] ^= 1;
    for other in [&damaged[..], b"\x1f\x8b\x08", &[1; 512], &[255; 2048]] {
        let failed = unpacked(other, &to.path().join("other"), Some("top"));
        assert!(failed.is_err(), "{:?}", other.get(..4));
    }
}

#[test]
fn records_are_bounded() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let to = tempdir().unwrap();
    let failed = unpacked(header.as_bytes(), to.path(), Some("top")).unwrap_err();
    assert!(failed.to_string().contains("more than 1048576"), "{failed}");
    let many = archive(&[(EntryType::XHeader, "x", "", &b"9 path=x\n"[..]); 20]);
    let failed = unpacked(&many, to.path(), Some("top")).unwrap_err();
    assert!(
        failed.to_string().contains("more than 16 records"),
        "{failed}"
    );
}

#[test]
fn a_stream_costs_no_more_than_its_reader_allows() {
    let stream = archive(&[
        (EntryType::Directory, "top", "", &b""[..]),
        // With two directories that only this path names.
        (EntryType::Regular, "top/a/b/file", "", &b"text"[..]),
    ]);
    let unpacked = |most_bytes, most_files| {
        let (to, options) = (
            tempdir().unwrap(),
            Options {
                most_bytes,
                most_files,
                ..PLAIN
            },
        );
        let target = Target::Copy {
            expected: Some(Some("top".into())),
        };
        let done = unpack(&*stream, to.path(), target, options, &mut |_| ());
        assert_eq!(to.path().join("top/a/b/file").exists(), done.is_ok());
        done.map_err(|error| error.to_string())
    };
    assert_eq!(unpacked(4, 4), Ok(()));
    let failed = unpacked(3, 4).unwrap_err();
    assert!(failed.contains("more than 3 bytes"), "{failed}");
    let failed = unpacked(4, 3).unwrap_err();
    assert!(
        failed.contains("more than 3 files and directories"),
        "{failed}"
    );
}

#[test]
fn a_node_in_place_of_a_file_is_not_opened() {
    let place = tempdir().unwrap();
    let (root, other) = (place.path().join("root"), place.path().join("other"));
    let file = root.join("file");
    fs::create_dir(&root).unwrap();
    fs::write(&file, "text").unwrap();
    // A FIFO stands for a device: that it is opened is seen, and does nothing.
    mkfifoat(CWD, &other, Mode::RUSR | Mode::WUSR).unwrap();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, &other, inotify::WatchFlags::OPEN).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &file, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..5000 {
            for from in [&root, &file] {
                let _exchanged = pack(from, false, std::io::sink(), &mut |_| ());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut buffer = [MaybeUninit::uninit(); 512];
    let opened = inotify::Reader::new(&watch, &mut buffer).next().map(drop);
    assert_eq!(opened, Err(rustix::io::Errno::AGAIN));
}

#[test]
fn sockets_are_left_out_and_said() {
    let tree = tempdir().unwrap();
    let _bound = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    let (_, notes) = packed(tree.path());
    assert_eq!(notes, ["socket is a socket and was left out"]);
}

/// Their status says 0 bytes, or those of a page.
#[test]
fn files_of_the_kernel_are_copied_as_they_are_read() {
    let there = tempdir().unwrap();
    for path in [
        "/proc/version",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        let Ok(expected) = fs::read(path) else {
            continue;
        };
        assert_ne!(fs::metadata(path).unwrap().len(), expected.len() as u64);
        let (stream, notes) = packed(Path::new(path));
        assert_eq!(notes, Vec::<String>::new());
        let copy = there.path().join("copy");
        let name = Path::new(path).file_name().unwrap().to_str();
        unpacked(&stream, &copy, name).unwrap();
        assert_eq!(fs::read(&copy).unwrap(), expected, "{path}");
        fs::remove_file(copy).unwrap();
    }
    // What is empty otherwise is so.
    fs::write(there.path().join("empty"), "").unwrap();
    let (stream, _) = packed(&there.path().join("empty"));
    unpacked(&stream, &there.path().join("copy"), Some("empty")).unwrap();
    assert_eq!(fs::read(there.path().join("copy")).unwrap(), b"");
}

/// Some files of the kernel can only be written.
#[test]
fn a_tree_of_the_kernel_lacks_only_what_cannot_be_read() {
    let tree = Path::new("/proc/sys/net/ipv4/route");
    if !tree.join("flush").exists() {
        return;
    }
    let (mut stream, mut notes) = (Vec::new(), Vec::new());
    pack(tree, false, &mut stream, &mut |note| notes.push(note)).unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("flush") && notes[0].ends_with("left out"),
        "{notes:?}"
    );
    let place = tempdir().unwrap();
    let copy = place.path().join("copy");
    unpacked(&stream, &copy, Some("route")).unwrap();
    let read = |name: &str| fs::read(copy.join(name));
    assert!(!read("max_size").unwrap().is_empty());
    assert!(read("flush").is_err());
}

/// A file of the kernel without end, such as a map of all memory, is refused and not kept in memory.
#[test]
fn files_of_the_kernel_without_end_are_refused() {
    // Eight bytes for each page that there can be.
    let error = pack(
        Path::new("/proc/self/pagemap"),
        false,
        Vec::new(),
        &mut |_| {},
    );
    assert!(
        matches!(&error, Err(ArchiveError::Refused(said)) if said.contains("pagemap")),
        "{error:?}"
    );
}

//! Guests, well-behaved and hostile, on real directories.

mod allowed;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    os::unix::net::UnixListener,
    path::Path,
};

use rustix::fs::{CWD, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::{
    fuzzing::{One, encode},
    message::{Changes, HEADER, kind},
    wire::Reader,
};

/// A directory that is shared, with one beside it that is not, and a guest that holds its root as fid 0.
struct Guest {
    place: TempDir,
    share: Arc<Share>,
    session: Session<One>,
}

impl Guest {
    fn new(read_only: bool) -> Self {
        Self::with(|root| Share::new(root, read_only).unwrap())
    }

    fn with(make: impl FnOnce(OwnedFd) -> Share) -> Self {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("share")).unwrap();
        fs::create_dir(place.path().join("beside")).unwrap();
        fs::write(place.path().join("beside/secret"), "secret").unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(place.path().join("share"), flags, Mode::empty()).unwrap();
        let share = Arc::new(make(root));
        let mut session = Session::new(One(Arc::clone(&share)));
        let version = Plan9Request::Version {
            size: 16384,
            version: VERSION,
        };
        let (kind, body) = encode(&version);
        session.answer(kind, 0, &body);
        let mut guest = Self {
            place,
            share,
            session,
        };
        guest.attach(0).unwrap();
        guest
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join("share").join(name)
    }

    /// The body of the answer, or the error in it.
    fn ask(&mut self, request: &Plan9Request<'_>) -> Result<Vec<u8>, Errno> {
        let (asked, body) = encode(request);
        let answer = self.session.answer(asked, 7, &body);
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.u32().unwrap() as usize, answer.len());
        let answered = reader.u8().unwrap();
        assert_eq!(reader.u16(), Ok(7));
        let body = answer[HEADER as usize..].to_vec();
        if answered == kind::ERROR + 1 {
            let errno = u32::from_le_bytes(body.try_into().unwrap());
            return Err(Errno::from_raw_os_error(errno.try_into().unwrap()));
        }
        assert_eq!(answered, asked + 1);
        Ok(body)
    }

    fn attach(&mut self, fid: u32) -> Result<Vec<u8>, Errno> {
        self.ask(&Plan9Request::Attach {
            fid,
            auth: NO_FID,
            name: b"any",
        })
    }

    /// Walks from the root, and returns how many names it came.
    fn walk(&mut self, new: u32, path: &str) -> Result<u16, Errno> {
        let names = path.split('/').filter(|name| !name.is_empty());
        let body = self.ask(&Plan9Request::Walk {
            fid: 0,
            new,
            names: names.map(str::as_bytes).collect(),
        })?;
        Ok(u16::from_le_bytes([body[0], body[1]]))
    }

    fn open(&mut self, fid: u32, flags: u32) -> Result<Vec<u8>, Errno> {
        self.ask(&Plan9Request::Open { fid, flags })
    }

    fn clunk(&mut self, fid: u32) {
        self.ask(&Plan9Request::Clunk { fid }).unwrap();
    }

    fn create(&mut self, fid: u32, name: &str, flags: u32, mode: u32) -> Result<(), Errno> {
        self.walk(fid, "")?;
        let (name, request) = (name.as_bytes(), fid);
        self.ask(&Plan9Request::Create {
            fid: request,
            name,
            flags,
            mode,
        })
        .map(drop)
    }

    fn read(&mut self, fid: u32) -> Result<String, Errno> {
        let (at, count) = (0, u32::MAX);
        let body = self.ask(&Plan9Request::Read { fid, at, count })?;
        Ok(String::from_utf8(body[4..].to_vec()).unwrap())
    }

    fn write(&mut self, fid: u32, data: &str) -> Result<(), Errno> {
        let (at, data) = (0, data.as_bytes());
        self.ask(&Plan9Request::Write { fid, at, data }).map(drop)
    }

    /// The names in an open directory with their types, asked for in pieces of `count` bytes.
    fn list(&mut self, fid: u32, count: u32) -> Result<Vec<(String, u8)>, Errno> {
        let (mut at, mut names) = (0, Vec::new());
        loop {
            let body = self.ask(&Plan9Request::ReadDir { fid, at, count })?;
            let mut reader = Reader::new(&body);
            let length = reader.u32().unwrap();
            assert!(length <= count && length as usize == body.len() - 4);
            if length == 0 {
                return Ok(names);
            }
            while reader.end().is_err() {
                reader.bytes(13).unwrap();
                at = reader.u64().unwrap();
                let entry_type = reader.u8().unwrap();
                let name = reader.text().unwrap();
                names.push((String::from_utf8(name.to_vec()).unwrap(), entry_type));
            }
        }
    }

    fn set(&mut self, fid: u32, changes: Changes) -> Result<(), Errno> {
        self.ask(&Plan9Request::SetAttr { fid, changes }).map(drop)
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn files_are_created_read_written_and_removed() {
    let mut guest = Guest::new(false);
    guest.create(1, "file", READ_WRITE, 0o640).unwrap();
    guest.write(1, "hello").unwrap();
    assert_eq!(guest.read(1).unwrap(), "hello");
    assert_eq!(fs::read_to_string(guest.path("file")).unwrap(), "hello");
    for data_only in [true, false] {
        let sync = Plan9Request::Sync { fid: 1, data_only };
        guest.ask(&sync).unwrap();
    }
    // Open again, cut at the opening, by a name that is there.
    guest
        .create(2, "file", WRITE_ONLY | TRUNCATE, 0o600)
        .unwrap();
    assert_eq!(guest.read(2), Err(Errno::BADF));
    assert_eq!(guest.read(1).unwrap(), "");
    let taken = guest.create(3, "file", EXCLUSIVE, 0o600);
    assert_eq!(taken, Err(Errno::EXIST));
    let lock = guest.ask(&Plan9Request::Lock { fid: 1 }).unwrap();
    assert_eq!(lock, [LOCKED]);
    assert_eq!(guest.ask(&Plan9Request::Lock { fid: 0 }), Err(Errno::BADF));
    let removed = Plan9Request::UnlinkAt {
        fid: 0,
        name: b"file",
        flags: 0,
    };
    guest.ask(&removed).unwrap();
    assert!(!guest.path("file").exists());
    guest.write(1, "still open").unwrap();
    assert_eq!(guest.read(1).unwrap(), "still open");
}

#[test]
fn names_are_made_moved_and_taken() {
    let mut guest = Guest::new(false);
    let (fid, name) = (0, b"d".as_slice());
    let made = Plan9Request::MakeDir {
        fid,
        name,
        mode: 0o2750,
    };
    assert_eq!(guest.ask(&made).unwrap()[0], 0x80);
    assert_eq!(mode(&guest.path("d")), 0o750);
    let link = Plan9Request::Symlink {
        fid,
        name: b"link",
        target: b"d/file",
    };
    assert_eq!(guest.ask(&link).unwrap()[0], 2);
    guest.walk(1, "link").unwrap();
    let target = guest.ask(&Plan9Request::ReadLink { fid: 1 }).unwrap();
    assert_eq!(target[2..], *b"d/file");
    fs::write(guest.path("d/file"), "text").unwrap();
    guest.walk(2, "d").unwrap();
    let moved = Plan9Request::RenameAt {
        from: 2,
        name: b"file",
        to: 0,
        new: b"moved",
    };
    guest.ask(&moved).unwrap();
    guest.walk(3, "moved").unwrap();
    let again = Plan9Request::Link {
        directory: 2,
        fid: 3,
        name: b"again",
    };
    guest.ask(&again).unwrap();
    assert_eq!(fs::metadata(guest.path("d/again")).unwrap().nlink(), 2);
    let renamed = Plan9Request::Rename {
        fid: 3,
        directory: 2,
        name: b"third",
    };
    guest.ask(&renamed).unwrap();
    assert!(guest.path("d/third").exists() && !guest.path("moved").exists());
    // The name that it was found by is gone.
    assert_eq!(guest.ask(&renamed), Err(Errno::NOENT));
    guest.walk(4, "d/third").unwrap();
    guest.ask(&Plan9Request::Remove { fid: 4 }).unwrap();
    assert!(!guest.path("d/third").exists());
    assert_eq!(guest.ask(&Plan9Request::Clunk { fid: 4 }), Err(Errno::BADF));
    assert_eq!(
        guest.ask(&Plan9Request::Remove { fid: 0 }),
        Err(Errno::BUSY)
    );
}

#[test]
fn attributes_are_told_and_changed() {
    let mut guest = Guest::new(false);
    fs::write(guest.path("file"), "0123456789").unwrap();
    guest.walk(1, "file").unwrap();
    let size = |guest: &mut Guest| {
        let body = guest.ask(&Plan9Request::GetAttr { fid: 1 }).unwrap();
        let mut reader = Reader::new(&body);
        reader.bytes(8 + 13 + 12 + 16).unwrap();
        reader.u64().unwrap()
    };
    assert_eq!(size(&mut guest), 10);
    let changes = Changes {
        valid: 1 | 8 | 0x10 | 0x20 | 0x80 | 0x100,
        mode: 0o106_755,
        size: 4,
        read_at: (1000, 1),
        written_at: (2000, 2),
        ..Changes::default()
    };
    guest.set(1, changes).unwrap();
    assert_eq!(size(&mut guest), 4);
    let about = fs::metadata(guest.path("file")).unwrap();
    assert_eq!(
        (about.atime(), about.mtime(), about.mtime_nsec()),
        (1000, 2000, 2)
    );
    assert_eq!(mode(&guest.path("file")), 0o755, "no set-user-ID");
    let wrong = Changes {
        read_at: (0, 1_000_000_000),
        ..changes
    };
    assert_eq!(guest.set(1, wrong), Err(Errno::INVAL));
    let own = Changes {
        valid: 2 | 4,
        user: about.uid(),
        group: about.gid(),
        ..Changes::default()
    };
    guest.set(1, own).unwrap();
    let of_none = Changes {
        user: u32::MAX,
        group: u32::MAX,
        ..own
    };
    guest.set(1, of_none).unwrap();
    let body = guest.ask(&Plan9Request::StatFs { fid: 1 }).unwrap();
    assert_eq!(body[..4], MAGIC.to_le_bytes());
}

#[test]
fn a_directory_is_listed_in_pieces() {
    let mut guest = Guest::new(true);
    let mut expected: Vec<String> = (0..300).map(|number| format!("name-{number}")).collect();
    for name in &expected {
        fs::write(guest.path(name), "").unwrap();
    }
    expected.extend([".".to_owned(), "..".to_owned()]);
    expected.sort();
    guest.walk(1, "").unwrap();
    guest.open(1, 0).unwrap();
    for count in [64, 1000, u32::MAX / 2] {
        let listed = guest.list(1, count).unwrap();
        let mut names: Vec<String> = listed.into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, expected);
    }
    // Nothing would look like the end.
    assert_eq!(guest.list(1, 20), Err(Errno::INVAL));
    assert_eq!(guest.read(1), Err(Errno::ISDIR));
}

#[test]
fn entries_have_the_types_that_programs_of_the_guest_know() {
    let mut guest = Guest::new(true);
    fs::create_dir(guest.path("directory")).unwrap();
    fs::write(guest.path("file"), "").unwrap();
    symlink("file", guest.path("link")).unwrap();
    mknodat(CWD, guest.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(guest.path("socket")).unwrap();
    guest.walk(1, "").unwrap();
    guest.open(1, 0).unwrap();
    let mut listed = guest.list(1, u32::MAX / 2).unwrap();
    listed.sort();
    let expected = [
        (".", 4),
        ("..", 4),
        ("directory", 4),
        ("file", 8),
        ("link", 10),
        ("pipe", 1),
        ("socket", 12),
    ];
    assert_eq!(
        listed,
        expected.map(|(name, entry_type)| (name.to_owned(), entry_type))
    );
}

#[test]
fn no_name_and_no_link_leads_out_of_a_share() {
    let mut guest = Guest::new(false);
    fs::create_dir(guest.path("d")).unwrap();
    let outside = guest.place.path().join("beside");
    symlink(&outside, guest.path("out")).unwrap();
    symlink("../beside/secret", guest.path("file")).unwrap();
    symlink("/proc/self/root", guest.path("d/root")).unwrap();
    // The link itself, and nothing behind it.
    assert_eq!(guest.walk(1, "out/secret"), Ok(1));
    assert_eq!(guest.ask(&Plan9Request::Clunk { fid: 1 }), Err(Errno::BADF));
    guest.walk(1, "out").unwrap();
    let below = Plan9Request::Walk {
        fid: 1,
        new: 2,
        names: vec![b"secret"],
    };
    assert_eq!(guest.ask(&below), Err(Errno::NOTDIR));
    for (fid, name) in [(2, "file"), (3, "d/root")] {
        guest.walk(fid, name).unwrap();
        assert_eq!(guest.open(fid, 0), Err(Errno::LOOP));
        let cut = Changes {
            valid: 8,
            ..Changes::default()
        };
        assert_eq!(guest.set(fid, cut), Err(Errno::LOOP));
        let open = Changes {
            valid: 1,
            mode: 0o777,
            ..Changes::default()
        };
        assert_eq!(guest.set(fid, open), Err(Errno::OPNOTSUPP));
    }
    assert_eq!(
        guest.create(4, "file", WRITE_ONLY | TRUNCATE, 0o600),
        Err(Errno::LOOP)
    );
    // The root is its own parent.
    assert_eq!(guest.walk(5, "../../d/../../beside/secret"), Ok(5));
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "secret"
    );
}

#[test]
fn names_that_are_none_are_not_given_to_the_kernel() {
    let mut guest = Guest::new(false);
    fs::create_dir(guest.path("d")).unwrap();
    guest.create(2, "file", 0, 0o644).unwrap();
    let walked = |guest: &mut Guest, name: &[u8]| {
        let names = vec![name];
        guest.ask(&Plan9Request::Walk {
            fid: 0,
            new: 9,
            names,
        })
    };
    for name in [
        b"../beside/secret".as_slice(),
        b"d/..",
        b"/etc",
        b"/",
        b".",
        b"",
        b"d\0",
        &[b'x'; 256],
    ] {
        let refused = walked(&mut guest, name).unwrap_err();
        assert!([Errno::INVAL, Errno::NAMETOOLONG].contains(&refused));
        let (fid, mode, target, flags) = (0, 0o755, b"x".as_slice(), 0);
        let (directory, from, to, new) = (0, 0, 0, name);
        for request in [
            Plan9Request::Create {
                fid,
                name,
                flags,
                mode,
            },
            Plan9Request::MakeDir { fid, name, mode },
            Plan9Request::MakeNode { fid, name, mode },
            Plan9Request::Symlink { fid, name, target },
            Plan9Request::UnlinkAt { fid, name, flags },
            Plan9Request::Link {
                directory,
                fid: 2,
                name,
            },
            Plan9Request::RenameAt {
                from,
                name: b"d",
                to,
                new,
            },
            Plan9Request::RenameAt {
                from,
                name,
                to,
                new: b"e",
            },
        ] {
            assert_eq!(guest.ask(&request), Err(refused), "{request:?}");
        }
    }
    let up = Plan9Request::UnlinkAt {
        fid: 0,
        name: b"..",
        flags: 0x200,
    };
    assert_eq!(guest.ask(&up), Err(Errno::INVAL));
    assert_eq!(fs::read_dir(guest.path("")).unwrap().count(), 2);
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let mut guest = Guest::new(false);
    let (d, spare) = (guest.path("d"), guest.path("spare"));
    fs::create_dir(&d).unwrap();
    fs::write(d.join("secret"), "own").unwrap();
    symlink("../beside", &spare).unwrap();
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &d, CWD, &spare, flags).unwrap();
            }
        }
    });
    let mut read = 0;
    for _ in 0..20_000 {
        if guest.walk(1, "d/secret") == Ok(2) {
            guest.open(1, 0).unwrap();
            assert_eq!(guest.read(1).unwrap(), "own");
            guest.clunk(1);
            read += 1;
        }
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().unwrap();
    assert!(read > 0);
}

#[test]
fn a_read_only_share_is_not_changed() {
    let mut guest = Guest::new(true);
    fs::write(guest.path("file"), "text").unwrap();
    fs::create_dir(guest.path("d")).unwrap();
    let before = mode(&guest.path("file"));
    guest.walk(1, "file").unwrap();
    guest.walk(2, "d").unwrap();
    for flags in [WRITE_ONLY, READ_WRITE, TRUNCATE] {
        assert_eq!(guest.open(1, flags), Err(Errno::ROFS));
    }
    guest.open(1, 0).unwrap();
    assert_eq!(guest.read(1).unwrap(), "text");
    assert_eq!(guest.write(1, "x"), Err(Errno::ROFS));
    let changes = Changes {
        valid: 1 | 8,
        mode: 0o777,
        ..Changes::default()
    };
    let (fid, name, mode_asked, flags) = (0, b"new".as_slice(), 0o755, 0);
    for request in [
        Plan9Request::SetAttr { fid: 1, changes },
        Plan9Request::SetAttr { fid: 2, changes },
        Plan9Request::Create {
            fid,
            name,
            flags,
            mode: mode_asked,
        },
        Plan9Request::MakeDir {
            fid,
            name,
            mode: mode_asked,
        },
        Plan9Request::MakeNode {
            fid,
            name,
            mode: mode_asked,
        },
        Plan9Request::Symlink {
            fid,
            name,
            target: b"x",
        },
        Plan9Request::Link {
            directory: 0,
            fid: 1,
            name,
        },
        Plan9Request::Rename {
            fid: 1,
            directory: 0,
            name,
        },
        Plan9Request::RenameAt {
            from: 0,
            name: b"file",
            to: 0,
            new: name,
        },
        Plan9Request::UnlinkAt {
            fid,
            name: b"file",
            flags,
        },
        Plan9Request::UnlinkAt {
            fid,
            name: b"d",
            flags: 0x200,
        },
        Plan9Request::Remove { fid: 1 },
    ] {
        assert_eq!(guest.ask(&request), Err(Errno::ROFS), "{request:?}");
    }
    assert_eq!(fs::read_to_string(guest.path("file")).unwrap(), "text");
    assert_eq!(mode(&guest.path("file")), before);
    assert_eq!(fs::read_dir(guest.path("")).unwrap().count(), 2);
}

#[test]
fn nothing_special_is_made_or_opened() {
    let mut guest = Guest::new(false);
    for (name, file_type) in [("dev", 0o020_000), ("blk", 0o060_000), ("fifo", 0o010_000)] {
        let made = Plan9Request::MakeNode {
            fid: 0,
            name: name.as_bytes(),
            mode: file_type | 0o666,
        };
        assert_eq!(guest.ask(&made), Err(Errno::PERM));
    }
    for mode in [0o100_644, 0o106_755] {
        let name = format!("{mode}");
        let made = Plan9Request::MakeNode {
            fid: 0,
            name: name.as_bytes(),
            mode,
        };
        guest.ask(&made).unwrap();
        assert_eq!(self::mode(&guest.path(&name)) & 0o6000, 0);
    }
    guest.create(1, "program", WRITE_ONLY, 0o6755).unwrap();
    assert_eq!(mode(&guest.path("program")) & 0o6000, 0);
    // A FIFO without a writer would hold the thread up.
    mknodat(CWD, guest.path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(guest.path("socket")).unwrap();
    for (fid, name) in [(2, "pipe"), (3, "socket")] {
        guest.walk(fid, name).unwrap();
        for flags in [0, WRITE_ONLY, READ_WRITE] {
            assert_eq!(guest.open(fid, flags), Err(Errno::ACCESS));
        }
    }
    assert_eq!(guest.create(4, "pipe", 0, 0o600), Err(Errno::ACCESS));
}

#[test]
fn what_a_guest_holds_is_limited() {
    let mut guest = Guest::new(false);
    let most = u32::try_from(MOST_FIDS).unwrap();
    for fid in 1..most {
        guest.walk(fid, "").unwrap();
    }
    assert_eq!(guest.walk(most, ""), Err(Errno::MFILE));
    assert_eq!(guest.walk(1, ""), Err(Errno::INVAL), "it is held");
    for fid in 1..most {
        guest.clunk(fid);
    }
    let clone = Plan9Request::Walk {
        fid: 0,
        new: NO_FID,
        names: Vec::new(),
    };
    assert_eq!(guest.ask(&clone), Err(Errno::INVAL));
}

/// Makes a file of each type in the directory `fid`; returns what that came to.
fn make_each(guest: &mut Guest, fid: u32) -> [Result<(), Errno>; 4] {
    let (name, mode) = (b"made".as_slice(), 0o755);
    let target = b"target".as_slice();
    let flags = READ_WRITE;
    [
        Plan9Request::MakeDir { fid, name, mode },
        Plan9Request::MakeNode { fid, name, mode },
        Plan9Request::Symlink { fid, name, target },
        Plan9Request::Create {
            fid,
            name,
            flags,
            mode,
        },
    ]
    .map(|request| guest.ask(&request).map(drop))
}

#[test]
fn nothing_is_made_that_the_guest_could_not_hold() {
    let mut guest = Guest::new(false);
    let (mut fid, mut path) = (0, guest.path(""));
    // The deepest one is held by its descriptor, so paths have no end.
    let refused = loop {
        let (name, mode) = (b"d".as_slice(), 0o755);
        if let Err(errno) = guest.ask(&Plan9Request::MakeDir { fid, name, mode }) {
            break errno;
        }
        let (names, new) = (vec![name], fid + 1);
        guest.ask(&Plan9Request::Walk { fid, new, names }).unwrap();
        (fid, path) = (new, path.join("d"));
    };
    assert_eq!((refused, fid), (Errno::NAMETOOLONG, 256));
    assert_eq!(make_each(&mut guest, fid), [Err(Errno::NAMETOOLONG); 4]);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    // Others made one there.
    fs::create_dir(path.join("d")).unwrap();
    let (names, new) = (vec![b"d".as_slice()], fid + 1);
    let walked = guest.ask(&Plan9Request::Walk { fid, new, names });
    assert_eq!(walked, Err(Errno::NAMETOOLONG));
    guest.session.budget = Budget::new(0);
    assert_eq!(make_each(&mut guest, 0), [Err(Errno::MFILE); 4]);
    assert!(!guest.path("made").exists());
    guest.session.budget = Budget::new(1);
    assert_eq!(make_each(&mut guest, 0)[0], Ok(()));
}

#[test]
fn a_share_that_is_withdrawn_is_of_no_more_use() {
    let mut guest = Guest::new(false);
    guest.create(1, "file", READ_WRITE, 0o600).unwrap();
    guest.share.withdraw();
    assert_eq!(guest.write(1, "x"), Err(Errno::STALE));
    assert_eq!(guest.read(1), Err(Errno::STALE));
    assert_eq!(guest.walk(2, "file"), Err(Errno::STALE));
    assert_eq!(guest.attach(3), Err(Errno::NOENT));
    guest.clunk(1);
}

#[test]
fn a_version_comes_first_and_ends_what_was() {
    let mut guest = Guest::new(false);
    let version = |version, size| Plan9Request::Version { size, version };
    let answer = guest.ask(&version(b"9P2000.L", u32::MAX)).unwrap();
    assert_eq!(answer[..4], MOST_SIZE.to_le_bytes());
    assert_eq!(guest.walk(1, ""), Err(Errno::BADF));
    assert_eq!(guest.ask(&version(VERSION, 4095)), Err(Errno::INVAL));
    let answer = guest.ask(&version(b"9P2000.u", 8192)).unwrap();
    assert_eq!(answer[6..], *OTHER_VERSION);
    assert_eq!(guest.attach(0), Err(Errno::PROTO));
    guest.ask(&version(VERSION, 8192)).unwrap();
    guest.attach(0).unwrap();
    guest.ask(&Plan9Request::Flush).unwrap();
    // Authentication, extended attributes, and no kind at all.
    for kind in [102, 30, 32, 0, 255] {
        let answer = guest.session.answer(kind, 1, &[]);
        assert_eq!(answer[4], 7, "{kind}");
        assert_eq!(answer[7..], 95_u32.to_le_bytes());
    }
}

/// Directories that are covered, and those above them.
#[derive(Debug, Default)]
struct Listed {
    covered: std::sync::Mutex<Vec<std::path::PathBuf>>,
    above: Vec<std::path::PathBuf>,
}

fn is_among(paths: &[std::path::PathBuf], device: u64, inode: u64) -> bool {
    let about = paths.iter().filter_map(|path| fs::metadata(path).ok());
    about
        .into_iter()
        .any(|about| (about.dev(), about.ino()) == (device, inode))
}

impl crate::share::Covered for Listed {
    fn covers(&self, device: u64, inode: u64) -> bool {
        is_among(&self.covered.lock().unwrap(), device, inode)
    }

    fn is_above(&self, device: u64, inode: u64) -> bool {
        is_among(&self.above, device, inode)
    }
}

#[test]
fn what_is_covered_is_neither_entered_nor_moved() {
    let place = tempfile::tempdir().unwrap();
    let own = place.path().join("share");
    let listed = Arc::new(Listed {
        covered: vec![own.join("run/hcs.d"), own.join("run/empty")].into(),
        above: vec![own.join("run")],
    });
    let covered = Arc::clone(&listed);
    let mut guest = Guest::with(|root| Share::new(root, false).unwrap().without(covered));
    // The test's own list names these directories, wherever the share is.
    symlink(guest.place.path().join("share"), &own).unwrap();
    for name in ["run/hcs.d/systems", "run/empty", "run/free", "late", "new"] {
        fs::create_dir_all(guest.path(name)).unwrap();
        fs::write(guest.path(name).join("file"), "").unwrap();
    }
    fs::remove_file(guest.path("run/empty/file")).unwrap();
    assert_eq!(guest.walk(1, "run/free/file"), Ok(3));
    assert_eq!(guest.walk(2, "run/hcs.d/systems/file"), Ok(1));
    assert_eq!(guest.walk(2, "run"), Ok(1));
    assert_eq!(guest.walk(3, "late"), Ok(1));
    assert_eq!(guest.walk(4, "late"), Ok(1));
    let step = guest.ask(&Plan9Request::Walk {
        fid: 2,
        new: 5,
        names: vec![b"hcs.d"],
    });
    assert_eq!(step, Err(Errno::ACCESS));
    let mut rename = |from, name: &'static [u8], to, new: &'static [u8]| {
        guest.ask(&Plan9Request::RenameAt {
            from,
            name,
            to,
            new,
        })
    };
    assert_eq!(rename(0, b"run", 0, b"ran"), Err(Errno::BUSY));
    assert_eq!(rename(2, b"hcs.d", 0, b"mine"), Err(Errno::BUSY));
    assert_eq!(rename(0, b"new", 2, b"empty"), Err(Errno::BUSY));
    assert_eq!(rename(2, b"free", 0, b"free"), Ok(Vec::new()));
    let remove = guest.ask(&Plan9Request::UnlinkAt {
        fid: 2,
        name: b"empty",
        flags: 0x200,
    });
    assert_eq!(remove, Err(Errno::BUSY));
    let whole = guest.ask(&Plan9Request::Rename {
        fid: 2,
        directory: 0,
        name: b"ran",
    });
    assert_eq!(whole, Err(Errno::BUSY));

    // One that has become so is not entered by a guest that holds it already.
    guest.open(3, 0).unwrap();
    listed.covered.lock().unwrap().push(own.join("late"));
    let list = guest.ask(&Plan9Request::ReadDir {
        fid: 3,
        at: 0,
        count: 4096,
    });
    assert_eq!(list, Err(Errno::ACCESS));
    assert_eq!(guest.open(4, 0), Err(Errno::ACCESS));
    let step = guest.ask(&Plan9Request::Walk {
        fid: 4,
        new: 6,
        names: vec![b"file"],
    });
    assert_eq!(step, Err(Errno::ACCESS));
}

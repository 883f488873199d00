//! Streams that are read before the store is in use, and what others do meanwhile.

use std::{
    env, fs,
    io::{self, Read, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use hcs_storage::image::Name;

use crate::make::{docker, held, store, tar};

const PLACE: &str = "HCS_STORAGE_TEST_SPOOL";
const SELF: &str = "spools::a_process_with_the_same_number_is_another_one";

/// A sender that says nothing once it is asked for more, until it is let go on.
struct Stalled {
    bytes: io::Cursor<Vec<u8>>,
    asked: Option<Sender<()>>,
    goes_on: Receiver<()>,
}

impl Read for Stalled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(asked) = self.asked.take() {
            asked.send(()).unwrap();
            self.goes_on.recv().unwrap();
        }
        self.bytes.read(buffer)
    }
}

#[test]
fn a_sender_that_says_nothing_keeps_no_process_from_removing() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let layer = tar(&[("file", b"text")]);
    store
        .load_archive(&*docker("old", &[&layer]), None)
        .unwrap();
    for way in ["load", "import"] {
        let bytes = match way {
            "load" => docker("new", &[&tar(&[("new", b"")])]),
            _ => tar(&[("new", b"")]),
        };
        let (asked, is_asked) = channel();
        let (go_on, goes_on) = channel();
        let stalled = Stalled {
            bytes: io::Cursor::new(bytes),
            asked: Some(asked),
            goes_on,
        };
        let name: Name = "new".parse().unwrap();
        thread::scope(|scope| {
            let loading = scope.spawn(|| match way {
                "load" => store.load_archive(stalled, Some(&name)).map(drop),
                _ => store.import(stalled, &name).map(drop),
            });
            is_asked.recv().unwrap();
            // Not refused as in use, and what is being read stays.
            store.prune().unwrap();
            assert_eq!(held(place.path())[2], 1, "{way}");
            go_on.send(()).unwrap();
            loading.join().unwrap().unwrap();
        });
        assert_eq!(held(place.path()), [6, 2, 0], "{way}");
        store.remove("new").unwrap();
    }
    // What no process reads any more goes.
    fs::create_dir(place.path().join("store/incoming/1-1")).unwrap();
    store.prune().unwrap();
    assert_eq!(held(place.path()), [3, 1, 0]);
}

/// Its status is read while its archive is.
struct Watched {
    bytes: io::Cursor<Vec<u8>>,
    status: Sender<String>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let status = fs::read_to_string("/proc/thread-self/status")?;
        self.status.send(status).unwrap();
        self.bytes.read(buffer)
    }
}

#[test]
fn an_archive_is_read_with_few_rights() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let (status, all) = channel();
    let bytes = io::Cursor::new(docker("a:1", &[&tar(&[("file", b"text")])]));
    store.load_archive(Watched { bytes, status }, None).unwrap();
    // CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER and FSETID are the first five.
    const FILES: u64 = 0b1_1111;
    for status in all {
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().to_owned()
        };
        for set in ["CapEff:", "CapPrm:", "CapInh:"] {
            let found = u64::from_str_radix(&value(set), 16).unwrap();
            assert_eq!(found & !FILES, 0, "{set} {found:x}");
        }
        assert_eq!(value("NoNewPrivs:"), "1");
    }
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(own.contains("NoNewPrivs:\t0"), "{own}");
}

/// This test again, as the first process of a namespace.
fn first_of_namespace(place: &Path) -> Child {
    Command::new("unshare")
        .args([
            "--pid",
            "--fork",
            env::current_exe().unwrap().to_str().unwrap(),
            "--exact",
            SELF,
        ])
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_process_with_the_same_number_is_another_one() {
    if let Some(place) = env::var_os(PLACE) {
        let loaded = store(Path::new(&place)).load_archive(io::stdin(), None);
        loaded.unwrap();
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (one, other) = (
        docker("one", &[&tar(&[("1", &[7; 100_000])])]),
        docker("other", &[&tar(&[("2", b"")])]),
    );
    drop(store(place.path()));
    let mut first = first_of_namespace(place.path());
    let mut stdin = first.stdin.take().unwrap();
    // More than a pipe holds: once it is written, the first one reads.
    stdin.write_all(&one[..one.len() - 1024]).unwrap();
    let mut second = first_of_namespace(place.path());
    second.stdin.take().unwrap().write_all(&other).unwrap();
    assert!(second.wait().unwrap().success());
    stdin.write_all(&one[one.len() - 1024..]).unwrap();
    drop(stdin);
    assert!(first.wait().unwrap().success());
    let store = store(place.path());
    assert_eq!(store.images().unwrap().len(), 2);
    assert_eq!(held(place.path()), [6, 2, 0]);
}

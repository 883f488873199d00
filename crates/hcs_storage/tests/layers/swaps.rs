//! A folder whose files are others from one moment to the next, as a container may have it while it is committed.

use std::{
    fs, io,
    mem::MaybeUninit,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hcs_storage::{
    Limits,
    layer::{Marks, export},
};
use rustix::{
    fs::{CWD, Mode, RenameFlags, XattrFlags, inotify, mkfifoat, renameat_with, setxattr},
    io::Errno,
};

/// How often the folder is read. One time in some ten finds a file and opens another one, where that is possible.
const TRIES: usize = 2000;

/// Whether something has opened the file at `path` since.
fn watch(path: &Path) -> impl FnOnce() -> bool {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, path, inotify::WatchFlags::OPEN).unwrap();
    move || {
        let mut buffer = [MaybeUninit::uninit(); 512];
        match inotify::Reader::new(&watch, &mut buffer).next() {
            Ok(_) => true,
            Err(errno) => {
                assert_eq!(errno, Errno::AGAIN);
                false
            }
        }
    }
}

#[test]
fn a_node_in_place_of_a_file_is_not_opened() {
    let place = tempfile::tempdir().unwrap();
    let (root, other) = (place.path().join("root"), place.path().join("other"));
    fs::create_dir(&root).unwrap();
    let file = root.join("file");
    fs::write(&file, "text").unwrap();
    // What takes time between the look at a file and its opening.
    for number in 0..20 {
        setxattr(&file, format!("user.{number}"), b"x", XattrFlags::empty()).unwrap();
    }
    // A FIFO stands for a device: that it is opened is seen, and does nothing.
    mkfifoat(CWD, &other, Mode::RUSR | Mode::WUSR).unwrap();
    let was_opened = watch(&other);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &file, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..TRIES {
            // Most of them are refused, as the folder has changed.
            let _refused = export(&root, Marks::Trusted, &Limits::default(), io::sink());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(!was_opened());
}

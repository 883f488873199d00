//! A file system that never answers: FUSE, without a program that serves it.
//!
//! Its root can be looked at. What looks a name up in it waits, and cannot be killed, until the file system is dropped:
//! then it gets an error.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::OFlags,
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
    pipe::{PipeFlags, pipe_with},
};
use tempfile::TempDir;

/// Numbers of requests in `linux/fuse.h`.
const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const INIT: u32 = 26;
/// Requests that have no answer: forgetting inodes and giving up.
const UNANSWERED: [u32; 3] = [2, 36, 42];
/// Names of one directory may be looked up at one time.
const PARALLEL: u32 = 1 << 18;
/// More than the longest request that a kernel sends.
const MOST: usize = 1 << 17;

pub(crate) struct HangingFiles {
    place: TempDir,
    /// Names that were looked up.
    asked: Arc<AtomicUsize>,
    /// Ends the server when it is dropped.
    end: Option<OwnedFd>,
    serving: Option<JoinHandle<()>>,
}

impl HangingFiles {
    /// Whether the kernel has FUSE: where it has not, what needs a file system that hangs is not tried.
    pub(crate) fn are_possible() -> bool {
        let known = fs::read_to_string("/proc/filesystems").unwrap();
        known.lines().any(|line| line == "nodev\tfuse") && Path::new("/dev/fuse").exists()
    }

    pub(crate) fn mount() -> Self {
        let place = tempfile::Builder::new()
            .prefix("hanging-")
            .tempdir()
            .unwrap();
        let mut device = OpenOptions::new();
        device.read(true).write(true);
        // A request may be taken back between the poll and the read.
        device.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let device = device.open("/dev/fuse").unwrap();
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let options = CString::new(options).unwrap();
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("hanging", place.path(), "fuse", flags, options.as_c_str()).unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let (ended, end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let count = Arc::clone(&asked);
        let serving = thread::spawn(move || serve(device, &ended, &count));
        Self {
            place,
            asked,
            end: Some(end),
            serving: Some(serving),
        }
    }

    /// A path whose name is looked up for ever. Each number is another one: the kernel looks each up once.
    pub(crate) fn path(&self, number: usize) -> PathBuf {
        self.place.path().join(number.to_string())
    }

    pub(crate) fn root(&self) -> &Path {
        self.place.path()
    }

    /// How many threads hang in it.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for HangingFiles {
    fn drop(&mut self) {
        // With its device all that waits gets an error.
        self.end = None;
        let ended = self.serving.take().map(JoinHandle::join);
        let unmounted = unmount(self.place.path(), UnmountFlags::DETACH);
        if !thread::panicking() {
            unmounted.unwrap();
            ended.unwrap().unwrap();
        }
    }
}

/// Answers what is needed to be mounted and looked at, and no more.
fn serve(mut device: File, ended: &OwnedFd, asked: &AtomicUsize) {
    let mut request = vec![0; MOST];
    loop {
        let mut ready = [
            PollFd::new(&device, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        poll(&mut ready, None).unwrap();
        if !ready[1].revents().is_empty() {
            return;
        }
        let length = match device.read(&mut request) {
            Ok(length) => length,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::NotFound].contains(&error.kind()) => {
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let number = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let mut error = 0;
        let body = match number(4) {
            // The version that the kernel has, and writes of a page.
            INIT if length >= 48 => {
                let mut welcome = [0; 16];
                (welcome[0], welcome[1], welcome[3], welcome[5]) =
                    (number(40), number(44), PARALLEL, 4096);
                words(&welcome)
            }
            // Inode 1, a directory, not asked about again for an hour.
            GETATTR => {
                let mut attributes = [0; 26];
                (attributes[0], attributes[4], attributes[19], attributes[20]) =
                    (3600, 1, 0o040_755, 2);
                words(&attributes)
            }
            LOOKUP => {
                asked.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            other if UNANSWERED.contains(&other) => continue,
            _ => {
                error = -Errno::NOSYS.raw_os_error();
                Vec::new()
            }
        };
        let length = u32::try_from(16 + body.len()).unwrap();
        let mut answer = [length.to_ne_bytes(), error.to_ne_bytes()].concat();
        answer.extend_from_slice(&request[8..16]);
        answer.extend(body);
        device.write_all(&answer).unwrap();
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

//! Where the log goes and what is in it.
//!
//! To stderr, which is a terminal, the journal, or the log file of a service that a client started. Levels: `error`,
//! something is wrong that an administrator has to look at; `warn`, something is wrong and the service dealt with it;
//! `info`, the life of systems; `debug`, every failed call. No value of a client's document is logged, unless
//! `log_client_values` says so. What is told of a client's, an id say, is escaped in one place: here.
//!
//! A log that cannot be written, because the disk is full say, is not a reason for anything to fail. A log file of ours
//! is bounded: past [`MOST_BYTES`] it is put aside, in the place of the one put aside before, and a new one begun.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use hcs_schema::shown;
use rustix::{fs::fstat, stdio};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::record::files;

/// Name of the log file of a service that a client started, in the state root.
pub(crate) const FILE: &str = "hcsd.log";
/// Bytes after which a log file is put aside.
pub(crate) const MOST_BYTES: u64 = 8 << 20;

/// Starts logging by `directives`, or at `info`. Where stderr is `file`, it is kept bounded.
///
/// # Errors
/// The directives make no sense.
pub(crate) fn start(directives: Option<&str>, file: Option<PathBuf>) -> Result<(), String> {
    let filter = filter(directives)?;
    // The user who runs it may have sent its stderr elsewhere.
    let file = file.filter(|path| File::open(path).is_ok_and(|file| is_same(&file, &io::stderr())));
    let written = file
        .as_deref()
        .and_then(|file| fs::metadata(file).ok())
        .map_or(0, |metadata| metadata.len());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Log(Mutex::new(Bounded { file, written })))
        .log_internal_errors(false)
        .with_ansi(false)
        .with_target(false)
        .with_filter_reloading();
    let handle = log.reload_handle();
    let change = move |filter| handle.reload(filter).map_err(|e| e.to_string());
    // Logging is started once.
    let _first = CHANGE.set(Box::new(change));
    log.try_init()
        .map_err(|e| format!("logging cannot be started: {e}"))
}

/// What takes another filter to the log.
type Change = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

static CHANGE: OnceLock<Change> = OnceLock::new();

/// Logs by `directives`, or at `info`, from now on.
///
/// # Errors
/// The directives make no sense.
pub(crate) fn change(directives: Option<&str>) -> Result<(), String> {
    let filter = filter(directives)?;
    let change = CHANGE.get().map_or(Ok(()), |change| change(filter));
    change.map_err(|e| format!("the log cannot be changed: {e}"))
}

fn filter(directives: Option<&str>) -> Result<EnvFilter, String> {
    let directives = directives.unwrap_or("info");
    EnvFilter::try_new(directives)
        .map_err(|e| format!("log = \"{directives}\" makes no sense: {e}"))
}

/// Opens a log file to be added to, in a directory that was looked at ([`files::make`]); one that is too long is put
/// aside first.
///
/// # Errors
/// What the file system said.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() >= MOST_BYTES) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    files::append(path)
}

/// stderr, as far as the log writes to it.
struct Log(Mutex<Bounded>);

struct Bounded {
    file: Option<PathBuf>,
    written: u64,
}

impl Bounded {
    fn write(&mut self, line: &[u8]) {
        // No reader is left to be told that the log cannot be written.
        let _written = io::stderr().write_all(line);
        self.written += line.len() as u64;
        if self.written >= MOST_BYTES
            && let Some(path) = &self.file
        {
            let _as_it_was = begin_anew(path);
            self.written = 0;
        }
    }
}

/// Puts the file aside that stderr and stdout are, and begins another.
fn begin_anew(path: &Path) -> io::Result<()> {
    let stdout_too = is_same(&io::stdout(), &io::stderr());
    let file = open(path)?;
    stdio::dup2_stderr(&file)?;
    if stdout_too {
        stdio::dup2_stdout(&file)?;
    }
    Ok(())
}

fn is_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    let identity = |file: BorrowedFd<'_>| fstat(file).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    identity(one.as_fd()).is_some_and(|found| Some(found) == identity(other.as_fd()))
}

/// Takes one event.
struct Line<'a>(&'a Log);

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut bounded = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        bounded.write(clean(line).as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line, whatever stands in it: ids are chosen by clients, and must neither begin lines of their own nor drive the
/// terminal that the log is read in.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let body = text.strip_suffix('\n').unwrap_or(&text);
    shown(body).into_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_an_id_has_in_it() {
        let line = clean(b"INFO id=a\n2026 ERROR fake\x1b[2J\xe2\x80\xae: created\n");
        assert_eq!(
            line,
            "INFO id=a\\n2026 ERROR fake\\u{1b}[2J\\u{202e}: created\n"
        );
    }

    #[test]
    fn a_log_that_is_too_long_is_put_aside_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hcsd.log");
        for round in ["first", "second", "third"] {
            let mut file = open(&path).unwrap();
            write!(file, "{round}").unwrap();
            // Without writing all of it.
            file.set_len(MOST_BYTES).unwrap();
        }
        let begins =
            |path: PathBuf, text: &str| fs::read(path).unwrap().starts_with(text.as_bytes());
        assert!(begins(path.clone(), "third"));
        assert!(begins(path.with_extension("log.1"), "second"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}

//! `HcsSubmitWerReport`: a crash report is written into a directory, where the host's administrator finds it.
//!
//! The name of a report's file has that of its call, so that a call that is made again finds its report. Where the file
//! had to go for later ones while the client may not have its answer, the call is written down in
//! `<state root>/crashes.calls.json` first.

use std::{
    cell::RefCell,
    collections::HashSet,
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hcs_schema::{
    Failure, HResult,
    coverage::SERVICE,
    documents::CrashReport,
    timestamp::{from_rfc3339, rfc3339},
};
use hcs_wire::subordinate::holder;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::{
    document::parse_long,
    record::{
        blocking::{self, blocking},
        call_names::CallNames,
        failures::unknown,
        files,
        timeline::{self, CallKeeper},
    },
};

/// How the name of a report's file begins, before its time.
const BEGIN: &str = "crash-";
/// Reports that are kept; the oldest goes first.
const MOST: usize = 256;
/// Bytes of all reports that are kept. They may lie in memory, with the records of systems.
const MOST_BYTES: u64 = 16 << 20;
/// The same of one user, whose reports push out none of others but beyond that.
const MOST_OF_USER: usize = 64;
const MOST_BYTES_OF_USER: u64 = 8 << 20;
/// After this time no service writes a temporary file any more. Several services may have one directory.
const TEMPORARY: Duration = Duration::from_secs(3600);

/// The call that submits a report.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) uid: u32,
    /// Its name, where its client may make it again.
    pub(crate) name: Option<Rc<str>>,
    /// Its client may have made it before.
    pub(crate) is_repeat: bool,
}

/// A report that is on disk.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) report: &'a CrashReport,
    pub(crate) file: &'a Path,
    /// An earlier service wrote it.
    pub(crate) was_there: bool,
}

/// The calls that submitted reports. Belongs to the service's thread.
#[derive(Debug)]
pub(crate) struct CrashReports {
    file: PathBuf,
    /// Those whose clients may not have their answers.
    calls: RefCell<CallNames>,
    /// Those whose reports are being written, and whose clients do not have their answers.
    writing: RefCell<HashSet<Rc<str>>>,
    /// For the directory: each report looks through it, and reports that go at one time would do each other's work.
    turn: Semaphore,
}

impl CrashReports {
    /// As earlier services left them in the state root `root`, with the reports that are in `directory`.
    pub(crate) fn open(root: &Path, directory: &Path) -> Self {
        let file = root.join("crashes.calls.json");
        let known = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(CallNames::default()),
            Err(e) => Err(e),
        };
        let mut calls = known.unwrap_or_else(|e| {
            warn!("{} cannot be used: {e}", file.display());
            CallNames::unknown()
        });
        // Without a directory there are no reports.
        let reports = fs::read_dir(directory).into_iter().flatten();
        for report in reports.filter_map(Result::ok) {
            if let Some(call) = call_of(&report.file_name()) {
                calls.add_earlier(&call);
            }
            if is_left(&report.file_name())
                && let Err(e) = fs::remove_file(report.path())
            {
                warn!("{} cannot be removed: {e}", report.path().display());
            }
        }
        Self {
            file,
            calls: RefCell::new(calls),
            writing: RefCell::default(),
            turn: Semaphore::new(1),
        }
    }

    /// Writes a report into `directory`, unless the call has done so before. Dropping the future does not stop what has
    /// begun, only the waiting: `tell` hears of each report that is on disk, whether its client still waits or not.
    ///
    /// # Errors
    /// The document is no `CrashReport`, the file cannot be written, or it is unknown whether it was written before.
    pub(crate) async fn submit(
        self: &Rc<Self>,
        directory: PathBuf,
        settings: String,
        submission: Submission,
        tell: impl FnOnce(Kept<'_>) + 'static,
    ) -> Result<(), Failure> {
        let (report, settings) = parse_long::<CrashReport>(&SERVICE, settings).await?;
        let name = submission.name.as_deref();
        if let Some(name) = name.filter(|_| submission.is_repeat) {
            let (place, end) = (directory.clone(), format!("-{name}.json"));
            let file = blocking(move || find(&place, &end).map_err(|e| failed(&place, &e))).await?;
            if let Some(file) = &file {
                tell(Kept {
                    report: &report,
                    file,
                    was_there: true,
                });
                return Ok(());
            }
            let calls = self.calls.borrow();
            if calls.contains(name) {
                return Ok(());
            }
            if calls.is_forgetful(name) {
                return Err(unknown(
                    "the service had to forget calls with crash reports",
                ));
            }
        }
        // With a thread there is nothing left to wait for, so no client has more of this going on than threads.
        let thread = blocking::thread().await;
        self.writing.borrow_mut().extend(submission.name.clone());
        let tell = move |file: &Path| {
            tell(Kept {
                report: &report,
                file,
                was_there: false,
            });
        };
        let work = Rc::clone(self).keep(thread, directory, settings, submission, tell);
        let work = timeline::carry(timeline::current(), work);
        match tokio::task::spawn_local(work).await {
            Ok(kept) => kept,
            Err(error) => {
                let message = "the writing of a crash report broke off";
                Err(Failure::new(HResult::E_UNEXPECTED, message).because(&error))
            }
        }
    }

    /// Writes a report on `thread`, has it told of, and removes those that have to go.
    async fn keep(
        self: Rc<Self>,
        thread: impl Send + 'static,
        directory: PathBuf,
        settings: String,
        submission: Submission,
        tell: impl FnOnce(&Path),
    ) -> Result<(), Failure> {
        let Submission { uid, name, .. } = submission;
        let part = match &name {
            Some(name) => name.to_string(),
            None => uuid::Uuid::new_v4().simple().to_string(),
        };
        let place = directory.clone();
        let turn = self.turn.acquire().await;
        let written = blocking::on(thread, move || {
            files::make(&place, 0o700)
                .map_err(|sentence| Failure::new(HResult::E_FAIL, sentence))?;
            let text: Value = serde_json::from_str(&settings).unwrap_or_default();
            write(&place, &text, uid, &part).map_err(|e| failed(&place, &e))
        });
        let written = written.await;
        // What is removed takes another thread, which those may have that wait for this.
        drop(turn);
        // A client that has given the call up does not ask for it again.
        if let Some(name) = name
            && self.writing.borrow_mut().remove(&name)
            && written.is_ok()
        {
            self.calls.borrow_mut().add(&name);
        }
        let (file, old) = written?;
        tell(&file);
        self.remove(directory, old).await
    }

    /// Removes reports that have to go, whose calls are known from then on without them.
    async fn remove(&self, directory: PathBuf, old: Vec<PathBuf>) -> Result<(), Failure> {
        let mut is_any_untold = false;
        for call in old.iter().filter_map(|file| call_of(file.file_name()?)) {
            // The report is there, though its call may not have come so far that it says so.
            if self.writing.borrow().contains(call.as_str()) {
                self.calls.borrow_mut().add(&call);
            }
            is_any_untold |= self.calls.borrow().contains(&call);
        }
        if is_any_untold {
            self.write();
        }
        blocking(move || remove(&old).map_err(|e| failed(&directory, &e))).await
    }

    /// Forgets what clients asked an earlier service for: they had their time to come back.
    pub(crate) fn forget_earlier_calls(&self) {
        if self.calls.borrow_mut().release_earlier() {
            self.write();
        }
    }

    fn write(&self) {
        if let Err(e) = files::replace_json(&self.file, &*self.calls.borrow()) {
            warn!("{} cannot be written: {e}", self.file.display());
        }
    }
}

impl CallKeeper for CrashReports {
    fn release(&self, name: &str) {
        self.writing.borrow_mut().remove(name);
        self.calls.borrow_mut().release(name);
    }
}

fn failed(directory: &Path, e: &io::Error) -> Failure {
    let message = format!(
        "the crash report cannot be written into {}",
        directory.display()
    );
    Failure::new(HResult::E_FAIL, message).because(e)
}

/// The call that a report came by, from the name of its file: `crash-TIME-USER-CALL.json`. A report of a call without
/// a name has another one, which no call has.
fn call_of(file: &OsStr) -> Option<String> {
    let name = file.to_str()?.strip_prefix(BEGIN)?.strip_suffix(".json")?;
    let (_, rest) = name.split_once("Z-")?;
    let (_, call) = rest.split_once('-')?;
    call.contains('.').then(|| call.to_owned())
}

/// Whether this is the temporary file of a report whose service was killed while it wrote that. The clock may have been
/// set back since.
fn is_left(file: &OsStr) -> bool {
    let written = || {
        let name = file.to_str()?.strip_prefix(".crash-")?;
        let (time, rest) = name.split_once("Z-")?;
        let (user, _) = rest.split_once('-')?;
        user.parse::<u32>().ok()?;
        from_rfc3339(&format!("{time}Z"))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    written().is_some_and(|written| now.unwrap_or_default().abs_diff(written) > TEMPORARY)
}

/// The report whose file ends so.
fn find(directory: &Path, end: &str) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BEGIN) && name.ends_with(end) {
            return Ok(Some(directory.join(&*name)));
        }
    }
    Ok(None)
}

/// Writes a report; answers its file, and those that have to go now.
fn write(
    directory: &Path,
    report: &Value,
    uid: u32,
    name: &str,
) -> io::Result<(PathBuf, Vec<PathBuf>)> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default();
    // Services that share a directory have a clock as well.
    let (now, later) = (rfc3339(since), rfc3339(since + TEMPORARY));
    let document = json!({ "Received": now, "UserId": uid, "Report": report });
    // The names sort by time.
    let owner = holder(uid);
    let name = format!("{BEGIN}{now}-{owner}-{name}");
    let temporary = directory.join(format!(".{name}"));
    let mut options = files::options();
    let mut file = options.create_new(true).write(true).open(&temporary)?;
    let written = serde_json::to_vec(&document)
        .map_err(io::Error::from)
        .and_then(|text| file.write_all(&text))
        .and_then(|()| {
            let whole = directory.join(format!("{name}.json"));
            fs::rename(&temporary, &whole).map(|()| whole)
        });
    if written.is_err() {
        // The failure that led here is the one to report.
        let _left = fs::remove_file(&temporary);
    }
    let written = written?;
    let of_user = format!("-{owner}-");
    let own = |name: &str| {
        let after_time = name.split_once('Z');
        after_time.is_some_and(|(_, rest)| rest.starts_with(&of_user))
    };
    let own = oldest(directory, &later, own, (MOST_OF_USER, MOST_BYTES_OF_USER))?;
    let stays = |name: &str| !own.contains(&directory.join(name));
    let mut old = oldest(directory, &later, stays, (MOST, MOST_BYTES))?;
    old.extend(own);
    old.retain(|file| *file != written);
    Ok((written, old))
}

/// The oldest reports, of those whose names are `meant`, beyond so many and so many bytes. What came `later` than any
/// can by now came before the clock was set back, and so before all others.
fn oldest(
    directory: &Path,
    later: &str,
    meant: impl Fn(&str) -> bool,
    (most, most_bytes): (usize, u64),
) -> io::Result<Vec<PathBuf>> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .filter(|name| name.starts_with(BEGIN) && name.ends_with(".json") && meant(name));
        let Some(name) = name else { continue };
        match entry.metadata() {
            Ok(about) => reports.push((name.to_owned(), about.len())),
            // Another report that came at the same time took it away.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    let is_earlier = |name: &str| name.get(BEGIN.len()..).is_some_and(|rest| rest < later);
    reports.sort_unstable_by(|(one, _), (other, _)| {
        (is_earlier(one), one).cmp(&(is_earlier(other), other))
    });
    let mut bytes = 0;
    let mut beyond = Vec::new();
    for (number, (old, length)) in reports.iter().rev().enumerate() {
        bytes += length;
        if number >= most || (bytes > most_bytes && number > 0) {
            beyond.push(directory.join(old));
        }
    }
    Ok(beyond)
}

/// Another report that came at the same time may have taken them away.
fn remove(old: &[PathBuf]) -> io::Result<()> {
    for file in old {
        match fs::remove_file(file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    /// [`super::write`], and what has to go goes.
    fn write(directory: &Path, report: &Value, uid: u32, name: &str) -> PathBuf {
        let (written, old) = super::write(directory, report, uid, name).unwrap();
        remove(&old).unwrap();
        written
    }

    #[test]
    fn a_call_is_known_by_its_report_and_after_that_had_to_go() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("crashes");
        fs::create_dir(&directory).unwrap();
        let (call, end) = ("7.c0ffee-1.4e", "-7.c0ffee-1.4e.json");
        let report = write(&directory, &json!({}), 7, call);
        assert_eq!(find(&directory, end).unwrap(), Some(report.clone()));
        write(&directory, &json!({}), 7, "0123456789abcdef");
        let reports = CrashReports::open(root.path(), &directory);
        assert!(reports.calls.borrow().contains(call));
        reports.write();
        fs::remove_file(report).unwrap();
        assert_eq!(find(&directory, end).unwrap(), None);
        let next = CrashReports::open(root.path(), &directory);
        assert!(next.calls.borrow().contains(call));
        next.forget_earlier_calls();
        assert!(next.calls.borrow().is_empty());
    }

    #[test]
    fn a_report_stays_where_the_clock_was_set_back_before_it() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let later = rfc3339(now + Duration::from_secs(10 * 365 * 24 * 3600));
        for number in 0..MOST_OF_USER {
            fs::write(
                directory.join(format!("crash-{later}-7-{number:02}.json")),
                "{}",
            )
            .unwrap();
        }
        let first = write(directory, &json!({}), 7, "first");
        let second = write(directory, &json!({}), 7, "second");
        assert!(first.exists() && second.exists());
        assert_eq!(fs::read_dir(directory).unwrap().count(), MOST_OF_USER);
        let of_later = |number| directory.join(format!("crash-{later}-7-{number}.json"));
        assert!(!of_later("00").exists() && !of_later("01").exists() && of_later("02").exists());
        // What a service was writing before that, which was killed, goes.
        let left = directory.join(format!(".crash-{later}-7-x"));
        fs::write(&left, "{").unwrap();
        CrashReports::open(root.path(), directory);
        assert!(!left.exists());
    }

    #[test]
    fn a_report_that_is_given_up_is_counted_and_others_go_for_it() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("crashes");
        fs::create_dir(&directory).unwrap();
        for number in 0..MOST_OF_USER {
            write(&directory, &json!({}), 7, &number.to_string());
        }
        let call = "7.c0ffee-1.4e";
        let reports = Rc::new(CrashReports::open(root.path(), &directory));
        let submission = Submission {
            uid: 7,
            name: Some(call.into()),
            is_repeat: false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let told = Rc::new(RefCell::new(Vec::new()));
        let given_up = async {
            let told = Rc::clone(&told);
            let tell = move |kept: Kept<'_>| told.borrow_mut().push(kept.file.to_owned());
            let submitting = reports.submit(directory.clone(), "{}".to_owned(), submission, tell);
            let mut submitting = Box::pin(submitting);
            let mut context = Context::from_waker(Waker::noop());
            assert!(submitting.as_mut().poll(&mut context).is_pending());
            assert!(reports.writing.borrow().contains(call));
            drop(submitting);
            reports.release(call);
            let count = || fs::read_dir(&directory).unwrap().count();
            let end = format!("-{call}.json");
            while find(&directory, &end).unwrap().is_none() || count() > MOST_OF_USER {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let within = async { tokio::time::timeout(Duration::from_secs(60), given_up).await };
        let done = tokio::task::LocalSet::new().block_on(&runtime, within);
        done.unwrap();
        // It is in the event log all the same.
        let file = find(&directory, &format!("-{call}.json")).unwrap();
        assert_eq!(*told.borrow(), [file.unwrap()]);
        assert!(reports.calls.borrow().is_empty() && reports.writing.borrow().is_empty());
    }

    #[test]
    fn what_a_killed_service_was_writing_is_removed_when_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = rfc3339(now);
        let old = ".crash-2024-02-29T12:30:00.5000000Z-7-7.c0ffee-1.4e";
        let stay = [
            format!(".crash-{now}-7-7.c0ffee-1.4f"),
            ".crash-dump".to_owned(),
            ".crash-2024-02-29T12:30:00.5000000Z-of-another".to_owned(),
        ];
        for name in stay.iter().map(String::as_str).chain([old]) {
            fs::write(root.path().join(name), "{").unwrap();
        }
        CrashReports::open(root.path(), root.path());
        assert!(!root.path().join(old).exists());
        assert!(stay.iter().all(|name| root.path().join(name).exists()));
    }

    #[test]
    fn reports_are_kept_up_to_a_number() {
        let directory = tempfile::tempdir().unwrap();
        let mut last = PathBuf::new();
        for number in 0..MOST + 3 {
            let (report, name) = (json!({ "SystemId": number }), number.to_string());
            let uid = u32::try_from(number % 7).unwrap();
            last = write(directory.path(), &report, uid, &name);
        }
        let kept = || fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept(), MOST);
        let text: Value = serde_json::from_slice(&fs::read(last).unwrap()).unwrap();
        assert_eq!(text["Report"]["SystemId"], MOST + 2);
        // One user's reports push out no more than that user's.
        for number in 0..MOST {
            write(directory.path(), &json!({}), 7000, &format!("of.{number}"));
        }
        assert_eq!(kept(), MOST);
        let names = fs::read_dir(directory.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(
            names.filter(|name| name.contains("Z-7000-")).count(),
            MOST_OF_USER
        );
    }

    #[test]
    fn reports_are_kept_up_to_a_size() {
        let directory = tempfile::tempdir().unwrap();
        let long = json!("x".repeat(3 << 20));
        for number in 0..9 {
            let uid = number % 3;
            write(directory.path(), &long, uid, &number.to_string());
        }
        let kept = fs::read_dir(directory.path()).unwrap();
        let kept: Vec<u64> = kept
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(kept.len(), 5);
        assert!(kept.iter().sum::<u64>() <= MOST_BYTES);
    }

    #[test]
    fn reports_that_come_at_once_are_all_written() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let submit = |thread: u32| {
            for number in 0..MOST {
                let name = format!("{thread}.{number}");
                write(place, &json!({}), thread, &name);
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || submit(thread));
            }
        });
        let kept = fs::read_dir(directory.path()).unwrap().count();
        // A report that two at one time take for too many may take one more away.
        assert!(kept <= MOST && kept > MOST / 2, "{kept}");
    }
}

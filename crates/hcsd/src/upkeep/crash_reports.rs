//! `HcsSubmitWerReport`: a crash report is written into a directory, where the host's administrator finds it.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use hcs_schema::{Failure, HResult, coverage::SERVICE, documents::CrashReport, timestamp::rfc3339};
use serde_json::{Value, json};

use crate::{
    document::parse_long,
    record::{blocking::blocking, files},
};

/// Reports that are kept; the oldest goes first.
const MOST: usize = 256;
/// Bytes of all reports that are kept. They may lie in memory, with the records of systems.
const MOST_BYTES: u64 = 16 << 20;
/// The same of one user, whose reports push out none of others but beyond that.
const MOST_OF_USER: usize = 64;
const MOST_BYTES_OF_USER: u64 = 8 << 20;

/// Writes a report; returns its file, or none where the call `name` had done so before.
///
/// # Errors
/// The document is no `CrashReport`, or the file cannot be written.
pub(crate) async fn submit(
    directory: PathBuf,
    settings: String,
    uid: u32,
    name: Option<Rc<str>>,
) -> Result<(CrashReport, Option<PathBuf>), Failure> {
    let (report, settings) = parse_long::<CrashReport>(&SERVICE, settings).await?;
    let place = directory.clone();
    let name = match name {
        Some(name) => name.to_string(),
        None => uuid::Uuid::new_v4().simple().to_string(),
    };
    let file = blocking(move || {
        files::make(&place, 0o700).map_err(|sentence| Failure::new(HResult::E_FAIL, sentence))?;
        let text: Value = serde_json::from_str(&settings).unwrap_or_default();
        write(&place, &text, uid, &name).map_err(|e| {
            Failure::new(
                HResult::E_FAIL,
                format!(
                    "the crash report cannot be written into {}",
                    place.display()
                ),
            )
            .because(&e)
        })
    })
    .await?;
    Ok((report, file))
}

fn write(directory: &Path, report: &Value, uid: u32, name: &str) -> io::Result<Option<PathBuf>> {
    let end = format!("-{name}.json");
    for entry in fs::read_dir(directory)? {
        if entry?.file_name().to_string_lossy().ends_with(&end) {
            return Ok(None);
        }
    }
    let now = SystemTime::now();
    let now = rfc3339(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    let document = json!({ "Received": now, "UserId": uid, "Report": report });
    // The names sort by time.
    let name = format!("crash-{now}-{uid}-{name}");
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
    let of_user = format!("-{uid}-");
    let own = |name: &str| {
        let after_time = name.split_once('Z');
        after_time.is_some_and(|(_, rest)| rest.starts_with(&of_user))
    };
    drop_oldest(directory, own, (MOST_OF_USER, MOST_BYTES_OF_USER))?;
    drop_oldest(directory, |_| true, (MOST, MOST_BYTES))?;
    Ok(Some(written))
}

/// Removes the oldest reports, of those whose names are `meant`, beyond so many and so many bytes.
fn drop_oldest(
    directory: &Path,
    meant: impl Fn(&str) -> bool,
    (most, most_bytes): (usize, u64),
) -> io::Result<()> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .filter(|name| name.starts_with("crash-") && name.ends_with(".json") && meant(name));
        let Some(name) = name else { continue };
        match entry.metadata() {
            Ok(about) => reports.push((name.to_owned(), about.len())),
            // Another report that came at the same time took it away.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    reports.sort_unstable();
    let mut bytes = 0;
    for (number, (old, length)) in reports.iter().rev().enumerate() {
        bytes += length;
        if number < most && (bytes <= most_bytes || number == 0) {
            continue;
        }
        match fs::remove_file(directory.join(old)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_kept_up_to_a_number() {
        let directory = tempfile::tempdir().unwrap();
        let mut last = PathBuf::new();
        for number in 0..MOST + 3 {
            let (report, name) = (json!({ "SystemId": number }), number.to_string());
            let uid = u32::try_from(number % 7).unwrap();
            let written = write(directory.path(), &report, uid, &name).unwrap();
            last = written.unwrap();
            assert_eq!(write(directory.path(), &report, uid, &name).unwrap(), None);
        }
        let kept = || fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept(), MOST);
        let text: Value = serde_json::from_slice(&fs::read(last).unwrap()).unwrap();
        assert_eq!(text["Report"]["SystemId"], MOST + 2);
        // One user's reports push out no more than that user's.
        for number in 0..MOST {
            write(directory.path(), &json!({}), 7000, &format!("of.{number}")).unwrap();
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
            write(directory.path(), &long, uid, &number.to_string()).unwrap();
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
                write(place, &json!({}), thread, &name).unwrap();
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

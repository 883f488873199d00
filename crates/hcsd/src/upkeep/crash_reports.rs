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

/// Writes a report; answers its file, or none where the call `name` had done so before.
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
    let name = format!("crash-{now}-{name}");
    let temporary = directory.join(format!(".{name}"));
    let mut options = files::options();
    let mut file = options.create_new(true).write(true).open(&temporary)?;
    let written = serde_json::to_vec_pretty(&document)
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
    drop_oldest(directory)?;
    Ok(Some(written))
}

fn drop_oldest(directory: &Path) -> io::Result<()> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("crash-") && name.ends_with(".json")) {
            reports.push(path);
        }
    }
    reports.sort_unstable();
    for old in reports.iter().rev().skip(MOST) {
        match fs::remove_file(old) {
            // Another report that came at the same time took it away.
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
            let written = write(directory.path(), &report, 7, &name).unwrap();
            last = written.unwrap();
            assert_eq!(write(directory.path(), &report, 7, &name).unwrap(), None);
        }
        let kept = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept, MOST);
        let text: Value = serde_json::from_slice(&fs::read(last).unwrap()).unwrap();
        assert_eq!(text["Report"]["SystemId"], MOST + 2);
        assert_eq!(text["UserId"], 7);
    }

    #[test]
    fn reports_that_come_at_once_are_all_written() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path();
        let submit = |thread: usize| {
            for number in 0..MOST {
                let name = format!("{thread}.{number}");
                write(place, &json!({}), 7, &name).unwrap();
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || submit(thread));
            }
        });
        let kept = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(kept, MOST);
    }
}

//! `--tmpfs PATH[:OPTION,...]`: an empty directory in memory.

use hcs_schema::documents::TemporaryDirectory;

use super::memory;

/// Reads `PATH` or `PATH:OPTIONS`, the options `size=64M` and `mode=1777` with commas between them.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<TemporaryDirectory, String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err(format!(
            "the path inside, {path:?}, must begin with a slash"
        ));
    }
    let mut directory = TemporaryDirectory {
        container_path: Some(path.to_owned()),
        ..TemporaryDirectory::default()
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => directory.size_in_mb = Some(memory::megabytes(size)?),
            Some(("mode", mode)) => {
                let number = u32::from_str_radix(mode, 8)
                    .ok()
                    .filter(|mode| *mode <= 0o7777);
                let number =
                    number.ok_or_else(|| format!("{mode:?} are no permissions, such as 1777"))?;
                directory.mode = Some(number);
            }
            _ => {
                return Err(format!(
                    "{option:?} is no option of a directory in memory; there are size=64M and mode=1777"
                ));
            }
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_options_or_none() {
        let directory = parse("/run:size=2G,mode=755").unwrap();
        assert_eq!(directory.container_path.as_deref(), Some("/run"));
        assert_eq!(
            (directory.size_in_mb, directory.mode),
            (Some(2048), Some(0o755))
        );
        assert_eq!(parse("/tmp").unwrap().size_in_mb, None);
        for text in [
            "",
            "tmp",
            "/tmp:size=0",
            "/tmp:mode=9",
            "/tmp:mode=17777",
            "/tmp:exec",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

//! Puts what a run found into the documentation: the tables between two marks, the picture in a file.

use super::report::Report;
use crate::Repository;

const DOCUMENT: &str = "docs/PERFORMANCE.md";
const PICTURE: &str = "docs/performance.svg";
const BEGIN: &str = "<!-- What follows is written by `cargo xtask bench --docs`. -->\n";
const END: &str = "<!-- End of what is written. -->\n";

/// Replaces what a former run wrote.
///
/// # Errors
/// The document has no marks, or cannot be written.
pub(super) fn write(repository: &Repository, report: &Report, picture: &str) -> crate::Result<()> {
    let text = repository.read(DOCUMENT)?;
    let new = replace(&text, &report.markdown())
        .ok_or_else(|| format!("{DOCUMENT} has not both lines {BEGIN:?} and {END:?}"))?;
    repository.write(DOCUMENT, &new)?;
    repository.write(PICTURE, picture)
}

fn replace(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n![Every table as bars](performance.svg)\n\n{tables}\n{END}{after}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let text = format!("before\n{BEGIN}old\n{END}after\n");
        let new = replace(&text, "new").unwrap();
        assert!(new.starts_with(&format!("before\n{BEGIN}")), "{new}");
        assert!(new.ends_with(&format!("\nnew\n{END}after\n")), "{new}");
        assert_eq!(replace(&new, "new"), Some(new));
        assert_eq!(replace("no marks", "new"), None);
    }
}

//! What a document shows of a command's output, against what the command said.
//!
//! `...` stands for any text in a line, and alone in a line for any lines.

/// Stands for whatever differs from machine to machine, or does not matter here.
const ANY: &str = "...";

/// Whether `said` is what `shown` stands for.
pub(super) fn matches(shown: &[String], said: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return said.is_empty();
    };
    if first == ANY {
        return (0..=said.len()).any(|skipped| matches(rest, &said[skipped..]));
    }
    said.split_first()
        .is_some_and(|(line, later)| line_matches(first, line) && matches(rest, later))
}

fn line_matches(shown: &str, said: &str) -> bool {
    let Some((start, rest)) = shown.split_once(ANY) else {
        return shown == said;
    };
    said.strip_prefix(start).is_some_and(|said| {
        let ends = said.char_indices().map(|(at, _)| at).chain([said.len()]);
        let mut ends = ends.filter(|at| *at > 0);
        ends.any(|at| line_matches(rest, &said[at..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(shown: &str, said: &str) -> bool {
        let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        matches(&shown, &said.lines().collect::<Vec<_>>())
    }

    #[test]
    fn what_is_shown_is_what_was_said() {
        assert!(same("", ""));
        assert!(same("a\nb", "a\nb"));
        for other in ["", "a", "b\na", "a\nb\nc", "a\nbb"] {
            assert!(!same("a\nb", other), "{other}");
        }
        assert!(!same("", "a"));
    }

    #[test]
    fn dots_stand_for_some_text_or_for_any_lines() {
        assert!(same("pid ... of ...", "pid 12 of box"));
        assert!(same("... ä ...", "é ä ö"));
        // Dots that stand for nothing would hide that nothing was said.
        assert!(!same("hello from ...", "hello from "));
        assert!(!same("pid ... of box", "pid 12 of boxes"));
        for said in ["a\nz", "a\nb\nz", "a\nb\nc\nz"] {
            assert!(same("a\n...\nz", said), "{said}");
        }
        assert!(!same("a\n...\nz", "a\nb"));
        assert!(same("...", ""));
    }
}

//! `--env K=V`: one environment variable; `--env-file FILE`: one a line.

/// A variable and its value; without one it is taken over from our own environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, where one was typed.
    pub value: Option<String>,
}

/// Reads `NAME=VALUE` or `NAME`.
///
/// # Errors
/// A sentence for the person who typed it.
pub(crate) fn parse(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("expected NAME=VALUE, or NAME to take over the value it has here".to_owned());
    }
    Ok(Variable {
        name: name.to_owned(),
        value,
    })
}

/// Reads a file of variables. Blank lines, and those that begin with `#`, say nothing.
///
/// # Errors
/// A sentence with the number of the line that is none.
pub(crate) fn parse_file(text: &str) -> Result<Vec<Variable>, String> {
    let lines = text.lines().map(str::trim_start).enumerate();
    let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    said.map(|(index, line)| parse(line).map_err(|fault| format!("line {}: {fault}", index + 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_equals_sign_parts_name_and_value() {
        let variable = parse("A=b=c").unwrap();
        assert_eq!(
            (variable.name.as_str(), variable.value.as_deref()),
            ("A", Some("b=c"))
        );
        assert_eq!(parse("A=").unwrap().value.as_deref(), Some(""));
        assert_eq!(parse("A").unwrap().value, None);
        assert!(parse("=x").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_file_has_a_variable_a_line() {
        let read = parse_file("# all\n\nA=b c \r\n  B\n#C=1\nD=\"x\"").unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_deref()))
            .collect();
        let expected = [("A", Some("b c ")), ("B", None), ("D", Some("\"x\""))];
        assert_eq!(read, expected);
        assert!(parse_file("A=1\n=2").unwrap_err().starts_with("line 2: "));
    }
}

//! `--env K=V`: one environment variable.

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
}

//! The checks in a C program: string literals that are ids of rows, and the function or table each stands in.

/// Where a row is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// File, relative to the root.
    pub file: String,
    /// The function, or the table that a function goes through.
    pub function: String,
}

/// What ids begin with: names of exported functions.
const FUNCTIONS: [&str; 5] = ["Hcs", "Hcn", "HNSCall", "LocalFree", "CoTaskMemFree"];

/// The checks in `text`, each with the id of its row.
pub(super) fn checks(file: &str, text: &str) -> Vec<(String, Check)> {
    let mut found = Vec::new();
    let mut function = String::new();
    for line in text.lines() {
        if let Some(name) = definition(line) {
            name.clone_into(&mut function);
        }
        for literal in line.split('"').skip(1).step_by(2) {
            if is_id(literal) {
                let check = Check {
                    file: file.to_owned(),
                    function: function.clone(),
                };
                found.push((literal.to_owned(), check));
            }
        }
    }
    found
}

/// The function or table that a line at the left margin begins.
fn definition(line: &str) -> Option<&str> {
    let first = line.chars().next()?;
    if !(first.is_ascii_alphabetic() || first == '}') {
        return None;
    }
    let end = line
        .find(['(', '[', '='])
        .filter(|_| !line.ends_with(';'))?;
    let name = line[..end].trim_end();
    let start = name.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    Some(&name[start + 1..]).filter(|name| !name.is_empty())
}

fn is_id(literal: &str) -> bool {
    literal.split_once('/').is_some_and(|(function, what)| {
        FUNCTIONS.iter().any(|start| function.starts_with(start))
            && function.chars().all(|c| c.is_ascii_alphanumeric())
            && !what.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_found_in_functions_and_tables() {
        let text = "\
static const struct {
    const char *row;
} calls[] = {
    {\"HcsA/E_HANDLE\", HcsA},
};

static const struct rows start = {
    \"HcsB/S_OK\",
};

static HRESULT WINAPI check(int x)
{
    CONFORMS(\"HcsC/x y\", strstr(text, \"a/b\") != NULL);
    CHECK(\"Hcs\");
}
";
        let found: Vec<_> = checks("f.c", text)
            .into_iter()
            .map(|(id, check)| (id, check.function))
            .collect();
        let pair = |id: &str, function: &str| (id.to_owned(), function.to_owned());
        let expected = [
            pair("HcsA/E_HANDLE", "calls"),
            pair("HcsB/S_OK", "start"),
            pair("HcsC/x y", "check"),
        ];
        assert_eq!(found, expected);
    }
}

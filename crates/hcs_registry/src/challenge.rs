//! What a registry asks for before it answers: the `WWW-Authenticate` header (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token of the place `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// Reads a header; of several challenges a token is preferred. None where none of them is known.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let challenges = split(header);
        let find = |scheme: &str| {
            let mut found = challenges.iter();
            found.find(|(name, _)| name.eq_ignore_ascii_case(scheme))
        };
        if let Some((_, values)) = find("bearer") {
            let value = |name: &str| values.get(name).cloned();
            return Some(Self::Bearer {
                realm: value("realm")?,
                service: value("service"),
                scope: value("scope"),
            });
        }
        find("basic").map(|_| Self::Basic)
    }
}

/// The challenges of a header: a scheme, and its values by their lowercase names.
fn split(header: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let mut challenges: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    for part in parts(header) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        // A scheme stands before the first of its values, parted by a space.
        let name = match name.rsplit_once(char::is_whitespace) {
            Some((scheme, name)) => {
                challenges.push((scheme.trim().to_owned(), BTreeMap::new()));
                name
            }
            None if value.is_none() => {
                challenges.push((name.to_owned(), BTreeMap::new()));
                continue;
            }
            None => name,
        };
        if let (Some((_, values)), Some(value)) = (challenges.last_mut(), value) {
            values.insert(name.to_ascii_lowercase(), unquoted(value));
        }
    }
    challenges
}

/// Parts a header at commas that are not in quotes.
fn parts(header: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, letter) in header.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&header[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&header[begin..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn unquoted(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let (mut plain, mut escaped) = (String::new(), false);
    for letter in inner.chars() {
        match letter {
            '\\' if !escaped => escaped = true,
            letter => {
                escaped = false;
                plain.push(letter);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn headers_of_registries_are_read() {
        let hub = r#"Bearer realm="https://auth.host/token",service="registry.host",scope="repository:a/b:pull,push""#;
        assert_eq!(
            Challenge::parse(hub),
            bearer(
                "https://auth.host/token",
                Some("registry.host"),
                Some("repository:a/b:pull,push")
            )
        );
        assert_eq!(
            Challenge::parse(r#"Basic realm="x, y""#),
            Some(Challenge::Basic)
        );
        assert_eq!(Challenge::parse("basic"), Some(Challenge::Basic));
        let both = r#"Basic realm="x", bearer Realm = "https://h/\"t""#;
        assert_eq!(Challenge::parse(both), bearer("https://h/\"t", None, None));
        for other in ["", "Negotiate abc", "Bearer service=\"x\"", ",,,", "="] {
            assert_eq!(Challenge::parse(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(header in any::<String>()) {
            let _challenge = Challenge::parse(&header);
        }
    }
}

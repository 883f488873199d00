//! A current directory that a container finds empty: a person who typed `ls` there is told why.
//!
//! That of the service's socket is never shown, which is always told. What the view leaves out besides (homes, `/tmp`)
//! is told to a person at a terminal: scripts that run commands there know what they do.

use std::{
    env, fs,
    io::{IsTerminal as _, stderr},
    path::{Path, PathBuf},
};

use hcs::{Endpoint, raw};
use serde_json::{Value, json};

use crate::{
    client,
    clock::Clock,
    complain,
    options::{Surroundings, container::ContainerOptions},
    output::printable,
};

/// Tells of the current directory, if the default view of `container` does not show what is in it.
pub(crate) fn tell(container: &ContainerOptions, here: &Surroundings, clock: Clock) {
    if let Some(directory) = container.unnamed_directory(here) {
        tell_unnamed(directory);
    }
    let directory = container.host_directory(here);
    let Some(real) = directory.and_then(|directory| fs::canonicalize(directory).ok()) else {
        return;
    };
    let home = env::home_dir().and_then(|home| fs::canonicalize(home).ok());
    let why = if is_of_socket(&real) {
        "it is that of the service's socket (HCS_ENDPOINT), which no container sees"
    } else if stderr().is_terminal()
        && is_suspected(&real, home.as_deref())
        && host_view(clock).is_some_and(|view| is_empty_in(&view, &real, home.as_deref()))
    {
        "containers do not see into it (a directory below it is shown to a command that starts there, and --mount shows any)"
    } else {
        return;
    };
    complain(&format!(
        "hcs: the current directory, {}, is empty inside: {why}\n",
        printable(&real.display().to_string())
    ));
}

/// Tells of the current directory where a document cannot name it, so that no container can show it.
fn tell_unnamed(directory: &Path) {
    complain(&format!(
        "hcs: the current directory, {directory:?}, is not seen inside: its name is not UTF-8, so no JSON document can \
         hold it; rename it, or work in another one\n"
    ));
}

fn is_of_socket(real: &Path) -> bool {
    let endpoint = Endpoint::from_environment().ok();
    let directory: Option<PathBuf> =
        endpoint.and_then(|endpoint| fs::canonicalize(endpoint.path().parent()?).ok());
    directory.is_some_and(|directory| directory == real)
}

/// Whether the service is worth asking: directories that are left out as a whole are homes, or near the root.
fn is_suspected(real: &Path, home: Option<&Path>) -> bool {
    Some(real) == home || real.components().count() <= 3
}

/// What containers see, as the service says it.
fn host_view(clock: Clock) -> Option<Value> {
    let query = json!({ "PropertyQueries": { "Capabilities": {} } }).to_string();
    let operation = raw::Operation::new();
    clock.on_raw(&operation);
    let asked = raw::service_properties_by(Some(&query), &operation);
    // What is wrong with the service, the call that follows tells.
    let document = client::finish(&operation, asked).ok()?;
    let mut answer: Value = client::read(document.as_deref()).ok()?;
    let view = answer.pointer_mut("/PropertyResponses/Capabilities/Response/HostView")?;
    Some(view.take())
}

/// Whether the view shows `real` as an empty directory.
fn is_empty_in(view: &Value, real: &Path, home: Option<&Path>) -> bool {
    let patterns = view["Empty"].as_array().into_iter().flatten();
    patterns
        .filter_map(Value::as_str)
        .any(|pattern| match pattern {
            "~" => home == Some(real),
            path => Path::new(path) == real,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_and_places_of_the_view_are_empty() {
        let view = json!({ "Empty": ["/home", "~", "/var/tmp"] });
        let home = Some(Path::new("/home/me"));
        for (path, empty) in [
            ("/home/me", true),
            ("/var/tmp", true),
            ("/home", true),
            ("/home/me/project", false),
            ("/var", false),
        ] {
            assert_eq!(is_empty_in(&view, Path::new(path), home), empty, "{path}");
        }
        assert!(!is_empty_in(&json!({}), Path::new("/home"), home));
        for (path, suspected) in [("/tmp", true), ("/home/me", true), ("/a/b/c", false)] {
            assert_eq!(is_suspected(Path::new(path), home), suspected, "{path}");
        }
    }
}

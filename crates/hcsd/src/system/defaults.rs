//! What processes of a system get where their own documents say nothing of it.

use hcs_schema::{
    Failure, HResult,
    documents::{ProcessDefaults, ProcessParameters},
};

/// The document of a process with what `defaults` has beside it, and its text. Programs of the agent's and processes of
/// the OCI runtime specification stay as they are.
///
/// # Errors
/// The document cannot be written, which the types here rule out.
pub(crate) fn complete(
    defaults: Option<&ProcessDefaults>,
    mut document: ProcessParameters,
    text: String,
) -> Result<(ProcessParameters, String), Failure> {
    let Some(defaults) =
        defaults.filter(|_| document.archive.is_none() && document.oci_process.is_none())
    else {
        return Ok((document, text));
    };
    if document.user.is_none() {
        document.user.clone_from(&defaults.user);
    }
    if document.working_directory.is_none() {
        document
            .working_directory
            .clone_from(&defaults.working_directory);
    }
    if let Some(variables) = &defaults.environment {
        let mut all = variables.clone();
        all.extend(document.environment.take().unwrap_or_default());
        document.environment = Some(all);
    }
    let text = serde_json::to_string(&document).map_err(|error| {
        let message = "the document of the process cannot be written";
        Failure::new(HResult::E_UNEXPECTED, message).because(&error)
    })?;
    Ok((document, text))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn completed(parameters: Value) -> Value {
        let defaults = json!({
            "User": "app", "WorkingDirectory": "/app", "Environment": {"A": "image", "B": "image"},
        });
        let defaults = serde_json::from_value(defaults).unwrap();
        let text = parameters.to_string();
        let document = serde_json::from_value(parameters).unwrap();
        let (document, text) = complete(Some(&defaults), document, text).unwrap();
        let written = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(document).unwrap(), written);
        written
    }

    #[test]
    fn what_a_process_does_not_say_is_filled_in() {
        let expected = json!({
            "CommandLine": "x", "User": "app", "WorkingDirectory": "/app",
            "Environment": {"A": "image", "B": "image"},
        });
        assert_eq!(completed(json!({"CommandLine": "x"})), expected);
        let own = json!({
            "CommandLine": "x", "User": "0", "WorkingDirectory": "/",
            "Environment": {"B": "own", "C": "own"},
        });
        let expected = json!({
            "CommandLine": "x", "User": "0", "WorkingDirectory": "/",
            "Environment": {"A": "image", "B": "own", "C": "own"},
        });
        assert_eq!(completed(own), expected);
    }

    #[test]
    fn programs_of_the_agents_take_nothing() {
        let archive = json!({"Archive": {"Operation": "Pack", "Path": "/x"}});
        assert_eq!(completed(archive.clone()), archive);
    }
}

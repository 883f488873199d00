//! Rules of the documents about processes.

use std::collections::BTreeMap;

use crate::{
    documents::{
        Archive, ModifyOperation, ProcessDefaults, ProcessModifyRequest, ProcessParameters,
    },
    fault::{Faults, Path, quote},
    rules::{no_nul, privileges, required},
};

/// Exactly one of command line and arguments, and strings that an `execve` can take.
pub(crate) fn parameters(document: &ProcessParameters, path: &Path<'_>, faults: &mut Faults) {
    command(document, path, faults);
    let strings = [
        ("ApplicationName", &document.application_name),
        ("CommandLine", &document.command_line),
        ("User", &document.user),
        ("WorkingDirectory", &document.working_directory),
    ];
    for (name, text) in strings {
        no_nul(text.as_deref().unwrap_or_default(), &path.key(name), faults);
    }
    environment(
        document.environment.as_ref(),
        &path.key("Environment"),
        faults,
    );
    privileges::capabilities(
        [
            ("AddCapabilities", document.add_capabilities.as_deref()),
            ("DropCapabilities", document.drop_capabilities.as_deref()),
        ],
        path,
        faults,
    );
    if let Some(size) = &document.console_size
        && size.len() != 2
    {
        let message = format!("it has {} elements", size.len());
        faults.rule(
            &path.key("ConsoleSize"),
            message,
            "two numbers: height, then width",
        );
    }
}

fn command(document: &ProcessParameters, path: &Path<'_>, faults: &mut Faults) {
    const EXPECTED: &str = "exactly one of \"CommandLine\" and \"CommandArgs\"";
    let given = [
        ("CommandLine", document.command_line.is_some()),
        ("CommandArgs", document.command_args.is_some()),
        ("ApplicationName", document.application_name.is_some()),
        ("EmulateConsole", document.emulate_console == Some(true)),
    ];
    for (name, _) in given
        .iter()
        .filter(|(_, given)| *given && document.archive.is_some())
    {
        let message = "it is given beside \"Archive\", which is in place of a command";
        faults.rule(&path.key(name), message, "one of the two");
    }
    let line = document
        .command_line
        .as_deref()
        .filter(|line| !line.is_empty());
    // LCOW clients start a container's init and OCI processes without either.
    let elsewhere = document.oci_process.is_some() || document.archive.is_some();
    match (line, &document.command_args) {
        (Some(_), Some(_)) => faults.rule(
            path,
            "both \"CommandLine\" and \"CommandArgs\" are given",
            EXPECTED,
        ),
        (None, None) if !elsewhere => {
            faults.rule(
                path,
                "neither \"CommandLine\" nor \"CommandArgs\" is given",
                EXPECTED,
            );
        }
        (Some(line), None) if line.trim().is_empty() => {
            faults.rule(
                &path.key("CommandLine"),
                "it is blank",
                "a program and its arguments",
            );
        }
        _ => {}
    }
    let args = document.command_args.as_deref().unwrap_or_default();
    let path = path.key("CommandArgs");
    match args.first().map(String::as_str) {
        None if document.command_args.is_some() => {
            faults.rule(&path, "it is empty", "at least the name of the program");
        }
        Some("") if document.application_name.is_none() => {
            faults.rule(&path.index(0), "it is empty", "the name of the program");
        }
        _ => {}
    }
    for (index, argument) in args.iter().enumerate() {
        no_nul(argument, &path.index(index), faults);
    }
}

/// A way, and a path from the root inside.
pub(crate) fn archive(document: &Archive, path: &Path<'_>, faults: &mut Faults) {
    if document.operation.is_none() {
        faults.missing(path, "Operation");
    }
    required(document.path.as_deref(), "Path", path, faults);
    let inside = document.path.as_deref().unwrap_or("/");
    if !inside.is_empty() && !inside.starts_with('/') {
        let message = format!("{} is not an absolute path", quote(inside));
        faults.rule(
            &path.key("Path"),
            message,
            "a path that begins with a slash",
        );
    }
}

/// Bytes of names and values that every process of a container gets, at most: they are sent along with each.
const MOST_DEFAULTS: usize = 128 << 10;

/// Strings that an `execve` can take, and not too many.
pub(crate) fn defaults(document: &ProcessDefaults, path: &Path<'_>, faults: &mut Faults) {
    for (name, text) in [
        ("User", &document.user),
        ("WorkingDirectory", &document.working_directory),
    ] {
        if text.is_some() {
            required(text.as_deref(), name, path, faults);
        }
    }
    let path = path.key("Environment");
    environment(document.environment.as_ref(), &path, faults);
    let all = document.environment.iter().flatten();
    let bytes: usize = all.map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_DEFAULTS {
        let message = format!("its names and values have {bytes} bytes");
        faults.rule(&path, message, format!("at most {MOST_DEFAULTS} bytes"));
    }
}

fn environment(variables: Option<&BTreeMap<String, String>>, path: &Path<'_>, faults: &mut Faults) {
    for (name, value) in variables.into_iter().flatten() {
        let here = path.key(name);
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!(
                "{} cannot name an environment variable, which has at least one character and neither '=' nor NUL",
                quote(name)
            );
            faults.name(&here, message, "the name of an environment variable");
        }
        no_nul(value, &here, faults);
    }
}

/// The details that belong to the operation, and only one of them needed.
pub(crate) fn modify(document: &ProcessModifyRequest, path: &Path<'_>, faults: &mut Faults) {
    match document.operation {
        None => faults.missing(path, "Operation"),
        Some(ModifyOperation::ConsoleSize) if document.console_size.is_none() => {
            faults.missing(path, "ConsoleSize");
        }
        Some(ModifyOperation::CloseHandle) if document.close_handle.is_none() => {
            faults.missing(path, "CloseHandle");
        }
        Some(_) => {}
    }
}

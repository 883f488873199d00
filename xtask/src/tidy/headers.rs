//! Rule: the C headers are valid in C11 and C++17, alone and together, and declare what the library exports.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::{Fault, Rule, exports};
use crate::{Repository, Result, golden, process::installed};

pub(super) const RULE: Rule = Rule {
    name: "headers",
    reason: "the headers are the first thing a C programmer meets, with warnings as errors",
    check,
    fix: None,
};

const FOLDER: &str = "crates/computecore/include/";
const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"];
/// Exports whose names are not ours alone.
const FREES: [&str; 2] = ["LocalFree", "CoTaskMemFree"];
/// Compiler, language, further options.
const LANGUAGES: [(&str, &str, &[&str]); 6] = [
    ("gcc", "c", &["-std=c11"]),
    ("gcc", "c", &["-std=c11", "-fshort-wchar"]),
    ("gcc", "c", &["-std=c11", "-DHCS_WIDE"]),
    ("g++", "c++", &["-std=c++17"]),
    ("g++", "c++", &["-std=c++17", "-fshort-wchar"]),
    ("g++", "c++", &["-std=c++17", "-DHCS_WIDE"]),
];

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let headers: Vec<&str> = repository
        .ending(&[".h"])
        .filter_map(|file| file.strip_prefix(FOLDER))
        .collect();
    if headers.is_empty() {
        return Ok(vec![Fault::new(
            FOLDER,
            "has no headers",
            "write ComputeCore.h",
        )]);
    }
    for compiler in ["gcc", "g++"] {
        if !installed(compiler) {
            return Err(format!("{compiler} is not installed (apt-get install gcc g++)").into());
        }
    }
    let mut faults = Vec::new();
    for header in &headers {
        let twice = format!("#include <{header}>\n#include <{header}>\n");
        faults.extend(compile_everywhere(repository, header, &twice)?);
    }
    let all: String = headers
        .iter()
        .map(|header| format!("#include <{header}>\n"))
        .collect();
    faults.extend(compile_everywhere(repository, "all of them", &all)?);
    if faults.is_empty() {
        faults.extend(against_exports(repository, &headers)?);
    }
    Ok(faults)
}

fn compile_everywhere(repository: &Repository, what: &str, text: &str) -> Result<Vec<Fault>> {
    let include = repository.root.join(FOLDER);
    let mut faults = Vec::new();
    for (compiler, language, options) in LANGUAGES {
        if let Some(complaint) = compile(&include, compiler, language, options, text)? {
            let place = format!("{FOLDER}: {what}");
            let how = format!("{compiler} {} says:\n{complaint}", options.join(" "));
            faults.push(Fault::new(place, how, "edit the header"));
        }
    }
    Ok(faults)
}

/// What the compiler complains of, if it does.
fn compile(
    include: &Path,
    compiler: &str,
    language: &str,
    options: &[&str],
    text: &str,
) -> Result<Option<String>> {
    let mut command = Command::new(compiler);
    command
        .args(["-x", language])
        .args(options)
        .args(STRICT)
        .arg("-I")
        .arg(include)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("the compiler has no stdin")?;
    std::io::Write::write_all(&mut stdin, text.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Functions that are declared and not exported, or the other way round.
fn against_exports(repository: &Repository, headers: &[&str]) -> Result<Vec<Fault>> {
    let exports = exports::all(repository)?;
    let on_purpose = golden::undeclared(repository)?;
    let mut missing = exports.clone();
    // ComputeWide.h gives the declarations these names; that it has them all is tested beside the exports.
    missing.retain(|name| !on_purpose.contains(name) && !exports::is_twin(name, &exports));
    let mut faults = Vec::new();
    for header in headers {
        let file = format!("{FOLDER}{header}");
        for name in declared(&repository.read(&file)?) {
            missing.retain(|other| *other != name);
            if !exports.contains(&name) {
                let what = format!("declares {name}, which the library does not export");
                faults.push(Fault::new(
                    &file,
                    what,
                    "export it, or remove the declaration",
                ));
            }
        }
    }
    for name in missing {
        let what = format!("declares no {name}, which the library exports");
        let mend = "declare it, or say `declared = false` in the table of functions";
        faults.push(Fault::new(FOLDER, what, mend));
    }
    Ok(faults)
}

/// Names that look like declared functions: a word `Hcs...`, `Hcn...` or `HNSCall` (or one of [`FREES`]) right before a
/// parenthesis, outside comments.
fn declared(header: &str) -> Vec<String> {
    let code = without_comments(header);
    let mut names: Vec<String> = code
        .match_indices('(')
        .filter_map(|(at, _)| {
            let before = code[..at].trim_end();
            let start = before
                .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(0, |at| at + 1);
            let name = &before[start..];
            let ours = name.starts_with("Hcs") || name.starts_with("Hcn") || name == "HNSCall";
            (ours && name.len() > 3 || FREES.contains(&name)).then(|| name.to_owned())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("/*") {
        code.push_str(&rest[..at]);
        rest = rest[at..]
            .find("*/")
            .map_or("", |end| &rest[at + end + 2..]);
    }
    code.push_str(rest);
    code.lines()
        .filter_map(|line| line.split("//").next())
        .map(|line| format!("{line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_functions_are_found_outside_comments() {
        let header = "/* HcsNot(1) */\nHRESULT WINAPI\nHcsOne(\n    int);\n// HcsNeither(2)\ntypedef void (CALLBACK *HCS_CB)(int);\nHCSAPI HcsTwo (void);\nHRESULT HcnTwo(void);\nHRESULT HNSCall(void);\n";
        assert_eq!(declared(header), ["HNSCall", "HcnTwo", "HcsOne", "HcsTwo"]);
    }
}

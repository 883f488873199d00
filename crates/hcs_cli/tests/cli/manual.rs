//! Manual pages and the completion of shells, looked at by the programs that they are for.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::common::{ended, hcs, with_input, words};

/// Whether a program is on this machine; in continuous integration it is, as the tests' packages are installed.
fn there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn output(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

fn verbs() -> BTreeSet<String> {
    let help = words("--help").fine();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    let verb = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(verb)
        .collect()
}

/// Row N9.
#[test]
fn every_verb_has_a_manual_page_that_groff_takes_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    ended(hcs(["man"]).arg(folder.path())).fine();
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        pages.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        rendered(&path);
    }
    let mut expected: BTreeSet<String> = verbs().iter().map(|v| format!("hcs-{v}")).collect();
    expected.extend(["hcs", "hcs-service-reload", "hcs-service-stop"].map(str::to_owned));
    for (verb, actions) in [
        ("guest-image", "build list remove"),
        ("disk", "create format mount unmount"),
        (
            "network",
            "create list inspect remove connect disconnect check",
        ),
        (
            "image",
            "pull load save import list inspect history tag remove prune repair",
        ),
    ] {
        expected.extend(
            actions
                .split(' ')
                .map(|action| format!("hcs-{verb}-{action}")),
        );
    }
    assert_eq!(pages, expected);
    let main = fs::read_to_string(folder.path().join("hcs.1")).unwrap();
    assert_eq!(words("man").fine(), main);
    let nowhere = words("man /no/such/directory");
    assert_eq!(nowhere.code, Some(125));
    assert!(
        nowhere.err.contains("/no/such/directory/hcs.1"),
        "{nowhere:?}"
    );
}

fn rendered(page: &Path) {
    let arguments = ["-man", "-ww", "-z", "-Tutf8", page.to_str().unwrap()];
    let done = output("groff", &arguments);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.is_empty(), "{said}");
    let text = output(
        "groff",
        &["-man", "-P-cbou", "-Tascii", page.to_str().unwrap()],
    );
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for section in ["NAME", "SYNOPSIS", "EXAMPLES"] {
        assert!(text.contains(section), "{text}");
    }
}

/// Row N9.
#[test]
fn bash_completes_verbs_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("hcs");
    fs::write(&script, words("completion bash").fine()).unwrap();
    let script = script.to_str().unwrap();
    assert!(output("bash", &["-n", script]).status.success());
    for (line, expected) in [
        ("hcs val", "validate"),
        ("hcs terminate --al", "--all"),
        ("hcs run --ulim", "--ulimit"),
    ] {
        let complete = format!(
            "source {script}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); COMP_LINE='{line}'; \
             COMP_POINT=${{#COMP_LINE}}; _hcs hcs \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let done = output("bash", &["--norc", "-c", &complete]);
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(said.trim(), expected, "{line}: {done:?}");
    }
}

#[test]
fn zsh_and_fish_have_scripts_with_every_verb() {
    for shell in ["zsh", "fish"] {
        let script = words(&format!("completion {shell}")).fine();
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
        if there(shell) {
            let read = with_input(Command::new(shell).arg("-n"), script.into_bytes());
            assert!(read.status.success(), "{shell}: {read:?}");
        }
    }
    assert_eq!(words("completion ksh").code, Some(125));
}

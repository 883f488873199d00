//! The policy beside that of Podman, as the Debian package `golang-github-containers-common` installs it.

use std::{collections::BTreeMap, fs};

use hcs_schema::privileges::Capabilities;
use serde::Deserialize;

use super::{
    machine,
    program::{NATIVE, program},
};

/// Their tables. Without them nothing is compared, so it is no success; `cargo xtask packages` installs them.
const CALLS: &str = "/usr/share/containers/seccomp.json";
const SETTINGS: &str = "/usr/share/containers/containers.conf";
/// The numbers of calls, of the package `linux-libc-dev`.
const NUMBERS: &str = if cfg!(target_arch = "x86_64") {
    "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
} else {
    "/usr/include/asm-generic/unistd.h"
};

/// What they refuse and we do not, and why.
const ALLOWED_HERE: &[(&str, &str)] = &[
    (
        "io_pgetevents",
        "io_getevents with a signal mask, which they allow: the same kernel code",
    ),
    (
        "futex_waitv",
        "several futexes at once, for programs made for Windows; newer than their table",
    ),
    ("create_module", "no call of Linux any more: ENOSYS"),
    ("get_kernel_syms", "no call of Linux any more: ENOSYS"),
    ("query_module", "no call of Linux any more: ENOSYS"),
    ("getpmsg", "never was a call of Linux: ENOSYS"),
    ("putpmsg", "never was a call of Linux: ENOSYS"),
    ("afs_syscall", "never was a call of Linux: ENOSYS"),
    ("tuxcall", "never was a call of Linux: ENOSYS"),
    ("security", "never was a call of Linux: ENOSYS"),
    ("vserver", "never was a call of Linux: ENOSYS"),
];

#[derive(Deserialize)]
struct Table {
    syscalls: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    names: Vec<String>,
    action: String,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Condition,
}

#[derive(Deserialize)]
struct Argument {
    index: usize,
    value: u64,
    op: String,
}

#[derive(Default, Deserialize)]
struct Condition {
    #[serde(default)]
    caps: Vec<String>,
    #[serde(default)]
    arches: Vec<String>,
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{path}: {error}; run: cargo xtask packages"))
}

/// The numbers of the calls that this host's headers know.
fn numbers() -> BTreeMap<String, u32> {
    let text = read(NUMBERS);
    let lines = text.lines().filter_map(|line| {
        let mut words = line
            .strip_prefix("#define __NR")
            .map(|rest| rest.trim_start_matches("3264"))?
            .trim_start_matches('_')
            .split_whitespace();
        // What has underscores of its own in front keeps no more than one.
        let name = words.next()?.to_owned();
        Some((name, words.next()?.parse().ok()?))
    });
    lines.collect()
}

/// Whether a rule of theirs is for a container that has `capabilities`, on this architecture.
fn applies(rule: &Rule, capabilities: Capabilities) -> bool {
    let architecture = if cfg!(target_arch = "x86_64") {
        "amd64"
    } else {
        "arm64"
    };
    let includes = &rule.includes;
    let here = includes.arches.is_empty() || includes.arches.iter().any(|a| a == architecture);
    let needed = Capabilities::named(includes.caps.iter().map(String::as_str)).unwrap();
    here && capabilities.contains(needed)
}

/// Whether they let the call through, whatever or with these arguments.
fn theirs(table: &Table, name: &str, arguments: Option<[u64; 3]>) -> bool {
    let rules = table
        .syscalls
        .iter()
        .filter(|rule| rule.names.iter().any(|n| n == name) && applies(rule, Capabilities::USUAL));
    let fits = |rule: &Rule| {
        let all = rule.args.as_deref().unwrap_or_default();
        arguments.is_none_or(|arguments| {
            all.iter().all(|argument| {
                let equal = arguments[argument.index] == argument.value;
                match argument.op.as_str() {
                    "SCMP_CMP_EQ" => equal,
                    "SCMP_CMP_NE" => !equal,
                    other => panic!("{other} is not compared here"),
                }
            })
        })
    };
    rules
        .filter(|rule| fits(rule))
        .any(|rule| rule.action == "SCMP_ACT_ALLOW")
}

fn ours(number: u32, arguments: [u64; 3]) -> bool {
    let program = program(Capabilities::USUAL);
    machine::run(&program, NATIVE, number, arguments).0 == libc::SECCOMP_RET_ALLOW
}

#[test]
fn what_podman_refuses_is_refused_but_for_what_is_listed() {
    let table: Table = serde_json::from_str(&read(CALLS)).unwrap();
    let numbers = numbers();
    assert!(numbers.len() > 250, "{NUMBERS} has {} calls", numbers.len());
    let mut differ = Vec::new();
    for (name, number) in &numbers {
        // No process but the agent has the number 1.
        if ours(*number, [2, 2, 2]) && !theirs(&table, name, None) {
            differ.push(name.as_str());
        }
    }
    differ.sort_unstable();
    let mut listed: Vec<&str> = ALLOWED_HERE
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| numbers.contains_key(*name))
        .collect();
    listed.sort_unstable();
    assert_eq!(differ, listed);
}

#[test]
fn arguments_that_podman_refuses_are_refused() {
    let table: Table = serde_json::from_str(&read(CALLS)).unwrap();
    let numbers = numbers();
    let domains = [
        0,
        0x8,
        0x2_0000,
        0x2_0008,
        0xffff_ffff,
        0x4_0000,
        0x100_0000,
    ];
    for domain in domains {
        let arguments = [domain, 0, 0];
        let ours = ours(numbers["personality"], arguments);
        assert_eq!(
            ours,
            theirs(&table, "personality", Some(arguments)),
            "{domain:#x}"
        );
    }
    for family in 0..64 {
        for protocol in 0..32 {
            let arguments = [family, 3, protocol];
            let ours = ours(numbers["socket"], arguments);
            let theirs = theirs(&table, "socket", Some(arguments));
            // Their rules look at netlink only: the others they leave to the kernel, and to capabilities.
            assert!(!ours || theirs, "family {family}, protocol {protocol}");
        }
    }
}

#[test]
fn the_usual_capabilities_are_those_of_podman() {
    let settings = read(SETTINGS);
    let (_, list) = settings.split_once("\ndefault_capabilities = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let names = list
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty());
    assert_eq!(Capabilities::named(names), Ok(Capabilities::USUAL));
}

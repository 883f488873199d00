//! The house rules. Each is a file here that exports a [`Rule`]: what is checked, why, and how to mend it.

mod budget;
mod clippy;
mod commits;
mod conformance;
mod deny;
mod dependencies;
mod exports;
mod fmt;
mod folders;
mod fuzz_lock;
mod golden;
mod headers;
mod layers;
mod module_heads;
mod orphans;
mod rustdoc;
mod sentences;
mod source;
mod text;
mod threats;
mod unsafe_homes;
mod width;
mod words;

pub(crate) use exports::{CORE, Library, NETWORK, is_twin, listed as listed_exports};

use std::process::ExitCode;

use crate::{Repository, Result};

/// A house rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Name on the command line.
    pub name: &'static str,
    /// Why it is a rule.
    pub reason: &'static str,
    /// Finds what breaks it.
    pub check: fn(&Repository) -> Result<Vec<Fault>>,
    /// Mends what a program can mend.
    pub fix: Option<fn(&Repository) -> Result<()>>,
}

/// One place that breaks a rule.
#[derive(Debug)]
pub(crate) struct Fault {
    /// File, with the line where there is one.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// The command or edit that mends it.
    pub mend: String,
}

impl Fault {
    fn new(place: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            mend: mend.into(),
        }
    }
}

/// Quick ones first.
const RULES: &[Rule] = &[
    text::RULE,
    words::RULE,
    sentences::RULE,
    width::RULE,
    commits::RULE,
    module_heads::RULE,
    orphans::RULE,
    budget::RULE,
    unsafe_homes::RULE,
    dependencies::RULE,
    layers::RULE,
    folders::RULE,
    fuzz_lock::RULE,
    fmt::RULE,
    conformance::RULE,
    threats::RULE,
    golden::RULE,
    headers::RULE,
    exports::RULE,
    clippy::RULE,
    rustdoc::RULE,
    deny::RULE,
];

/// The names of all rules.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.name)
}

/// Checks the rules named in `only` (all when empty), mending first when `fix`.
///
/// # Errors
/// What a rule mends could not be mended.
pub(crate) fn run(repository: &Repository, fix: bool, only: &[String]) -> Result<ExitCode> {
    let mut faults = 0;
    let mut checked = 0;
    for rule in RULES {
        if !only.is_empty() && only.iter().all(|name| name != rule.name) {
            continue;
        }
        checked += 1;
        if let (true, Some(mend)) = (fix, rule.fix) {
            mend(repository).map_err(|error| format!("rule {}: {error}", rule.name))?;
        }
        let found = (rule.check)(repository).unwrap_or_else(|error| {
            let what = format!("could not be checked: {error}");
            vec![Fault::new("the rule", what, "mend that first")]
        });
        if !found.is_empty() {
            println!("rule {}: {}", rule.name, rule.reason);
        }
        for fault in &found {
            println!(
                "  {}: {}\n      mend: {}",
                fault.place, fault.what, fault.mend
            );
        }
        faults += found.len();
    }
    if faults == 0 {
        println!("tidy: {checked} rules, no fault");
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {checked} rules, {faults} faults");
    Ok(ExitCode::FAILURE)
}

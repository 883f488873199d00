//! Rule: unsafe code is written only in the folders that `xtask/layers.toml` names.

use super::{
    Fault, Rule,
    layers::{FILE, Law},
    source::{tokens, unsafe_lines},
};
use crate::{Repository, Result};

pub(super) const RULE: Rule = Rule {
    name: "unsafe-homes",
    reason: "who reviews memory safety must know where to look, and that it is everything",
    check,
    fix: None,
};

fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let homes = Law::read(repository)?.unsafe_homes;
    let mut faults = Vec::new();
    for file in repository.ending(&[".rs"]) {
        if homes.iter().any(|home| file.starts_with(home.as_str())) {
            continue;
        }
        let text = repository.read(file)?;
        for line in unsafe_lines(tokens(file, &text)?) {
            faults.push(Fault::new(
                format!("{file}:{line}"),
                "`unsafe` outside its homes",
                format!("use a safe crate (rustix), or move it to a home named in {FILE}"),
            ));
        }
    }
    Ok(faults)
}

//! The documents are true: every fenced block of every Markdown file is run as it is written.
//!
//! Rows N1 and N3 of daily use: a newcomer goes by the README alone.
//!
//! A document is one session of a new user, from its first line to its last, in a directory like a fresh checkout.
//!
//! 1. [`blocks`] finds the blocks. A picture is `text`, all others are run or used.
//! 2. [`steps`] makes them into commands, with the output that the document shows, and files to be written: a block of
//!    another language than a shell's is a file, and the line before it names it.
//! 3. [`exceptions`] lists the commands that no test can run, each with its reason and with what is checked in its
//!    place.
//! 4. [`place`] is where a session runs: a checkout, a prefix, an endpoint, a home, all thrown away and looked at.
//! 5. [`shell`] is the shell of a session, [`terminal`] a terminal for the commands that need one.
//! 6. [`shown`] compares what a command says with what the document shows.
//! 7. [`session`] runs the steps of a document, and collects its faults.

mod blocks;
mod exceptions;
mod place;
mod session;
mod shell;
mod shown;
mod steps;
mod terminal;

use std::collections::BTreeSet;

use crate::Repository;

/// Holds each document to what it says, as a test of its own, and the list to what there is.
macro_rules! documents {
    ($($name:ident: $file:literal;)*) => {
        $(#[test]
        fn $name() {
            session::holds(&Repository::here().unwrap(), $file);
        })*

        const ALL: &[&str] = &[$($file),*];
    };
}

documents! {
    readme: "README.md";
    architecture: "docs/ARCHITECTURE.md";
    contributing: "docs/CONTRIBUTING.md";
    coverage: "docs/COVERAGE.md";
    performance: "docs/PERFORMANCE.md";
    threats: "docs/THREATS.md";
    bindings: "bindings/README.md";
    dotnet: "bindings/dotnet/README.md";
    go: "bindings/go/README.md";
    python: "bindings/python/README.md";
}

#[test]
fn every_document_is_in_the_list() {
    let repository = Repository::here().unwrap();
    let there: BTreeSet<&str> = repository.ending(&[".md"]).collect();
    assert_eq!(there, ALL.iter().copied().collect());
}

#[test]
fn every_exception_is_needed() {
    let repository = Repository::here().unwrap();
    let mut used = BTreeSet::new();
    for document in ALL {
        let text = repository.read(document).unwrap();
        let steps = steps::of(&blocks::of(&text).unwrap()).unwrap();
        for step in steps {
            if let steps::DocumentStep::Run(command) = step {
                used.extend(exceptions::of(&command.text).map(|exception| exception.command));
            }
        }
    }
    let listed: BTreeSet<&str> = exceptions::ALL.iter().map(|one| one.command).collect();
    assert_eq!(listed, used, "a document uses each exception");
}

//! The one test command: install, build, run, and see that nothing is left behind.
//!
//! 1. [`crate::packages`]: the Debian packages the tests use are installed, or named.
//! 2. The workspace is built, so that programs and libraries under test are new.
//! 3. [`sandbox`]: a private endpoint, service binary and temporary directory for this run.
//! 4. [`runner`]: nextest where it is installed, else cargo's own runner; then the documentation's examples.
//! 5. [`leftovers`]: what was not on the machine before and is ours fails the run.
//!
//! The last line is always `N passed, N failed`.

mod leftovers;
mod runner;
mod sandbox;

use std::process::ExitCode;

use leftovers::Snapshot;
use runner::Count;
use sandbox::Sandbox;

use crate::{
    Repository, Result, packages,
    process::{cargo, succeeds},
};

/// Runs the tests whose name contains `filter`, or all.
///
/// # Errors
/// Packages are missing and may not be installed, or a program cannot be run.
pub(crate) fn run(repository: &Repository, filter: Option<&str>) -> Result<ExitCode> {
    packages::provide_all(repository)?;
    let count = if build(repository)? {
        run_built(repository, filter)?
    } else {
        println!("the build failed");
        Count {
            passed: 0,
            failed: 1,
        }
    };
    println!("{} passed, {} failed", count.passed, count.failed);
    Ok(if count.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn build(repository: &Repository) -> Result<bool> {
    succeeds(cargo().current_dir(&repository.root).args([
        "build",
        "--workspace",
        "--examples",
        "--lib",
        "--bins",
        "--locked",
    ]))
}

fn run_built(repository: &Repository, filter: Option<&str>) -> Result<Count> {
    let before = Snapshot::take()?;
    let sandbox = Sandbox::new(repository)?;
    let mut count = runner::tests(repository, &sandbox, filter)?;
    count += runner::documentation(repository, &sandbox, filter)?;
    let left = leftovers::after(&before, &sandbox)?;
    if left.is_empty() {
        println!("nothing is left behind");
        count.passed += 1;
    } else {
        println!("left behind by the tests:");
        for thing in &left {
            println!("  {thing}");
        }
        count.failed += 1;
    }
    sandbox.remove()?;
    Ok(count)
}

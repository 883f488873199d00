//! Fuzzing of every reader that faces a peer: the targets in `fuzz/`, each from its corpus.
//!
//! Neither `cargo-fuzz` nor a nightly toolchain is needed: the targets are built with the options that `cargo fuzz`
//! gives, and `RUSTC_BOOTSTRAP` for those that are not stable. A corpus is a folder of seeds and an archive of what
//! earlier runs found. What this one finds stays in `<target>/fuzz/found/`.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    thread,
};

use crate::{
    Repository, Result,
    process::{cargo, succeeds},
    sanitize::host,
};

/// Options of the compiler for code that reports its coverage, and checks its memory.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-sanitizer-coverage-stack-depth \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Zsanitizer=address -Cdebug-assertions -Ccodegen-units=1";

/// What `cargo xtask fuzz` is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Put what reaches new code into the corpora, and throw out of them what others make needless
    #[arg(long)]
    grow: bool,
    /// Only these targets (default: all)
    targets: Vec<String>,
}

/// The folders of a run.
struct Place {
    /// `fuzz/` of the repository.
    sources: PathBuf,
    /// Where the built targets are.
    programs: PathBuf,
    /// Where new inputs and findings go.
    found: PathBuf,
}

/// Builds the targets and runs as many at a time as there are processors.
///
/// # Errors
/// They cannot be built or run.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    let targets = targets(repository, &arguments.targets)?;
    let place = build(repository)?;
    let processors = thread::available_parallelism()?.get();
    let mut failed = Vec::new();
    for batch in targets.chunks(processors) {
        let mut running = Vec::new();
        for target in batch {
            running.push((target, start(&place, target, arguments.seconds)?));
        }
        for (target, mut child) in running {
            let passed = child.wait()?.success();
            println!(
                "{} {target}: {}",
                if passed { "ok  " } else { "FAIL" },
                summary(&place, target)?
            );
            if !passed {
                failed.push(target);
            } else if arguments.grow {
                grow(&place, target)?;
            }
        }
    }
    for target in &failed {
        println!("{}", fs::read_to_string(place.log(target))?);
    }
    println!(
        "fuzz: {} targets, {} with a finding",
        targets.len(),
        failed.len()
    );
    Ok(if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Place {
    /// Inputs written by hand.
    fn seeds(&self, target: &str) -> PathBuf {
        self.sources.join("corpus").join(target)
    }

    /// Inputs that earlier runs found: thousands of small files, so they are kept in one.
    fn archive(&self, target: &str) -> PathBuf {
        self.sources.join("corpus").join(format!("{target}.tar.gz"))
    }

    /// Where they are unpacked.
    fn packed(&self, target: &str) -> PathBuf {
        self.found.join("packed").join(target)
    }

    fn new_inputs(&self, target: &str) -> PathBuf {
        self.found.join("corpus").join(target)
    }

    fn log(&self, target: &str) -> PathBuf {
        self.found.join(format!("{target}.log"))
    }
}

/// The targets asked for, or all.
fn targets(repository: &Repository, only: &[String]) -> Result<Vec<String>> {
    let all: Vec<String> = repository
        .ending(&[".rs"])
        .filter_map(|file| file.strip_prefix("fuzz/fuzz_targets/")?.strip_suffix(".rs"))
        .map(str::to_owned)
        .collect();
    match only.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!(
            "there is no target {unknown:?}; there are {}",
            all.join(", ")
        )
        .into()),
        None if only.is_empty() => Ok(all),
        None => Ok(only.to_vec()),
    }
}

fn build(repository: &Repository) -> Result<Place> {
    let host = host()?;
    let sources = repository.root.join("fuzz");
    let target = repository.target.join("fuzz");
    let built = succeeds(
        cargo()
            .current_dir(&sources)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", FLAGS)
            .args([
                "build",
                "--release",
                "--locked",
                "--bins",
                "--target",
                &host,
            ])
            .arg("--target-dir")
            .arg(&target),
    )?;
    if !built {
        return Err("the fuzz targets cannot be built".into());
    }
    Ok(Place {
        sources,
        programs: target.join(&host).join("release"),
        found: target.join("found"),
    })
}

/// Starts a target; what it writes goes to its log.
fn start(place: &Place, target: &str, seconds: u32) -> Result<Child> {
    let artifacts = place.found.join("artifacts").join(target);
    fs::create_dir_all(place.new_inputs(target))?;
    fs::create_dir_all(&artifacts)?;
    unpack(place, target)?;
    let log = fs::File::create(place.log(target))?;
    let child = Command::new(place.programs.join(target))
        .arg(place.new_inputs(target))
        .arg(place.seeds(target))
        .arg(place.packed(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    child.map_err(|error| format!("{target} cannot be run: {error}").into())
}

/// How many inputs a target was given.
fn summary(place: &Place, target: &str) -> Result<String> {
    let log = fs::read(place.log(target))?;
    let log = String::from_utf8_lossy(&log);
    let runs = log
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs = runs.map_or("an unknown number of", str::trim);
    Ok(format!("{runs} inputs"))
}

/// Replaces the packed corpus by the fewest inputs, old and new, that reach the same code. The seeds stay as they are.
fn grow(place: &Place, target: &str) -> Result<()> {
    let merged = place.found.join("merged").join(target);
    if merged.exists() {
        fs::remove_dir_all(&merged)?;
    }
    fs::create_dir_all(&merged)?;
    let merge = Command::new(place.programs.join(target))
        .args(["-merge=1", "-rss_limit_mb=2048"])
        .args([
            &merged,
            &place.seeds(target),
            &place.packed(target),
            &place.new_inputs(target),
        ])
        .stderr(Stdio::null())
        .status()?;
    if !merge.success() {
        return Err(format!("the corpus of {target} cannot be merged").into());
    }
    // The same files always make the same archive.
    let packed = succeeds(
        Command::new("tar")
            .args([
                "--sort=name",
                "--mtime=@0",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
            ])
            .args(["--use-compress-program", "gzip -9n", "-cf"])
            .arg(place.archive(target))
            .arg("-C")
            .arg(&merged)
            .arg("."),
    )?;
    if packed {
        return Ok(());
    }
    Err(format!("the corpus of {target} cannot be packed").into())
}

/// Unpacks what earlier runs found, as far as there is something.
fn unpack(place: &Place, target: &str) -> Result<()> {
    let (archive, folder) = (place.archive(target), place.packed(target));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    if !archive.exists() {
        return Ok(());
    }
    let mut tar = Command::new("tar");
    if succeeds(tar.arg("-xzf").arg(&archive).arg("-C").arg(&folder))? {
        return Ok(());
    }
    Err(format!("{} cannot be unpacked", archive.display()).into())
}

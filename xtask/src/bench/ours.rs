//! This project, through its API and its program, with shipped defaults: private endpoint, real service.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hcs::raw::{Operation, Process, System};
use serde_json::json;

use super::{
    bundle::Bundles,
    command::{Line, line, run},
    floor::{dd_arguments, drain, whole},
    interleave::Subject,
};

/// The longest any call of the bench may take.
const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

/// What a call answered, for people.
fn said<T>(step: &str, result: Result<T, hcs::raw::Error>) -> Result<T, String> {
    result.map_err(|e| {
        format!(
            "{step}: {} {}",
            e.hresult,
            e.document.as_deref().unwrap_or_default()
        )
    })
}

fn shape(step: &str, result: Result<(), hcs_schema::HResult>) -> Result<(), String> {
    result.map_err(|e| format!("{step}: {e}"))
}

/// A running container of the bench, or a virtual machine.
pub(crate) struct Container {
    id: String,
    system: System,
    operation: Operation,
}

impl Container {
    /// Creates and starts one on the bench's root directory.
    pub(crate) fn start(id: &str, bundles: &Bundles) -> Result<Self, String> {
        let document = json!({
            "Owner": "bench",
            "SchemaVersion": { "Major": 2, "Minor": 1 },
            "ShouldTerminateOnLastHandleClosed": true,
            "Container": { "Storage": { "Layers": [{ "Path": bundles.root() }] } },
        });
        Self::of(id, &document)
    }

    /// Creates and starts a system of `document`, which may be a virtual machine.
    pub(crate) fn of(id: &str, document: &serde_json::Value) -> Result<Self, String> {
        let operation = Operation::new();
        let system = System::create(id, &document.to_string(), &operation)
            .map_err(|e| format!("create: {e}"))?;
        said("create", operation.wait(LIMIT))?;
        shape("start", system.start(&operation, None))?;
        said("start", operation.wait(LIMIT))?;
        let id = id.to_owned();
        Ok(Self {
            id,
            system,
            operation,
        })
    }

    fn spawn(&self, arguments: &[String], stdout: bool) -> Result<(Process, Option<File>), String> {
        let parameters = json!({ "CommandArgs": arguments, "CreateStdOutPipe": stdout });
        let process = Process::create(&self.system, &parameters.to_string(), &self.operation)
            .map_err(|e| format!("create process: {e}"))?;
        let (_, information) = said(
            "create process",
            self.operation.wait_and_process_info(LIMIT, true),
        )?;
        Ok((process, information.stdio.stdout.map(File::from)))
    }

    /// One process: its stdout read to the end, its exit code seen.
    pub(crate) fn process(&self, program: &str) -> Result<(), String> {
        let (process, stdout) = self.spawn(&[program.to_owned()], true)?;
        if let Some(mut stdout) = stdout {
            stdout
                .read_to_end(&mut Vec::new())
                .map_err(|e| format!("stdout: {e}"))?;
        }
        ended_well(program, &process)
    }

    /// One process without streams: its exit code seen.
    pub(crate) fn silent_process(&self, program: &str) -> Result<(), String> {
        let (process, _) = self.spawn(&[program.to_owned()], false)?;
        ended_well(program, &process)
    }

    /// `dd` of `bytes` zeros through the stdout pipe, read to its end.
    pub(crate) fn pour(&self, bytes: u64) -> Result<(), String> {
        let (process, stdout) = self.spawn(&dd_arguments(bytes), true)?;
        let read = drain(stdout.ok_or("no stdout came")?)?;
        process.wait_exit(LIMIT).map_err(|e| format!("wait: {e}"))?;
        shape("close", process.close())?;
        whole(read, bytes)
    }

    /// A process that stays, for calls on it.
    pub(crate) fn idle_process(&self) -> Result<Process, String> {
        Ok(self
            .spawn(&["/bin/sleep".to_owned(), "100000".to_owned()], false)?
            .0)
    }

    /// One `HcsGetProcessInfo` round trip.
    pub(crate) fn process_info(&self, process: &Process) -> Result<(), String> {
        process_info(process, &self.operation)
    }

    /// The id it was created with.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Terminates it, without waiting for its exit event.
    pub(crate) fn terminate(&self) -> Result<(), String> {
        shape("terminate", self.system.terminate(&self.operation, None))?;
        said("terminate", self.operation.wait(LIMIT)).map(drop)
    }

    /// Terminates it and waits until it is gone.
    pub(crate) fn end(&self) -> Result<(), String> {
        self.terminate()?;
        self.gone()
    }

    /// Waits until it is gone and closes the handle.
    pub(crate) fn gone(&self) -> Result<(), String> {
        self.system
            .wait_exit(LIMIT)
            .map_err(|e| format!("wait for exit: {e}"))?;
        shape("close", self.system.close())
    }
}

/// Waits for the end of `process`, closes its handle, and sees that it succeeded.
fn ended_well(program: &str, process: &Process) -> Result<(), String> {
    let status = process.wait_exit(LIMIT).map_err(|e| format!("wait: {e}"))?;
    let status: serde_json::Value =
        serde_json::from_str(&status).map_err(|e| format!("status: {e}"))?;
    shape("close", process.close())?;
    if status["ExitCode"] == 0 {
        Ok(())
    } else {
        Err(format!("{program} ended with {status}"))
    }
}

/// One `HcsGetProcessInfo` round trip on `operation`.
fn process_info(process: &Process, operation: &Operation) -> Result<(), String> {
    shape("info", process.info(operation))?;
    said("info", operation.wait_and_process_info(LIMIT, true)).map(drop)
}

/// `calls` times `HcsGetProcessInfo` from each of `threads` threads, each with `depth` calls on their way at a time.
pub(crate) fn many_calls(
    process: &Process,
    threads: usize,
    depth: usize,
    calls: usize,
) -> Result<(), String> {
    let one_thread = || -> Result<(), String> {
        let operations: Vec<Operation> = (0..depth).map(|_| Operation::new()).collect();
        for operation in &operations {
            shape("info", process.info(operation))?;
        }
        for call in depth..calls + depth {
            let operation = &operations[call % depth];
            said("info", operation.wait_and_process_info(LIMIT, true))?;
            if call < calls {
                shape("info", process.info(operation))?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| "a calling thread panicked".to_owned())?
        })
    })
}

/// Container made, first process run and seen to exit.
pub(crate) fn create_to_first_exit(
    bundles: &Bundles,
    id: &str,
) -> Result<(Container, Duration), String> {
    let begin = Instant::now();
    let container = Container::start(id, bundles)?;
    container.process("/bin/true")?;
    Ok((container, begin.elapsed()))
}

/// The program `hcs`; it finds the service where it always is.
#[derive(Debug)]
pub(crate) struct Program {
    path: String,
}

impl Program {
    /// Installed below `prefix`.
    pub(crate) fn at(prefix: &Path) -> Self {
        Self {
            path: prefix.join("bin/hcs").display().to_string(),
        }
    }

    /// The command line of `hcs exec` of `words` in container `id`.
    pub(crate) fn exec_line(&self, id: &str, words: &[&str]) -> Line {
        let mut command = line(&[&self.path, "exec", id, "--"]);
        command.extend(line(words));
        command
    }

    /// `hcs exec` of `/bin/true` in container `id`.
    pub(crate) fn exec(&self, id: &str) -> Subject<'static> {
        let command = self.exec_line(id, &["/bin/true"]);
        Subject::new("hcs exec", move || run(&command))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The command line of `hcs run` of `/bin/true`.
    pub(crate) fn run_line(&self, bundles: &Bundles) -> Line {
        let root = bundles.root_text();
        line(&[&self.path, "run", "--layer", &root, "--", "/bin/true"])
    }

    /// `hcs run` of `/bin/true`.
    pub(crate) fn run(&self, bundles: &Bundles) -> Subject<'static> {
        let command = self.run_line(bundles);
        Subject::new("hcs run", move || run(&command))
    }

    /// `hcs list`: start-up and one round trip.
    pub(crate) fn list(&self) -> Subject<'static> {
        let command = line(&[&self.path, "list"]);
        Subject::new("hcs list", move || run(&command))
    }
}

/// Sum of `field` (kB) over the given processes, from `/proc/PID/smaps_rollup` or `status`.
pub(crate) fn memory_kb(pids: &[u32], file: &str, field: &str) -> Result<f64, String> {
    let mut sum = 0.0;
    for pid in pids {
        let path = PathBuf::from(format!("/proc/{pid}/{file}"));
        let text = fs::read_to_string(&path)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
        let number = line
            .and_then(|l| l.split_whitespace().next())
            .and_then(|n| n.parse::<f64>().ok());
        sum += number.ok_or_else(|| format!("no {field} in {}", path.display()))?;
    }
    Ok(sum)
}

/// Direct children of `parent`, by `/proc/PID/stat`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    })
    .collect()
}

/// `parent`, its children and theirs: the service, the launcher, the agents.
pub(crate) fn descendants(parent: u32) -> Vec<u32> {
    let launchers = children(parent);
    let agents: Vec<u32> = launchers.iter().flat_map(|pid| children(*pid)).collect();
    [parent]
        .into_iter()
        .chain(launchers)
        .chain(agents)
        .collect()
}

/// The threads of a process.
pub(crate) fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

//! Starts a container, runs a process in it and talks with it.
//!
//! ```text
//! cargo build && cargo run --example create_process
//! ```

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example shows what it does"
)]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use hcs::{ComputeSystem, Failure, documents};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            if let Some(failure) = error.downcast_ref::<Failure>() {
                for cause in &failure.causes {
                    eprintln!("  {}", cause.message);
                }
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let container = documents::ComputeSystem {
        owner: Some("create_process.rs".to_owned()),
        should_terminate_on_last_handle_closed: Some(true),
        container: Some(documents::Container::default()),
        ..Default::default()
    };
    let id = format!("create-process-rs-{}", std::process::id());
    let system = ComputeSystem::create(&id, &container).wait()?;
    system.start().wait()?;

    let copy_input_to_output = documents::ProcessParameters {
        command_line: Some("cat".to_owned()),
        create_std_in_pipe: Some(true),
        create_std_out_pipe: Some(true),
        ..Default::default()
    };
    let mut process = system.create_process(&copy_input_to_output).wait()?;
    println!("process {} runs", process.id());

    if let Some(stdin) = process.take_stdin() {
        // Dropped at the end of the statement: the process sees the end of its input.
        File::from(stdin).write_all(b"hello from the host\n")?;
    }
    if let Some(stdout) = process.take_stdout() {
        let mut text = String::new();
        File::from(stdout).read_to_string(&mut text)?;
        io::stdout().write_all(text.as_bytes())?;
    }
    let status = process.wait()?;
    println!("exit code {}", status.code);
    system.terminate().wait()?;
    Ok(())
}

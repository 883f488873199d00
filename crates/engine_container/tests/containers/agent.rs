//! A stand-in for the guest agent: runs what it is told to and answers with what that printed.
//!
//! One line of JSON each way: a request is the argument list of a program, or a word in a list of its own that names
//! something the agent does itself.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
};

use engine_container::launcher::AgentFiles;
use hcs_schema::privileges::Privileges;
use hcs_wire::{guest::LeftRecord, proof};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Resource, Rlimit, setrlimit},
    thread::set_no_new_privs,
};
use serde::{Deserialize, Serialize};

/// The limit `RLIMIT_NOFILE`.
const OPEN_FILES: u32 = 7;

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Its exit code, 128 + N after signal N.
    pub(crate) code: i32,
    /// Its standard output, without the last line's end.
    pub(crate) stdout: String,
    /// Its standard error, likewise.
    pub(crate) stderr: String,
}

/// Serves one connection after the other. A request `["exit", "N"]` ends it, and `["leave", "N"]` does when it has left
/// that its process 2 has exited with that code.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the launcher calls an agent like this"
)]
pub(crate) fn serve(files: AgentFiles, privileges: Privileges) -> i32 {
    // What the real agent does for each process.
    set_no_new_privs(privileges.no_new_privileges).expect("no new privileges");
    for limit in privileges
        .limits
        .iter()
        .filter(|limit| limit.number == OPEN_FILES)
    {
        let limit = Rlimit {
            current: Some(limit.soft),
            maximum: Some(limit.hard),
        };
        setrlimit(Resource::Nofile, limit).expect("a limit");
    }
    let AgentFiles {
        listener,
        proof,
        proc: _proc,
        terminals: _terminals,
        hosts: _hosts,
        left,
        ..
    } = files;
    for stream in UnixListener::from(listener).incoming() {
        let stream = stream.expect("a connection");
        if proof && !is_proven(&stream) {
            continue;
        }
        let mut answers = stream.try_clone().expect("a second descriptor");
        for line in BufReader::new(stream).lines() {
            let request: Vec<String> = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if let [word, code] = request.as_slice()
                && word == "exit"
            {
                return code.parse().expect("a number");
            }
            if let [word, code] = request.as_slice()
                && word == "leave"
            {
                let record = LeftRecord {
                    complete: true,
                    exits: vec![(2, code.parse().expect("a number"))],
                    ..LeftRecord::default()
                };
                rustix::io::pwrite(&left, &record.line(), 0).expect("a file");
                return 0;
            }
            let mut answer = serde_json::to_vec(&run(&request)).expect("JSON");
            answer.push(b'\n');
            answers.write_all(&answer).expect("the host to listen");
        }
    }
    0
}

/// Waits for the proof that the real agent asks for, too.
fn is_proven(stream: &UnixStream) -> bool {
    proof::expect(stream).expect("credentials");
    poll(&mut [PollFd::new(stream, PollFlags::IN)], None).expect("something to read");
    proof::receive(stream).is_ok()
}

fn run(arguments: &[String]) -> Outcome {
    let done = Command::new(&arguments[0])
        .args(&arguments[1..])
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .output();
    match done {
        Ok(output) => {
            use std::os::unix::process::ExitStatusExt;
            let status = output.status;
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
            Outcome {
                code: status
                    .code()
                    .or_else(|| Some(128 + status.signal()?))
                    .expect("an end"),
                stdout: text(output.stdout),
                stderr: text(output.stderr),
            }
        }
        Err(error) => Outcome {
            code: -1,
            stdout: String::new(),
            stderr: error.to_string(),
        },
    }
}

//! The pipes of processes, fetched again by clients that come later.

use std::{fs::File, io::Read as _};

use hcs_wire::service::Call;
use rustix::event::{PollFd, PollFlags, poll};

use super::{line, open_process};
use crate::{
    common::{
        Client,
        client::{Created, open_system, shell},
    },
    kinds::Kind,
};

pub(super) fn a_system_outlives_its_client_and_its_processes_can_be_taken_up_again(kind: &Kind) {
    let service = kind.service();
    let mut first = service.client();
    kind.run(&mut first, 1, "outlives");
    let mut process = first.create_process(
        1,
        2,
        &shell("read a; echo got $a; until read b; do sleep 0.01; done; echo got $b; exit 6"),
    );
    process.write("one\n");
    line(&mut process, "got one\n");
    let pid = process.pid;
    drop((first, process));

    let mut second = service.client();
    second.call(&open_system(1, "outlives", None)).ok();
    second.call(&open_process(1, 2, pid)).ok();
    let info = second.send(&Call::GetProcessInfo { process: 2 });
    let mut again = second.created(info, 2);
    assert_eq!(again.pid, pid);
    let info = second.call(&Call::GetProcessInfo { process: 2 }).ok();
    assert!(info.descriptors.is_empty(), "they are held now");
    again.write("two\n");
    assert_eq!(again.output(), "got two\n");
    assert_eq!(second.exit_code(2), 6);
    second.terminate(1);
}

fn wait_until_readable(file: &File) {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    poll(&mut polled, None).unwrap();
    assert_eq!(polled[0].revents(), PollFlags::IN);
}

/// Asks for fresh ends of a process's stdio.
fn attach(client: &mut Client, handle: u64) -> Created {
    let request = client.send(&Call::GetProcessInfo { process: handle });
    client.created(request, handle)
}

pub(super) fn stdio_can_be_fetched_again_when_both_client_and_service_have_died(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "attach");
    // It has moved its pipes elsewhere, and other files are in their places.
    let gate = format!("/tmp/hcsd-test-gate-{}", std::process::id());
    let script = format!(
        "exec 7<&0 8>&1 9>&2 0</dev/null 1>/dev/null 2>/dev/null; mkfifo {gate}; echo bad >&9; echo before >&8; \
         read x <&7; echo got $x >&8; read go < {gate}; rm {gate}; read y <&7 || echo end >&8; exit 71"
    );
    let mut process = client.create_process(1, 2, &shell(&script));
    line(&mut process, "before\n");
    process.write("first\n");
    service.kill();
    service.run();

    let mut client = service.client();
    client.call(&open_system(1, "attach", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    let held = attach(&mut client, 2);
    assert!(held.stdin.is_none() && held.stdout.is_none() && held.stderr.is_none());
    wait_until_readable(process.stdout.as_ref().unwrap());
    // What the first client had not read is not lost with it.
    drop(process);
    let mut again = attach(&mut client, 2);
    client.create_process(1, 3, &shell(&format!("echo go > {gate}")));
    assert_eq!(client.exit_code(3), 0);
    let mut stderr = String::new();
    drop(again.stdin.take().unwrap());
    again
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(stderr, "bad\n");
    assert_eq!(again.output(), "got first\nend\n");
    assert_eq!(client.exit_code(2), 71);
    client.terminate(1);
}

pub(super) fn a_stdin_that_was_closed_stays_closed(kind: &Kind) {
    let mut service = kind.service();
    let mut client = service.client();
    kind.run(&mut client, 1, "closed");
    let process = client.create_process(1, 2, &shell("sleep 1000"));
    let close = Call::ModifyProcess {
        process: 2,
        settings: r#"{"Operation":"CloseHandle","CloseHandle":{"Handle":"StdIn"}}"#.to_owned(),
    };
    client.call(&close).ok();
    for _ in 0..2 {
        service.kill();
        service.run();
    }
    let mut client = service.client();
    client.call(&open_system(1, "closed", None)).ok();
    client.call(&open_process(1, 2, process.pid)).ok();
    drop(process);
    let again = attach(&mut client, 2);
    assert!(again.stdin.is_none() && again.stdout.is_some() && again.stderr.is_some());
    client.terminate(1);
}

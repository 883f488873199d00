//! Holes that other container runtimes had, tried with the service and the real agent.

use std::{
    collections::HashSet, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command,
};

use hcs_schema::HResult;
use hcs_wire::service::Call;
use serde_json::{Value, json};

use crate::common::{
    Client, Service, await_that,
    client::{create_process, create_system, shell, start_system},
};

/// A process of the host and all that it and its children have made.
fn family(pid: u32) -> Vec<u32> {
    let children: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse();
            Some((parent.ok()?, pid))
        })
        .collect();
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next).copied() {
        let of_parent = children.iter().filter(|(of, _)| *of == parent);
        all.extend(of_parent.map(|(_, child)| *child));
        next += 1;
    }
    all
}

/// Of a process: open descriptors, threads, resident memory in KiB.
fn holdings(pid: u32) -> [usize; 3] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.unwrap().split_whitespace().next().unwrap();
        number.parse().unwrap()
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    [descriptors, field("Threads:"), field("VmRSS:")]
}

fn resize(process: u64, height: u16) -> Call {
    let size = json!({ "Height": height, "Width": 80 });
    let settings = json!({ "Operation": "ConsoleSize", "ConsoleSize": size });
    Call::ModifyProcess {
        process,
        settings: settings.to_string(),
    }
}

/// Parameters of a command on a terminal.
fn on_console(arguments: &[&str]) -> Value {
    json!({
        "CommandArgs": arguments, "EmulateConsole": true,
        "CreateStdInPipe": true, "CreateStdOutPipe": true,
    })
}

/// Commands that cannot be started, each with sizes for its terminal that are sent before that is known.
fn failing_commands(client: &mut Client, first: u64) {
    for handle in first..first + 20 {
        let command = on_console(&["/no/such/program"]);
        let mut requests = vec![client.send(&create_process(1, handle, &command))];
        requests.extend((1..=30).map(|height| client.send(&resize(handle, height))));
        for request in requests {
            assert_ne!(client.wait(request).reply.result, HResult::S_OK);
        }
    }
}

/// CVE-2022-23471: each size for the terminal of a command that cannot be started is waited for by something that is
/// never ended.
#[test]
fn a_flood_of_sizes_for_a_terminal_keeps_nothing() {
    let service = Service::with_config("warm_slots = 0\n");
    let mut client = service.client();
    client.start_container(1, "box");
    let mut living = client.create_process(1, 2, &on_console(&["/bin/cat"]));
    let sizes = |client: &mut Client| {
        for _ in 0..20 {
            let requests: Vec<u64> = (1..=30).map(|h| client.send(&resize(2, h))).collect();
            for request in requests {
                client.wait(request).ok();
            }
        }
    };
    let name = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let all = family(service.pid()).into_iter();
    let agents: Vec<u32> = all.filter(|pid| name(*pid) == "hcs-agent\n").collect();
    let [agent] = agents.as_slice() else {
        panic!("{agents:?}")
    };
    failing_commands(&mut client, 100);
    sizes(&mut client);
    let before = [service.pid(), *agent].map(holdings);
    for round in 2..6 {
        failing_commands(&mut client, round * 100);
        sizes(&mut client);
    }
    let after = [service.pid(), *agent].map(holdings);
    // 4,800 sizes more.
    for ([descriptors, threads, memory], [then_descriptors, then_threads, then_memory]) in
        before.into_iter().zip(after)
    {
        assert!(then_descriptors <= descriptors + 1, "{before:?} {after:?}");
        assert!(then_threads <= threads + 2, "{before:?} {after:?}");
        assert!(then_memory <= memory + 4096, "{before:?} {after:?}");
    }
    living.write("\x04");
    client.exit_code(2);
    client.terminate(1);
}

/// CVE-2024-21626: the working directory of a process, or its program, is named by a descriptor that leads to a
/// directory of the host and was left open until then.
#[test]
fn a_working_directory_does_not_lead_out_by_descriptors() {
    // Whether the way up from here, if there is one, ends at the container's root.
    let look = "up=.; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do up=$up/..; done; \
                top=$(stat -c %d:%i $up 2> /dev/null) || exec echo stuck; \
                test \"$top\" = \"$(stat -c %d:%i /)\" && echo in || echo out";
    for config in ["", "user_namespaces = true\n"] {
        let service = Service::with_config(config);
        let mut client = service.client();
        client.start_container(1, "box");
        let links = "i=0; while [ $i -lt 16 ]; do ln -s /proc/self/fd/$i /link$i; i=$((i+1)); done";
        client.create_process(1, 2, &shell(links));
        assert_eq!(client.exit_code(2), 0);
        let mut ways: Vec<String> = ["root", "cwd", "fd", "task/1/root", "task/1/cwd"]
            .iter()
            .flat_map(|name| [format!("/proc/1/{name}"), format!("/proc/self/{name}")])
            .collect();
        ways.extend((0..16).flat_map(|fd| {
            [
                format!("/proc/self/fd/{fd}"),
                format!("/proc/thread-self/fd/{fd}"),
                format!("/proc/1/fd/{fd}"),
                format!("/proc/self/fd/{fd}/../../../.."),
                format!("/link{fd}"),
            ]
        }));
        let mut inside = 0;
        for (handle, way) in (10..).zip(&ways) {
            let mut parameters = shell(look);
            parameters["WorkingDirectory"] = json!(way);
            let request = client.send(&create_process(1, handle, &parameters));
            let answer = client.wait(request);
            if answer.reply.result != HResult::S_OK {
                continue;
            }
            // The second of its pipes.
            let mut pipes = answer.descriptors.into_iter().map(fs::File::from);
            let mut output = pipes.nth(1).unwrap();
            let mut said = String::new();
            std::io::Read::read_to_string(&mut output, &mut said).unwrap();
            assert!(
                ["in\n", "stuck\n"].contains(&said.as_str()),
                "{way}: {said:?}"
            );
            inside += usize::from(said == "in\n");
            client.exit_code(handle);
        }
        assert!(inside > 0, "no way was one");
        for (handle, fd) in (1000..).zip(0..16) {
            let program = format!("/proc/self/fd/{fd}/../../../../../../bin/true");
            let parameters = json!({ "CommandArgs": [program] });
            let answer = client.call(&create_process(1, handle, &parameters));
            assert_ne!(answer.reply.result, HResult::S_OK, "{program}");
        }
        client.terminate(1);
    }
}

/// CVE-2020-15257: the runtime listens on a socket without a path, which all processes of the network namespace reach;
/// and a container has that of the host.
#[test]
fn no_abstract_socket_is_there_for_a_container_in_the_hosts_network() {
    let service = Service::new();
    let mut client = service.client();
    let network = json!({ "Namespace": "/proc/self/ns/net" });
    let document = json!({
        "SchemaVersion": { "Major": 2, "Minor": 1 }, "Owner": "test",
        "Container": { "Networking": network },
    });
    let document = document.to_string();
    client.call(&create_system(1, "box", &document)).ok();
    client.call(&start_system(1)).ok();
    let own_network = fs::read_link("/proc/self/ns/net").unwrap();
    let script = "readlink /proc/self/ns/net; cat /proc/net/unix";
    let inside = client.create_process(1, 2, &shell(script)).output();
    assert_eq!(client.exit_code(2), 0);
    let (network, table) = inside.split_once('\n').unwrap();
    assert_eq!(network, own_network.to_str().unwrap());
    let sockets: HashSet<String> = family(service.pid())
        .into_iter()
        .flat_map(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
        })
        .filter_map(|entry| {
            let target = fs::read_link(entry.unwrap().path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut names = HashSet::new();
    for line in table.lines().skip(1) {
        let mut fields = line.split_whitespace().skip(6);
        if sockets.contains(fields.next().unwrap()) {
            names.extend(fields.next().map(str::to_owned));
        }
    }
    assert!(
        names.iter().any(|name| name.contains("hcs.sock")),
        "{names:?}"
    );
    for (handle, name) in (10..).zip(&names) {
        assert!(!name.starts_with('@'), "{names:?}");
        let script = format!("test ! -e '{name}'");
        client.create_process(1, handle, &shell(&script));
        assert_eq!(client.exit_code(handle), 0, "{name} is seen inside");
    }
    client.terminate(1);
}

/// CVE-2021-41091: other users of the host get into the directories that containers write to, and there run a program
/// that root in the container has made with the set-user-ID bit.
#[test]
fn other_users_get_into_no_directory_of_the_service() {
    let service = Service::with_config("warm_slots = 1\n");
    let mut client = service.client();
    client.start_container(1, "box");
    let script = "cp /bin/true /opt/true && chmod 4755 /opt/true && echo made";
    let mut made = client.create_process(1, 2, &shell(script));
    assert_eq!(made.output(), "made\n");
    client.exit_code(2);
    await_that("one is kept ready", || service.ready().len() == 1);
    let root = service.root();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(root.parent().unwrap(), open).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // The socket is there, and a user who may not use it is told so.
    assert_eq!(mode(&root), 0o755);
    for name in ["systems", "slots", "events", "scratch"] {
        assert_eq!(mode(&root.join(name)), 0o700, "{name}");
    }
    let find = |user: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "find"]);
        let found = command.arg(&root).args(["-mindepth", "2"]).output();
        String::from_utf8(found.unwrap().stdout).unwrap()
    };
    let program = find("0");
    let program = program
        .lines()
        .find(|path| path.ends_with("/upper/opt/true"));
    assert!(mode(Path::new(program.unwrap())) & 0o111 != 0);
    assert_eq!(find("65534"), "");
    client.terminate(1);
}

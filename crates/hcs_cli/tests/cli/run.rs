//! `hcs run`: streams, exit codes, options, and that nothing stays.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

use crate::common::{
    Container, ended, hcs, listed, ready, says, script, signal, unique, with_input, words,
};
use rustix::process::Signal;

#[test]
fn output_and_exit_code_come_through() {
    assert_eq!(words("run -- echo hello").fine(), "hello\n");
    let ended = script(&[], "echo out; echo err >&2; exit 42");
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str(), ended.code),
        ("out\n", "err\n", Some(42))
    );
}

#[test]
fn death_by_signal_is_128_and_its_number() {
    assert_eq!(script(&[], "kill -9 $$").code, Some(137));
    assert_eq!(script(&[], "kill -TERM $$").code, Some(143));
}

#[test]
fn a_command_that_is_not_there_is_127_and_one_that_cannot_run_126() {
    let ended = words("run -- no-such-program-here");
    assert_eq!(ended.code, Some(127), "{ended:?}");
    assert!(ended.err.contains("no-such-program-here"), "{ended:?}");
    assert_eq!(words("run -- /etc").code, Some(126));
    assert_eq!(words("run -- /etc/passwd").code, Some(126));
}

#[test]
fn without_i_standard_input_is_empty() {
    let output = with_input(&mut hcs(["run", "--", "cat"]), b"secret".to_vec());
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"".as_slice())
    );
}

#[test]
fn no_byte_is_lost_on_the_way_there_and_back() {
    let sent: Vec<u8> = (0..5_000_000_u32)
        .map(|i| i.to_le_bytes()[usize::from(i % 3 == 0)])
        .collect();
    let output = with_input(&mut hcs(["run", "-i", "--", "cat"]), sent.clone());
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stdout == sent,
        "{} bytes came back",
        output.stdout.len()
    );
}

#[test]
fn files_as_standard_streams_work_too() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, "from a file\n").unwrap();
    fs::write(&to, "before\n").unwrap();
    let status = hcs(["run", "-i", "--", "sh", "-c", "cat; exit 3"])
        .stdin(fs::File::open(&from).unwrap())
        .stdout(fs::OpenOptions::new().append(true).open(&to).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(fs::read_to_string(&to).unwrap(), "before\nfrom a file\n");
}

#[test]
fn a_reader_that_leaves_ends_the_command() {
    let mut child = hcs(["run", "--", "yes"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "y\n");
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
}

#[test]
fn processes_left_in_the_background_do_not_hold_it_up() {
    assert_eq!(script(&[], "sleep 1000 & echo done").fine(), "done\n");
}

#[test]
fn environment_directory_user_and_host_name_are_set() {
    let options = [
        "-e",
        "COLOUR=blue",
        "-w",
        "/usr",
        "-u",
        "65534",
        "--hostname",
        "box",
    ];
    let out = script(&options, "echo $COLOUR $PWD $(id -u) $(hostname)").fine();
    assert_eq!(out, "blue /usr 65534 box\n");
    let taken = ended(hcs(["run", "-e", "OURS", "--", "printenv", "OURS"]).env("OURS", "yes"));
    assert_eq!(taken.fine(), "yes\n");
}

#[test]
fn mapped_directories_are_shared_and_ro_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "there\n").unwrap();
    let mount = format!("{}:/mnt", folder.path().display());
    let out = script(
        &["--mount", &mount],
        "cat /mnt/file; echo new > /mnt/written",
    )
    .fine();
    assert_eq!(out, "there\n");
    assert_eq!(
        fs::read_to_string(folder.path().join("written")).unwrap(),
        "new\n"
    );
    let ended = script(
        &["--mount", &format!("{mount}:ro")],
        "cat /mnt/file; echo x > /mnt/file",
    );
    assert_ne!(ended.code, Some(0));
    assert_eq!(ended.out, "there\n");
    assert_eq!(
        fs::read_to_string(folder.path().join("file")).unwrap(),
        "there\n"
    );
}

#[test]
fn what_is_written_inside_stays_inside() {
    let name = format!("/etc/{}", unique("file"));
    assert_eq!(
        script(&[], &format!("echo x > {name} && cat {name}")).fine(),
        "x\n"
    );
    assert!(!fs::exists(&name).unwrap());
}

#[test]
fn a_layer_is_the_root_and_scratch_keeps_what_was_written() {
    let layer = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(layer.path().join("bin")).unwrap();
    fs::copy("/bin/busybox", layer.path().join("bin/busybox")).unwrap();
    let options = [
        "run",
        "--layer",
        layer.path().to_str().unwrap(),
        "--scratch",
        scratch.path().to_str().unwrap(),
        "--",
        "/bin/busybox",
        "sh",
        "-c",
    ];
    let run = |script: &str| ended(&mut hcs([&options[..], &[script]].concat())).fine();
    run("echo kept > /note");
    assert_eq!(run("/bin/busybox cat /note"), "kept\n");
    assert!(!layer.path().join("note").exists());
}

#[test]
fn the_memory_limit_is_a_limit() {
    let ended = words("run --memory 32 -- tail /dev/zero");
    assert_eq!(ended.code, Some(137), "{ended:?}");
    assert_eq!(
        ended.err, "hcs: killed: out of memory (limit 32 MB)\n",
        "{ended:?}"
    );
}

#[test]
fn the_limit_of_processes_is_told_when_it_is_reached() {
    let id = unique("processes");
    let fork = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done 2>/dev/null; wait";
    let told = "hcs: failed: a process or thread more was refused, as there may be 8 in the container: `hcs run --pids-limit` \
                says how many\n";
    let run = |script: &str| {
        let shell = ["run", "--pids-limit", "8", "--", "sh", "-c", script];
        ended(&mut hcs(shell))
    };
    let refused = run(fork);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert!(refused.err.ends_with(told), "{refused:?}");
    // A failure for another reason is not explained by it.
    let frugal = run("exit 3");
    assert_eq!((frugal.code, frugal.err.as_str()), (Some(3), ""));
    // Where there is no room for one more, the command of exec does not start.
    let full = "sleep 1000 & sleep 1000 & echo ready; wait";
    let limited = ["run", "--id", &id, "--pids-limit", "4"];
    let mut holder = ready(&mut hcs([&limited[..], &["--", "sh", "-c", full]].concat()));
    let refused = words(&format!("exec {id} -- true"));
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for said in ["no process can be made", "--pids-limit"] {
        assert!(refused.err.contains(said), "{refused:?}");
    }
    words(&format!("terminate {id}")).fine();
    holder.wait().unwrap();
}

#[test]
fn a_child_that_was_killed_for_want_of_memory_is_told_of() {
    let run = |script| {
        ended(&mut hcs([
            "run", "--memory", "32", "--", "sh", "-c", script,
        ]))
    };
    let survivor = run("tail /dev/zero 2>/dev/null; exit 3");
    assert_eq!(survivor.code, Some(3), "{survivor:?}");
    let said = "hcs: 1 process in it was killed: out of memory (limit 32 MB)\n";
    assert!(survivor.err.ends_with(said), "{survivor:?}");
    let frugal = run("exit 3");
    assert_eq!((frugal.code, frugal.err.as_str()), (Some(3), ""));
}

#[test]
fn who_is_killed_for_want_of_memory_is_told_so_and_no_other() {
    let limited = Container::with("memory", "--memory 32");
    let other = Container::new("memory-other");
    let kills = |id: &str, pid: &str| {
        let events = words(&format!("events --system {id}")).fine();
        let told = |line: &&str| line.contains("OutOfMemory") || line.contains("out of memory");
        let lines = events.lines().filter(told);
        lines.filter(|line| line.contains(pid)).count()
    };
    let exec = |id: &str, script: &str| ended(&mut hcs(["exec", id, "--", "sh", "-c", script]));
    let hungry = exec(&limited.0, "exec tail /dev/zero");
    let said = "hcs: killed: out of memory (limit 32 MB)\n";
    assert_eq!((hungry.code, hungry.err.as_str()), (Some(137), said));
    // One whose own child was killed, and one that killed itself.
    let survivor = exec(&limited.0, "tail /dev/zero; exit 3");
    assert_eq!(survivor.code, Some(3), "{survivor:?}");
    let killed = exec(&limited.0, "kill -9 $$");
    assert_eq!((killed.code, killed.err.as_str()), (Some(137), ""));
    assert_eq!(exec(&other.0, "exit 4").code, Some(4));
    for kind in ["ProcessExited", "OperationNoted"] {
        assert_eq!(kills(&limited.0, kind), 1, "{kind}");
    }
    assert_eq!(
        kills(&limited.0, "1 killed, out of memory (limit 32 MB)"),
        2
    );
    assert_eq!(kills(&other.0, ""), 0);
    let events = words(&format!("events --system {} --format json", limited.0)).fine();
    let created = events
        .lines()
        .find(|line| line.contains("\"ProcessCreated\""))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .unwrap();
    let operation = created["Operation"].as_str().unwrap();
    let told = words(&format!("explain {operation}")).fine();
    assert!(
        told.contains(" was killed: out of memory (limit 32 MB)\n"),
        "{told}"
    );
}

#[test]
fn the_container_is_gone_when_run_returns_and_stays_with_keep() {
    let id = unique("gone");
    words(&format!("run --id {id} -- true")).fine();
    assert!(!listed().contains(&id));
    words(&format!("run --id {id} --keep -- true")).fine();
    assert!(listed().contains(&id));
    words(&format!("terminate {id}")).fine();
    assert!(!listed().contains(&id));
}

/// A script that runs inside and has said `ready`.
fn script_in(id: &str, script: &str) -> Child {
    ready(&mut hcs(["run", "--id", id, "--", "sh", "-c", script]))
}

#[test]
fn signals_reach_the_command() {
    let id = unique("signal");
    let script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let child = script_in(&id, script);
    signal(&child, Signal::TERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(7), b"got\n".as_slice())
    );
    assert!(!listed().contains(&id));
}

#[test]
fn the_second_interrupt_kills_what_ignores_the_first() {
    let id = unique("stubborn");
    let mut child = script_in(
        &id,
        "trap 'echo no' INT; echo ready; while :; do sleep 0.05; done",
    );
    signal(&child, Signal::INT);
    says(&mut child, "no\n");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(137));
    assert!(!listed().contains(&id));
}

#[test]
fn a_process_has_its_three_streams_and_nothing_else() {
    for options in [&[][..], &["--userns"]] {
        // The fourth is the directory that is being read.
        let seen = script(
            options,
            "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/1",
        )
        .fine();
        assert!(seen.starts_with("0 1 2 3 pipe:"), "{seen}");
    }
}

/// Where owners are not shifted a directory of the host's root cannot be written: said before anything runs.
#[test]
fn a_mount_that_a_user_namespace_could_not_write_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("{}:/mnt", folder.path().display());
    let refused = script(&["--userns", "--mount", &mount], "echo x > /mnt/file");
    assert_eq!(refused.code, Some(125), "{refused:?}");
    for word in ["belongs to user 0", ":shift", ":ro"] {
        assert!(refused.err.contains(word), "{refused:?}");
    }
    let shifted = format!("{mount}:shift");
    script(&["--userns", "--mount", &shifted], "echo x > /mnt/file").fine();
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(folder.path().join("file")).unwrap());
    assert_eq!(owner, rustix::process::geteuid().as_raw());
}

#[test]
fn no_set_user_id_program_gets_to_the_host_unless_it_is_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mode = || {
        let found = fs::metadata(folder.path().join("program")).unwrap();
        found.permissions().mode() & 0o7777
    };
    let mount = format!("{}:/mnt:shift", folder.path().display());
    let make = "cp /bin/true /mnt/program; chmod 755 /mnt/program; chmod 4755 /mnt/program";
    for userns in [&[][..], &["--userns"]] {
        let made = script(&[userns, &["--mount", &mount]].concat(), make);
        assert_ne!(made.code, Some(0), "{made:?}");
        assert_eq!(mode(), 0o755);
    }
    let allowed = format!("{mount},suid");
    script(&["--mount", &allowed], make).fine();
    assert_eq!(mode(), 0o4755);
}

#[test]
fn root_can_be_an_unprivileged_user_of_the_host() {
    let map = script(
        &["--userns"],
        "id -u; cat /proc/self/uid_map; echo again > /dev/stdout",
    )
    .fine();
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[4]), ("0", "0", "again"), "{map}");
    assert!(words[2].parse::<u32>().unwrap() >= 1000, "{map}");
}

/// Row N5.
#[test]
fn a_command_starts_in_the_current_directory_which_is_a_copy() {
    let place = tempfile::tempdir().unwrap();
    let work = place.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("file"), "theirs").unwrap();
    for options in [&[][..], &["--userns"]] {
        let script =
            "pwd; cat file; echo mine > file; cat file; ls -A ..; echo $HOME; ls -A ~; touch ~/new";
        let mut line = hcs([&["run"], options, &["--", "sh", "-c", script]].concat());
        let said = ended(line.current_dir(&work)).fine();
        let expected = format!("{}\ntheirsmine\nwork\n/root\n", work.display());
        assert_eq!(said, expected);
        assert_eq!(fs::read_to_string(work.join("file")).unwrap(), "theirs");
        // Where a user asks for another directory, or for all files, that is another matter.
        let mut line = hcs([&["run", "-w", "/usr"], options, &["--", "pwd"]].concat());
        assert_eq!(ended(line.current_dir(&work)).fine(), "/usr\n");
        let mut line = hcs([&["run", "--layer", "/"], options, &["--", "pwd"]].concat());
        assert_eq!(ended(line.current_dir(&work)).fine(), "/\n");
        for own in ["/", "/proc", "/dev"] {
            let mut line = hcs([&["run"], options, &["--", "pwd"]].concat());
            assert_eq!(ended(line.current_dir(own)).fine(), "/\n");
        }
    }
}

/// Row F8.
#[test]
fn a_directory_that_the_default_view_leaves_out_is_explained() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().to_str().unwrap();
    let refused = ended(&mut hcs(["run", "-w", path, "--", "pwd"]));
    assert_eq!(refused.code, Some(125), "{refused:?}");
    let way_out = format!("--mount {path}:{path}");
    assert!(refused.err.contains(&way_out), "{refused:?}");
    let mount = format!("{path}:{path}");
    let shown = ended(&mut hcs([
        "run", "--mount", &mount, "-w", path, "--", "pwd",
    ]));
    assert_eq!(shown.fine(), format!("{path}\n"));
    let program = place.path().join("program");
    fs::copy("/bin/true", &program).unwrap();
    let refused = ended(&mut hcs(["run", "--", program.to_str().unwrap()]));
    assert_eq!(refused.code, Some(127), "{refused:?}");
    assert!(refused.err.contains("--mount"), "{refused:?}");
    // What an option of the caller's covers.
    let below = ["run", "--read-only", "--tmpfs", "/tmp"];
    let hidden = ended(hcs([&below[..], &["--", "pwd"]].concat()).current_dir(place.path()));
    assert_eq!(hidden.code, Some(125), "{hidden:?}");
    for said in ["--tmpfs /tmp is in the place", &way_out] {
        assert!(hidden.err.contains(said), "{hidden:?}");
    }
    let shown = [&below[..], &["--mount", &mount, "--", "pwd"]].concat();
    let shown = ended(hcs(shown).current_dir(place.path()));
    assert_eq!(shown.fine(), format!("{path}\n"));
    // No image has such a name.
    let refused = ended(&mut hcs(["run", "--", "./nowhere"]));
    assert_eq!(refused.code, Some(127), "{refused:?}");
    assert!(!refused.err.contains("an image"), "{refused:?}");
    // What is nowhere is not explained like that.
    let refused = ended(&mut hcs(["run", "-w", "/nowhere/at/all", "--", "pwd"]));
    assert!(!refused.err.contains("--mount"), "{refused:?}");
}

#[test]
fn a_current_directory_that_no_document_can_name_is_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = tempfile::tempdir().unwrap();
    let odd = place.path().join(std::ffi::OsStr::from_bytes(b"odd \xff"));
    fs::create_dir(&odd).unwrap();
    let run = |line: &[&str]| ended(hcs([&["run"], line].concat()).current_dir(&odd));
    let told = run(&["--", "pwd"]);
    assert_eq!((told.code, told.out.as_str()), (Some(0), "/\n"), "{told:?}");
    assert!(
        told.err.contains("odd \\xFF\", is not seen inside"),
        "{told:?}"
    );
    assert_eq!(run(&["--layer", "/", "--", "pwd"]).fine(), "/\n");
}

#[test]
fn what_the_default_view_leaves_out_is_told_by_the_service() {
    let answer: serde_json::Value =
        serde_json::from_str(&words("service Capabilities").fine()).unwrap();
    let view = &answer["PropertyResponses"]["Capabilities"]["Response"]["HostView"];
    for (list, path) in [
        ("Empty", "/home"),
        ("Empty", "/root"),
        ("Hidden", "/etc/shadow"),
    ] {
        assert!(
            view[list].as_array().unwrap().contains(&path.into()),
            "{view}"
        );
        let there = script(&[], &format!("cat {path} 2>&1 || ls -A {path}"));
        assert!(
            !there.out.lines().any(|line| line.starts_with("root:")),
            "{there:?}"
        );
    }
}

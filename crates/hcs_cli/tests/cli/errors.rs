//! What goes wrong is said in words, and told by the exit code.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, net::UnixListener},
};

use crate::common::{Container, ended, hcs, ready, shell, unique, with_input, words};

#[test]
fn a_wrong_command_line_is_125_and_help_is_0() {
    assert_eq!(words("run").code, Some(125));
    assert_eq!(words("no-such-verb").code, Some(125));
    let help = words("run --help");
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Examples:"), "{help:?}");
}

#[test]
fn a_system_that_is_not_there_is_named() {
    let ended = words("exec never-made -- true");
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.starts_with("hcs: "), "{ended:?}");
    assert!(ended.err.contains("never-made"), "{ended:?}");
    assert!(ended.err.contains("HCS_E_SYSTEM_NOT_FOUND"), "{ended:?}");
}

#[test]
fn the_name_of_a_new_system_goes_after_id() {
    let ended = words("create box");
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.contains("hcs create --id box"), "{ended:?}");
}

#[test]
fn a_command_for_a_system_that_was_not_started_says_how_to_start_it() {
    let id = unique("created");
    words(&format!("create --id {id}")).fine();
    let ended = words(&format!("exec {id} -- true"));
    assert_eq!(ended.code, Some(125));
    let hint = format!("\n  first: hcs start {id}\n  its steps: hcs explain ");
    assert!(ended.err.contains(&hint), "{ended:?}");
    words(&format!("terminate {id}")).fine();
}

#[test]
fn what_json_cannot_hold_is_named() {
    let odd = OsStr::from_bytes(b"a\xffb");
    let argument = ended(hcs(["run", "--", "echo"]).arg(odd));
    assert_eq!(argument.code, Some(125));
    assert!(argument.err.contains("\"a\\xFFb\""), "{argument:?}");
    let variable = ended(hcs(["run", "--env", "ODD", "--", "true"]).env("ODD", odd));
    assert_eq!(variable.code, Some(125));
    assert!(variable.err.contains("value of ODD"), "{variable:?}");
}

#[test]
fn without_a_working_directory_only_relative_paths_are_refused() {
    let gone = |line: &str| {
        ended(&mut shell(&format!(
            "d=$(mktemp -d) && cd $d && rmdir $d && exec $HCS {line}"
        )))
    };
    assert_eq!(gone("run -- echo here").fine(), "here\n");
    let relative = gone("run --layer x -- true");
    assert_eq!(relative.code, Some(125));
    assert!(
        relative.err.contains("\"x\" cannot be found"),
        "{relative:?}"
    );
}

#[test]
fn a_service_that_does_not_even_answer_is_given_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = folder.path().join("hcs.sock");
    let _silent = UnixListener::bind(&endpoint).unwrap();
    let mut list = hcs(["list", "--timeout", "0.2"]);
    let late = ended(list.env("HCS_ENDPOINT", &endpoint));
    assert_eq!(late.code, Some(124), "{late:?}");
    let said =
        "hcs: list was not done within 0.2 seconds and was given up [HCS_E_OPERATION_TIMEOUT]\n";
    assert!(late.err.starts_with(said), "{late:?}");
    let silent = format!(
        "the host compute service at {} did not answer in time\n  process {} listens there",
        endpoint.display(),
        std::process::id()
    );
    assert!(late.err.contains(&silent), "{late:?}");
    let mut run = hcs(["run", "--timeout", "0.2", "--", "true"]);
    let late = ended(run.env("HCS_ENDPOINT", &endpoint));
    assert_eq!(late.code, Some(124), "{late:?}");
    assert!(late.err.contains(&silent), "{late:?}");
}

#[test]
fn an_id_is_given_once() {
    let container = Container::new("twice");
    let ended = words(&format!("create --id {}", container.0));
    assert_eq!(ended.code, Some(125));
    assert!(
        ended.err.contains("HCS_E_SYSTEM_ALREADY_EXISTS"),
        "{ended:?}"
    );
}

#[test]
fn a_document_takes_the_place_of_all_options_of_containers() {
    for option in ["--userns", "--memory 32", "--hostname a"] {
        let ended = words(&format!("create --document none.json {option}"));
        assert_eq!(ended.code, Some(125));
        assert!(ended.err.contains("cannot be used with"), "{ended:?}");
    }
}

#[test]
fn a_bad_document_is_refused_with_pointer_line_and_column() {
    let text = "{\n  \"Container\": {\"Memory\": {\"SizeInMb\": 5}}\n}";
    let pointer = "/Container/Memory/SizeInMb (line 2, column 28)";
    let create = hcs(["create", "--id", &unique("bad"), "--document", "-"]);
    let validate = hcs(["validate", "-"]);
    for (mut command, code) in [(create, 125), (validate, 1)] {
        let output = with_input(&mut command, text.as_bytes().to_vec());
        assert_eq!(output.status.code(), Some(code));
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains(pointer), "{said}");
        assert!(
            said.contains("SizeInMB"),
            "the right name is suggested: {said}"
        );
    }
}

#[test]
fn validate_tells_good_documents_from_bad_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("system.json");
    fs::write(&file, "{\"Container\": {}}").unwrap();
    let path = file.to_str().unwrap();
    let good = ended(&mut hcs(["validate", path]));
    assert_eq!((good.code, good.out), (Some(0), format!("{path}: valid\n")));
    fs::write(&file, "{\"CommandLine\": \"true\", \"Environment\": []}").unwrap();
    let bad = ended(&mut hcs([
        "validate", "--type", "process", "--format", "json", path,
    ]));
    assert_eq!(bad.code, Some(1));
    let document: serde_json::Value = serde_json::from_str(&bad.out).unwrap();
    assert!(
        document["ErrorEvents"].to_string().contains("/Environment"),
        "{document}"
    );
    let missing = words("validate /no/such/file.json");
    assert_eq!(missing.code, Some(125));
    assert!(missing.err.contains("/no/such/file.json"), "{missing:?}");
}

#[test]
fn a_layer_that_is_not_there_is_named() {
    let ended = words("run --layer /no/such/layer -- true");
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.contains("/no/such/layer"), "{ended:?}");
    assert!(
        ended.err.contains("/Container/Storage/Layers/0"),
        "{ended:?}"
    );
}

#[test]
fn without_a_service_program_the_places_looked_at_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = hcs(["list"]);
    command
        .env("HCS_ENDPOINT", folder.path().join("hcs.sock"))
        .env("HCS_DAEMON", folder.path().join("no-hcsd"));
    let ended = ended(&mut command);
    assert_eq!(ended.code, Some(125));
    assert!(ended.err.contains("no-hcsd"), "{ended:?}");
    assert!(
        ended.err.contains("HCS_E_SERVICE_NOT_AVAILABLE"),
        "{ended:?}"
    );
}

#[test]
fn standard_output_that_cannot_be_written_is_a_failure() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = ended(hcs(["run", "--", "echo", "x"]).stdout(full));
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.err.contains("standard output"), "{ended:?}");
}

/// Row N10.
#[test]
fn a_scratch_that_is_in_use_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().to_str().unwrap();
    let _container = Container::with("scratch", &format!("--scratch {scratch}"));
    for line in ["run --scratch . -- true", "create --scratch ."] {
        let mut again = hcs(line.split(' '));
        let said = ended(again.current_dir(folder.path()));
        assert_eq!(said.code, Some(125), "{said:?}");
        let cause = format!("{scratch} is the scratch of another container");
        assert!(said.err.contains(&cause), "{said:?}");
        assert!(said.err.contains("`hcs list`"), "{said:?}");
    }
}

/// Row F14.
#[test]
fn a_scratch_on_an_overlay_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().display();
    // The service looks into its own mounts, which are the host's.
    let script = format!(
        "cd {here} && mkdir low up work shown && mount -t overlay overlay -o lowerdir=low,upperdir=up,workdir=work shown && \
         mkdir shown/scratch"
    );
    ended(&mut shell(&script)).fine();
    let scratch = format!("{here}/shown/scratch");
    let said = ended(&mut hcs(["run", "--scratch", &scratch, "--", "true"]));
    ended(&mut shell(&format!("umount {here}/shown"))).fine();
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("name a directory on ext4"), "{said:?}");
}

/// Row F14.
#[test]
fn a_mount_over_dev_is_what_the_container_has_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("only"), "").unwrap();
    let mount = format!("{}:/dev:shift", folder.path().display());
    for userns in ["--userns", "--userns=no"] {
        let line = ["run", "--mount", &mount, userns, "--", "ls", "/dev"];
        assert_eq!(ended(&mut hcs(line)).fine(), "only\n");
    }
}

/// Row F14.
#[test]
fn a_start_that_a_terminate_overtakes_says_so() {
    let id = unique("overtaken");
    let mut run = hcs(["run", "--id", &id, "--", "sh", "-c", "sleep 1000"]);
    let child = run.stderr(std::process::Stdio::piped()).spawn().unwrap();
    // As soon as there is something of that name, wherever in its start it is.
    let mut ends = std::iter::repeat_with(|| words(&format!("terminate {id}")));
    assert!(ends.any(|end| end.code == Some(0)));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    match output.status.code() {
        // It had begun by then.
        Some(137) => {}
        Some(125) => assert!(
            ["terminate", "ended while it was starting", "has stopped"]
                .iter()
                .any(|reason| said.contains(reason)),
            "{said}"
        ),
        other => panic!("{other:?}: {said}"),
    }
}

/// Row N10.
#[test]
fn a_network_namespace_is_a_name() {
    let path = words("run --net-namespace ../x -- true");
    assert_eq!(path.code, Some(125));
    assert!(path.err.contains("`ip netns list`"), "{path:?}");
    let missing = words("run --net-namespace no-such-name -- true");
    assert_eq!(missing.code, Some(125));
    assert!(
        missing
            .err
            .contains("`ip netns add no-such-name && ip -n no-such-name link set lo up`"),
        "{missing:?}"
    );
}

/// Row N10.
#[test]
fn messages_have_no_numbers_of_errors_and_no_useless_parts_of_paths() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    for line in [
        "run --layer ./a/../b/./none -- true",
        "run --mount ./a/../b/./none:/x -- true",
        "run --scratch ./a/../b/./none -- true",
        "validate none.json",
        "create --document none.json",
        "man ./none",
    ] {
        let said = ended(hcs(line.split(' ')).current_dir(here));
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.err.contains("none"), "{said:?}");
        assert!(!said.err.contains("os error"), "{said:?}");
        assert!(!said.err.contains("/./"), "{said:?}");
    }
    let sibling = ended(hcs(["run", "--layer", "../no-such", "--", "true"]).current_dir(here));
    let parent = folder.path().parent().unwrap().join("no-such");
    assert!(
        sibling.err.contains(parent.to_str().unwrap()),
        "{sibling:?}"
    );
    assert!(!sibling.err.contains(".."), "{sibling:?}");
}

/// Row N10.
#[test]
fn numbers_that_are_wrong_are_told_with_right_ones() {
    for (line, expected) in [
        ("run --memory 5X -- true", "512M, 2G or 1T"),
        ("run --scratch-size 5K -- true", "512M, 2G or 1T"),
        ("signal box 12 RTMIN+99", "such as TERM or RTMIN+3"),
    ] {
        let said = words(line);
        assert_eq!(said.code, Some(125), "{said:?}");
        assert!(said.err.contains(expected), "{said:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "[limits]\nconnections = -3\n").unwrap();
    let mut list = hcs(["list"]);
    list.env("HCS_ENDPOINT", folder.path().join("hcs.sock"))
        .env("HCS_CONFIG", &file);
    let said = ended(&mut list);
    assert_eq!(said.code, Some(125), "{said:?}");
    let expected = "line 2: invalid value: integer `-3`, expected a whole number of at least 0\n";
    assert!(said.err.contains(expected), "{said:?}");
}

/// Row F15.
#[test]
fn signals_of_real_time_reach_a_process() {
    let container = Container::new("rt");
    let id = &container.0;
    let script = "trap 'exit 5' 37; echo ready; while :; do sleep 1; done";
    let mut exec = ready(&mut hcs(["exec", id, "--", "bash", "-c", script]));
    let list: serde_json::Value =
        serde_json::from_str(&words(&format!("ps {id} --json")).fine()).unwrap();
    let bash = |one: &&serde_json::Value| one["ImageName"] == "bash";
    let pid = &list.as_array().unwrap().iter().find(bash).unwrap()["ProcessId"];
    words(&format!("signal {id} {pid} RTMIN+3")).fine();
    assert_eq!(exec.wait().unwrap().code(), Some(5));
}

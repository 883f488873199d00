//! What processes may do beside what their users may, and that they cannot reach the agent that starts them.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{PermissionsExt as _, chown},
    process::Stdio,
};

use crate::common::{Container, ended, hcs, script};

/// A line of `/proc/self/status` of a process in a container that is made with `options`.
fn status(options: &[&str], key: &str) -> String {
    let script_text = format!("sed -n 's/^{key}:\\s*//p' /proc/self/status");
    script(options, &script_text).fine().trim_end().to_owned()
}

#[test]
fn capabilities_are_given_and_taken_by_name() {
    assert_eq!(status(&[], "CapEff"), "00000000800405fb");
    let more = ["--cap-add", "net_raw"];
    assert_eq!(status(&more, "CapEff"), "00000000800425fb");
    let none = ["--cap-drop", "ALL"];
    for set in ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"] {
        assert_eq!(status(&none, set), "0000000000000000", "{set}");
    }
    let one = ["--cap-drop", "ALL", "--cap-add", "CHOWN"];
    assert_eq!(status(&one, "CapEff"), "0000000000000001");
    // A user who is not root has what was added, and no more.
    let user = ["-u", "1000", "--cap-add", "NET_RAW"];
    assert_eq!(status(&user, "CapEff"), "0000000000002000");
    assert_eq!(status(&user, "CapBnd"), "00000000800425fb");
    assert_eq!(status(&["-u", "1000"], "CapEff"), "0000000000000000");
}

#[test]
fn a_process_gets_no_more_than_its_container_was_made_with() {
    let container = Container::with("caps", "--cap-drop ALL");
    let exec = |options: &[&str]| {
        let sed = ["--", "sed", "-n", "s/^CapEff:\\t//p", "/proc/self/status"];
        ended(&mut hcs([&["exec", &container.0], options, &sed].concat()))
    };
    assert_eq!(exec(&[]).fine(), "0000000000000000\n");
    assert_eq!(exec(&["--cap-add", "KILL"]).fine(), "0000000000000020\n");
    assert_eq!(exec(&["--cap-add", "ALL"]).fine(), "00000000800405fb\n");
    let refused = exec(&["--cap-add", "SYS_ADMIN"]);
    assert_ne!(refused.code, Some(0));
    for part in ["CAP_SYS_ADMIN", "hcs create --cap-add", "CAP_CHOWN"] {
        assert!(refused.err.contains(part), "{refused:?}");
    }
    let unknown = exec(&["--cap-add", "NETRAW"]);
    assert!(
        unknown.err.contains("did you mean CAP_NET_RAW?"),
        "{unknown:?}"
    );
}

#[test]
fn set_user_id_programs_work_where_that_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    chown(&program, Some(0), Some(0)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    // Mapped directories have nosuid; a layer has not.
    let scratch =
        "cp /id/id /opt/id; chmod 4755 /opt/id; setpriv --reuid 1000 --clear-groups /opt/id -u";
    let mount = format!("{}:/id:ro", place.path().display());
    let with = |more: &[&str]| script(&[&["--mount", &mount], more].concat(), scratch).fine();
    assert_eq!(with(&[]), "1000\n");
    assert_eq!(with(&["--allow-new-privileges"]), "0\n");
    assert_eq!(with(&["--allow-new-privileges", "--userns"]), "0\n");
}

#[test]
fn limits_are_those_of_the_container_or_of_the_process() {
    let container = Container::with("limits", "--ulimit nofile=64:128 --ulimit core=0");
    let exec = |options: &[&str]| {
        let shell = ["--", "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c"];
        ended(&mut hcs([&["exec", &container.0], options, &shell].concat()))
    };
    assert_eq!(exec(&[]).fine(), "64\n128\n0\n");
    assert_eq!(exec(&["--ulimit", "nofile=32"]).fine(), "32\n32\n0\n");
    // More than anybody may have.
    let refused = exec(&["--ulimit", "nofile=unlimited"]);
    assert!(
        refused.err.contains("its limit nofile cannot be unlimited"),
        "{refused:?}"
    );
}

#[test]
fn a_process_stopped_before_it_runs_is_told_of_and_holds_nobody_up() {
    for options in ["", "--userns"] {
        let container = Container::with("stopped", options);
        // Stops what gets one of the next numbers as soon as it is there. What is stopped as the agent's copy stays so, what
        // runs its program already goes on. Several numbers, as some come and go while this one waits for a processor.
        let stopper = r#"$| = 1; my $n = $$ + 1; print "ready\n"; while (1) {
            my $k = 0; for my $i ($n .. $n + 15) { if (kill STOP => $i) { $k = $i; last } }
            next unless $k; my $s = "";
            until ($s =~ /^\d+ \((.*)\) [TZX]/s) { open my $f, "<", "/proc/$k/stat" or last; $s = <$f> // last }
            if ($s =~ /\(hcs-agent\) T/) { print "hit\n"; exit } kill CONT => $k; $n = $k + 1 }"#;
        let mut attack = hcs(["exec", &container.0, "--", "perl", "-e", stopper])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        crate::common::says(&mut attack, "ready\n");
        let exec = || {
            let line = ["exec", "--timeout", "20", &container.0, "--", "true"];
            ended(&mut hcs(line))
        };
        let told = (0..1000)
            .map(|_| exec())
            .find(|ended| ended.code != Some(0));
        let told = told.unwrap_or_else(|| panic!("none was stopped in time"));
        assert!(told.err.contains("stopped it by a signal"), "{told:?}");
        let mut said = String::new();
        attack
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(said, "hit\n");
        attack.wait().unwrap();
        exec().fine();
    }
}

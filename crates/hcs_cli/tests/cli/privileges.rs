//! What processes may do beside what their users may, and that they cannot reach the agent that starts them.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
};

use crate::common::{Container, ended, hcs, script};

/// A line of `/proc/self/status` of a process in a container that is made with `options`.
fn status(options: &[&str], key: &str) -> String {
    let script_text = format!("sed -n 's/^{key}:\\s*//p' /proc/self/status");
    script(options, &script_text).fine().trim_end().to_owned()
}

/// Row F15.
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

/// Row F15.
#[test]
fn set_user_id_programs_work_where_that_was_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let program = place.path().join("id");
    fs::copy("/usr/bin/id", &program).unwrap();
    chown(&program, Some(0), Some(0)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    // Mapped directories have nosuid; a layer has not. Beside something that is mapped, the bit has to be asked for.
    let scratch =
        "cp /id/id /opt/id; chmod 4755 /opt/id; setpriv --reuid 1000 --clear-groups /opt/id -u";
    let mount = format!("{}:/id:ro,suid", place.path().display());
    let with = |more: &[&str]| script(&[&["--mount", &mount], more].concat(), scratch).fine();
    assert_eq!(with(&[]), "1000\n");
    assert_eq!(with(&["--allow-new-privileges"]), "0\n");
    assert_eq!(with(&["--allow-new-privileges", "--userns"]), "0\n");
}

/// Debian's `ping` is one: it has `CAP_NET_RAW` as a file, which is not among the usual ones.
#[test]
fn a_capability_that_a_program_wants_is_named() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("wants");
    fs::copy("/bin/true", &program).unwrap();
    // Revision 2 with its effective bit, CAP_NET_RAW and CAP_SYS_TIME as permitted.
    let words: [u32; 5] = [0x0200_0001, 1 << 13 | 1 << 25, 0, 0, 0];
    let value = words.map(u32::to_le_bytes).concat();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&program, "security.capability", &value, flags).unwrap();
    let layer = place.path().to_str().unwrap();
    let run = |more: &[&str]| {
        let layers = ["run", "--userns=no", "--layer", layer, "--layer", "/"];
        ended(&mut hcs([&layers, more, &["--", "/wants"]].concat()))
    };
    let refused = run(&[]);
    assert_eq!(refused.code, Some(126), "{refused:?}");
    assert!(
        refused.err.contains("--cap-add NET_RAW --cap-add SYS_TIME"),
        "{refused:?}"
    );
    run(&["--cap-add", "NET_RAW", "--cap-add", "SYS_TIME"]).fine();
}

/// Row F15.
#[test]
fn limits_are_those_of_the_container_or_of_the_process() {
    let container = Container::with("limits", "--ulimit nofile=64:128 --ulimit core=0");
    let exec = |options: &[&str]| {
        let shell = ["--", "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c"];
        ended(&mut hcs([&["exec", &container.0], options, &shell].concat()))
    };
    assert_eq!(exec(&[]).fine(), "64\n128\n0\n");
    assert_eq!(exec(&["--ulimit", "nofile=32"]).fine(), "32\n32\n0\n");
    // More than any process may have.
    let refused = exec(&["--ulimit", "nofile=unlimited"]);
    assert!(
        refused.err.contains("its limit nofile cannot be unlimited"),
        "{refused:?}"
    );
}

/// Stops a process that is about to become its program, which it has a lease on: `execve(2)` waits for the lease, and
/// the kernel says so by SIGIO. The lease lasts until the process is gone.
const STOPPER: &str = r#"
import fcntl, os, select, shutil, signal
shutil.copy("/bin/true", "/tmp/held")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
held = os.open("/tmp/held", os.O_RDONLY)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
signal.sigwait([signal.SIGIO])
name = lambda process: open(f"/proc/{process}/comm").read().strip()
processes = [process for process in os.listdir("/proc") if process.isdigit()]
copies = [int(process) for process in processes if name(process) == "hcs-agent" and process != "1"]
ends = select.poll()
ends.register(os.pidfd_open(*copies), select.POLLIN)
os.kill(*copies, signal.SIGSTOP)
ends.poll()
print("ended", flush=True)
"#;

#[test]
fn a_process_stopped_before_it_runs_is_told_of_and_holds_up_no_other() {
    for options in ["", "--userns"] {
        let container = Container::with("stopped", options);
        let stopper = ["exec", &container.0, "--", "python3", "-c", STOPPER];
        let mut attack = crate::common::ready(&mut hcs(stopper));
        let exec = |program| ended(&mut hcs(["exec", &container.0, "--", program]));
        let told = exec("/tmp/held");
        assert!(told.err.contains("stopped it by a signal"), "{told:?}");
        crate::common::says(&mut attack, "ended\n");
        assert!(attack.wait().unwrap().success());
        exec("true").fine();
        exec("/tmp/held").fine();
    }
}

//! Descriptors in flight: the kernel counts those of a user that lie unread in sockets, against the limit on open files
//! of the process that sends more.

use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use crate::{
    common::{Ended, ended},
    rootless::{User, unprivileged},
};

/// A user that no host has, and none of the other tests.
const USER: u32 = 54_342;

/// Sends descriptors until it may send no more, says how many these were, and keeps them until a file is there.
const FILL: &str = r#"
import array, os, resource, socket, time
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
one = os.open("/dev/null", os.O_RDONLY)
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one] * 250))]
sender, kept = socket.socketpair()
sent = 0
try:
    while True:
        sender.sendmsg([b"x"], rights)
        sent += 250
except OSError as e:
    print(e.errno, most, sent, flush=True)
while not os.path.exists("/shared/stop"):
    time.sleep(0.05)
"#;

/// `ETOOMANYREFS`.
const TOO_MANY: &str = "109";

struct Attacked {
    user: User,
}

impl Attacked {
    /// `hcs` with these limits on open files, which a service that it starts has as well.
    fn hcs(&self, limit: &str, arguments: &[&str]) -> Ended {
        let limit = format!("--nofile={limit}");
        let program = self.user.program();
        let words = [&["prlimit", &limit, &program], arguments].concat();
        ended(&mut self.user.command(&words))
    }

    /// Starts a container that fills sockets; answers its hard limit.
    fn fill(&self, id: &str, options: &[&str]) -> u64 {
        let shared = self.user.home().join(id);
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
        let mount = format!("{}:/shared", shared.display());
        let create = [&["create", "--id", id, "--mount", &mount], options].concat();
        self.hcs("4096:4096", &create).fine();
        self.hcs("4096:4096", &["start", id]).fine();
        let script = format!(
            "python3 -c '{FILL}' > /tmp/said 2>&1 < /dev/null &
             until [ -s /tmp/said ]; do sleep 0.05; done; cat /tmp/said"
        );
        let said = self.hcs("4096:4096", &["exec", id, "--", "sh", "-c", &script]);
        let said = said.fine();
        let [errno, most, sent] = said.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{said}");
        };
        let [most, sent] = [most, sent].map(|number| number.parse::<u64>().unwrap());
        assert_eq!(errno, TOO_MANY, "{said}");
        assert!((most..=most + 250).contains(&sent), "{said}");
        most
    }

    /// Has it let go of them, and ends it.
    fn end(&self, id: &str, limit: &str) {
        fs::write(self.user.home().join(id).join("stop"), "").unwrap();
        let echo = ["exec", id, "--", "echo", "here"];
        let gone = || self.hcs(limit, &echo).out == "here\n";
        while !gone() {
            thread::sleep(Duration::from_millis(50));
        }
        self.hcs(limit, &["terminate", id]).fine();
    }
}

#[track_caller]
fn assert_told(ended: &Ended) {
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(
        ended.err.contains("descriptors of this user are in flight"),
        "{ended:?}"
    );
}

#[test]
fn a_container_with_the_users_own_ids_leaves_the_service_able_to_send() {
    if unprivileged() {
        return;
    }
    let user = User::new(USER);
    let attacked = Attacked { user };
    assert_eq!(attacked.fill("box", &[]), 2048);
    let service = attacked.user.services();
    let echo = ["exec", "box", "--", "echo", "here"];
    assert_eq!(attacked.hcs("4096:4096", &echo).fine(), "here\n");
    let run = attacked.hcs("4096:4096", &["run", "--", "echo", "new"]);
    assert_eq!(run.fine(), "new\n");
    // The soft limit of a client is raised.
    assert_eq!(attacked.hcs("1024:4096", &echo).fine(), "here\n");
    let run = attacked.hcs("1024:4096", &["run", "--", "echo", "new"]);
    assert_eq!(run.fine(), "new\n");
    // One whose hard limit is lower cannot send its pipes, and loses nothing else.
    assert_told(&attacked.hcs("1024:1024", &echo));
    assert_eq!(attacked.hcs("4096:4096", &echo).fine(), "here\n");
    assert_eq!(attacked.user.services(), service);
    attacked.end("box", "1024:1024");
}

#[test]
fn where_the_service_cannot_send_either_its_calls_say_so_and_all_lives_on() {
    if unprivileged() {
        return;
    }
    let user = User::new(USER + 1);
    let attacked = Attacked { user };
    let most = attacked.fill("box", &["--ulimit", "nofile=4096:4096"]);
    assert_eq!(most, 4096);
    let service = attacked.user.services();
    let echo = ["exec", "box", "--", "echo", "here"];
    // From the client to the service, which has it from then on.
    let high = "8192:8192";
    for _ in 0..20 {
        assert_told(&attacked.hcs(high, &echo));
    }
    assert_told(&attacked.hcs(high, &["run", "--", "echo", "new"]));
    assert_eq!(attacked.hcs(high, &["list", "--quiet"]).fine(), "box\n");
    attacked.end("box", high);
    assert_eq!(attacked.user.services(), service);
}

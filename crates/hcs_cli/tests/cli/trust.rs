//! What `hcs` trusts: the service's program, and the process that listens at the endpoint.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    common::{Container, Ended, ended, hcs, script, swapping},
    service::Place,
};

/// Where the listener below listens.
const SOCKET: &str = "HCS_TEST_TRUST_SOCKET";

/// A listener of another user, in a process of its own. Says that it listens, and then what it was sent.
#[test]
fn stranger() {
    let Some(socket) = env::var_os(SOCKET) else {
        return;
    };
    let listener = UnixListener::bind(&socket).unwrap();
    println!("listens");
    let mut sent = Vec::new();
    listener.accept().unwrap().0.read_to_end(&mut sent).unwrap();
    println!("heard {} bytes", sent.len());
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn refused(ended: &Ended) -> &str {
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (Some(125), ""),
        "{ended:?}"
    );
    &ended.err
}

/// Row S8b.
#[test]
fn nothing_is_sent_to_a_service_of_another_user() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("hcs.sock");
    chown(folder.path(), Some(65534), Some(65534)).unwrap();
    // The test program itself may lie where the other user cannot reach it.
    let program = folder.path().join("stranger");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    mode(&program, 0o755);
    let mut stranger = Command::new(program)
        .args(["--exact", "trust::stranger", "--nocapture"])
        .env(SOCKET, &socket)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(stranger.stdout.take().unwrap()).lines();
    let mut wait_for = |word: &str| {
        let found = lines
            .by_ref()
            .find(|line| line.as_ref().unwrap().contains(word));
        found.unwrap().unwrap()
    };
    wait_for("listens");
    let mut run = hcs(["run", "--", "echo", "secret"]);
    let said = ended(run.env("HCS_ENDPOINT", &socket));
    let said = refused(&said);
    assert!(said.contains("belongs to user 65534"), "{said}");
    assert!(said.contains(socket.to_str().unwrap()), "{said}");
    assert!(said.contains("HCS_ENDPOINT"), "{said}");
    assert!(wait_for("heard").contains("heard 0 bytes"));
    assert!(stranger.wait().unwrap().success());
}

/// A copy of `hcs` with an `hcsd` beside it that would leave a proof of its having run.
struct Beside {
    folder: tempfile::TempDir,
}

impl Beside {
    fn new() -> Self {
        let beside = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        mode(beside.folder.path(), 0o755);
        fs::create_dir(beside.path("bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_hcs"), beside.path("bin/hcs")).unwrap();
        let script = format!(
            "#!/bin/sh\nenv > {}\necho ran >&2\nexit 1\n",
            beside.path("proof").display()
        );
        fs::write(beside.path("bin/hcsd"), script).unwrap();
        mode(&beside.path("bin/hcsd"), 0o755);
        beside
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn list(&self) -> Ended {
        let mut command = Command::new(self.path("bin/hcs"));
        command
            .arg("list")
            .current_dir(self.path("bin"))
            .env_remove("HCS_DAEMON")
            .env("HCS_CONFIG", "some.toml")
            .env("HCS_ENDPOINT", self.path("hcs.sock"));
        ended(&mut command)
    }

    fn has_run(&self) -> bool {
        fs::remove_file(self.path("proof")).is_ok()
    }
}

/// Row S3b.
#[test]
fn a_program_that_others_can_change_is_not_started() {
    let beside = Beside::new();
    let said = beside.list();
    assert!(refused(&said).contains("ran"), "{said:?}");
    assert!(beside.has_run());
    for (path, open, close) in [
        ("bin", 0o777, 0o755),
        ("bin/hcsd", 0o777, 0o755),
        ("", 0o757, 0o755),
    ] {
        mode(&beside.path(path), open);
        let said = beside.list();
        let advice = format!(
            "chmod go-w {}",
            beside
                .path(path)
                .display()
                .to_string()
                .trim_end_matches('/')
        );
        assert!(refused(&said).contains(&advice), "{said:?}");
        assert!(!beside.has_run());
        mode(&beside.path(path), close);
    }
    for path in ["bin", "bin/hcsd"] {
        chown(beside.path(path), Some(65534), None).unwrap();
        let said = beside.list();
        assert!(refused(&said).contains("belongs to user 65534"), "{said:?}");
        assert!(!beside.has_run());
        chown(beside.path(path), Some(0), None).unwrap();
    }
}

/// Row S3.
#[test]
fn a_service_has_nothing_of_the_environment_of_its_caller() {
    let beside = Beside::new();
    beside.list();
    let environment = fs::read_to_string(beside.path("proof")).unwrap();
    // The shell adds two of its own.
    let names: Vec<&str> = environment
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let known = ["PATH", "PWD", "_", "SHLVL", "OLDPWD"];
    assert!(
        names.iter().all(|name| known.contains(name)),
        "{environment}"
    );
}

/// A container without a user namespace gives what is mapped to a user that no namespace has. The next one does
/// without, then, which its caller is told.
#[test]
fn an_owner_that_a_container_made_takes_no_user_namespace_away_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let mapped = folder.path().join("mapped");
    fs::create_dir(&mapped).unwrap();
    let mount = format!("{}:/m", mapped.display());
    let run = |options: &[&str], command: &[&str]| {
        let all = [&["run", "--mount", &mount], options, &["--"], command];
        ended(&mut hcs(all.concat()))
    };
    let map = ["cat", "/proc/self/uid_map"];
    let is_apart = |map: &str| !map.split_whitespace().eq(["0", "0", "4294967295"]);
    let expected = is_apart(&run(&[], &map).fine());
    run(&["--userns=no"], &["chown", "70000:70000", "/m"]).fine();
    let told = run(&[], &map);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(!is_apart(&told.out), "{told:?}");
    let owner = format!("{} belongs to user 70000", mapped.display());
    assert!(told.err.contains("gets no user namespace"), "{told:?}");
    assert!(told.err.contains(&owner), "{told:?}");
    assert!(!is_apart(&run(&["--userns=no"], &map).fine()));
    chown(&mapped, Some(0), Some(0)).unwrap();
    assert_eq!(is_apart(&run(&[], &map).fine()), expected);
}

/// Listens like a service, and keeps what it is sent.
const LISTENS: &str = r#"
    use Socket;
    socket(L, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    bind(L, pack_sockaddr_un("/a/hcs.sock")) or die "bind: $!";
    listen(L, 5) or die "listen: $!";
    # With "ends", another process than the one that listens is there to hear.
    exit if $ARGV[0] eq "ends" and fork;
    open F, ">", "/a/listens" or die "open: $!";
    while (accept(S, L)) {
        open F, ">>", "/a/heard";
        while (sysread S, my $bytes, 1000) { syswrite F, $bytes }
        open F, ">", "/a/heard_all";
    }
"#;

/// A container to which the directory of a socket is mapped takes the place of the service, as the user that root is on
/// the host.
#[test]
fn nothing_is_sent_to_a_listener_in_a_container() {
    for way in ["stays", "ends"] {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let options = format!("--userns=no --mount {}:/a", folder.path().display());
        let container = Container::with("listens", &options);
        let run = ["exec", "-d", &container.0, "--", "perl", "-e", LISTENS, way];
        ended(&mut hcs(run)).fine();
        let await_file = |name: &str| {
            let end = Instant::now() + Duration::from_secs(60);
            while !folder.path().join(name).exists() {
                assert!(Instant::now() < end, "{way}: {name}");
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        await_file("listens");
        let mut caller = hcs(["run", "-e", "PASS=TOPSECRET", "--", "true"]);
        caller.env("HCS_ENDPOINT", folder.path().join("hcs.sock"));
        let caller = ended(&mut caller);
        let why = refused(&caller);
        for said in [
            "may be in a container, so nothing was sent",
            "HCS_E_ACCESS_DENIED",
        ] {
            assert!(why.contains(said), "{way}: {why}");
        }
        // The caller has connected, or it would not know the process.
        await_file("heard_all");
        let heard = fs::read(folder.path().join("heard")).unwrap();
        assert_eq!(heard, b"", "{way}");
    }
}

/// Row K5. The path of a socket leads through a tree that a container has. A directory there is swapped for a link to a
/// place of the host while services start.
#[test]
fn a_directory_that_is_swapped_in_a_tree_of_containers_is_no_state_root() {
    const STARTS: usize = 50;
    let place = Place::new(60);
    // A file system that keeps the mark.
    let [tree, outside] = [(); 2].map(|()| tempfile::tempdir_in("/var/tmp").unwrap());
    for directory in [&tree, &outside] {
        mode(directory.path(), 0o755);
    }
    let at = |name: &str| tree.path().join(name);
    fs::create_dir(at("named")).unwrap();
    symlink(outside.path(), at("link")).unwrap();
    let mount = format!("{}:/tree", tree.path().display());
    script(&["--userns=no", "--mount", &mount], "true").fine();
    let pairs = [("named".to_owned(), "link".to_owned())];
    swapping(tree.path(), &pairs, || {
        for _ in 0..STARTS {
            let mut list = place.hcs(&["list"]);
            let list = ended(list.env("HCS_ENDPOINT", at("named/hcs.sock")));
            let said = refused(&list);
            assert!(said.contains("hcs.sock"), "{said}");
        }
    });
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // An empty directory at most: it is looked at once more when it is made.
    for name in ["named", "link"] {
        let records = fs::read_dir(at(name).join("hcs.d"));
        assert!(!at(name).join("hcs.sock").exists());
        assert_eq!(records.into_iter().flatten().count(), 0);
    }
}

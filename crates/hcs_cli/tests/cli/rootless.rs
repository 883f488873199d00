//! `hcs` as an ordinary user, with a private service that was not set up. The tests run as root and become that user.

use std::{
    env, fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{CWD, FileType, Mode, OFlags, mknodat, open},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    common::{Ended, ended},
    processes::{AGAIN, assert_streams_open_again},
};

/// Users that no host has.
const ALONE: u32 = 54_321;
const WITH_GRANTS: u32 = 54_322;
const ADOPTED: u32 = 54_323;
const WATCHED: u32 = 54_324;
const CUT_OFF: u32 = 54_325;
const AT_WORK: u32 = 54_326;
const NAMED: u32 = 54_327;
const WITH_IMAGES: u32 = 54_328;

/// By default containers of a user have no network, whatever the host of the tests has.
const NO_TUN: &str = "[ ! -d /dev/net ] || mount -t tmpfs none /dev/net";
/// The directory is made where it is not there: it stays empty on the host, as a mount of the test's own is above it.
const OPEN_TUN: &str =
    "mkdir -p /dev/net; mount -t tmpfs none /dev/net; mknod -m 666 /dev/net/tun c 10 200";
const CLOSED_TUN: &str =
    "mkdir -p /dev/net; mount -t tmpfs none /dev/net; mknod -m 600 /dev/net/tun c 10 200";

/// A user with a home and copies of the programs, and no rights whatever.
pub(crate) struct User {
    place: TempDir,
    id: u32,
    /// A script that runs first, in mounts of its own.
    setup: String,
    /// A script that follows it: which `/dev/net/tun` the user sees.
    tun: &'static str,
    /// A further group that it is in.
    group: Option<u32>,
}

impl User {
    pub(crate) fn new(id: u32) -> Self {
        Self::at(tempfile::tempdir().unwrap(), id)
    }

    fn at(place: TempDir, id: u32) -> Self {
        let open = |path: &Path| {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        open(place.path());
        let hcs = PathBuf::from(env!("CARGO_BIN_EXE_hcs"));
        let beside = hcs.with_file_name("hcsd");
        let hcsd = env::var_os("HCS_DAEMON").map_or(beside, PathBuf::from);
        for (from, name) in [(hcs, "hcs"), (hcsd, "hcsd")] {
            fs::copy(from, place.path().join(name)).unwrap();
            open(&place.path().join(name));
        }
        let home = place.path().join("home");
        fs::create_dir(&home).unwrap();
        chown(&home, Some(id), Some(id)).unwrap();
        Self {
            place,
            id,
            setup: ":".to_owned(),
            tun: NO_TUN,
            group: None,
        }
    }

    /// The same, with ids that the host grants.
    pub(crate) fn with_grants(self) -> Self {
        let mut user = self.in_a_place_of_its_own();
        user.grant();
        user
    }

    /// The same, for a user namespace: root of the host has no id there, and what it has in `/tmp` may be of any user.
    pub(crate) fn in_a_place_of_its_own(self) -> Self {
        let place = tempfile::Builder::new()
            .prefix("hcs-test-")
            .tempdir_in("/var/lib");
        let mut moved = Self::at(place.unwrap(), self.id);
        moved.group = self.group;
        moved.tun = self.tun;
        moved
    }

    fn grant(&mut self) {
        let (place, id) = (self.place.path(), self.id);
        fs::write(place.join("grants"), format!("{id}:200000:65536\n")).unwrap();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = format!("hcstest:x:{id}:{id}::/:/bin/sh\n");
        fs::write(place.join("passwd"), passwd + &line).unwrap();
        // Files to mount on are made where the host has none, and taken away again.
        self.setup = format!(
            "{1}; mkdir {0}/up {0}/work 2>/dev/null || :; mount -t overlay -o lowerdir=/etc,upperdir={0}/up,workdir={0}/work none /etc; \
             cp {0}/grants /etc/subuid; cp {0}/grants /etc/subgid; cp {0}/passwd /etc/passwd",
            place.display(),
            self.setup
        );
    }

    /// The same, where all users may use `/dev/net/tun`, as on most hosts.
    pub(crate) fn with_tun(mut self) -> Self {
        self.tun = OPEN_TUN;
        self
    }

    /// The same, where it is there, and no user may use it.
    pub(crate) fn with_closed_tun(mut self) -> Self {
        self.tun = CLOSED_TUN;
        self
    }

    /// The same, where `pasta` is not installed.
    pub(crate) fn without_pasta(mut self) -> Self {
        self.setup += "; mount --bind /dev/null /usr/bin/pasta";
        self
    }

    /// The same, as a member of `group`.
    pub(crate) fn in_group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home().join(".local/state/hcs")
    }

    /// The user's copy of `hcs`.
    pub(crate) fn program(&self) -> String {
        self.place.path().join("hcs").display().to_string()
    }

    /// A command line of the user's.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let id = self.id;
        let groups = match self.group {
            None => "--clear-groups".to_owned(),
            Some(group) => format!("--groups {group}"),
        };
        let become_user = format!(
            "{}; {}; exec setpriv --reuid {id} --regid {id} {groups} -- \"$@\"",
            self.setup, self.tun
        );
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "slave",
                "sh",
                "-ec",
                &become_user,
                "-",
            ])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.home())
            .env("HCS_CONFIG", "/dev/null")
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn hcs(&self, arguments: &[&str]) -> Ended {
        let program = self.place.path().join("hcs");
        let program = [program.to_str().unwrap()];
        ended(&mut self.command(&[&program, arguments].concat()))
    }

    pub(crate) fn script(&self, options: &[&str], script: &str) -> Ended {
        self.hcs(&[&["run"], options, &["--", "sh", "-c", script]].concat())
    }

    /// The user's service.
    pub(crate) fn services(&self) -> Vec<Pid> {
        let endpoint = self.state().join("hcs.sock");
        let endpoint = endpoint.to_str().unwrap();
        let serves = |pid: &i32| {
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.contains("--serve") && line.contains(endpoint)
        };
        let numbers = fs::read_dir("/proc").unwrap().flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(serves).filter_map(Pid::from_raw).collect()
    }

    /// Ends the service, and waits until it is gone.
    pub(crate) fn end_service(&self, signal: Signal) {
        for pid in self.services() {
            let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else {
                continue;
            };
            let _gone = pidfd_send_signal(&process, signal);
            let limit = std::time::Duration::from_secs(60).try_into().unwrap();
            let mut events = [PollFd::new(&process, PollFlags::IN)];
            assert_eq!(
                poll(&mut events, Some(&limit)),
                Ok(1),
                "the service goes on"
            );
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state().join("hcs.d/hcsd.log")).unwrap_or_default()
    }

    /// What is left of containers.
    fn left(&self) -> Vec<String> {
        let places = ["scratch", "systems"].map(|name| self.state().join("hcs.d").join(name));
        let entries = places
            .iter()
            .flat_map(|place| fs::read_dir(place).into_iter().flatten());
        entries
            .flatten()
            .map(|entry| entry.path().display().to_string())
            .collect()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.end_service(Signal::TERM);
        if !std::thread::panicking() {
            assert_eq!(self.left(), Vec::<String>::new(), "{}", self.log());
            assert!(!self.log().contains("ERROR"), "{}", self.log());
        }
    }
}

pub(crate) fn unprivileged() -> bool {
    !rustix::process::geteuid().is_root()
}

#[test]
fn an_ordinary_user_runs_containers_without_any_set_up() {
    if unprivileged() {
        return;
    }
    let user = User::new(ALONE);
    let script = "id -u; cat /proc/self/uid_map; echo to-err >&2; echo again > /dev/stdout; exit 7";
    let run = user.script(&[], script);
    assert_eq!(
        (run.code, run.err.as_str()),
        (Some(7), "to-err\n"),
        "{run:?}"
    );
    let lines: Vec<Vec<&str>> = run
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let id = ALONE.to_string();
    assert_eq!(lines, [vec!["0"], vec!["0", &id, "1"], vec!["again"]]);
    let socket = fs::metadata(user.state().join("hcs.sock")).unwrap();
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    // What it writes is its own and vanishes; the host's stays as it is. Without a network there is a loopback only.
    let inside = "touch /etc/new /new && rm -f /etc/hostname; ls /sys/class/net; echo -n > /proc/sys/kernel/core_pattern";
    let run = user.script(&[], inside);
    assert_eq!(run.out, "lo\n", "{run:?}");
    assert_ne!(run.code, Some(0), "{run:?}");
    assert!(!Path::new("/etc/new").exists());
    // Its own directories can be shown inside, and written to as the user.
    let shared = user.home().join("shared");
    fs::create_dir(&shared).unwrap();
    chown(&shared, Some(ALONE), Some(ALONE)).unwrap();
    let mount = format!("{}:/shared", shared.display());
    user.script(&["--mount", &mount], "echo mine > /shared/file")
        .fine();
    let written = fs::metadata(shared.join("file")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&written), ALONE);
    // What it makes there gives others no rights of the user's.
    let bits = user.script(&["--mount", &mount], "chmod 4755 /shared/file");
    assert_ne!(bits.code, Some(0), "{bits:?}");
    let mode = fs::metadata(shared.join("file"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o6000, 0, "{mode:o}");
    let allowed = format!("{mount}:suid,shift");
    user.script(&["--mount", &allowed], "chmod 4755 /shared/file")
        .fine();
    // A terminal.
    let hcs = user.place.path().join("hcs");
    let line = format!("{} run -it -- sh -c 'tty; stty size'", hcs.display());
    let terminal = ended(&mut user.command(&["script", "-qec", &line, "/dev/null"]));
    assert!(terminal.out.contains("/dev/pts/0"), "{terminal:?}");
}

#[test]
fn what_an_ordinary_user_cannot_have_is_refused_with_the_reason() {
    if unprivileged() {
        return;
    }
    let user = User::new(WATCHED);
    for option in [&["--memory", "64"], &["--cpus", "1"]] {
        let run = user.script(option, "true");
        assert_ne!(run.code, Some(0));
        assert!(run.err.contains("ordinary user"), "{run:?}");
    }
    // What it may not read it may not read in a container either.
    let run = user.script(&[], "cat /etc/shadow");
    assert_ne!(run.code, Some(0), "{run:?}");
    // Another user is not let in.
    let endpoint = user.state().join("hcs.sock");
    let hcs = user.place.path().join("hcs");
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "54399", "--regid", "54399", "--clear-groups"]);
    other.arg(hcs).arg("list").env("HCS_ENDPOINT", endpoint);
    let other = ended(&mut other);
    assert_ne!(other.code, Some(0), "{other:?}");
}

#[test]
fn containers_of_an_ordinary_user_live_on_without_its_service() {
    if unprivileged() {
        return;
    }
    let user = User::new(ADOPTED);
    user.hcs(&["create", "--id", "own"]).fine();
    user.hcs(&["start", "own"]).fine();
    user.hcs(&["exec", "own", "--", "sh", "-c", "echo kept > /kept"])
        .fine();
    let list = user.hcs(&["list", "--format", "json"]).fine();
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["Id"], "own");
    user.end_service(Signal::KILL);
    assert_eq!(
        user.hcs(&["exec", "own", "--", "cat", "/kept"]).fine(),
        "kept\n"
    );
    let paused = user.hcs(&["pause", "own"]);
    assert_eq!(paused.code, Some(125), "{paused:?}");
    assert!(paused.err.contains("ordinary user"), "{paused:?}");
    let limited = user.hcs(&["update", "--memory", "64", "own"]);
    assert_eq!(limited.code, Some(125), "{limited:?}");
    assert!(limited.err.contains("ordinary user"), "{limited:?}");
    let figures = user.hcs(&["stats", "own"]).fine();
    assert!(figures.contains("n/a"), "{figures}");
    let refused = user.hcs(&["exec", "-u", "nobody", "own", "--", "true"]);
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("/etc/subuid"), "{refused:?}");
    user.hcs(&["terminate", "own"]).fine();
}

#[test]
fn subordinate_ids_are_used_where_the_host_grants_them() {
    if unprivileged() {
        return;
    }
    let user = User::new(WITH_GRANTS).with_grants();
    let script = "cat /proc/self/uid_map && cd /tmp && mkdir theirs && touch theirs/file && chown -R 7:8 theirs && \
                  stat -c %u:%g theirs/file && chmod 700 theirs";
    let run = user.script(&[], script).fine();
    let lines: Vec<Vec<&str>> = run
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let id = WITH_GRANTS.to_string();
    let expected = [
        vec!["0", id.as_str(), "1"],
        vec!["1", "200000", "65536"],
        vec!["7:8"],
    ];
    assert_eq!(lines, expected);
    // Another user's streams are that user's, and what was started for one goes with it.
    let hcs = user.place.path().join("hcs");
    let again = [
        hcs.to_str().unwrap(),
        "run",
        "-i",
        "-u",
        "1000",
        "--",
        "sh",
        "-c",
        AGAIN,
    ];
    assert_streams_open_again(&mut user.command(&again));
    // The current directory and what is in it belong to the same user inside, as git asks for.
    let work = user.home().join("work");
    fs::create_dir_all(work.join("inner")).unwrap();
    for owned in [&work, &work.join("inner")] {
        chown(owned, Some(WITH_GRANTS), Some(WITH_GRANTS)).unwrap();
    }
    let line = format!(
        "cd {} && {} run -- stat -c %u:%g . inner",
        work.display(),
        hcs.display()
    );
    let owners = ended(&mut user.command(&["sh", "-c", &line])).fine();
    assert_eq!(owners, "0:0\n0:0\n");
    // What another user wrote inside, in a directory of theirs, is removed with the container as well.
    let script = "mkdir /opt/theirs && touch /opt/theirs/file && chown -R 7:8 /opt/theirs && chmod 500 /opt/theirs";
    user.script(&[], script).fine();
}

/// Row F11.
#[test]
fn a_container_of_an_ordinary_user_knows_its_name_and_localhost() {
    if unprivileged() {
        return;
    }
    let user = User::new(NAMED);
    let script = "getent hosts box | cut -d ' ' -f 1; getent hosts localhost > /dev/null && cat /etc/hostname";
    let named = ["--hostname", "box"];
    assert_eq!(user.script(&named, script).fine(), "127.0.0.1\nbox\n");
    // In a bare root that only its owner may enter on the host.
    let bare = user.home().join("bare");
    fs::create_dir_all(bare.join("bin")).unwrap();
    fs::copy("/bin/busybox", bare.join("bin/busybox")).unwrap();
    for path in [bare.join("bin"), bare.clone()] {
        chown(&path, Some(NAMED), Some(NAMED)).unwrap();
    }
    fs::set_permissions(&bare, fs::Permissions::from_mode(0o700)).unwrap();
    let layer = ["--layer", bare.to_str().unwrap(), "--hostname", "box"];
    let busybox = |options: &[&str], arguments: &[&str]| {
        let run: [&[&str]; 5] = [
            &["run"],
            &layer,
            options,
            &["--", "/bin/busybox"],
            arguments,
        ];
        user.hcs(&run.concat())
    };
    let hosts = busybox(&[], &["cat", "/etc/hosts"]).fine();
    assert!(hosts.contains("127.0.0.1\tlocalhost\n") && hosts.ends_with("127.0.0.1\tbox\n"));
    assert_eq!(busybox(&[], &["stat", "-c", "%a", "/"]).fine(), "755\n");
    let kept = busybox(&["--no-hosts"], &["cat", "/etc/hosts"]);
    assert!(kept.err.contains("No such file"), "{kept:?}");
}

/// Tries to reach each path that follows; says which are there and which it has reached.
const REACH: &str = r#"use Socket; use Fcntl; for (@ARGV) {
    print "there $_\n" if -S $_ or -p $_;
    for my $type (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET) {
        socket(S, PF_UNIX, $type, 0); print "reached $_\n" if connect(S, pack_sockaddr_un($_));
    }
    print "reached $_\n" if -p $_ and sysopen(F, $_, O_WRONLY | O_NONBLOCK);
}"#;

/// Row S1.
/// The kernel refuses an overlay of a directory with a mount below it, and of one that is two overlays already.
/// Whatever takes its place, sockets and FIFOs of the host must lead nowhere, the user's own service's first of all.
#[test]
fn no_socket_of_the_host_answers_in_a_container_of_an_ordinary_user() {
    if unprivileged() {
        return;
    }
    let mut user = User::new(CUT_OFF);
    let place = user.place.path().to_owned();
    let shown = place.display().to_string();
    let mut inside = vec!["/opt/home/.local/state/hcs/hcs.sock".to_owned()];
    let mut listening = Vec::new();
    let mut listen = |directory: &Path, seen: String| {
        fs::create_dir_all(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let (socket, fifo) = (directory.join("socket"), directory.join("fifo"));
        let listener = UnixListener::bind(&socket).unwrap();
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        let reader = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        for path in [&socket, &fifo] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        inside.extend([format!("{seen}/socket"), format!("{seen}/fifo")]);
        listening.push((listener, reader));
    };
    listen(&place.join("home"), "/opt/home".to_owned());
    listen(&place.join("home/plain"), "/opt/home/plain".to_owned());
    listen(&place.join("mounted"), "/opt/home/below/mount".to_owned());
    let system = tempfile::tempdir_in("/var/lib").unwrap();
    listen(system.path(), system.path().display().to_string());
    fs::create_dir_all(place.join("home/below/mount")).unwrap();
    fs::write(place.join("home/file"), "a file").unwrap();
    user.setup = format!(
        "mount --bind {shown} /opt; mount --bind {shown}/mounted /opt/home/below/mount; low={shown}/mounted; \
         for i in 1 2; do mkdir -p {shown}/up$i {shown}/work$i; \
         mount -t overlay -o lowerdir=$low,upperdir={shown}/up$i,workdir={shown}/work$i none /media; low=/media; done"
    );
    inside.extend(["/media/socket", "/media/fifo"].map(str::to_owned));
    for options in [&[][..], &["--layer", "/"]] {
        let perl = ["--", "perl", "-e", REACH];
        let paths: Vec<&str> = inside.iter().map(String::as_str).collect();
        let run = user.hcs(&[&["run"], options, &perl, &paths].concat());
        let out = run.fine();
        assert!(!out.contains("reached"), "{options:?}: {out}");
        assert!(out.contains("there /opt/home/plain/socket"), "{out}");
        assert!(out.contains("there /opt/home/below/mount/fifo"), "{out}");
        // What is not hidden by a mount is there, and takes what is written.
        let script = "cat /opt/home/file; cd /opt/home/plain; echo new > new; cat new";
        assert_eq!(user.script(options, script).fine(), "a filenew\n");
        assert!(!place.join("home/plain/new").exists());
    }
    // The same inner call that a mount of the whole home would serve.
    let inner = "HCS_ENDPOINT=/opt/home/.local/state/hcs/hcs.sock /opt/hcs run -- true";
    let run = user.script(&[], inner);
    assert_eq!(run.code, Some(125), "{run:?}");
}

/// Row F8: The same view as root has, of what the user may see: without homes, keys and what others have in /tmp.
#[test]
fn the_view_of_an_ordinary_user_has_the_current_directory_and_a_home_that_works() {
    if unprivileged() {
        return;
    }
    let user = User::new(AT_WORK);
    let home = user.home();
    let (work, keys) = (home.join("work/inner"), home.join(".ssh"));
    for directory in [&work, &keys] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("file"), "a file").unwrap();
    }
    for owned in [&work, &keys, &home.join("work")] {
        chown(owned, Some(AT_WORK), Some(AT_WORK)).unwrap();
    }
    let hcs = user.place.path().join("hcs");
    let run_in = |directory: &Path, script: &str| {
        let line = format!(
            "cd {} && {} run -- sh -c '{script}'",
            directory.display(),
            hcs.display()
        );
        ended(&mut user.command(&["sh", "-c", &line])).fine()
    };
    let script = "pwd; cat file; echo new > new; cat new; echo $HOME; ls -A ~ /tmp /home; echo mine > ~/f; cat ~/f";
    let (shown, first) = (work.display(), work.components().nth(2).unwrap());
    let first = first.as_os_str().to_str().unwrap();
    let expected = format!("{shown}\na filenew\n/root\n/home:\n\n/root:\n\n/tmp:\n{first}\nmine\n");
    assert_eq!(run_in(&work, script), expected);
    assert!(!work.join("new").exists());
    // Not the whole home, nor what is secret in it.
    for closed in [&home, &keys] {
        let listed = run_in(closed, "pwd; ls -A; ls -A ..");
        let beside = closed.file_name().unwrap().to_str().unwrap();
        assert_eq!(listed, format!("{}\n{beside}\n", closed.display()));
    }
    let absent = "ls /etc/shadow /etc/sudoers /etc/ssh/ssh_host_rsa_key 2>/dev/null | wc -l";
    assert_eq!(run_in(Path::new("/"), absent), "0\n");
}

#[test]
fn an_ordinary_user_runs_images_of_its_own_store() {
    if unprivileged() {
        return;
    }
    let user = User::new(WITH_IMAGES);
    let hcs = user.place.path().join("hcs");
    let script = "cd && mkdir -p root/bin && cp /bin/busybox root/bin && ln -s busybox root/bin/sh && \
                  tar -C root -c . | \"$0\" image import - tools && ls .local/share/hcs";
    let import = ["sh", "-ec", script, hcs.to_str().unwrap()];
    let said = ended(&mut user.command(&import));
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), "tools:latest\nstorage\n"),
        "{said:?}"
    );
    let script = "busybox id -u; echo $A; echo new > /bin/new; busybox ls /bin";
    let said = user.hcs(&["run", "-e", "A=b", "tools", "sh", "-c", script]);
    assert_eq!(said.fine(), "0\nb\nbusybox\nnew\nsh\n");
    let said = user.hcs(&["run", "tols", "sh"]);
    assert!(said.err.contains("there is tools:latest"), "{said:?}");
}

#[test]
fn an_ordinary_user_runs_an_image_without_what_only_root_may_have() {
    if unprivileged() {
        return;
    }
    let user = User::new(WITH_IMAGES);
    let hcs = user.place.path().join("hcs");
    // The layers are unpacked again when the image runs, as those of an image that another program has put there.
    let script = "cd && mkdir -p root/bin && cp /bin/busybox root/bin && ln -s busybox root/bin/sh && touch root/bin/su && \
                  chmod 4755 root/bin/su && tar -C root -c . | \"$0\" image import --omit-privileged - tools && \
                  rm -r .local/share/hcs/storage/layers/*";
    let said = ended(&mut user.command(&["sh", "-ec", script, hcs.to_str().unwrap()]));
    assert_eq!(said.code, Some(0), "{said:?}");
    let command = ["tools", "sh", "-c", "busybox stat -c %a /bin/su"];
    let said = user.hcs(&[&["run"][..], &command].concat());
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("--omit-privileged"), "{said:?}");
    let said = user.hcs(&[&["run", "--omit-privileged"][..], &command].concat());
    assert_eq!((said.code, &*said.out), (Some(0), "755\n"), "{said:?}");
    assert!(said.err.contains("left out:"), "{said:?}");
}

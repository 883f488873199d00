//! What an attacker tries who is an ordinary user, or is inside of a container of one, and holes that other runtimes
//! had, by whole programs. The cases of `containers` (`engine_container`) run as such a user, too, where no rights of
//! root are needed to prepare them.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{
    common::{Ended, ended, hcs, swapping},
    inside::{CLIENT, assert_refused_by_the_service},
    rootless::{User, unprivileged},
};

/// Users that no host has, and none of the other tests.
const MAPS: u32 = 54_350;
const SHARES: u32 = 54_351;
const LAYS_TRAPS: u32 = 54_352;
const ATTACKS_AGENT: u32 = 54_353;
const MISLEADS: u32 = 54_354;
const SWAPS: u32 = 54_355;
const ON_TERMINALS: u32 = 54_356;
const BADLY_OFF: u32 = 54_357;
const KEEPS: u32 = 54_358;
const NOT_BELOW: u32 = 54_359;
const SPOKEN_TO: u32 = 54_349;

/// The signal of a file that is too large.
const XFSZ: u32 = 25;

/// A user of a test, and what makes files of theirs.
struct Attacker {
    user: User,
    id: u32,
}

impl Attacker {
    fn new(id: u32) -> Option<Self> {
        (!unprivileged()).then(|| Self {
            user: User::new(id),
            id,
        })
    }

    /// Makes directories of the user's, for all to write to; `name` begins in the home.
    fn directory(&self, name: &str) -> PathBuf {
        let mut path = self.user.home();
        for part in Path::new(name) {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).unwrap();
                self.own(&path);
            }
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        path
    }

    fn own(&self, path: &Path) {
        chown(path, Some(self.id), Some(self.id)).unwrap();
    }

    /// A file of the user's, and the directories above it.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let (above, last) = name.rsplit_once('/').unwrap();
        let path = self.directory(above).join(last);
        fs::write(&path, text).unwrap();
        self.own(&path);
        path
    }

    /// A whole image, as an ordinary user cannot have one above the host's root.
    fn image(&self, name: &str) -> PathBuf {
        let bin = self.directory(&format!("{name}/bin"));
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        symlink("busybox", bin.join("sh")).unwrap();
        bin.parent().unwrap().to_owned()
    }

    /// Runs a Perl script in a container with these options.
    fn perl(&self, options: &[&str], script: &str, arguments: &[&str]) -> Ended {
        let perl = ["--", "perl", "-e", script];
        self.user
            .hcs(&[&["run"], options, &perl, arguments].concat())
    }

    /// Starts a container that stays until [`Self::end`].
    fn box_with(&self, options: &[&str]) {
        let create = [&["create", "--id", "box"], options].concat();
        self.user.hcs(&create).fine();
        self.user.hcs(&["start", "box"]).fine();
    }

    fn exec(&self, command: &[&str]) -> Ended {
        self.user.hcs(&[&["exec", "box", "--"], command].concat())
    }

    fn end(&self) {
        self.user.hcs(&["terminate", "box"]).fine();
    }
}

fn mount(from: &Path, to: &str) -> String {
    format!("{}:{to}", from.display())
}

/// Row S2: the whole home, what is above it, or the socket by its name.
#[test]
fn no_service_answers_through_what_an_ordinary_user_maps() {
    let Some(attacker) = Attacker::new(MAPS) else {
        return;
    };
    let user = &attacker.user;
    user.hcs(&["list"]).fine();
    let (home, socket) = (user.home(), user.state().join("hcs.sock"));
    let above = home.parent().unwrap();
    for (from, state) in [
        (home.as_path(), "/src/.local/state/hcs"),
        (above, "/src/home/.local/state/hcs"),
    ] {
        for mode in ["", ":ro"] {
            let mapped = mount(from, &format!("/src{mode}"));
            let options = ["--mount", mapped.as_str()];
            let listed = user.hcs(&[&["run"], &options[..], &["--", "ls", "-A", state]].concat());
            assert_eq!(listed.fine(), "", "{state}{mode}");
            let client = attacker.perl(&options, CLIENT, &[&format!("{state}/hcs.sock")]);
            assert!(
                client.err.contains("connect: "),
                "{state}{mode}: {client:?}"
            );
            assert_eq!(client.out, "");
        }
    }
    let by_name = format!("src={},dst=/run/its.sock", socket.display());
    let client = attacker.perl(&["--mount", &by_name], CLIENT, &["/run/its.sock"]);
    assert_refused_by_the_service(&client);
    // What the user's own programs are answered on the host shows that the service was there.
    assert!(!user.hcs(&["list"]).fine().contains("of-inside"));
}

/// Each call of `calls`, whose number and arguments are written in Perl, with its error number, a line each.
fn calls_in_perl(calls: &[&str]) -> String {
    let mut script = "umask 0; my $m = 'x' x 8; my $v = pack('PQ', $m, 8);".to_owned();
    for call in calls {
        script.push_str(&format!(
            "{{ my ($n, @a) = ({call}); $! = 0; my $r = syscall($n, @a); print $r == -1 ? $! + 0 : 0, qq(\\n); }}"
        ));
    }
    script
}

/// Everything below `path` that would give power to other users of the host.
fn power(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap().path();
        let facts = fs::symlink_metadata(&entry).unwrap();
        let kind = facts.file_type();
        let bits = facts.mode() & 0o6000 != 0 && !kind.is_dir();
        if bits || kind.is_block_device() || kind.is_char_device() {
            found.push(entry.clone());
        }
        if kind.is_dir() {
            power(&entry, found);
        }
    }
}

/// Row S4: all ways to a file with a set-user-ID or set-group-ID bit, to a device node and to capabilities of a file.
#[test]
#[cfg(target_arch = "x86_64")]
fn no_program_with_an_ordinary_users_rights_can_be_made() {
    // The numbers of x86_64; the errors: EPERM, EOPNOTSUPP, ENOSYS.
    const CALLS: &[(&str, &[&str])] = &[
        (
            "chmod",
            &["90, '/s/program', 04755", "90, '/s/program', 02755"],
        ),
        (
            "fchmod",
            &["91, do { open F, '/s/program'; fileno F }, 04755"],
        ),
        ("fchmodat", &["268, -100, '/s/program', 06755"]),
        ("fchmodat2", &["452, -100, '/s/program', 04755, 0"]),
        ("open", &["2, '/s/made', 65, 04755"]),
        ("openat", &["257, -100, '/s/made', 65, 02755"]),
        (
            "openat, a temporary file",
            &["257, -100, '/s', 4259841, 04755"],
        ),
        ("creat", &["85, '/s/made', 04755"]),
        ("mknod", &["133, '/s/made', 0104755, 0"]),
        ("mknodat", &["259, -100, '/s/made', 0102755, 0"]),
        (
            "mknod, a device",
            &[
                "133, '/s/log', 020666, 267",
                "259, -100, '/s/disk', 060666, 2049",
            ],
        ),
        (
            "openat2",
            &["437, -100, '/s/made', pack('QQQ', 65, 04755, 0), 24"],
        ),
        (
            "setxattr",
            &[
                "188, '/s/program', 'security.capability', pack('V5', 0x02000001, 0x80, 0, 0, 0), 20, 0",
            ],
        ),
    ];
    let Some(attacker) = Attacker::new(SHARES) else {
        return;
    };
    let shared = attacker.directory("shared");
    for shift in ["", ":shift"] {
        let mapped = mount(&shared, &format!("/s{shift}"));
        let options = ["--mount", mapped.as_str()];
        let made = "cp /bin/true /s/program && chmod 755 /s/program";
        let made = attacker.user.script(&options, made);
        if !shift.is_empty() && made.code == Some(125) {
            // Shifted owners are root's to give.
            continue;
        }
        made.fine();
        for (name, calls) in CALLS {
            let tried = attacker.perl(&options, &calls_in_perl(calls), &[]).fine();
            let errors: Vec<i32> = tried.lines().map(|line| line.parse().unwrap()).collect();
            let refused = errors.iter().all(|errno| [1, 95, 38].contains(errno));
            assert!(refused && errors.len() == calls.len(), "{name}: {errors:?}");
        }
        let mut found = Vec::new();
        power(&shared, &mut found);
        assert_eq!(found, Vec::<PathBuf>::new());
    }
}

/// Row S4: what a container leaves in a scratch that is kept runs with the user's rights, for who gets to it.
#[test]
fn a_kept_scratch_of_an_ordinary_user_is_closed_to_others() {
    let Some(attacker) = Attacker::new(KEEPS) else {
        return;
    };
    let scratch = attacker.directory("scratch");
    let options = ["--scratch", scratch.to_str().unwrap()];
    let made =
        "test -e /opt/program || cp /bin/true /opt/program; chmod 4755 /opt/program && echo made";
    // Once more, although it was opened meanwhile.
    for _ in 0..2 {
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(attacker.user.script(&options, made).fine(), "made\n");
        let mode = fs::metadata(&scratch).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
    let mut found = Vec::new();
    power(&scratch, &mut found);
    // There is such a program, or the mode would keep nothing in.
    assert_eq!(found, [scratch.join("-opt/upper/program")]);
}

/// What the maker of a container might open below each of the kernel's file systems.
const OPENED: [(&str, &str); 6] = [
    ("proc", "self/oom_score_adj"),
    ("proc", "1/oom_score_adj"),
    ("proc", "self/setgroups"),
    ("dev", "null"),
    ("dev", "ptmx"),
    ("sys", "fs/cgroup/cgroup.procs"),
];

/// Row S6: layers with links for the kernel's file systems, and something mapped over these, with files and FIFOs where
/// the service, the child or the agent could open some.
#[test]
fn nothing_of_the_host_is_opened_through_links_and_mappings_of_an_ordinary_user() {
    let Some(attacker) = Attacker::new(LAYS_TRAPS) else {
        return;
    };
    for (name, file) in OPENED {
        attacker.file(&format!("files/{name}/{file}"), "the host's");
        let above = format!("fifos/{name}/{file}");
        let above = attacker.directory(above.rsplit_once('/').unwrap().0);
        let fifo = above.join(Path::new(file).file_name().unwrap());
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        attacker.own(&fifo);
    }
    let home = attacker.user.home();
    for name in ["proc", "dev", "sys"] {
        let layer = attacker.image(&format!("layer-{name}"));
        attacker.directory(&format!("layer-{name}/m/{name}"));
        symlink("hop", layer.join(name)).unwrap();
        symlink(format!("m/{name}"), layer.join("hop")).unwrap();
        let mapped = mount(&home.join("files"), "/m");
        let layer = layer.to_str().unwrap();
        let options = ["--layer", layer, "--mount", &mapped];
        let refused = attacker.user.script(&options, "true");
        assert_eq!(refused.code, Some(125), "{refused:?}");
        let said = format!("no symbolic link, in the layers at /{name}");
        assert!(refused.err.contains(&said), "{refused:?}");
        // The same without a link: started, or refused, and not waited for.
        for kind in ["files", "fifos"] {
            let mapped = mount(&home.join(kind).join(name), &format!("/{name}"));
            let run = attacker.user.script(&["--mount", &mapped], "echo works");
            assert!(matches!(run.code, Some(0 | 125..=127)), "{run:?}");
        }
    }
    for (name, file) in OPENED {
        let path = home.join("files").join(name).join(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "the host's", "{path:?}");
    }
}

/// Row S11: limits, scheduling, memory and descriptors of pid 1, for root inside of a container of an ordinary user.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_agent_of_an_ordinary_users_container_is_out_of_reach() {
    // Of open files: none at all. One processor. The idle policy. Nice 19; the idle class of input and output.
    const CALLS: &[&str] = &[
        "302, 1, 7, pack('QQ', 0, 0), 0",
        "302, 4294967297, 7, pack('QQ', 0, 0), 0",
        "203, 1, 8, pack('Q', 1)",
        "144, 1, 5, pack('L', 0)",
        "142, 1, pack('L', 0)",
        "314, 1, pack('LLQlLQQQ', 48, 5, 0, 0, 0, 0, 0, 0), 0",
        "141, 0, 1, 19",
        "141, 1, 1, 19",
        "141, 2, 0, 19",
        "251, 1, 1, 3 << 13",
        "251, 3, 0, 3 << 13",
        "312, 1, 1, 0, 0, 0",
        "256, 1, 1, $v, $v",
        "279, 1, 0, $v, 0, 0, 0",
        "440, syscall(434, 1, 0), $v, 1, 21, 0",
        "109, 1, 0",
        "438, syscall(434, 1, 0), 3, 0",
        // PTRACE_SEIZE, process_vm_readv, process_vm_writev.
        "101, 16902, 1, 0, 0",
        "310, 1, $v, 1, $v, 1, 0",
        "311, 1, $v, 1, $v, 1, 0",
    ];
    let Some(attacker) = Attacker::new(ATTACKS_AGENT) else {
        return;
    };
    attacker.box_with(&[]);
    let facts = "cat /proc/1/limits /proc/1/oom_score_adj; cut -d ' ' -f 5,19,40,41 /proc/1/stat; \
                 grep Cpus_allowed /proc/1/status";
    let facts = || attacker.exec(&["sh", "-c", facts]).fine();
    let before = facts();
    let tried = attacker.exec(&["perl", "-e", &calls_in_perl(CALLS)]).fine();
    let errors: Vec<i32> = tried.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(errors.len(), CALLS.len());
    for (call, errno) in CALLS.iter().zip(errors) {
        // EPERM, ESRCH, EACCES.
        assert!([1, 3, 13].contains(&errno), "{call}: {errno}");
    }
    let files = "for f in oom_score_adj mem clear_refs timerslack_ns coredump_filter comm attr/current; do \
                 (: >> /proc/1/$f) 2> /dev/null && echo opened $f; done; \
                 for s in STOP KILL TERM HUP SEGV; do kill -$s 1 2> /dev/null; done; true";
    assert_eq!(attacker.exec(&["sh", "-c", files]).fine(), "");
    assert_eq!(facts(), before);
    attacker.end();
}

/// What of procfs and sysfs acts on the host or tells of it, as seen from inside: each that can be opened, a line each.
const UNMASKED: &str = r#"
    use Fcntl;
    for my $file (qw(sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches irq/default_smp_affinity)) {
        for my $where (@ARGV) { print "writable $where/$file\n" if sysopen my $f, "$where/$file", O_WRONLY; }
    }
    for my $file (qw(kcore keys timer_list)) {
        for my $where (@ARGV) {
            my @facts = stat "$where/$file" or next;
            print "told $where/$file\n" if $facts[6] != 0x103 and sysopen my $f, "$where/$file", O_RDONLY;
        }
    }
"#;

/// The same by the only program of an image. What is no procfs is not looked at: it is something mapped, or a mask.
const UNMASKED_IN_IMAGE: &str = "
    b=/bin/busybox
    kind() { $b stat -f -c %t /proc/$1 2> /dev/zero; }
    for f in sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches irq/default_smp_affinity; do
        [ \"$(kind $f)\" = 9fa0 ] && ( : >> /proc/$f ) 2> /dev/zero && echo writable $f
    done
    for f in kcore keys timer_list; do
        [ \"$(kind $f)\" = 9fa0 ] && $b head -c 1 /proc/$f > /dev/zero 2>&1 && echo told $f
    done
    [ \"$($b stat -L -c %t:%T /dev/null)\" = 1:3 ] || echo another null
    true";

/// CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-31133: what an image has in place of the
/// kernel's file systems, of the place of a mapping, and of the null device, makes masks fall elsewhere.
#[test]
fn no_image_of_an_ordinary_user_unmasks_anything() {
    let Some(attacker) = Attacker::new(MISLEADS) else {
        return;
    };
    let images: [&[(&str, &str)]; 8] = [
        &[("data", "/proc")],
        &[("data", "/proc/sys")],
        &[("data", "/sys/firmware")],
        &[("proc", "data/proc")],
        &[("sys", "/data/sys")],
        &[("proc", "sys")],
        &[("sys", "dev"), ("dev", "proc")],
        &[
            ("dev/null", "/proc/sys/kernel/core_pattern"),
            ("dev/ptmx", "/proc/sys/kernel/core_pattern"),
            ("dev/pts", "/proc"),
        ],
    ];
    let decoy = attacker.file("shared/proc/sys/kernel/core_pattern", "theirs");
    attacker.directory("shared/sys");
    let mapped = mount(&attacker.user.home().join("shared"), "/data");
    let mut started = 0;
    for (number, image) in images.into_iter().enumerate() {
        let layer = attacker.image(&format!("layer{number}"));
        for (name, target) in image {
            if let Some((above, _)) = name.rsplit_once('/') {
                attacker.directory(&format!("layer{number}/{above}"));
            }
            symlink(target, layer.join(name)).unwrap();
        }
        let layer = layer.to_str().unwrap();
        let options = ["--layer", layer, "--mount", &mapped];
        let looked = attacker.user.script(&options, UNMASKED_IN_IMAGE);
        if looked.code != Some(125) {
            assert_eq!(looked.fine(), "", "{image:?}");
            started += 1;
        }
        assert_eq!(fs::read_to_string(&decoy).unwrap(), "theirs", "{image:?}");
    }
    assert!(started > 0, "no container was started");
}

/// CVE-2021-30465, CVE-2024-45310, CVE-2025-31133, CVE-2025-52881: the place of a mapping, the null device and what is
/// mapped over `/proc` are swapped for links while containers start.
#[test]
fn what_an_ordinary_user_swaps_leads_nowhere_else() {
    const ROUNDS: usize = 18;
    let Some(attacker) = Attacker::new(SWAPS) else {
        return;
    };
    let outside = attacker.directory("outside");
    let [shared, inner] = ["shared", "inner"].map(|name| attacker.directory(name));
    let traps = [
        outside.display().to_string(),
        format!("../../../../../../../..{}", outside.display()),
        format!("/proc/1/root{}", outside.display()),
        "/proc/self/fd/3".to_owned(),
        "/proc".to_owned(),
        "/".to_owned(),
    ];
    let mut pairs = Vec::new();
    for (number, trap) in traps.iter().enumerate() {
        attacker.directory(&format!("shared/place{number}"));
        symlink(trap, shared.join(format!("trap{number}"))).unwrap();
        pairs.push((format!("place{number}"), format!("trap{number}")));
    }
    let mut started = 0;
    swapping(&shared, &pairs, || {
        for round in 0..ROUNDS {
            let number = round % traps.len();
            let first = mount(&shared, "/vol");
            let second = mount(&inner, &format!("/vol/place{number}/made-{round}"));
            let options = ["--mount", &first, "--mount", &second];
            let looked = attacker.perl(&options, UNMASKED, &["/proc"]);
            if looked.code != Some(125) {
                assert_eq!(looked.fine(), "", "{round}");
                started += 1;
            }
        }
    });
    assert!(started > 0, "no container was started");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    let file = attacker.file("over/file", "the host's");
    let over = file.parent().unwrap();
    symlink("/proc/sys/kernel/core_pattern", over.join("null")).unwrap();
    symlink("/dev/file", over.join("self")).unwrap();
    attacker.file("over/own/oom_score_adj", "the host's");
    let pairs = [("null", "file"), ("self", "own")];
    let pairs = pairs.map(|(one, two)| (one.to_owned(), two.to_owned()));
    swapping(over, &pairs, || {
        for round in 0..ROUNDS {
            let target = ["/dev", "/proc"][round % 2];
            let options = ["--mount", &mount(over, target)];
            let looked = attacker.perl(&options, UNMASKED, &["/proc"]);
            if looked.code != Some(125) {
                assert_eq!(looked.fine(), "", "{round}");
            }
        }
    });
    // Which name is which depends on the last swap.
    for name in ["null", "file", "self/oom_score_adj", "own/oom_score_adj"] {
        let path = over.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            assert_eq!(fs::read_to_string(&path).unwrap(), "the host's", "{name}");
        }
    }
}

/// CVE-2025-52565: links and FIFOs in place of what a terminal is made of, while commands are started on terminals.
#[test]
fn a_terminal_of_an_ordinary_user_is_made_of_nothing_that_the_container_puts_there() {
    let Some(attacker) = Attacker::new(ON_TERMINALS) else {
        return;
    };
    let file = attacker.file("shared/file", "the host's");
    let mapped = mount(file.parent().unwrap(), "/host");
    attacker.box_with(&["--mount", &mapped]);
    let ways = [
        "ln -s /host/file /dev/ptmx",
        "ln -s /proc/sys/kernel/core_pattern /dev/ptmx",
        "ln -s /proc/1/root/dev/ptmx /dev/ptmx",
        "mkfifo /dev/ptmx",
        "ln -s pts/ptmx /dev/ptmx; ln -s /host/file /dev/console; rm -f /dev/tty; ln -s /host/file /dev/tty",
    ];
    for way in ways {
        attacker.exec(&["sh", "-c", &format!("rm -rf /dev/ptmx; {way}")]);
        let line = format!("{} exec -it box -- tty", attacker.user.program());
        let command = ["script", "-qec", &line, "/dev/null"];
        let terminal = ended(&mut attacker.user.command(&command));
        let made = terminal.code == Some(0) && terminal.out.contains("/dev/pts/");
        let refused = matches!(terminal.code, Some(125..=127));
        assert!(made || refused, "{way}: {terminal:?}");
        assert_eq!(attacker.exec(&["echo", "works"]).fine(), "works\n", "{way}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "the host's");
    attacker.end();
}

/// Row F4: what an ordinary user may undo of the surroundings in which the first call came.
#[test]
fn a_service_of_an_ordinary_user_has_little_of_its_first_caller() {
    let Some(attacker) = Attacker::new(BADLY_OFF) else {
        return;
    };
    let user = &attacker.user;
    let wicked = format!(
        "umask 0; ulimit -Sn 128; ulimit -Ss 1024; export WICKED=1 LD_LIBRARY_PATH=/nonexistent TMPDIR=/nonexistent; \
         exec nice -n 5 taskset -c 0 env --ignore-signal=CHLD,USR1 --block-signal=TERM,USR2 {} \"$@\"",
        user.program()
    );
    let inside = "umask; ulimit -Sn; ulimit -Ss; grep -E 'Cpus_allowed_list|SigBlk|SigIgn' /proc/self/status";
    let run = ["sh", "-c", &wicked, "-", "run", "--", "sh", "-c", inside];
    let first = ended(&mut user.command(&run)).fine();
    // The same from a call that has nothing odd: the service is the one that the first has started.
    let [service] = user.services()[..] else {
        panic!("expected one service: {:?}", user.services());
    };
    let next = user.script(&[], inside).fine();
    assert_eq!(first, next);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let all = own
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list"));
    assert!(first.contains(all.unwrap()), "{first}");
    for (number, bad) in ["0000", "128", "1024"].iter().enumerate() {
        assert_ne!(first.lines().nth(number), Some(*bad), "{first}");
    }
    for signals in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(first.contains(signals), "{first}");
    }
    let service = Path::new("/proc").join(service.as_raw_pid().to_string());
    let environment = fs::read_to_string(service.join("environ")).unwrap();
    for name in ["WICKED", "LD_LIBRARY_PATH", "TMPDIR"] {
        assert!(!environment.contains(name), "{environment}");
    }
    let status = fs::read_to_string(service.join("status")).unwrap();
    assert!(status.contains("Umask:\t0022"), "{status}");
    // A file that is larger than a limit allows ends a call, not the service.
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.unwrap(), 16).unwrap();
    assert_ne!(ignored & 1 << (XFSZ - 1), 0, "{status}");
}

/// What would end the service, or hold all containers of the user to the limits of one shell.
#[test]
fn no_service_of_an_ordinary_user_is_started_below_what_it_needs() {
    let Some(attacker) = Attacker::new(NOT_BELOW) else {
        return;
    };
    let user = &attacker.user;
    for (letter, most) in [("f", "100000"), ("t", "30"), ("n", "100"), ("d", "800000")] {
        let limited = format!(
            "ulimit -{letter} {most}; exec {} run -- true",
            user.program()
        );
        let refused = ended(&mut user.command(&["sh", "-c", &limited]));
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(
            refused.err.contains(&format!("ulimit -H{letter}")),
            "{refused:?}"
        );
        assert!(user.services().is_empty(), "{letter}");
    }
}

/// Greets the agent behind a socket as a service does, and says what came back.
const GREETS: &str = r#"
    use Socket;
    my ($path) = glob $ARGV[0];
    my $body = '{"ContainerId":"00000000-0000-0000-0000-000000000000","ActivityId":"00000000-0000-0000-0000-000000000000",'
        . '"MinimumVersion":4,"MaximumVersion":4}';
    alarm 20;
    $SIG{PIPE} = 'IGNORE';
    socket(S, PF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    # The path of a socket may be longer than an address takes.
    my ($folder, $name) = $path =~ m{(.*)/(.*)};
    chdir $folder or die "chdir: $!";
    connect(S, pack_sockaddr_un($name)) or die "connect: $!\n";
    syswrite S, pack("V V Q<", 0x10100b01, 16 + length $body, 1) . $body;
    print sysread(S, my $answer, 16) ? "answered" : "hung up";
"#;

/// The service of an ordinary user cannot prove to an agent what it is. A container of root to which the user's
/// directories are mapped reaches the same socket.
#[test]
fn a_container_of_root_does_not_speak_to_agents_of_a_user() {
    let Some(attacker) = Attacker::new(SPOKEN_TO) else {
        return;
    };
    attacker.box_with(&[]);
    let state = attacker.user.state();
    for (userns, mode) in [("--userns", "ro,shift"), ("--userns=no", "ro")] {
        let mapped = mount(&state, &format!("/x:{mode}"));
        let run = [
            "run", userns, "--mount", &mapped, "--", "perl", "-e", GREETS,
        ];
        let inside = "/x/hcs.d/systems/*/agent.sock";
        let greeted = ended(&mut hcs([&run[..], &[inside]].concat()));
        assert_eq!(greeted.fine(), "hung up", "{userns}");
    }
    assert_eq!(attacker.exec(&["echo", "served"]).fine(), "served\n");
    // The same from where the service is.
    let agents = state.join("hcs.d/systems/*/agent.sock");
    let on_host = ["perl", "-e", GREETS, agents.to_str().unwrap()];
    let on_host = ended(&mut attacker.user.command(&on_host));
    assert_eq!(on_host.fine(), "answered");
    attacker.end();
}

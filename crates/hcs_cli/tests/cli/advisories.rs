//! Holes that other container runtimes had, tried with the real agent, by `hcs`.

use std::{env, fs, path::PathBuf, process::Command, thread};

use crate::{
    common::{Container, Ended, ended, hcs, ready, shell, signal, swapping},
    rootless::{User, unprivileged},
};

/// A user that no host has.
const USER: u32 = 54_330;

/// Without and with a user namespace.
const MODES: [&str; 2] = ["", "--userns"];

/// Runs a shell script in a container that is there.
fn inside(container: &Container, script: &str) -> Ended {
    ended(&mut hcs(["exec", &container.0, "--", "sh", "-c", script]))
}

/// The same on a terminal.
fn on_terminal(container: &Container, script: &str) -> Ended {
    let line = format!("\"$HCS\" exec -it {} -- sh -c '{script}'", container.0);
    ended(shell("exec script -qec \"$LINE\" /dev/null").env("LINE", line))
}

/// The program that the service was started from.
fn program() -> PathBuf {
    let beside = PathBuf::from(env!("CARGO_BIN_EXE_hcs")).with_file_name("hcsd");
    env::var_os("HCS_DAEMON").map_or(beside, PathBuf::from)
}

/// Finds a process that runs from a memory file, holds its program open, tries to write to it while it runs and when it
/// has ended.
const OVERWRITE: &str = r#"
    my ($pid, $held);
    until ($held) {
        for my $exe (glob "/proc/[0-9]*/exe") {
            my $target = readlink $exe or next;
            next unless $target =~ /memfd/;
            ($pid) = $exe =~ /(\d+)/;
            open($held, "<", $exe) or die "held: $!";
            last;
        }
    }
    my ($open, @written) = (0);
    for my $way ("/proc/$pid/exe", "/proc/self/fd/" . fileno $held) {
        open(my $file, "+<", $way) and push @written, "open while it runs";
    }
    # The service, and its launcher, which runs the same program.
    while (my @left = grep { (readlink $_ or "") =~ /memfd/ } glob "/proc/[0-9]*/exe") {
        m{(\d+)} and kill "KILL", $1 for @left;
        select(undef, undef, undef, 0.01);
    }
    if (open(my $file, "+<", "/proc/self/fd/" . fileno $held)) {
        push @written, "bytes" if syswrite($file, "evil");
        push @written, "length" if truncate($file, 4);
    }
    print "held: @written\n";
"#;

/// CVE-2019-5736: a command of the container's is `/proc/self/exe`, and so the runtime's own program, which a process
/// of the container overwrites when it has ended.
#[test]
fn the_program_of_the_service_cannot_be_overwritten_from_inside() {
    let program = program();
    let facts = || {
        let found = fs::metadata(&program).unwrap();
        (found.len(), found.modified().unwrap())
    };
    let before = facts();
    for options in MODES {
        let container = Container::with("overwrite", options);
        let made = "mkdir /opt/place; printf '#!/proc/self/exe\\n' > /evil; chmod 755 /evil";
        inside(&container, made).fine();
        // As a service it runs until it is killed.
        let id = container.0.clone();
        let endpoint = "/opt/place/hcs.sock";
        let command = [
            "exec",
            &id,
            "--",
            "/proc/self/exe",
            "--config",
            "/dev/null",
            "--endpoint",
            endpoint,
        ];
        let command = command.map(str::to_owned);
        let waiting = thread::spawn(move || ended(&mut hcs(command)));
        let overwritten = ended(&mut hcs(["exec", &id, "--", "perl", "-e", OVERWRITE]));
        assert_eq!(overwritten.fine(), "held: \n", "{options:?}");
        assert_ne!(waiting.join().unwrap().code, Some(0));
        // A script that names it has it run as well, and it gains nothing.
        ended(&mut hcs(["exec", &id, "--", "/evil"]));
        assert_eq!(inside(&container, "echo works").fine(), "works\n");
    }
    assert_eq!(facts(), before);
    assert_eq!(
        ended(&mut hcs(["run", "--", "echo", "works"])).fine(),
        "works\n"
    );
}

/// Gives `/opt/sed` the inheritable capability to use raw sockets, as `setcap cap_net_raw=ei` does.
const INHERITABLE: &str = r#"
    my ($file, $name) = ("/opt/sed", "security.capability");
    my $value = pack "V5", 0x02000001, 0, 1 << 13, 0, 0;
    syscall(188, $file, $name, $value, length $value, 0) == 0 or die "$!";
"#;

/// CVE-2022-29162: a process that is added to a container has inheritable capabilities, which a program with
/// capabilities of its own makes use of for an ordinary user.
#[test]
fn no_process_has_inheritable_capabilities() {
    let none = "0000000000000000\n";
    let line = |set: &str| format!("s/^{set}:\\s*//p");
    for options in MODES {
        let container = Container::with("inheritable", options);
        let id = &container.0;
        for user in ["0", "65534"] {
            for set in ["CapInh", "CapAmb"] {
                let command = [
                    "exec",
                    "-u",
                    user,
                    id,
                    "--",
                    "sed",
                    "-n",
                    &line(set),
                    "/proc/self/status",
                ];
                assert_eq!(
                    ended(&mut hcs(command)).fine(),
                    none,
                    "{options} {user} {set}"
                );
            }
        }
        let seen = on_terminal(&container, "grep -E \"Cap(Inh|Amb)\" /proc/self/status");
        assert_eq!(seen.out.matches("0000000000000000").count(), 2, "{seen:?}");
        if cfg!(target_arch = "x86_64") {
            inside(&container, "cp -L /bin/sed /opt/sed").fine();
            ended(&mut hcs(["exec", id, "--", "perl", "-e", INHERITABLE])).fine();
        }
        for set in ["CapPrm", "CapEff"] {
            let command = [
                "exec",
                "-u",
                "65534",
                id,
                "--",
                "/opt/sed",
                "-n",
                &line(set),
                "/proc/self/status",
            ];
            if cfg!(target_arch = "x86_64") {
                assert_eq!(ended(&mut hcs(command)).fine(), none, "{options} {set}");
            }
        }
    }
}

/// CVE-2025-52565: a terminal is made from, or shown at, a path where the container has put a link to something else.
#[test]
fn a_terminal_is_made_of_nothing_that_the_container_puts_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "the host's").unwrap();
    let ways = [
        "ln -s /host/file /dev/ptmx",
        "ln -s /proc/sys/kernel/core_pattern /dev/ptmx",
        "ln -s /proc/self/fd/3 /dev/ptmx",
        "ln -s /proc/1/root/dev/ptmx /dev/ptmx",
        "mkfifo /dev/ptmx",
        "mkdir /dev/ptmx",
        "ln -s pts/ptmx /dev/ptmx; ln -s /host/file /dev/console; rm /dev/tty; ln -s /host/file /dev/tty",
    ];
    for options in MODES {
        let shift = if options.is_empty() { "" } else { ":shift" };
        let mount = format!("--mount {}:/host{shift}", folder.path().display());
        let container = Container::with("terminal", &format!("{options} {mount}"));
        for way in ways {
            inside(&container, &format!("rm -rf /dev/ptmx; {way}"));
            let terminal = on_terminal(&container, "tty");
            let made = terminal.code == Some(0) && terminal.out.contains("/dev/pts/");
            let refused = matches!(terminal.code, Some(125..=127));
            assert!(made || refused, "{way}: {terminal:?}");
            assert_eq!(inside(&container, "echo works").fine(), "works\n", "{way}");
        }
        let written = inside(&container, "echo evil > /proc/sys/kernel/core_pattern");
        assert_ne!(written.code, Some(0), "{written:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "the host's");
}

/// CVE-2025-52881: what the runtime writes below `/proc` goes to what another container, or the image, has put there: a
/// file of the host, or one of the kernel's by a link.
#[test]
fn nothing_is_written_through_what_is_mapped_over_proc() {
    const FILES: [&str; 8] = [
        "self/oom_score_adj",
        "self/attr/current",
        "self/attr/exec",
        "self/attr/keycreate",
        "self/setgroups",
        "1/oom_score_adj",
        "thread-self/attr/exec",
        "sys/net/ipv4/ping_group_range",
    ];
    for options in [&[][..], &["--userns"]] {
        for linked in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("target"), "the host's").unwrap();
            for file in FILES {
                let path = folder.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                if linked {
                    std::os::unix::fs::symlink("/proc/target", path).unwrap();
                } else {
                    fs::write(path, "the host's").unwrap();
                }
            }
            let mount = format!("{}:/proc", folder.path().display());
            let arguments = [
                &["run", "--mount", &mount],
                options,
                &["--", "echo", "works"],
            ];
            // It may as well be refused.
            ended(&mut hcs(arguments.concat()));
            for file in FILES.into_iter().chain(["target"]) {
                let path = folder.path().join(file);
                if !path.is_symlink() {
                    assert_eq!(fs::read_to_string(path).unwrap(), "the host's", "{file}");
                }
            }
        }
    }
}

/// The same while the way to those files is swapped for links, as fast as it can be, during each start.
#[test]
fn nothing_is_written_through_what_is_swapped_below_a_mapped_proc() {
    const ROUNDS: usize = 15;
    const FILES: [&str; 5] = [
        "oom_score_adj",
        "attr/exec",
        "attr/current",
        "attr/keycreate",
        "setgroups",
    ];
    for options in [&[][..], &["--userns"]] {
        let folder = tempfile::tempdir().unwrap();
        let mut places = Vec::new();
        let mut pairs = Vec::new();
        for name in ["self", "1", "thread-self"] {
            let (link, target) = (format!("{name}-link"), format!("{name}-target"));
            for place in [name, &target] {
                fs::create_dir_all(folder.path().join(place).join("attr")).unwrap();
                for file in FILES {
                    let path = folder.path().join(place).join(file);
                    fs::write(path, "the host's").unwrap();
                    places.push(format!("{place}/{file}"));
                }
            }
            std::os::unix::fs::symlink(target, folder.path().join(&link)).unwrap();
            pairs.push((name.to_owned(), link));
        }
        let mount = format!("{}:/proc:shift", folder.path().display());
        let first = ["run", "--mount", &mount];
        let command = ["--", "echo", "works"];
        swapping(folder.path(), &pairs, || {
            for _ in 0..ROUNDS {
                let run = ended(&mut hcs([&first[..], options, &command].concat()));
                assert!(matches!(run.code, Some(0 | 125..=127)), "{run:?}");
            }
        });
        // Of a swapped pair one is the directory still.
        let names = places.iter().flat_map(|name| {
            let (place, file) = name.split_once('/').unwrap();
            [name.clone(), format!("{place}-link/{file}")]
        });
        for path in names.map(|name| folder.path().join(name)) {
            if path.exists() {
                assert_eq!(fs::read_to_string(&path).unwrap(), "the host's", "{path:?}");
            }
        }
    }
}

/// Swaps what a terminal is made of for links, as fast as it can; says how often when it is ended.
const SWAP: &str = r#"
    my @pairs = map { ["/dev/$_", "/dev/$_-link"] } qw(ptmx console tty);
    my ($swapped, $exchange, $at) = (0, 2, -100);
    $SIG{TERM} = sub { open my $told, ">", "/swapped"; print $told $swapped; close $told; exit };
    print "ready\n";
    open STDOUT, ">", "/dev/zero";
    while (1) {
        for (@pairs) { my ($a, $b) = @$_; $swapped++ if syscall(316, $at, $a, $at, $b, $exchange) == 0; }
    }
"#;

/// CVE-2025-52565, by speed: what a terminal is made of is swapped while commands are started on terminals.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_terminal_is_made_of_nothing_that_is_swapped_in() {
    const ROUNDS: usize = 15;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "the host's").unwrap();
    for options in MODES {
        let shift = if options.is_empty() { "" } else { ":shift" };
        let mount = format!("--mount {}:/host{shift}", folder.path().display());
        let container = Container::with("swapped", &format!("{options} {mount}"));
        let links = "ln -s /host/file /dev/ptmx-link; ln -s /host/file /dev/console-link; \
                     ln -s /proc/sys/kernel/core_pattern /dev/tty-link; test -e /dev/console || : > /dev/console";
        inside(&container, links).fine();
        let mut swap = ready(&mut hcs(["exec", &container.0, "--", "perl", "-e", SWAP]));
        for _ in 0..ROUNDS {
            let terminal = on_terminal(&container, "tty");
            let made = terminal.code == Some(0) && terminal.out.contains("/dev/pts/");
            assert!(
                made || matches!(terminal.code, Some(1 | 125..=127)),
                "{terminal:?}"
            );
        }
        signal(&swap, rustix::process::Signal::TERM);
        swap.wait().unwrap();
        let swapped = inside(&container, "cat /swapped; rm -f /dev/ptmx-link").fine();
        assert!(swapped.parse::<u64>().unwrap() > 0, "{swapped}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "the host's");
    }
}

/// CVE-2021-41091: other users of the host get into what the containers of an ordinary user write.
#[test]
fn other_users_get_into_no_directory_of_a_users_service() {
    if unprivileged() {
        return;
    }
    let user = User::new(USER);
    user.hcs(&["create", "--id", "own"]).fine();
    user.hcs(&["start", "own"]).fine();
    let script = "mkdir -m 777 /opt/open && echo written > /opt/open/file";
    user.hcs(&["exec", "own", "--", "sh", "-c", script]).fine();
    let find = |id: u32| {
        let id = id.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "find"]);
        ended(command.arg(user.state()).args(["-mindepth", "1"])).out
    };
    assert!(find(USER).contains("/open/file"));
    assert_eq!(find(USER + 1), "");
    user.hcs(&["terminate", "own"]).fine();
}

//! Known ways out of a container, tried. The table in `docs/THREATS.md` says which wall each of them meets.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::MetadataExt,
            net::{SocketAddr, UnixListener},
        },
    },
};

use serde_json::json;

use crate::host::{Container, Host};

super::cases![
    the_programs_of_pid_1_cannot_be_overwritten,
    a_script_run_by_the_agents_program_gains_nothing,
    no_setting_of_the_kernel_can_be_written,
    nothing_can_be_mounted_by_any_call,
    read_only_places_stay_read_only,
    a_process_has_no_descriptors_but_its_own,
    keyrings_are_out_of_reach,
    no_cgroup_is_there_to_escape_by,
    the_agent_cannot_be_traced_or_read,
    the_agents_limits_and_scheduling_cannot_be_changed,
    the_agents_files_in_proc_cannot_be_written,
    file_handles_open_nothing,
    a_namespace_of_its_own_is_refused,
    kernel_programs_and_counters_are_refused,
    modules_and_kernels_cannot_be_loaded,
    no_terminal_of_the_host_takes_input,
    signals_do_not_stop_the_agent,
    abstract_sockets_of_the_host_are_not_seen,
    namespaces_of_pid_1_cannot_be_joined,
    a_chroot_is_left_for_the_containers_root_only,
    disks_of_the_host_cannot_be_opened,
];

/// The errno, as a number, of a system call whose arguments are written in Perl; 0 when it succeeds. `$v` is one vector
/// of memory of the caller's.
pub(super) fn errno(container: &Container, call: libc::c_long, arguments: &str) -> i32 {
    let script = format!(
        r#"my $m = "x" x 8; my $v = pack("PQ", $m, 8); my @a = ({arguments}); $! = 0;
        my $r = syscall({call}, @a); print $r == -1 ? $! + 0 : 0"#
    );
    let outcome = container.run(&["perl", "-e", &script]);
    let found = outcome.stdout.parse();
    found.unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// Each call is refused by the filter, for every user.
fn refused(calls: &[(libc::c_long, &str)]) {
    let host = Host::new();
    let container = host.start(json!({}));
    for (call, arguments) in calls {
        let found = errno(&container, *call, arguments);
        assert_eq!(found, libc::EPERM, "call {call} with {arguments}");
    }
}

fn the_programs_of_pid_1_cannot_be_overwritten() {
    let host = Host::new();
    let container = host.start(json!({}));
    let own = fs::read("/proc/self/exe").unwrap();
    for path in [
        "/proc/1/exe",
        "/proc/1/root/etc/passwd",
        "/proc/1/cwd/x",
        "/proc/1/fd/3",
    ] {
        let outcome = container.run(&["sh", "-c", &format!("echo evil >> {path}")]);
        assert_ne!(outcome.code, 0, "{path}: {outcome:?}");
    }
    assert!(fs::read("/proc/self/exe").unwrap() == own);
    // What the agent runs from still makes containers.
    drop(host.start(json!({})));
}

/// The way of CVE-2019-5736: a script whose interpreter is the program of the process that executes it.
fn a_script_run_by_the_agents_program_gains_nothing() {
    let host = Host::new();
    let container = host.start(json!({}));
    let own = fs::read("/proc/self/exe").unwrap();
    container.shell(
        "printf '#!/proc/self/exe\\n' > /evil && chmod 755 /evil && cat > /overwrite <<'end'
/evil --list > /dev/null 2>&1 &
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    echo evil 2> /dev/null >> /proc/$!/exe && echo written
done
wait
:
end",
    );
    let outcome = container.run(&["sh", "/overwrite"]);
    assert!(!outcome.stdout.contains("written"), "{outcome:?}");
    container.run(&["/evil", "--list"]);
    assert!(fs::read("/proc/self/exe").unwrap() == own);
    drop(host.start(json!({})));
}

fn no_setting_of_the_kernel_can_be_written() {
    let host = Host::new();
    let container = host.start(json!({}));
    // Every file of the two trees, opened for writing by root; nothing is written.
    let script = r#"
        use File::Find; use Fcntl; my ($tried, @open) = (0);
        find({ no_chdir => 1, wanted => sub {
            return unless -f $_ && !-l $_;
            $tried++;
            push @open, $_ if sysopen(my $file, $_, O_WRONLY | O_NONBLOCK);
        } }, "/proc/sys", "/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs");
        print "$tried:@open";
    "#;
    let found = container.run(&["perl", "-e", script]).stdout;
    let (tried, open) = found.split_once(':').unwrap();
    assert!(tried.parse::<u32>().unwrap() > 500, "{tried}");
    assert_eq!(open, "");
    let outcome = container.run(&["sh", "-c", "echo x > /proc/sys/kernel/core_pattern"]);
    assert!(
        outcome.stderr.contains("Read-only file system"),
        "{outcome:?}"
    );
}

fn nothing_can_be_mounted_by_any_call() {
    refused(&[
        (libc::SYS_mount, r#""none", "/proc", "tmpfs", 0, 0"#),
        (libc::SYS_mount, r#""/etc", "/proc", 0, 4096, 0"#),
        (libc::SYS_umount2, r#""/proc/sys", 2"#),
        (libc::SYS_umount2, r#""/sys/firmware", 2"#),
        (libc::SYS_pivot_root, r#""/", "/""#),
        (libc::SYS_fsopen, r#""tmpfs", 0"#),
        (libc::SYS_fspick, r#"-100, "/proc", 0"#),
        (libc::SYS_open_tree, r#"-100, "/", 1"#),
        (libc::SYS_move_mount, r#"-100, "/proc", -100, "/mnt", 0"#),
        (libc::SYS_mount_setattr, r#"-100, "/proc/sys", 0, 0, 0"#),
    ]);
}

fn read_only_places_stay_read_only() {
    let host = Host::new();
    let container = host.start(json!({}));
    // MS_REMOUNT | MS_BIND, without MS_RDONLY.
    for path in ["/proc/sys", "/sys", "/proc/sysrq-trigger"] {
        let arguments = format!(r#""none", "{path}", 0, 4128, 0"#);
        assert_eq!(
            errno(&container, libc::SYS_mount, &arguments),
            libc::EPERM,
            "{path}"
        );
    }
    let options =
        container.shell("grep -E ' (/sys|/proc/sys) ' /proc/self/mountinfo | cut -d' ' -f6");
    assert!(
        options.lines().all(|line| line.starts_with("ro,")),
        "{options}"
    );
}

fn a_process_has_no_descriptors_but_its_own() {
    let host = Host::new();
    let container = host.start(json!({}));
    // The fourth is the directory that is being read.
    let script = r#"opendir(my $d, "/proc/self/fd"); print join " ", sort grep !/^\./, readdir $d"#;
    let found = container.run(&["perl", "-e", script]).stdout;
    assert_eq!(found, "0 1 2 3");
    for descriptor in ["1", "2"] {
        let target = container.shell(&format!("readlink /proc/self/fd/{descriptor}"));
        assert!(target.starts_with("pipe:"), "{target}");
    }
}

fn keyrings_are_out_of_reach() {
    refused(&[
        (libc::SYS_add_key, r#""user", "x", "y", 1, -3"#),
        (libc::SYS_request_key, r#""user", "x", 0, -3"#),
        (libc::SYS_keyctl, "0, -3, 0"),
        (libc::SYS_keyctl, "1, 0"),
    ]);
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("cat /proc/keys"), "");
}

fn no_cgroup_is_there_to_escape_by() {
    let host = Host::new();
    let container = host.start(json!({}));
    let found = container.shell(
        "find /sys /dev -name release_agent -o -name notify_on_release -o -name cgroup.procs 2>/dev/null || :",
    );
    assert!(!found.contains("release_agent"), "{found}");
    for path in found.lines() {
        let outcome = container.run(&["sh", "-c", &format!("echo 1 > {path}")]);
        assert_ne!(outcome.code, 0, "{path}: {outcome:?}");
    }
    for kind in ["cgroup", "cgroup2"] {
        let arguments = format!(r#""none", "/mnt", "{kind}", 0, 0"#);
        assert_eq!(
            errno(&container, libc::SYS_mount, &arguments),
            libc::EPERM,
            "{kind}"
        );
    }
    // Nor by way of a user and cgroup namespace, where mounting one would be allowed.
    let outcome = container.run(&["unshare", "-UrmC", "mount", "-t", "cgroup2", "none", "/mnt"]);
    assert!(
        outcome.stderr.contains("Operation not permitted"),
        "{outcome:?}"
    );
}

fn the_agent_cannot_be_traced_or_read() {
    let host = Host::new();
    let container = host.start(json!({}));
    let vectors = "1, $v, 1, $v, 1, 0";
    for (call, arguments) in [
        (libc::SYS_ptrace, "16, 1, 0, 0"),
        (libc::SYS_ptrace, "0x4206, 1, 0, 0"),
        (libc::SYS_process_vm_readv, vectors),
        (libc::SYS_process_vm_writev, vectors),
    ] {
        assert_eq!(
            errno(&container, call, arguments),
            libc::EPERM,
            "call {call}"
        );
    }
    // Its descriptors are not to be had either.
    let script = format!(
        "my $p = syscall({}, 1, 0); $! = 0; my $r = syscall({}, $p, 3, 0); print $r == -1 ? $! + 0 : 0",
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd
    );
    let found = container.run(&["perl", "-e", &script]).stdout;
    assert_eq!(found, libc::EPERM.to_string());
}

/// What the host says of pid 1: its limits, its OOM score, its timer slack, its processors and its priority.
fn agent_on_the_host(container: &Container) -> String {
    // By then the agent has set what is its own.
    container.shell("exec true");
    let directory = format!("/proc/{}", container.recorded("Pid"));
    let read = |file: &str| fs::read_to_string(format!("{directory}/{file}")).unwrap();
    let status = read("status");
    let processors = status
        .lines()
        .find(|line| line.starts_with("Cpus_allowed:"));
    // Nice value and scheduling policy: fields 19 and 41 of the whole.
    let stat = read("stat");
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    format!(
        "{}{}{}{:?} nice {} policy {}",
        read("limits"),
        read("oom_score_adj"),
        read("timerslack_ns"),
        processors,
        fields[16],
        fields[38]
    )
}

/// Row S11.
fn the_agents_limits_and_scheduling_cannot_be_changed() {
    let host = Host::new();
    let container = host.start(json!({}));
    let before = agent_on_the_host(&container);
    // Of open files: none at all. One processor. The idle policy, priority 0. Nice 19; the idle class of input and
    // output.
    let calls = [
        (libc::SYS_prlimit64, r#"1, 7, pack("QQ", 0, 0), 0"#),
        (libc::SYS_prlimit64, r#"4294967297, 7, pack("QQ", 0, 0), 0"#),
        (libc::SYS_sched_setaffinity, r#"1, 8, pack("Q", 1)"#),
        (libc::SYS_sched_setscheduler, r#"1, 5, pack("L", 0)"#),
        (libc::SYS_sched_setparam, r#"1, pack("L", 0)"#),
        (
            libc::SYS_sched_setattr,
            r#"1, pack("LLQlLQQQ", 48, 5, 0, 0, 0, 0, 0, 0), 0"#,
        ),
        (libc::SYS_setpriority, "0, 1, 19"),
        (libc::SYS_setpriority, "1, 1, 19"),
        (libc::SYS_setpriority, "2, 0, 19"),
        (libc::SYS_ioprio_set, "1, 1, 3 << 13"),
        (libc::SYS_ioprio_set, "3, 0, 3 << 13"),
        (libc::SYS_kcmp, "1, 1, 0, 0, 0"),
        (libc::SYS_migrate_pages, "1, 1, $v, $v"),
        (libc::SYS_move_pages, "1, 0, $v, 0, 0, 0"),
        (
            libc::SYS_process_madvise,
            "syscall(434, 1, 0), $v, 1, 21, 0",
        ),
        (libc::SYS_setpgid, "1, 0"),
        (libc::SYS_pidfd_getfd, "syscall(434, 1, 0), 3, 0"),
    ];
    for (call, arguments) in calls {
        let found = errno(&container, call, arguments);
        let allowed = [libc::EPERM, libc::ESRCH, libc::EACCES];
        assert!(
            allowed.contains(&found),
            "call {call} with {arguments}: {found}"
        );
    }
    assert_eq!(agent_on_the_host(&container), before);
    container.shell("exec true");
}

fn the_agents_files_in_proc_cannot_be_written() {
    let host = Host::new();
    let container = host.start(json!({}));
    let before = agent_on_the_host(&container);
    let script = r#"
        use File::Find; use Fcntl; my ($tried, @open) = (0);
        for my $where ("/proc/1", "/proc/self/../1", "/proc/1/task/1") {
            for my $file (qw(oom_score_adj oom_adj mem clear_refs autogroup timerslack_ns coredump_filter comm sched
                attr/current attr/exec uid_map gid_map setgroups projid_map make-it-fail loginuid timens_offsets)) {
                $tried++ if -e "$where/$file";
                push @open, "$where/$file" if sysopen(my $f, "$where/$file", O_WRONLY | O_NONBLOCK);
            }
        }
        print "$tried:@open";
    "#;
    let found = container.run(&["perl", "-e", script]).stdout;
    let (tried, open) = found.split_once(':').unwrap();
    assert!(tried.parse::<u32>().unwrap() > 20, "{tried}");
    assert_eq!(open, "");
    container.run(&["sh", "-c", "echo 1000 > /proc/1/oom_score_adj"]);
    assert_eq!(agent_on_the_host(&container), before);
}

fn file_handles_open_nothing() {
    refused(&[(
        libc::SYS_open_by_handle_at,
        r#"-100, "\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 0"#,
    )]);
    // Nor with the capability: a handle leads to every file of the file system that something is mapped from.
    let host = Host::new();
    let container = host.start(json!({ "AddCapabilities": ["CAP_DAC_READ_SEARCH"] }));
    let arguments = r#"-100, "\x08\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 0"#;
    let found = errno(&container, libc::SYS_open_by_handle_at, arguments);
    assert_eq!(found, libc::EPERM);
}

fn a_namespace_of_its_own_is_refused() {
    let flags = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWCGROUP,
    ];
    let host = Host::new();
    let container = host.start(json!({}));
    for flag in flags {
        let found = errno(&container, libc::SYS_unshare, &flag.to_string());
        assert_eq!(found, libc::EPERM, "unshare {flag:#x}");
        let found = errno(
            &container,
            libc::SYS_clone,
            &format!("{}, 0, 0, 0, 0", flag | libc::SIGCHLD),
        );
        assert_eq!(found, libc::EPERM, "clone {flag:#x}");
    }
}

fn kernel_programs_and_counters_are_refused() {
    refused(&[
        (libc::SYS_bpf, "5, 0, 0"),
        (libc::SYS_perf_event_open, "0, 0, -1, -1, 0"),
        (libc::SYS_userfaultfd, "0"),
        (libc::SYS_io_uring_setup, "1, 0"),
        (libc::SYS_fanotify_init, "0, 0"),
        (libc::SYS_kcmp, "1, 1, 0, 0, 0"),
    ]);
}

fn modules_and_kernels_cannot_be_loaded() {
    refused(&[
        (libc::SYS_init_module, "0, 0, 0"),
        (libc::SYS_finit_module, "0, 0, 0"),
        (libc::SYS_delete_module, "0, 0"),
        (libc::SYS_kexec_load, "0, 0, 0, 0"),
        (libc::SYS_kexec_file_load, "0, 0, 0, 0, 0"),
        (libc::SYS_reboot, "0, 0, 0, 0"),
        (libc::SYS_swapon, r#""/dev/null", 0"#),
        (libc::SYS_settimeofday, "0, 0"),
        (libc::SYS_syslog, "3, 0, 0"),
        (libc::SYS_acct, "0"),
    ]);
}

fn no_terminal_of_the_host_takes_input() {
    let host = Host::new();
    let container = host.start(json!({}));
    // TIOCSTI and TIOCLINUX, on whatever a process has.
    let script = r#"
        my @ok;
        for my $fd (0 .. 9) { open(my $f, "+<&=", $fd) or next; my $c = "x";
            for my $request (0x5412, 0x541c) { push @ok, "$fd" if ioctl($f, $request, $c) } }
        push @ok, "tty" if open(my $tty, "+<", "/dev/tty");
        print "@ok";
    "#;
    let outcome = container.run(&["perl", "-e", script]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (0, ""),
        "{outcome:?}"
    );
    assert_eq!(container.shell("ls /dev/pts"), "ptmx");
}

/// Row S11.
fn signals_do_not_stop_the_agent() {
    let host = Host::new();
    let container = host.start(json!({}));
    for signal in [
        "KILL", "STOP", "TSTP", "TERM", "INT", "HUP", "SEGV", "USR1", "PIPE", "ALRM",
    ] {
        container.shell(&format!("kill -{signal} 1 2>/dev/null; :"));
    }
    assert_eq!(container.shell("echo still there"), "still there");
    // All processes of the host that it can name are its own.
    container.shell("kill -0 -1 2>/dev/null; :");
    assert_ne!(
        container
            .run(&["kill", "-0", &std::process::id().to_string()])
            .code,
        0
    );
}

fn abstract_sockets_of_the_host_are_not_seen() {
    let host = Host::new();
    let name = format!("hcs-test-abstract-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let container = host.start(json!({}));
    let script = format!(
        r#"use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); print connect($s, pack("S", AF_UNIX) . "\0{name}") ? "in" : $! + 0"#
    );
    let found = container.run(&["perl", "-e", &script]).stdout;
    assert_eq!(found, libc::ECONNREFUSED.to_string());
    assert_eq!(container.shell("grep -c @ /proc/net/unix || :"), "0");
}

fn namespaces_of_pid_1_cannot_be_joined() {
    let host = Host::new();
    let container = host.start(json!({}));
    for kind in ["mnt", "pid", "user", "net", "cgroup"] {
        let outcome = container.run(&[
            "nsenter",
            &format!("--{}=/proc/1/ns/{kind}", long_name(kind)),
            "true",
        ]);
        assert_ne!(outcome.code, 0, "{kind}: {outcome:?}");
    }
    assert_eq!(errno(&container, libc::SYS_setns, "0, 0"), libc::EPERM);
}

fn long_name(kind: &str) -> &str {
    match kind {
        "mnt" => "mount",
        other => other,
    }
}

/// The classic: enter a chroot with a directory outside of it still open, and walk up.
fn a_chroot_is_left_for_the_containers_root_only() {
    let host = Host::new();
    let marker = host.files.path().join("marker");
    fs::write(&marker, "").unwrap();
    let container = host
        .start(json!({ "Storage": { "Layers": [{ "Path": "/usr" }, { "Path": layer(&host) }] } }));
    let script = format!(
        r#"mkdir "/jail"; opendir(my $d, "/"); chroot "/jail"; chdir $d; chdir ".." for 1 .. 64; chroot "."; print -e "{}" ? "out" : "in"; print " ", join ",", grep {{ -d "/$_" }} qw(jail boot);"#,
        marker.display()
    );
    let found = container.run(&["/bin/perl", "-e", &script]);
    assert_eq!(found.stdout, "in jail", "{found:?}");
}

/// A layer with what a program of `/usr` needs outside of it.
fn layer(host: &Host) -> String {
    let layer = host.files.path().join("layer");
    for directory in ["lib", "lib64", "bin"] {
        let from = std::path::Path::new("/usr").join(directory);
        fs::create_dir_all(&layer).unwrap();
        if from.exists() {
            std::os::unix::fs::symlink(
                format!("/{directory}"),
                layer.join(format!("-{directory}")),
            )
            .unwrap();
        }
    }
    fs::create_dir_all(layer.join("usr")).unwrap();
    for directory in ["lib", "lib64", "bin", "share"] {
        std::os::unix::fs::symlink(format!("/{directory}"), layer.join("usr").join(directory))
            .unwrap();
    }
    layer.to_str().unwrap().to_owned()
}

fn disks_of_the_host_cannot_be_opened() {
    let host = Host::new();
    let container = host.start(json!({ "AddCapabilities": ["MKNOD"] }));
    let device = fs::metadata("/").unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    // Where nodes can be made they do not work; in a user namespace none can.
    let made = container.run(&[
        "mknod",
        "/tmp/disk",
        "b",
        &major.to_string(),
        &minor.to_string(),
    ]);
    for (node, made) in [
        ("/tmp/disk", made.code == 0),
        ("/dev/mem", false),
        ("/dev/kmsg", false),
    ] {
        let outcome = container.run(&["head", "-c", "1", node]);
        assert_ne!(outcome.code, 0, "{node}: {outcome:?}");
        if made {
            assert!(
                outcome.stderr.contains("Operation not permitted"),
                "{outcome:?}"
            );
        }
    }
}

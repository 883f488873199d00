//! The file systems that every container has.

use serde_json::json;

use crate::host::Host;

super::cases![
    the_devices_every_program_expects_work,
    terminals_are_its_own,
    shared_memory_and_queues_are_writable,
    the_kernel_cannot_be_configured,
    what_speaks_of_the_host_is_hidden,
    nothing_of_the_host_is_mounted,
];

fn the_devices_every_program_expects_work() {
    let host = Host::new();
    let container = host.start(json!({}));
    let listed = container.shell("cd /dev && ls | sort | tr '\\n' ' '");
    let expected =
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    assert_eq!(listed.trim_end(), expected);
    for node in ["null", "zero", "full", "random", "urandom", "tty"] {
        assert_eq!(
            container.shell(&format!("stat -c '%F %a' /dev/{node}")),
            "character special file 666"
        );
    }
    container.shell("echo gone > /dev/null");
    assert_eq!(
        container.shell("head -c 3 /dev/zero | od -An -tx1"),
        " 00 00 00"
    );
    assert_eq!(container.shell("head -c 3 /dev/urandom | wc -c"), "3");
    assert_ne!(
        container
            .run(&["/bin/sh", "-c", "echo full > /dev/full"])
            .code,
        0
    );
    assert_eq!(container.shell("echo through | cat /dev/stdin"), "through");
}

fn terminals_are_its_own() {
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("ls /dev/pts"), "ptmx");
    assert_eq!(container.shell("stat -L -c %a /dev/ptmx"), "666");
    // script(1) opens one and runs its command on it.
    assert_eq!(
        container.shell("script -qec tty /dev/null < /dev/null | tr -d '\\r'"),
        "/dev/pts/0"
    );
}

fn shared_memory_and_queues_are_writable() {
    let host = Host::new();
    let container = host.start(json!({}));
    assert_eq!(container.shell("stat -c %a /dev/shm"), "1777");
    assert_eq!(
        container.shell("echo kept > /dev/shm/a && cat /dev/shm/a"),
        "kept"
    );
    assert_eq!(
        container.shell("stat -f -c %T /dev/shm /dev/mqueue | tr '\\n' ' '"),
        "tmpfs mqueue"
    );
    container.shell("touch /dev/mqueue/one");
}

fn the_kernel_cannot_be_configured() {
    let host = Host::new();
    let container = host.start(json!({}));
    let files = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/profiling",
        "/sys/fs/cgroup/probe",
    ];
    for file in files {
        let script = format!("[ ! -e {file} ] || ! echo 1 > {file}");
        container.shell(&script);
    }
    // Remounting would need a right that it does not have.
    assert_ne!(
        container.run(&["mount", "-o", "remount,rw", "/sys"]).code,
        0
    );
}

fn what_speaks_of_the_host_is_hidden() {
    let host = Host::new();
    let container = host.start(json!({}));
    for file in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/interrupts",
    ] {
        assert_eq!(
            container.shell(&format!("[ ! -e {file} ] || cat {file}")),
            "",
            "{file}"
        );
    }
    for directory in [
        "/proc/acpi",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/devices/virtual/powercap",
    ] {
        assert_eq!(
            container.shell(&format!("[ ! -e {directory} ] || ls -A {directory}")),
            "",
            "{directory}"
        );
    }
}

fn nothing_of_the_host_is_mounted() {
    let host = Host::new();
    let container = host.start(json!({}));
    let mounts = container.shell("cut -d' ' -f5 /proc/self/mountinfo");
    let own = |path: &&str| {
        *path == "/"
            || ["/proc", "/sys", "/dev"]
                .iter()
                .any(|top| path == top || path.starts_with(&format!("{top}/")))
            || ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(path)
            || *path == host.config.scratch_root.to_str().unwrap()
    };
    let strange: Vec<&str> = mounts.lines().filter(|path| !own(path)).collect();
    assert_eq!(strange, Vec::<&str>::new());
    // Nor does what is mounted later on the host get in.
    assert!(
        !container
            .shell("cat /proc/self/mountinfo")
            .contains("master:")
    );
}

//! Under whose identity a process runs.

use serde_json::json;

use crate::{Test, system::System};

pub const TESTS: &[Test] = &[
    (
        "users_and_groups_of_the_system",
        users_and_groups_of_the_system,
    ),
    ("capabilities_are_for_root", capabilities_are_for_root),
    (
        "a_system_without_accounts_has_root_and_numbers",
        a_system_without_accounts_has_root_and_numbers,
    ),
    ("account_files_that_are_traps", account_files_that_are_traps),
];

/// A shell script that puts files of our own in the place of the system's.
const ACCOUNTS: &str = "
    d=$1/accounts; mkdir $d; mount -t tmpfs accounts $d
    printf 'root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n' > $d/passwd
    printf 'root:x:0:\nstaff:x:50:bob\nbob:x:1001:\nwheel:x:10:bob,root\n' > $d/group
    mount --bind $d/passwd /etc/passwd; mount --bind $d/group /etc/group";

fn users_and_groups_of_the_system() {
    let system = System::start_after(ACCOUNTS);
    let mut bridge = system.connect();
    let cases = [
        ("", "0 0 0 0 0 10 /root"),
        ("root", "0 0 0 0 0 10 /root"),
        ("bob", "1000 1000 1001 1001 1001 10 50 /home/bob"),
        ("1000", "1000 1000 1001 1001 1001 10 50 /home/bob"),
        ("bob:staff", "1000 1000 50 50 50 /home/bob"),
        ("bob:77", "1000 1000 77 77 77 /home/bob"),
        ("4242:4343", "4242 4242 4343 4343 4343 /"),
        ("4242", "4242 4242 0 0 0 /"),
    ];
    for (user, expected) in cases {
        let script = "echo $(id -u) $(id -ru) $(id -g) $(id -rg) $(id -G) $HOME";
        let mut process = bridge.start(&json!({
            "CommandArgs": ["sh", "-c", script], "User": user, "CreateStdOutPipe": true
        }));
        assert_eq!(process.read_stdout().trim_end(), expected, "{user:?}");
        assert_eq!(bridge.exit(&process), 0);
    }
    let home = json!({ "CommandArgs": ["sh", "-c", "echo $HOME"], "User": "bob", "Environment": { "HOME": "/x" }, "CreateStdOutPipe": true });
    assert_eq!(bridge.start(&home).read_stdout(), "/x\n");
}

fn capabilities_are_for_root() {
    let system = System::start();
    let mut bridge = system.connect();
    let mut capabilities = |user: &str| {
        let document = json!({
            "CommandLine": "cat /proc/self/status", "User": user, "CreateStdOutPipe": true
        });
        let status = bridge.start(&document).read_stdout();
        let lines = status
            .lines()
            .filter(|line| line.starts_with("CapPrm") || line.starts_with("CapEff"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let none = ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"];
    assert_eq!(capabilities("65534"), none);
    assert_ne!(capabilities(""), none);
}

fn a_system_without_accounts_has_root_and_numbers() {
    let nothing = "mount -t tmpfs none /etc";
    let system = System::start_after(nothing);
    let mut bridge = system.connect();
    for (user, expected) in [("", "0 0 0 /"), ("0", "0 0 0 /"), ("7:8", "7 8 8 /")] {
        let document = json!({
            "CommandArgs": ["sh", "-c", "echo $(id -u) $(id -g) $(id -G) $HOME"], "User": user, "CreateStdOutPipe": true
        });
        assert_eq!(bridge.start(&document).read_stdout().trim_end(), expected);
    }
    let refusal = bridge
        .try_start(&json!({ "CommandLine": "true", "User": "root" }))
        .unwrap_err();
    assert!(
        refusal.error_message.contains("no user \"root\""),
        "{refusal:?}"
    );
}

/// A FIFO, a directory or an endless device in the place of a file neither blocks nor fills the agent.
fn account_files_that_are_traps() {
    let traps = "mount -t tmpfs none /etc; mkfifo /etc/passwd; mkdir /etc/group";
    let system = System::start_after(traps);
    let mut bridge = system.connect();
    let mut refusal = || {
        bridge
            .try_start(&json!({ "CommandLine": "true" }))
            .unwrap_err()
            .error_message
    };
    assert_eq!(
        refusal(),
        "/etc/passwd cannot be read: it is a FIFO and has to be a regular file"
    );
    let endless = "mount -t tmpfs none /etc; mknod /etc/passwd c 1 5";
    let system = System::start_after(endless);
    let mut bridge = system.connect();
    let refusal = bridge
        .try_start(&json!({ "CommandLine": "true" }))
        .unwrap_err();
    assert!(
        refusal
            .error_message
            .starts_with("/etc/passwd cannot be read"),
        "{refusal:?}"
    );
    // Not even of the agent itself; and a file with a hole of 10 GB is no better than one that is full.
    for (trap, why) in [
        (
            "ln -s /proc/self/mem /etc/passwd",
            "it leads to a file of /proc and has to be a regular file",
        ),
        (
            "ln -s /proc/kmsg /etc/passwd",
            "it leads to a file of /proc and has to be a regular file",
        ),
        (
            "ln -s / /etc/passwd",
            "it is a directory and has to be a regular file",
        ),
        (
            "truncate -s 10G /etc/passwd",
            "it is too large: more than 4194304 bytes",
        ),
        (
            "ln -s passwd /etc/passwd",
            "too many levels of symbolic links",
        ),
    ] {
        let system = System::start_after(&format!("mount -t tmpfs none /etc; {trap}"));
        let mut bridge = system.connect();
        let refusal = bridge
            .try_start(&json!({ "CommandLine": "true" }))
            .unwrap_err();
        assert_eq!(
            refusal.error_message,
            format!("/etc/passwd cannot be read: {why}"),
            "{trap}"
        );
    }
    let large = "mount -t tmpfs none /etc; head -c 5000000 /dev/zero > /etc/passwd";
    let system = System::start_after(large);
    let mut bridge = system.connect();
    let refusal = bridge
        .try_start(&json!({ "CommandLine": "true" }))
        .unwrap_err();
    assert!(refusal.error_message.contains("too large"), "{refusal:?}");
}

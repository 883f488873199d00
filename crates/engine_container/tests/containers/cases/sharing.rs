//! What a container makes in directories of the host, and that it gives no power there.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::Path,
};

use hcs_schema::HResult;
use serde_json::{Value, json};

use crate::{
    host::{Container, Host, entries},
    mode::Mode,
};

super::cases![
    no_program_with_the_owners_rights_can_be_made,
    bits_of_a_program_that_is_there_go_when_it_is_written_to,
    links_and_renames_bring_nothing_in,
    it_can_be_asked_for_by_name,
    what_asks_for_both_is_refused,
    an_image_is_changed_as_ever,
    a_container_that_could_be_handed_a_directory_is_guarded,
    a_descriptor_of_a_directory_brings_no_power_to_a_reader,
    no_lease_is_taken_of_what_is_mapped,
    a_running_container_gets_no_directory_it_was_not_made_for,
    a_kept_scratch_is_closed_to_others,
    a_mapped_socket_keeps_its_mode,
    ids_of_its_own_are_nobodys_on_the_host,
    bits_of_its_own_ids_are_refused_too,
    a_set_group_id_bit_of_the_host_does_not_come_to_count,
    a_directory_it_could_not_use_is_refused,
    a_link_in_what_was_mapped_leads_no_later_path,
];

fn shared(host: &Host) -> std::path::PathBuf {
    let path = host.files.path().join("shared");
    fs::create_dir(&path).unwrap();
    path
}

fn mapping(path: &Path) -> Value {
    json!({ "HostPath": path, "ContainerPath": "/s", "ShiftOwners": true })
}

fn sharing(host: &Host, path: &Path) -> Container {
    host.start(json!({ "MappedDirectories": [mapping(path)] }))
}

/// Has a Perl script run, which has the number of each call it makes; returns what it prints. What stands in single
/// quotes is no constant: Perl gives those to no system call.
fn perl(container: &Container, script: &str) -> String {
    let mut code = "umask 0; $e = q(); ".to_owned();
    for (index, part) in script.split('\'').enumerate() {
        let (before, after) = if index % 2 == 1 {
            ("\"", "$e\"")
        } else {
            ("", "")
        };
        code.extend([before, part, after]);
    }
    let outcome = container.run(&["perl", "-e", &code]);
    assert_eq!(outcome.code, 0, "{script}: {outcome:?}");
    outcome.stdout
}

/// Everything below `path` that would give power on the host.
fn power(path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries(path) {
        let facts = fs::symlink_metadata(&entry).unwrap();
        let kind = facts.file_type();
        let mut capability = [0_u8; 64];
        let capable =
            rustix::fs::lgetxattr(&entry, "security.capability", &mut capability[..]).is_ok();
        let bits = facts.mode() & 0o6000 != 0 && !kind.is_dir();
        if bits || capable || kind.is_block_device() || kind.is_char_device() {
            found.push(format!("{}: {:o}", entry.display(), facts.mode()));
        }
        if kind.is_dir() {
            found.extend(power(&entry));
        }
    }
    found
}

const PERM: &str = "1";

/// Row S4.
fn no_program_with_the_owners_rights_can_be_made() {
    let host = Host::new();
    let shared = shared(&host);
    let container = sharing(&host, &shared);
    container.shell("cp /bin/true /s/program && chmod 755 /s/program && mkdir /s/directory");
    let (create, temporary) = (
        libc::O_CREAT | libc::O_WRONLY,
        libc::O_TMPFILE | libc::O_WRONLY,
    );
    let at = libc::AT_FDCWD;
    let calls = [
        format!("{}, '/s/program', 04755", libc::SYS_chmod),
        format!("{}, '/s/program', 02755", libc::SYS_chmod),
        format!("{}, {at}, '/s/program', 06755", libc::SYS_fchmodat),
        format!("{}, {at}, '/s/program', 04755, 0", 452),
        format!("{}, '/s/made', {create}, 04755", libc::SYS_open),
        format!("{}, {at}, '/s/made', {create}, 02755", libc::SYS_openat),
        format!("{}, {at}, '/s', {temporary}, 04755", libc::SYS_openat),
        format!("{}, '/s/made', 04755", libc::SYS_creat),
        format!("{}, '/s/made', 0104755, 0", libc::SYS_mknod),
        format!("{}, {at}, '/s/made', 0102755, 0", libc::SYS_mknodat),
        // Device nodes: the null device, the kernel's log, a disk.
        format!("{}, '/s/null', 020666, 259", libc::SYS_mknod),
        format!("{}, '/s/log', 020666, 267", libc::SYS_mknod),
        format!("{}, {at}, '/s/disk', 060666, 2049", libc::SYS_mknodat),
    ];
    for call in calls {
        let errno = perl(&container, &format!("syscall({call}); print $! + 0"));
        assert_eq!(errno, PERM, "{call}");
    }
    let call = libc::SYS_fchmod;
    let script = format!("open F, '/s/program'; syscall({call}, fileno(F), 04755); print $! + 0");
    assert_eq!(perl(&container, &script), PERM);
    // Its mode is where no filter can look.
    let how = "pack('QQQ', 65, 04755, 0)";
    let call = libc::SYS_openat2;
    let script = format!("$h = {how}; syscall({call}, {at}, '/s/made', $h, 24); print $! + 0");
    assert_eq!(perl(&container, &script), libc::ENOSYS.to_string());
    // cap_setuid, permitted and effective.
    let value = "$v = pack('V5', 0x02000001, 0x80, 0, 0, 0)";
    let call = libc::SYS_setxattr;
    let script = format!(
        "{value}; syscall({call}, '/s/program', 'security.capability', $v, 20, 0); print $! + 0"
    );
    assert_eq!(perl(&container, &script), libc::EOPNOTSUPP.to_string());
    // The kernel itself takes the bits of a directory that is made.
    perl(&container, "mkdir '/s/directory/inner', 06777");
    assert_eq!(power(&shared), Vec::<String>::new());
    let made = fs::metadata(shared.join("directory/inner")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o777);
    // All else is done as ever.
    container
        .shell("mkfifo /s/fifo && chmod 1777 /s/directory && cp -a /s/program /s/copy && /s/copy");
}

/// `write`, `truncate` and `chown` take the bits from a program; a capability to keep them is missing.
fn bits_of_a_program_that_is_there_go_when_it_is_written_to() {
    let host = Host::new();
    let shared = shared(&host);
    let program = |name: &str| {
        let path = shared.join(name);
        fs::copy("/bin/true", &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).unwrap();
        path
    };
    let programs = ["written", "cut", "given"].map(program);
    let container = sharing(&host, &shared);
    container.shell("echo other >> /s/written && : > /s/cut && chown 1:1 /s/given");
    for path in programs {
        let mode = fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o6000, 0, "{}: {mode:o}", path.display());
    }
}

fn links_and_renames_bring_nothing_in() {
    let host = Host::new();
    let shared = shared(&host);
    let container = sharing(&host, &shared);
    // A program with the bit that the image has.
    let image = container.shell("find /usr/bin /bin -perm -4000 -type f | head -1");
    assert_ne!(image, "");
    container.shell(&format!(
        "ln {image} /s/link; perl -e 'rename \"{image}\", \"/s/renamed\"; syscall({}, \"{image}\", \"/s/linked\")'; \
         cp -p {image} /s/copied; install -m 4755 {image} /s/installed; mv {image} /s/moved; \
         tar cf - {image} | tar xpf - -C /s; true",
        libc::SYS_link
    ));
    assert_eq!(power(&shared), Vec::<String>::new());
}

fn it_can_be_asked_for_by_name() {
    let host = Host::new();
    let shared = shared(&host);
    let mut mapping = mapping(&shared);
    mapping["AllowSetId"] = json!(true);
    let container = host.start(json!({ "MappedDirectories": [mapping] }));
    container.shell("cp /bin/true /s/program && chmod 4755 /s/program");
    assert_eq!(power(&shared).len(), 1);
}

fn what_asks_for_both_is_refused() {
    let host = Host::new();
    let shared = shared(&host);
    let mut allowed = mapping(&shared);
    allowed["AllowSetId"] = json!(true);
    let failure = host.failure(json!({ "MappedDirectories": [mapping(&shared), allowed] }));
    assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Container/MappedDirectories/1/HostPath"));
}

/// Packages with such programs can be installed where nothing is shared, or it is asked for.
fn an_image_is_changed_as_ever() {
    let host = Host::new();
    let shared = shared(&host);
    fs::write(shared.join("file"), "theirs").unwrap();
    let mut allowed = mapping(&shared);
    allowed["ReadOnly"] = json!(true);
    allowed["AllowSetId"] = json!(true);
    for document in [
        json!({ "UserNamespace": true, "MappedDirectories": [allowed] }),
        json!({ "MappedDirectories": [allowed] }),
        json!({}),
    ] {
        let container = host.start(document);
        container.shell("cp /bin/true /opt/program && chmod 6755 /opt/program");
        assert_ne!(container.run(&["chmod", "4755", "/s/file"]).code, 0);
    }
    assert_eq!(power(&shared), Vec::<String>::new());
}

/// Row S4.
/// A process of a container that may write to a shared directory can hand its descriptor to another container: through
/// a socket in a directory that both see, or in a network that both have.
fn a_container_that_could_be_handed_a_directory_is_guarded() {
    let host = Host::new();
    let shared = shared(&host);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let socket = host.files.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let mapping = json!({ "HostPath": shared, "ContainerPath": "/s", "ReadOnly": true });
    let pipe = json!({ "HostPath": socket, "ContainerPipeName": "theirs" });
    for own_ids in [false, true] {
        for document in [
            json!({ "UserNamespace": own_ids, "MappedDirectories": [&mapping] }),
            json!({ "UserNamespace": own_ids, "MappedPipes": [&pipe] }),
        ] {
            let container = host.start(document);
            container.shell("cp /bin/true /opt/program && chmod 755 /opt/program");
            for mode in ["4755", "2755"] {
                let made = container.run(&["chmod", mode, "/opt/program"]);
                assert_ne!(made.code, 0, "{made:?}");
            }
        }
    }
}

/// The same with the other container: root in one binds a socket in the directory that it may write to, and hands the
/// directory to the one that may only read there.
fn a_descriptor_of_a_directory_brings_no_power_to_a_reader() {
    let host = Host::new();
    let shared = shared(&host);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    let document = |read_only: bool| {
        json!({
            "UserNamespace": true,
            "MappedDirectories": [{ "HostPath": shared, "ContainerPath": "/s", "ReadOnly": read_only }],
        })
    };
    let (writer, reader) = (host.start(document(false)), host.start(document(true)));
    let send = "import os,socket; os.umask(0); l=socket.socket(socket.AF_UNIX); l.bind('/s/door'); l.listen(1); l.settimeout(60)\n\
                c=l.accept()[0]; c.settimeout(60); socket.send_fds(c,[b'x'],[os.open('/s',os.O_PATH)]); c.recv(1)";
    let take = "import os,socket,time\n\
                c=socket.socket(socket.AF_UNIX); end=time.time()+60\n\
                while time.time()<end and c.connect_ex('/s/door'): time.sleep(0.01)\n\
                d=socket.recv_fds(c,1,1)[1][0]\n\
                f=os.open('program',os.O_CREAT|os.O_WRONLY,0o755,dir_fd=d)\n\
                def code(call):\n\
                \ttry: call()\n\
                \texcept OSError as error: return error.errno\n\
                \treturn 0\n\
                print(code(lambda: os.fchmod(f,0o4755)), code(lambda: os.open('other',os.O_CREAT,0o4755,dir_fd=d)))";
    let found = std::thread::scope(|scope| {
        scope.spawn(|| writer.run(&["python3", "-c", send]));
        reader.run(&["python3", "-c", take])
    });
    assert_eq!(found.stdout.trim(), "1 1", "{found:?}");
    assert!(shared.join("program").exists());
    assert_eq!(power(&shared), Vec::<String>::new());
}

fn no_lease_is_taken_of_what_is_mapped() {
    let host = Host::new();
    let shared = shared(&host);
    fs::write(shared.join("file"), "theirs").unwrap();
    let mut mapping = mapping(&shared);
    mapping["ReadOnly"] = json!(true);
    let container = host.start(json!({ "MappedDirectories": [mapping] }));
    // F_SETLEASE, F_RDLCK
    let script = "open my $f, '<', '/s/file'; print fcntl($f, 1024, 0) ? 0 : $! + 0";
    assert_eq!(perl(&container, script), libc::EPERM.to_string());
}

fn add(mapping: &Value) -> Value {
    json!({ "ResourcePath": "Container/MappedDirectories", "RequestType": "Add", "Settings": mapping })
}

fn a_running_container_gets_no_directory_it_was_not_made_for() {
    let host = Host::new();
    let shared = shared(&host);
    let mut mapping = mapping(&shared);
    let plain = host.start(json!({}));
    let failure = plain.modify(&add(&mapping)).unwrap_err();
    assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Settings/HostPath"));
    mapping["AllowSetId"] = json!(true);
    plain
        .modify(&add(&mapping))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    plain.shell("cp /bin/true /s/program && chmod 4755 /s/program");
    // A container that was made for it takes more, with the same filter.
    let first = host.files.path().join("first");
    fs::create_dir(&first).unwrap();
    let guarded = sharing(&host, &first);
    guarded.modify(&add(&mapping)).unwrap_err();
    mapping["AllowSetId"] = json!(false);
    mapping["ContainerPath"] = json!("/late");
    guarded
        .modify(&add(&mapping))
        .unwrap_or_else(|f| panic!("{f:#?}"));
    guarded.shell("cp /bin/true /late/other");
    assert_ne!(guarded.run(&["chmod", "4755", "/late/other"]).code, 0);
    assert_eq!(power(&shared).len(), 1);
}

/// A root that all may enter, with programs in it, stands in a directory that no other user enters.
fn a_kept_scratch_is_closed_to_others() {
    let host = Host::new();
    let scratch = shared(&host);
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)).unwrap();
    let document = || json!({ "Storage": { "Layers": [{ "Path": "/" }], "Path": scratch } });
    let container = host.start(document());
    container.shell("cp /bin/true /opt/program && chmod 4755 /opt/program");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&scratch), 0o700);
    assert_eq!(mode(&scratch.join("upper")), 0o755);
    drop(container);
    // Once more, although it was opened meanwhile.
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o755)).unwrap();
    drop(host.start(document()));
    assert_eq!(mode(&scratch), 0o700);
    // A directory that has other things in it is not closed by the way.
    fs::write(scratch.join("letter"), "").unwrap();
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o711)).unwrap();
    let failure = host.failure(document());
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Container/Storage/Path"), "{failure:#?}");
    assert_eq!(mode(&scratch), 0o711);
}

fn a_mapped_socket_keeps_its_mode() {
    let host = Host::new();
    let socket = host.files.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).unwrap();
    let container = host.start(json!({
        "MappedPipes": [{ "HostPath": socket, "ContainerPipeName": "theirs" }],
    }));
    let outcome = container.run(&["chmod", "666", "/run/theirs"]);
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
    assert_ne!(container.run(&["chown", "1", "/run/theirs"]).code, 0);
    let connect = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un('/run/theirs')) or die; print 'in'";
    assert_eq!(perl(&container, connect), "in");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
}

/// A later container may have these ids, so they are no reason to allow the bits.
fn bits_of_its_own_ids_are_refused_too() {
    let host = Host::new();
    let shared = shared(&host);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let container = host.start(json!({
        "UserNamespace": true,
        "MappedDirectories": [{ "HostPath": shared, "ContainerPath": "/s" }],
    }));
    container.shell("cp /bin/true /s/program && chmod 755 /s/program");
    assert_ne!(container.run(&["chmod", "4755", "/s/program"]).code, 0);
    assert_eq!(power(&shared), Vec::<String>::new());
}

/// A set-group-ID bit of a file that its group may not execute survives a change of the group; an access control list
/// would make it count.
fn a_set_group_id_bit_of_the_host_does_not_come_to_count() {
    let host = Host::new();
    let shared = shared(&host);
    let program = shared.join("program");
    fs::copy("/bin/true", &program).unwrap();
    std::os::unix::fs::chown(&program, Some(0), Some(100)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o2744)).unwrap();
    let container = sharing(&host, &shared);
    // Version 2; the owner rwx, the owning group r-x, others r--.
    let list = "pack('L(SSL)3', 2, 1, 7, -1, 4, 5, -1, 32, 4, -1)";
    let (chown, set) = (libc::SYS_chown, libc::SYS_setxattr);
    let script = format!(
        "$) = '6 6 100'; syscall({chown}, '/s/program', -1, 6); $v = {list}; \
         syscall({set}, '/s/program', 'system.posix_acl_access', $v, length $v, 0); print $! + 0"
    );
    assert_eq!(perl(&container, &script), libc::EOPNOTSUPP.to_string());
    let mode = fs::metadata(&program).unwrap().mode();
    assert_ne!(mode & 0o2010, 0o2010, "{mode:o}");
}

/// Without a shift, what it makes has ids that no user has, and so have the bits.
fn ids_of_its_own_are_nobodys_on_the_host() {
    let host = Host::new();
    let shared = shared(&host);
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let container = host.start(json!({
        "UserNamespace": true,
        "MappedDirectories": [{ "HostPath": shared, "ContainerPath": "/s", "AllowSetId": true }],
    }));
    container.shell("cp /bin/true /s/program && chmod 4755 /s/program");
    assert_ne!(container.run(&["mknod", "/s/null", "c", "1", "3"]).code, 0);
    let found = fs::metadata(shared.join("program")).unwrap();
    let ranges = host.config.user_namespaces;
    let (users, groups) = (ranges.users, ranges.groups);
    assert!(found.uid() >= users.first && found.uid() - users.first < users.count);
    assert!(found.gid() >= groups.first && found.gid() - groups.first < groups.count);
    // Capabilities that it gives are those of its own namespace: version 3, which says whose.
    let value = "$v = pack('V5', 0x02000001, 0x80, 0, 0, 0)";
    let call = libc::SYS_setxattr;
    let script =
        format!("{value}; print syscall({call}, '/s/program', 'security.capability', $v, 20, 0)");
    assert_eq!(perl(&container, &script), "0");
    let mut capability = [0_u8; 64];
    let path = shared.join("program");
    let size = rustix::fs::lgetxattr(&path, "security.capability", &mut capability[..]).unwrap();
    assert_eq!((size, capability[3]), (24, 3));
    let owner = u32::from_le_bytes(capability[20..24].try_into().unwrap());
    assert_eq!(owner, found.uid());
}

fn a_directory_it_could_not_use_is_refused() {
    let host = Host::new();
    let shared = shared(&host);
    let document = |read_only: bool| {
        json!({
            "UserNamespace": true,
            "MappedDirectories": [
                { "HostPath": shared, "ContainerPath": "/s", "ReadOnly": read_only },
            ],
        })
    };
    for (mode, read_only, usable) in [
        (0o755, false, false),
        (0o755, true, true),
        (0o700, true, false),
        (0o777, false, true),
    ] {
        fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
        if usable {
            drop(host.start(document(read_only)));
            continue;
        }
        let failure = host.failure(document(read_only));
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:#?}");
        let cause = &failure.causes[0];
        assert_eq!(
            cause.pointer.as_deref(),
            Some("/Container/MappedDirectories/0/HostPath")
        );
        assert!(cause.message.contains("ShiftOwners"), "{failure:#?}");
    }
    // Late as well.
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    if Mode::get().has_user_namespace() {
        let mapping = json!({ "HostPath": shared, "ContainerPath": "/s" });
        let running = host.start(json!({}));
        let failure = running.modify(&add(&mapping)).unwrap_err();
        assert_eq!(failure.hresult, HResult::E_ACCESSDENIED);
    }
}

/// A link that a container makes in a tree belongs to the owner of the tree. The container would choose what a later
/// path below it leads to.
fn a_link_in_what_was_mapped_leads_no_later_path() {
    let host = Host::new();
    let shared = shared(&host);
    let [secret, late] = ["secret", "late"].map(|name| host.files.path().join(name));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(&late).unwrap();
    let container = sharing(&host, &shared);
    let make = |at: &str| {
        let secret = secret.display();
        container.shell(&format!(
            "mkdir {at}/real && ln -s {secret} {at}/link && ln -s real {at}/inner"
        ));
    };
    make("/s");
    let mut trees = vec![shared];
    if Mode::get() != Mode::Rootless {
        let mapping = json!({ "HostPath": late, "ContainerPath": "/late", "ShiftOwners": true });
        container.modify(&add(&mapping)).unwrap();
        make("/late");
        trees.push(late);
    }
    let refused = || {
        for tree in &trees {
            drop(host.start(json!({ "MappedDirectories": [mapping(&tree.join("real"))] })));
            for link in ["link", "inner"] {
                let path = tree.join(link);
                let named = [
                    json!({ "MappedDirectories": [mapping(&path)] }),
                    json!({ "Storage": { "Layers": [{ "Path": path }] } }),
                ];
                for document in named {
                    let failure = host.failure(document);
                    assert_eq!(failure.hresult, HResult::E_ACCESSDENIED, "{failure:#?}");
                    let why = &failure.causes[0].message;
                    assert!(
                        why.contains("that a container may write to"),
                        "{failure:#?}"
                    );
                }
            }
        }
    };
    refused();
    // The note of that is out of its reach.
    for attribute in [hcs_wire::written::TRUSTED, hcs_wire::written::OWN] {
        let call = libc::SYS_removexattr;
        let errno = perl(
            &container,
            &format!("syscall({call}, '/s', '{attribute}'); print $! + 0"),
        );
        assert_ne!(errno, "0");
    }
    refused();
    // Its links stay.
    drop(container);
    refused();
}

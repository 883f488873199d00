//! The view of the host's files that a container without layers has: for code that is not trusted.

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{PermissionsExt, symlink},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    host::{Container, Host, in_private_mounts},
    mode,
};

super::cases![
    homes_keys_and_other_peoples_files_are_left_out,
    the_layer_of_the_host_shows_all_of_it,
    a_tree_of_the_host_is_shown_as_a_copy,
    a_tree_below_a_home_is_shown_without_its_secrets,
    no_tree_defeats_the_lists,
    what_is_made_later_is_left_out_too,
    what_is_left_out_is_no_part_of_a_scratch_that_is_kept,
    a_tree_on_a_file_system_of_its_own_is_shown,
    no_socket_or_fifo_of_the_host_leads_anywhere,
];

fn tree(path: &Path) -> Value {
    json!({ "Storage": { "HostDirectory": path } })
}

fn all_of_the_host() -> Value {
    json!({ "Storage": { "Layers": [{ "Path": "/" }] } })
}

/// Whether there is something at `path` inside.
fn is_there(container: &Container, path: &Path) -> bool {
    let path = path.to_str().unwrap();
    container
        .run(&["/bin/sh", "-c", "[ -e \"$0\" ] || [ -L \"$0\" ]", path])
        .code
        == 0
}

/// Row S10.
fn homes_keys_and_other_peoples_files_are_left_out() {
    let host = Host::new();
    let container = host.start(json!({}));
    for secret in [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/shadow-",
        "/etc/sudoers",
        "/boot/grub",
    ] {
        assert!(!is_there(&container, Path::new(secret)), "{secret}");
    }
    assert!(!is_there(&container, host.files.path()));
    for empty in [
        "/root",
        "/home",
        "/run",
        "/tmp",
        "/var/tmp",
        "/etc/ssl/private",
        "/var/log",
    ] {
        if Path::new(empty).exists() {
            assert_eq!(container.shell(&format!("ls -A {empty}")), "", "{empty}");
        }
    }
    // What takes their place has their modes, and can be written to.
    let modes = "stat -c '%a %U' /root /tmp /etc /var";
    let own = std::process::Command::new("sh")
        .args(["-c", modes])
        .output()
        .unwrap();
    assert_eq!(
        container.shell(modes),
        String::from_utf8(own.stdout).unwrap().trim_end()
    );
    assert_eq!(
        container.shell("for d in /root /tmp /run /home; do echo new > $d/f; cat $d/f; done"),
        "new\nnew\nnew\nnew"
    );
    // The rest is as it was, and looks like one file system.
    container.shell("cat /etc/passwd /etc/hosts && ls /usr/bin/env");
    assert_eq!(
        container.shell("stat -c %d / /etc /etc/passwd | sort -u | wc -l"),
        "1"
    );
    assert!(!Path::new("/root/f").exists());
}

/// Row S10.
fn the_layer_of_the_host_shows_all_of_it() {
    let host = Host::new();
    let container = host.start(all_of_the_host());
    assert!(is_there(&container, host.files.path()));
    if Path::new("/etc/shadow").exists() {
        assert!(is_there(&container, Path::new("/etc/shadow")));
    }
}

/// A directory with a file, below the host's own files.
fn directory(host: &Host, name: &str) -> PathBuf {
    let path = host.files.path().join(name);
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path.join("file"), "theirs").unwrap();
    path
}

fn a_tree_of_the_host_is_shown_as_a_copy() {
    let host = Host::new();
    let work = directory(&host, "a-project/sub");
    directory(&host, "other");
    let container = host.start(tree(&work));
    let shown = work.display();
    assert_eq!(container.shell(&format!("cat {shown}/file")), "theirs");
    container.shell(&format!(
        "cd {shown} && echo mine > file && touch new && mkdir -p d/e && rm -rf d"
    ));
    assert_eq!(container.shell(&format!("cat {shown}/file")), "mine");
    assert_eq!(fs::read_to_string(work.join("file")).unwrap(), "theirs");
    assert!(!work.join("new").exists());
    let beside = host.files.path().display();
    assert_eq!(
        container.shell(&format!("ls -A {beside} {beside}/a-project")),
        format!("{beside}:\na-project\n\n{beside}/a-project:\nsub")
    );
    let failure = host.failure(tree(&host.files.path().join("missing")));
    let pointer = failure.causes[0].pointer.as_deref();
    assert_eq!(pointer, Some("/Container/Storage/HostDirectory"));
}

/// A host whose directory `people` has homes, with a secret in each.
fn with_people(people: &TempDir) -> Host {
    let at = people.path().to_str().unwrap();
    Host::with(|config| {
        config
            .host_view
            .empty
            .extend([at.to_owned(), format!("{at}/*")]);
        config.host_view.hidden.push(format!("{at}/*/tree/keys"));
        config.host_view.hidden.push(format!("{at}/*/tree/token*"));
        config.host_view.hidden.push(format!("{at}/*/tree/link"));
    })
}

fn a_tree_below_a_home_is_shown_without_its_secrets() {
    let people = tempfile::tempdir_in("/var/lib").unwrap();
    fs::set_permissions(people.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let work = people.path().join("me/tree");
    fs::create_dir_all(work.join("keys")).unwrap();
    fs::create_dir_all(work.join("linked")).unwrap();
    for file in ["keys/secret", "linked/secret", "token.txt", "plain"] {
        fs::write(work.join(file), file).unwrap();
    }
    symlink("linked", work.join("link")).unwrap();
    let host = with_people(&people);
    let container = host.start(tree(&work));
    let shown = work.display();
    assert_eq!(container.shell(&format!("cat {shown}/plain")), "plain");
    assert_eq!(
        container.shell(&format!("cd {shown} && ls -A . keys linked")),
        ".:\nkeys\nlink\nlinked\nplain\n\nkeys:\n\nlinked:"
    );
    assert!(!is_there(&host.start(json!({})), &people.path().join("me")));
}

/// Row S10.
fn no_tree_defeats_the_lists() {
    let people = tempfile::tempdir_in("/var/lib").unwrap();
    let work = people.path().join("me/tree");
    fs::create_dir_all(work.join("keys/inner")).unwrap();
    fs::write(work.join("keys/inner/secret"), "secret").unwrap();
    let host = with_people(&people);
    let link = host.files.path().join("link");
    symlink(people.path().join("me"), &link).unwrap();
    let asked =
        ["me", "", "me/tree/keys", "me/tree/keys/inner"].map(|path| people.path().join(path));
    let asked = asked
        .into_iter()
        .chain([link, "/".into(), "/var".into(), "/var/lib".into()]);
    for asked in asked.chain(["/root", "/home", "/tmp", "/run"].map(PathBuf::from)) {
        let container = host.start(tree(&asked));
        assert!(
            !is_there(&container, &work.join("keys/inner/secret")),
            "{asked:?}"
        );
        assert!(
            !is_there(&container, &host.files.path().join("link")),
            "{asked:?}"
        );
        assert!(!is_there(&container, Path::new("/etc/shadow")), "{asked:?}");
        assert_eq!(
            container.shell("ls -A /root /home"),
            "/home:\n\n/root:",
            "{asked:?}"
        );
        // Its place is there all the same, to start in.
        if asked.starts_with(people.path()) {
            assert_eq!(container.shell(&format!("ls -A {}", asked.display())), "");
        }
    }
}

fn what_is_made_later_is_left_out_too() {
    let place = tempfile::tempdir_in("/var/lib").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = place.path().join("secret");
    let host = Host::with(|config| {
        config
            .host_view
            .hidden
            .push(secret.to_str().unwrap().to_owned());
    });
    let container = host.start(json!({}));
    fs::write(&secret, "later").unwrap();
    assert!(!is_there(&container, &secret));
    container.shell(&format!("echo mine > {}", secret.display()));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "later");
}

fn what_is_left_out_is_no_part_of_a_scratch_that_is_kept() {
    let host = Host::new();
    let scratch = host.files.path().join("kept");
    fs::create_dir(&scratch).unwrap();
    let work = directory(&host, "work");
    let shown = work.display();
    let mut document = tree(&work);
    document["Storage"]["Path"] = json!(scratch);
    host.start(document.clone()).shell(&format!(
        "echo kept > /root/kept && echo kept > {shown}/kept && echo kept > /etc/kept"
    ));
    let script =
        format!("cat /root/kept {shown}/kept /etc/kept {shown}/file; ls /etc/shadow 2>&1 | wc -l");
    assert_eq!(
        host.start(document.clone()).shell(&script),
        "kept\nkept\nkept\ntheirs1"
    );
    // The same scratch below all of the host's files hides none of them.
    document["Storage"] = json!({ "Path": scratch, "Layers": [{ "Path": "/" }] });
    let all = host.start(document);
    assert_eq!(all.shell("cat /etc/kept"), "kept");
    // The host's `/tmp`, which is empty in a container of an ordinary user.
    let is_shown = mode::Mode::get() != mode::Mode::Rootless;
    assert_eq!(is_there(&all, &work.join("file")), is_shown);
    assert_eq!(
        is_there(&all, Path::new("/etc/shadow")),
        Path::new("/etc/shadow").exists()
    );
}

fn a_tree_on_a_file_system_of_its_own_is_shown() {
    let case = "view::a_tree_on_a_file_system_of_its_own_is_shown";
    let setup = "mount -t tmpfs -o mode=0755 none /media && mkdir -p /media/disk/tree && echo theirs > /media/disk/tree/file";
    if !in_private_mounts(case, setup) {
        return;
    }
    let host = Host::new();
    let container = host.start(tree(Path::new("/media/disk/tree")));
    assert_eq!(
        container.shell("cd /media/disk/tree && cat file && echo mine > file && cat file"),
        "theirs\nmine"
    );
    assert_eq!(
        fs::read_to_string("/media/disk/tree/file").unwrap(),
        "theirs\n"
    );
}

/// Tries to reach each path that follows; says which are there and which it has reached.
const REACH: &str = r#"use Socket; use Fcntl; for (@ARGV) {
    print "there $_\n" if -S $_ or -p $_;
    for my $type (SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET) {
        socket(S, PF_UNIX, $type, 0); print "reached $_\n" if connect(S, pack_sockaddr_un($_));
    }
    print "reached $_\n" if -p $_ and sysopen(F, $_, O_WRONLY | O_NONBLOCK);
}"#;

/// A socket that a thread listens at, and a FIFO that a thread reads, in `directory`.
fn listen(directory: &Path, reached: &mut Vec<String>) -> (UnixListener, OwnedFd) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let (socket, fifo) = (directory.join("socket"), directory.join("fifo"));
    let listener = UnixListener::bind(&socket).unwrap();
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    let reader = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    for path in [socket, fifo] {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        reached.push(path.to_str().unwrap().to_owned());
    }
    (listener, reader)
}

/// Row S1.
fn no_socket_or_fifo_of_the_host_leads_anywhere() {
    let host = Host::new();
    let mut paths = Vec::new();
    let work = directory(&host, "work");
    let _in_tree = listen(&work, &mut paths);
    let places = ["/srv", "/var/lib", "/opt", "/root", "/run", "/usr/local"];
    let places = places.map(|place| tempfile::tempdir_in(place).unwrap());
    let _elsewhere = places
        .each_ref()
        .map(|place| listen(place.path(), &mut paths));
    for document in [json!({}), tree(&work), all_of_the_host()] {
        let container = host.start(document.clone());
        let mut command = vec!["/usr/bin/perl", "-e", REACH];
        command.extend(paths.iter().map(String::as_str));
        let outcome = container.run(&command);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(
            !outcome.stdout.contains("reached"),
            "{document}: {outcome:?}"
        );
        // Some of them are there: that is no proof of nothing.
        assert!(outcome.stdout.contains("there /usr/local"), "{outcome:?}");
        assert!(outcome.stdout.contains("there /srv"), "{outcome:?}");
    }
    // From the host they are reached.
    let mut command = std::process::Command::new("perl");
    let outcome = command.args(["-e", REACH]).args(&paths).output().unwrap();
    let reached = String::from_utf8(outcome.stdout).unwrap();
    assert_eq!(reached.matches("reached").count(), paths.len(), "{reached}");
}

//! Holes that other container runtimes had, each tried here in the way that would be the same for this one.
//!
//! Images are hostile directories that a case makes. A second container, or a thread of the host, swaps what is in a
//! shared directory while others are made of it, as fast as it can. Those that need the real agent, the service or
//! `hcs` are in modules of the same name beside theirs.

use std::{
    fs,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use hcs_schema::{Failure, HResult};
use rustix::{
    fs::{
        Mode, OFlags, RenameFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatfs, fstatvfs, open,
        openat2, renameat_with,
    },
    io::Errno,
};
use serde_json::{Value, json};

use super::attacks::errno;
use crate::host::{Container, Host, entries};

super::cases![
    an_image_with_links_for_proc_and_sys_unmasks_nothing,
    a_mapping_that_an_image_leads_to_proc_unmasks_nothing,
    hidden_files_stay_hidden_whatever_stands_for_the_null_device,
    a_mount_point_swapped_by_another_container_leads_nowhere_else,
    mount_points_are_made_inside_or_not_at_all,
    no_release_agent_can_be_set,
    the_services_directories_are_moved_by_no_container,
    what_is_mapped_late_is_covered_before_it_is_seen,
    an_image_shows_nothing_hidden_by_another_name,
];

fn directory(host: &Host, name: &str) -> PathBuf {
    let path = host.files.path().join(name);
    open_to_all(&path);
    path
}

/// Makes a directory that also the root of a user namespace may write to.
fn open_to_all(path: &Path) {
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn mapping(from: &Path, to: &str) -> Value {
    json!({ "HostPath": from, "ContainerPath": to, "ReadOnly": false })
}

/// A container of these layers above the host's root, or why there is none.
fn attempt(host: &Host, layers: &[&Path], mapped: &[Value]) -> Result<Container, Failure> {
    let mut all: Vec<Value> = layers.iter().map(|path| json!({ "Path": path })).collect();
    all.push(json!({ "Path": "/" }));
    let document = json!({ "Storage": { "Layers": all }, "MappedDirectories": mapped });
    let request = host.request(document);
    let container = Container::new(host.create(&request)?, request);
    container.wait_ready()?;
    Ok(container)
}

fn change(container: &Container, kind: &str, mapping: &Value) -> Result<(), Failure> {
    container.modify(&json!({
        "ResourcePath": "Container/MappedDirectories",
        "RequestType": kind,
        "Settings": mapping,
    }))
}

/// What the host finds at `path` in the container's mounts, with the host's power; links stay in the container's root.
fn open_inside(container: &Container, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let root = format!("/proc/{}/root", container.recorded("Pid"));
    let root = open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    openat2(
        root,
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT,
    )
}

/// Files of procfs that act on the host, or tell of it.
const WRITTEN: [&str; 5] = [
    "sysrq-trigger",
    "sys/kernel/core_pattern",
    "sys/kernel/modprobe",
    "sys/vm/drop_caches",
    "irq/default_smp_affinity",
];
const TOLD: [&str; 4] = ["kcore", "keys", "timer_list", "interrupts"];

/// The mounts in a container: where, the kind of file system, its device, and which directory of it is shown.
fn mounts(container: &Container) -> Vec<[String; 4]> {
    let path = format!("/proc/{}/mountinfo", container.recorded("Pid"));
    let table = fs::read_to_string(path).unwrap();
    let parts = table.lines().map(|line| {
        let (left, right) = line.split_once(" - ").unwrap();
        let fields: Vec<&str> = left.split(' ').collect();
        let kind = right.split(' ').next().unwrap();
        [fields[4], kind, fields[2], fields[3]].map(str::to_owned)
    });
    parts.collect()
}

/// No procfs or sysfs of the container gives power over the host, or says what is to be hidden, wherever it is mounted;
/// not even to the host's root, who looks. Returns how many of them can be reached.
fn assert_masked(container: &Container) -> usize {
    let mut reached = 0;
    for [point, kind, ..] in mounts(container) {
        let magic = match kind.as_str() {
            "proc" => libc::PROC_SUPER_MAGIC,
            "sysfs" => libc::SYSFS_MAGIC,
            _ => continue,
        };
        let Ok(top) = open_inside(container, &point, OFlags::PATH) else {
            continue;
        };
        // Something else may cover it.
        if fstatfs(&top).unwrap().f_type != magic {
            continue;
        }
        reached += 1;
        let read_only = |fd: &OwnedFd| {
            fstatvfs(fd)
                .unwrap()
                .f_flag
                .contains(StatVfsMountFlags::RDONLY)
        };
        // Masks of a procfs are mounts of it themselves.
        if kind == "sysfs" || read_only(&top) {
            assert!(read_only(&top), "{point} is writable");
            continue;
        }
        for file in WRITTEN {
            let answer = open_inside(container, &format!("{point}/{file}"), OFlags::WRONLY);
            assert!(
                matches!(answer, Err(Errno::ROFS | Errno::NOENT)),
                "{point}/{file}: {answer:?}"
            );
        }
        for file in TOLD {
            let opened = open_inside(container, &format!("{point}/{file}"), OFlags::PATH);
            let Ok(opened) = opened else { continue };
            assert_eq!(fstat(&opened).unwrap().st_rdev, 0x103, "{point}/{file}");
        }
    }
    reached
}

/// Swaps pairs of names in `directory`, one after the other, until dropped.
struct Swapping<'a>(&'a AtomicBool);

impl<'a> Swapping<'a> {
    fn start<'s>(
        scope: &'s thread::Scope<'s, '_>,
        directory: &Path,
        pairs: Vec<(String, String)>,
        done: &'a AtomicBool,
    ) -> Self
    where
        'a: 's,
    {
        let directory = open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        scope.spawn(move || {
            let mut swapped = 0_u64;
            while !done.load(Ordering::Relaxed) {
                for (one, two) in &pairs {
                    let (at, flags) = (directory.as_fd(), RenameFlags::EXCHANGE);
                    renameat_with(at, one.as_str(), at, two.as_str(), flags).unwrap();
                    swapped += 1;
                }
            }
            assert!(swapped > 100, "{swapped}");
        });
        Self(done)
    }
}

impl Drop for Swapping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// In `shared`, directories and links that lead out of it by all ways there are; answers the pairs of names.
fn places_and_traps(shared: &Path, outside: &Path) -> Vec<(String, String)> {
    let outside = outside.to_str().unwrap();
    let traps = [
        outside.to_owned(),
        format!("../../../../../../../..{outside}"),
        format!("/proc/1/root{outside}"),
        format!("/proc/self/cwd{outside}"),
        "/proc/self/fd/3".to_owned(),
        "/".to_owned(),
    ];
    let pair = |(number, target): (usize, String)| {
        let (place, trap) = (format!("place{number}"), format!("trap{number}"));
        open_to_all(&shared.join(&place));
        symlink(target, shared.join(&trap)).unwrap();
        (place, trap)
    };
    traps.into_iter().enumerate().map(pair).collect()
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: `/proc` or `/sys` of the image are links, into something mapped or
/// to each other, so that what is to be masked is looked for in the wrong place.
fn an_image_with_links_for_proc_and_sys_unmasks_nothing() {
    let images: [&[(&str, &str)]; 7] = [
        &[("proc", "m/proc")],
        &[("sys", "/m/sys")],
        &[("proc", "m/proc"), ("sys", "m/sys"), ("dev", "m/dev")],
        &[("proc", "sys")],
        &[("sys", "proc")],
        &[("dev", "proc/sys")],
        &[("sys", "dev"), ("dev", "proc")],
    ];
    for image in images {
        let host = Host::new();
        let (layer, shared) = (directory(&host, "layer"), directory(&host, "shared"));
        for name in ["proc/sys/kernel", "sys", "dev"] {
            fs::create_dir_all(layer.join("m").join(name)).unwrap();
            fs::create_dir_all(shared.join(name)).unwrap();
        }
        fs::write(shared.join("proc/sys/kernel/core_pattern"), "theirs").unwrap();
        for (name, target) in image {
            symlink(target, layer.join(name)).unwrap();
        }
        match attempt(&host, &[&layer], &[mapping(&shared, "/m")]) {
            Ok(container) => {
                assert_masked(&container);
            }
            Err(failure) => assert!(!failure.causes.is_empty(), "{failure:#?}"),
        }
        let decoy = shared.join("proc/sys/kernel/core_pattern");
        assert_eq!(fs::read_to_string(decoy).unwrap(), "theirs", "{image:?}");
        assert_eq!(entries(&shared.join("dev")), Vec::<PathBuf>::new());
    }
}

/// CVE-2019-16884: the image decides that something mapped comes to lie on `/proc`, where what is to be masked is no
/// more than a file of the image's. Also while it runs, where the container lays the links.
fn a_mapping_that_an_image_leads_to_proc_unmasks_nothing() {
    let places = [
        "/proc",
        "/proc/sys",
        "/proc/sys/kernel",
        "/proc/self",
        "/sys",
        "/sys/firmware",
    ];
    for place in places {
        let host = Host::new();
        let (layer, shared) = (directory(&host, "layer"), directory(&host, "shared"));
        symlink(place, layer.join("data")).unwrap();
        match attempt(&host, &[&layer], &[mapping(&shared, "/data")]) {
            Ok(container) => {
                assert_masked(&container);
            }
            Err(failure) => assert!(!failure.causes.is_empty(), "{failure:#?}"),
        }
    }
    let host = Host::new();
    let shared = directory(&host, "shared");
    let container = host.start(json!({}));
    let reached = assert_masked(&container);
    assert!(reached > 0, "procfs was not found");
    for place in places {
        container.shell(&format!("rm -f /late; ln -s {place} /late"));
        let mut late = mapping(&shared, "/late");
        late["ReadOnly"] = true.into();
        if change(&container, "Add", &late).is_ok() {
            assert_masked(&container);
            change(&container, "Remove", &late).unwrap_or_else(|f| panic!("{f:#?}"));
        }
        assert_eq!(assert_masked(&container), reached, "{place}");
    }
}

/// CVE-2025-31133: what files are masked with is not the null device but what the image, or another container that
/// shares the directory, has put in its place.
fn hidden_files_stay_hidden_whatever_stands_for_the_null_device() {
    let host = Host::new();
    let (layer, shared) = (directory(&host, "layer"), directory(&host, "shared"));
    let target = "/proc/sys/kernel/core_pattern";
    for place in [&layer.join("dev"), &shared] {
        fs::create_dir_all(place).unwrap();
        for name in ["null", "zero", "ptmx", "console"] {
            symlink(target, place.join(name)).unwrap();
        }
        symlink("/proc", place.join("pts")).unwrap();
    }
    let container = attempt(&host, &[&layer], &[]).unwrap_or_else(|f| panic!("{f:#?}"));
    assert!(assert_masked(&container) > 0);
    assert_eq!(container.shell("stat -c %t:%T /dev/null"), "1:3");
    drop(container);
    fs::write(shared.join("file"), "").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pairs = vec![("null".to_owned(), "file".to_owned())];
        let _swapping = Swapping::start(scope, &shared, pairs, &done);
        for _ in 0..12 {
            let started = attempt(&host, &[&layer], &[mapping(&shared, "/dev")]);
            if let Ok(container) = started {
                assert!(assert_masked(&container) > 0);
            }
        }
    });
    // One of them is the file still.
    let regular = ["null", "file"].map(|name| shared.join(name)).into_iter();
    let mut regular = regular.filter(|path| fs::symlink_metadata(path).unwrap().is_file());
    assert_eq!(fs::read_to_string(regular.next().unwrap()).unwrap(), "");
}

/// CVE-2021-30465: the place that something is mapped to lies in a directory that another container has, too, and which
/// that one swaps for a link. The kernel has to mount it in the container, or nowhere.
fn a_mount_point_swapped_by_another_container_leads_nowhere_else() {
    const ROUNDS: usize = 48;
    let host = Host::new();
    let [shared, inner, outside] =
        ["shared", "inner", "outside"].map(|name| directory(&host, name));
    fs::write(inner.join("file"), "inner").unwrap();
    let pairs = places_and_traps(&shared, &outside);
    let names = |pair: &(String, String)| format!("['/vol/{}','/vol/{}']", pair.0, pair.1);
    let list: Vec<String> = pairs.iter().map(names).collect();
    let other = host.start(json!({ "MappedDirectories": [mapping(&shared, "/vol")] }));
    let call = libc::SYS_renameat2;
    let list = list.join(",");
    other.shell(&format!(
        "cat > /swap <<'end'
my @pairs = ({list});
while (1) {{ for (@pairs) {{ my ($a, $b) = @$_; syscall({call}, -100, $a, -100, $b, 2) == 0 or die $! }} }}
end
setsid perl /swap > /dev/null 2> /swap.err < /dev/null & :"
    ));
    let device = fs::metadata(&shared).unwrap().dev();
    let device = format!(
        "{}:{}",
        rustix::fs::major(device),
        rustix::fs::minor(device)
    );
    let mut started = 0;
    for round in 0..ROUNDS {
        let (place, _) = &pairs[round % pairs.len()];
        let deep = format!("/vol/{place}/deep");
        let mapped = [mapping(&shared, "/vol"), mapping(&inner, &deep)];
        let Ok(container) = attempt(&host, &[], &mapped) else {
            continue;
        };
        started += 1;
        for [point, kind, found, root] in mounts(&container) {
            let ours = root.ends_with("/shared") || root.ends_with("/inner");
            assert!(
                kind == "overlay" || found != device || ours,
                "{root} at {point}"
            );
            assert!(point != "/" || kind == "overlay", "{kind} at /");
        }
        container.shell("hostname | cmp - /vol/../etc/hostname");
        assert_eq!(entries(&outside), Vec::<PathBuf>::new());
    }
    assert_eq!(other.shell("cat /swap.err"), "");
    assert!(started > 0, "no container was started");
}

/// CVE-2024-45310: the directories and the empty file that a place to map to needs are made where a link leads that was
/// swapped in, on the host.
fn mount_points_are_made_inside_or_not_at_all() {
    const ROUNDS: usize = 120;
    let host = Host::new();
    let [shared, inner, outside] =
        ["shared", "inner", "outside"].map(|name| directory(&host, name));
    let file = host.files.path().join("file");
    fs::write(&file, "").unwrap();
    let pairs = places_and_traps(&shared, &outside);
    let container = host.start(json!({ "MappedDirectories": [mapping(&shared, "/vol")] }));
    let done = AtomicBool::new(false);
    let mut added = 0;
    thread::scope(|scope| {
        let _swapping = Swapping::start(scope, &shared, pairs.clone(), &done);
        for round in 0..ROUNDS {
            let (place, _) = &pairs[round % pairs.len()];
            let target = format!("/vol/{place}/made-{round}/by/us");
            let source = if round % 2 == 0 { &inner } else { &file };
            let late = mapping(source, &target);
            added += usize::from(change(&container, "Add", &late).is_ok());
            // It may not be found any more.
            let _either = change(&container, "Remove", &late);
        }
    });
    assert!(added > 0, "nothing was ever mapped");
    assert_eq!(entries(&outside), Vec::<PathBuf>::new());
    let made = |directory: &str| {
        let names = entries(Path::new(directory)).into_iter();
        names
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"made-"))
            })
            .count()
    };
    assert_eq!([made("/"), made("/etc"), made("/tmp")], [0; 3]);
}

/// CVE-2022-0492: a hierarchy of control groups of version 1, mounted in new namespaces, takes a program that the
/// host's root runs.
fn no_release_agent_can_be_set() {
    let agents = || -> Vec<(PathBuf, String)> {
        let hierarchies = entries(Path::new("/sys/fs/cgroup")).into_iter();
        let files = hierarchies.map(|path| path.join("release_agent"));
        let read = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
        files.filter_map(read).collect()
    };
    let before = agents();
    let host = Host::new();
    let container = host.start(json!({}));
    let new = libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP;
    for flags in [new, libc::CLONE_NEWUSER, libc::CLONE_NEWCGROUP] {
        let unshared = errno(&container, libc::SYS_unshare, &flags.to_string());
        assert_eq!(unshared, libc::EPERM, "{flags:#x}");
        let arguments = format!("{}, 0, 0, 0, 0", flags | libc::SIGCHLD);
        assert_eq!(errno(&container, libc::SYS_clone, &arguments), libc::EPERM);
    }
    let table = fs::read_to_string("/proc/cgroups").unwrap();
    let controllers = table
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next());
    for controller in controllers.chain(["none,name=escape"]) {
        let arguments = format!(r#""none", "/mnt", "cgroup", 0, "{controller}""#);
        let mounted = errno(&container, libc::SYS_mount, &arguments);
        assert_eq!(mounted, libc::EPERM, "{controller}");
    }
    // As another user, whom a user namespace would make root.
    let script = "umask 077; setpriv --reuid 1000 --regid 1000 --clear-groups unshare -UrmC true";
    assert_ne!(container.run(&["sh", "-c", script]).code, 0);
    let found = container.shell("find /sys /proc /dev -name release_agent 2>/dev/null || :");
    for path in found.lines() {
        let outcome = container.run(&["sh", "-c", &format!("echo /evil > {path}")]);
        assert_ne!(outcome.code, 0, "{path}: {outcome:?}");
    }
    assert_eq!(agents(), before);
}

/// After CVE-2021-30465: what is covered in a mapped directory is moved by a container that has it: the next one
/// sees it where nothing was looked for, and the service something else in its place.
fn the_services_directories_are_moved_by_no_container() {
    let host = Host::with(|config| {
        let tree = config.scratch_root.with_file_name("tree");
        for name in ["", "a", "a/b", "a/b/own", "a/other"] {
            open_to_all(&tree.join(name));
        }
        fs::write(tree.join("a/b/own/secret"), "secret").unwrap();
        config.hidden = vec![tree.join("a/b/own")];
    });
    let tree = host.files.path().join("tree");
    let mapped = mapping(&tree, "/seen");
    let other = host.start(json!({ "MappedDirectories": [mapped] }));
    let something = directory(&host, "something");
    let late = host.start(json!({ "MappedDirectories": [mapping(&something, "/else")] }));
    let added = change(&late, "Add", &mapped);
    for container in [Some(&other), added.is_ok().then_some(&late)]
        .into_iter()
        .flatten()
    {
        for name in ["a", "a/b", "a/b/own"] {
            let moved = container.run(&["mv", "-T", &format!("/seen/{name}"), "/seen/moved"]);
            assert_ne!(moved.code, 0, "{name}: {moved:?}");
            let swap = format!(
                "my ($one, $two) = ('/seen/{name}', '/seen/a/other'); syscall({}, -100, $one, -100, $two, 2) == 0 and print 'swapped'",
                libc::SYS_renameat2
            );
            assert_eq!(container.run(&["perl", "-e", &swap]).stdout, "", "{name}");
        }
        // All else is done as ever.
        container.shell("mkdir /seen/a/new && mv /seen/a/new /seen/a/b/new && rmdir /seen/a/b/new");
        assert_eq!(container.shell("find /seen -name secret"), "");
    }
    let next = host.start(json!({ "MappedDirectories": [mapped] }));
    assert_eq!(next.shell("find /seen -name secret"), "");
    assert_eq!(
        fs::read_to_string(tree.join("a/b/own/secret")).unwrap(),
        "secret"
    );
    match added {
        Ok(()) => change(&late, "Remove", &mapped).unwrap_or_else(|f| panic!("{f:#?}")),
        // Before Linux 6.15.
        Err(failure) => assert_eq!(failure.hresult, HResult::NOT_SUPPORTED, "{failure:?}"),
    }
}

/// The same by speed: what is mapped into a container that runs is looked into before it is covered.
fn what_is_mapped_late_is_covered_before_it_is_seen() {
    const ROUNDS: usize = 150;
    let host = Host::with(|config| {
        let own = config.scratch_root.with_file_name("tree").join("own");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("secret"), "secret").unwrap();
        config.hidden = vec![own];
    });
    let mut mapped = mapping(&host.files.path().join("tree"), "/late");
    mapped["ReadOnly"] = true.into();
    let container = host.start(json!({}));
    if let Err(failure) = change(&container, "Add", &mapped) {
        // Before Linux 6.15 there is no way to do it.
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED, "{failure:?}");
        return;
    }
    change(&container, "Remove", &mapped).unwrap_or_else(|f| panic!("{f:#?}"));
    container.shell(
        "cat > /look <<'end'
while (1) { if (-e '/late/own/secret') { open my $won, '>', '/won'; close $won } }
end
setsid perl /look > /dev/null 2>&1 < /dev/null & :",
    );
    for _ in 0..ROUNDS {
        for kind in ["Add", "Remove"] {
            change(&container, kind, &mapped).unwrap_or_else(|f| panic!("{f:#?}"));
        }
    }
    container.shell("test ! -e /won");
}

/// After CVE-2021-41091 and CVE-2021-30465: a directory of an image says of itself that it goes on below at another
/// path (`overlay.redirect`), where what is covered is not.
fn an_image_shows_nothing_hidden_by_another_name() {
    let host = Host::with(|config| {
        let own = config.scratch_root.with_file_name("own");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("secret"), "secret").unwrap();
        config.hidden = vec![own];
    });
    let layer = directory(&host, "layer");
    let own = host.files.path().join("own");
    for (name, path) in [("one", own.as_path()), ("two", host.files.path())] {
        fs::create_dir(layer.join(name)).unwrap();
        for attribute in ["trusted.overlay.redirect", "user.overlay.redirect"] {
            let value = path.as_os_str().as_encoded_bytes();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(layer.join(name), attribute, value, flags).unwrap();
        }
    }
    let seen = attempt(&host, &[&layer], &[])
        .map(|container| container.shell("find /one /two -name secret 2> /dev/null || :"));
    assert!(matches!(seen.as_deref(), Ok("") | Err(_)), "{seen:?}");
}

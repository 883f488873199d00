//! `hcs cp`: files into containers and out of them.

use std::{
    ffi::OsStr,
    fs,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt as _,
            fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
            net::UnixStream,
        },
    },
    path::Path,
    process::Output,
};

use crate::common::{Container, Ended, ended, hcs, with_input, words};
use tempfile::tempdir;

/// Runs a shell script in the container.
#[track_caller]
fn inside(id: &str, script: &str) -> String {
    ended(&mut hcs(["exec", id, "--", "sh", "-c", script])).fine()
}

fn copy(from: &str, to: &str) -> Ended {
    ended(&mut hcs(["cp", from, to]))
}

fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Row N7.
#[test]
fn files_go_in_and_come_out() {
    let (container, here) = (Container::new("copies"), tempdir().unwrap());
    let id = &container.0;
    let at = |name: &str| here.path().join(name).display().to_string();
    fs::create_dir(at("site")).unwrap();
    fs::write(at("site/page"), "page").unwrap();
    fs::set_permissions(at("site/page"), fs::Permissions::from_mode(0o751)).unwrap();
    chown(at("site/page"), Some(1234), Some(1234)).unwrap();
    symlink("page", at("site/link")).unwrap();

    copy(&at("site"), &format!("{id}:/tmp")).fine();
    copy(&at("site"), &format!("{id}:tmp/new")).fine();
    copy(&at("site/."), &format!("{id}:/tmp")).fine();
    copy(&at("site/page"), &format!("{id}:/tmp/other")).fine();
    let listed = inside(
        id,
        "cd /tmp; stat -c '%n %F %a %u' * site/* new/*; cat other site/link",
    );
    let expected = "link symbolic link 777 0\nnew directory 755 0\nother regular file 751 0\npage regular file 751 0\n\
                    site directory 755 0\nsite/link symbolic link 777 0\nsite/page regular file 751 0\n\
                    new/link symbolic link 777 0\nnew/page regular file 751 0\npagepage";
    assert_eq!(listed, expected);
    ended(&mut hcs([
        "cp",
        "-a",
        &at("site/page"),
        &format!("{id}:/tmp/owned"),
    ]))
    .fine();
    assert_eq!(inside(id, "stat -c %u:%g /tmp/owned"), "1234:1234\n");
    ended(&mut hcs([
        "cp",
        "-L",
        &at("site/link"),
        &format!("{id}:/tmp/followed"),
    ]))
    .fine();
    assert_eq!(inside(id, "stat -c %F /tmp/followed"), "regular file\n");

    copy(&format!("{id}:/tmp/site"), &at("back")).fine();
    assert_eq!(fs::read_link(at("back/link")).unwrap(), Path::new("page"));
    let page = fs::metadata(at("back/page")).unwrap();
    assert_eq!((page.mode() & 0o7777, page.len()), (0o751, 4));
    assert_eq!(page.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(page.mtime(), fs::metadata(at("site/page")).unwrap().mtime());
    ended(&mut hcs([
        "cp",
        "-a",
        &format!("{id}:/tmp/owned"),
        &at("back"),
    ]))
    .fine();
    assert_eq!(fs::metadata(at("back/owned")).unwrap().uid(), 1234);
}

/// A filter of such a container refuses the call by which files are found elsewhere.
#[test]
fn files_go_in_and_come_out_where_a_tree_of_the_host_is_mapped() {
    let (mapped, here) = (tempdir().unwrap(), tempdir().unwrap());
    let at = |name: &str| here.path().join(name).display().to_string();
    fs::create_dir_all(at("site/deep")).unwrap();
    fs::write(at("site/deep/page"), "page").unwrap();
    symlink("deep/page", at("site/link")).unwrap();
    fs::set_permissions(mapped.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for (number, options) in ["", ":ro", " --userns=no"].into_iter().enumerate() {
        let tree = mapped.path().display();
        let container = Container::with("copies", &format!("--mount {tree}:/mapped{options}"));
        let id = &container.0;
        let name = format!("site{number}");
        copy(&at("site"), &format!("{id}:/tmp/{name}")).fine();
        copy(&at("site/deep/page"), &format!("{id}:/tmp/one")).fine();
        let back = at(&format!("back{number}"));
        copy(&format!("{id}:/tmp/{name}"), &back).fine();
        let page = fs::read_to_string(Path::new(&back).join("deep/page")).unwrap();
        assert_eq!(page, "page");
        let link = fs::read_link(Path::new(&back).join("link")).unwrap();
        assert_eq!(link, Path::new("deep/page"));
        copy(&format!("{id}:/tmp/one"), &at("one")).fine();
        assert_eq!(fs::read_to_string(at("one")).unwrap(), "page");
        if options == ":ro" {
            continue;
        }
        copy(&at("site"), &format!("{id}:/mapped/{name}")).fine();
        let page = mapped.path().join(&name).join("deep/page");
        assert_eq!(fs::read_to_string(page).unwrap(), "page");
        let back = at(&format!("mapped{number}"));
        copy(&format!("{id}:/mapped/{name}"), &back).fine();
        assert!(Path::new(&back).join("deep/page").is_file());
        // No link leads elsewhere, whatever finds it.
        inside(id, &format!("ln -s /etc /mapped/{name}/out"));
        let back = at(&format!("links{number}"));
        copy(&format!("{id}:/mapped/{name}"), &back).fine();
        let link = fs::read_link(Path::new(&back).join("out")).unwrap();
        assert_eq!(link, Path::new("/etc"));
    }
}

#[test]
fn names_of_this_machine_may_have_any_bytes() {
    let (container, here) = (Container::new("bytes"), tempdir().unwrap());
    let id = &container.0;
    let odd = here.path().join(OsStr::from_bytes(b"odd \xff"));
    fs::create_dir(&odd).unwrap();
    let file = odd.join(OsStr::from_bytes(b"\xfe"));
    fs::write(&file, "text").unwrap();
    let cp = |from: &OsStr, to: &OsStr| ended(hcs(["cp"]).args([from, to]));
    cp(file.as_os_str(), format!("{id}:/tmp/plain").as_ref()).fine();
    assert_eq!(inside(id, "cat /tmp/plain"), "text");
    // By a directory they come in, and out again, as they are.
    cp(odd.as_os_str(), format!("{id}:/tmp").as_ref()).fine();
    let back = here.path().join(OsStr::from_bytes(b"back\xfd"));
    cp(format!("{id}:/tmp").as_ref(), back.as_os_str()).fine();
    let found = back
        .join(odd.file_name().unwrap())
        .join(file.file_name().unwrap());
    assert_eq!(fs::read_to_string(found).unwrap(), "text");
    let mut inside = std::ffi::OsString::from(format!("{id}:/tmp/"));
    inside.push(odd.file_name().unwrap());
    let refused = cp(&inside, here.path().as_os_str());
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(
        refused.err.contains("copy the directory that it is in"),
        "{refused:?}"
    );
}

#[test]
fn archives_pass_through() {
    let (first, second) = (Container::new("copies"), Container::new("copies"));
    let (first, second) = (&first.0, &second.0);
    inside(first, "mkdir /tmp/a; echo content >/tmp/a/file");
    let archive = hcs(["cp", &format!("{first}:/tmp/a"), "-"])
        .output()
        .unwrap();
    assert!(archive.status.success(), "{archive:?}");
    said(with_input(
        &mut hcs(["cp", "-", &format!("{second}:/tmp")]),
        archive.stdout,
    ));
    assert_eq!(inside(second, "cat /tmp/a/file"), "content\n");
    let none = with_input(
        &mut hcs(["cp", "-", &format!("{second}:/tmp/none")]),
        Vec::new(),
    );
    let none = Ended::from(none);
    assert!(
        none.code == Some(125) && none.err.contains("/tmp/none is not a directory"),
        "{none:?}"
    );
    let noise = with_input(
        &mut hcs(["cp", "-", &format!("{second}:/tmp")]),
        vec![7; 5000],
    );
    let noise = Ended::from(noise);
    assert!(
        noise.code == Some(125) && noise.err.contains("no tar archive"),
        "{noise:?}"
    );
}

/// A container that chooses what a path of its own is, each time it is copied to the same place.
#[test]
fn a_link_that_came_out_leads_no_later_copy() {
    let (container, here) = (Container::new("linked"), tempdir().unwrap());
    let id = &container.0;
    let at = |name: &str| here.path().join(name).display().to_string();
    fs::create_dir(at("secret")).unwrap();
    fs::write(at("secret/file"), "own").unwrap();
    for target in [at("secret"), at("secret/file")] {
        inside(id, &format!("rm -f /tmp/log; ln -s {target} /tmp/log"));
        copy(&format!("{id}:/tmp/log"), &at("log")).fine();
        inside(id, "rm /tmp/log; echo hostile > /tmp/log");
        let refused = copy(&format!("{id}:/tmp/log"), &at("log"));
        assert_eq!(refused.code, Some(125), "{refused:?}");
        assert!(refused.err.contains("is a symbolic link"), "{refused:?}");
        fs::remove_file(at("log")).unwrap();
    }
    let left = fs::read_dir(at("secret")).unwrap().count();
    assert_eq!(
        (left, fs::read(at("secret/file")).unwrap()),
        (1, b"own".to_vec())
    );
}

/// Whatever a path inside leads to, it leads there inside.
#[test]
fn links_inside_lead_nowhere_outside() {
    let (container, here) = (Container::new("copies"), tempdir().unwrap());
    let id = &container.0;
    let secret = here.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    let script = format!(
        "ln -s {} /tmp/out; ln -s / /tmp/root; ln -s /proc/1/root /tmp/agent",
        secret.display()
    );
    inside(id, &script);
    let to = here.path().join("copy");
    let to = to.to_str().unwrap();
    for path in ["out", "root", "agent"].map(|name| format!("{id}:/tmp/{name}")) {
        let link = ended(&mut hcs([
            "cp",
            "-L",
            &format!("{path}{}/", secret.display()),
            to,
        ]));
        assert_eq!(link.code, Some(125), "{link:?}");
        assert!(!Path::new(to).exists());
        let into = copy(
            "/etc/hostname",
            &format!("{path}{}", here.path().join("x/y").display()),
        );
        assert_eq!(into.code, Some(125), "{into:?}");
    }
    let through = copy("/etc/hostname", &format!("{id}:/tmp/out"));
    assert_eq!(through.code, Some(125), "{through:?}");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "of the host");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 1);
}

/// The process has the rights of root inside, and not those of its agent.
#[test]
fn a_copy_has_no_more_power_than_root_inside() {
    let container = Container::new("copies");
    let id = &container.0;
    let status = copy(&format!("{id}:/proc/self/status"), "/dev/stdout");
    // Of procfs files have no size, and a device is not replaced.
    assert!(
        status.err.contains("neither a file nor a directory"),
        "{status:?}"
    );
    for path in [
        "/proc/1/environ",
        "/proc/1/mem",
        "/proc/1/fd/0",
        "/proc/1/exe",
    ] {
        let of_the_agent = ended(&mut hcs(["cp", "-L", &format!("{id}:{path}"), "-"]));
        assert_eq!(
            of_the_agent.code,
            Some(125),
            "{path}: {:?}",
            of_the_agent.err
        );
        let denied = of_the_agent.err.contains("Permission denied")
            || of_the_agent.err.contains("not permitted");
        assert!(denied, "{path}: {:?}", of_the_agent.err);
    }
    let sysctl = copy(
        "/etc/hostname",
        &format!("{id}:/proc/sys/kernel/core_pattern"),
    );
    assert_eq!(sysctl.code, Some(125), "{sysctl:?}");
}

/// The program of a copy can be reached inside while it runs. It is a copy of that container's.
#[test]
fn the_program_of_a_copy_is_no_other_containers() {
    let (first, second) = (
        Container::with("copies", "--userns=no"),
        Container::new("copies"),
    );
    let (first, second) = (&first.0, &second.0);
    let mut waiting = hcs(["cp", "-", &format!("{first}:/tmp")])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let script =
        "while ! comm=$(grep -lsx hcs-archive /proc/[0-9]*/comm); do :; done; exe=${comm%comm}exe
        (: >>$exe) 2>/dev/null && echo written; chmod 4000 $exe; stat -Lc %a $exe";
    assert_eq!(inside(first, script), "4000\n");
    copy("/etc/hostname", &format!("{second}:/tmp")).fine();
    copy("/etc/hostname", &format!("{first}:/tmp")).fine();
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}

#[test]
fn what_cannot_be_copied_is_said() {
    let (container, here) = (Container::new("copies"), tempdir().unwrap());
    let id = &container.0;
    let here = here.path().to_str().unwrap();
    for (from, to, reason) in [
        (
            &*format!("{id}:/none"),
            here,
            "/none cannot be opened: No such file",
        ),
        (
            "/none",
            &format!("{id}:/tmp"),
            "/none cannot be opened: No such file",
        ),
        (
            &format!("{id}:/etc"),
            "/etc/hostname",
            "a directory cannot take its place",
        ),
        (
            "/etc/hostname",
            &format!("{id}:/tmp/none/x"),
            "/tmp/none is no directory to copy to",
        ),
        (
            "/etc/hostname",
            here,
            "neither SRC nor DEST is in a container",
        ),
        (
            &format!("{id}:/a"),
            &format!("{id}:/b"),
            "`hcs cp box:/srv - | hcs cp - other:/`",
        ),
        ("no-such-system:/a", here, "no-such-system"),
    ] {
        let failed = copy(from, to);
        assert_eq!(failed.code, Some(125), "{failed:?}");
        assert!(failed.err.contains(reason), "{from} {to}: {}", failed.err);
    }
    // Its input does not end while this side holds it.
    let (input, _held) = UnixStream::pair().unwrap();
    let mut late = hcs(["cp", "--timeout", "0.2", "-", &format!("{id}:/tmp")]);
    let late = late.stdin(OwnedFd::from(input)).output().unwrap();
    assert_eq!(late.status.code(), Some(124), "{late:?}");
    let devices = copy(&format!("{id}:/dev"), &format!("{here}/dev"));
    assert!(
        devices.code == Some(125) && devices.err.contains("devices were left out"),
        "{devices:?}"
    );
    let created = crate::common::unique("copies");
    words(&format!("create --id {created}")).fine();
    let created = Container(created);
    let early = copy("/etc/hostname", &format!("{}:/tmp", created.0));
    assert!(
        early.code == Some(125) && early.err.contains("hcs start"),
        "{early:?}"
    );
}

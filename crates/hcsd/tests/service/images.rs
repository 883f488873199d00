//! Disk images for virtual machines: file systems by `mkfs.ext4`, other kinds by QEMU itself.

use std::{
    fs::{self, File, Permissions},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// Size of an image, in bytes.
pub(crate) const SIZE: u64 = 8 << 20;

/// A raw image with a file system that has the file `from-host`.
pub(crate) fn with_files(folder: &Path) -> PathBuf {
    let (image, files) = (folder.join("files.img"), folder.join("files"));
    fs::create_dir(&files).unwrap();
    fs::write(files.join("from-host"), "hello guest\n").unwrap();
    File::create(&image).unwrap().set_len(SIZE).unwrap();
    let mut make = Command::new("mkfs.ext4");
    make.args(["-q", "-F", "-d"]).arg(&files).arg(&image);
    assert!(make.status().unwrap().success());
    let_all_use(&image);
    image
}

/// Lets every machine use the file, and every user as well.
pub(crate) fn let_all_use(image: &Path) {
    fs::set_permissions(image, Permissions::from_mode(0o666)).unwrap();
}

/// What the file `path` of the file system in `image` has.
pub(crate) fn file_in(image: &Path, path: &str) -> String {
    let mut look = Command::new("debugfs");
    look.arg("-R").arg(format!("cat {path}")).arg(image);
    String::from_utf8(look.output().unwrap().stdout).unwrap()
}

/// An empty image of the kind that QEMU's driver `driver` makes.
pub(crate) fn empty(image: &Path, driver: &str) {
    let options = match driver {
        "vpc" => json!({ "subformat": "fixed", "force-size": true }),
        _ => json!({}),
    };
    make(image, driver, options);
}

/// An image that QEMU makes with these options.
pub(crate) fn make(image: &Path, driver: &str, mut options: Value) {
    fs::write(image, "").unwrap();
    let_all_use(image);
    options["driver"] = json!(driver);
    options["file"] = json!("file");
    options["size"] = json!(SIZE);
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args([
        "-machine",
        "none",
        "-nodefaults",
        "-display",
        "none",
        "-qmp",
        "stdio",
        "-blockdev",
    ]);
    qemu.arg(json!({"driver": "file", "node-name": "file", "filename": image}).to_string());
    let mut qemu = qemu
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = qemu.stdin.take().unwrap();
    let mut say = |command: &str, arguments: Value| {
        let line = json!({"execute": command, "arguments": arguments});
        writeln!(stdin, "{line}").unwrap();
    };
    say("qmp_capabilities", json!({}));
    say(
        "blockdev-create",
        json!({"job-id": "make", "options": options}),
    );
    let mut lines = BufReader::new(qemu.stdout.take().unwrap()).lines();
    let concluded = |line: &String| line.contains("\"concluded\"") || line.contains("\"error\"");
    let last = lines.by_ref().map(Result::unwrap).find(concluded).unwrap();
    assert!(!last.contains("\"error\""), "{last}");
    say("query-jobs", json!({}));
    let jobs = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.contains("\"type\": \"create\""));
    assert!(
        jobs.as_ref()
            .is_some_and(|jobs| !jobs.contains("\"error\"")),
        "{jobs:?}"
    );
    say("quit", json!({}));
    qemu.wait().unwrap();
}

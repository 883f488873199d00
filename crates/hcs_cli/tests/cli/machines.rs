//! Virtual machines at the terminal: Debian's kernel, and a guest image of it that `hcs guest-image build` makes.
//!
//! The kernel is what `cargo xtask packages` provides, or that of `HCS_TEST_GUEST_KERNEL`.

use std::{
    env, fs,
    os::unix::fs::DirEntryExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    common::{Ended, ended, hcs, unique, words},
    terminal::Session,
};

/// A directory for guest images.
pub(crate) struct Images(TempDir);

fn read(about: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(about).unwrap()).unwrap()
}

impl Images {
    /// What is written of the image `default`, and where.
    fn about(&self) -> (PathBuf, Value) {
        let file = self.0.path().join("default/image.json");
        let about = read(&file);
        (file, about)
    }

    /// With the image "default".
    pub(crate) fn new() -> Self {
        let images = Self(tempfile::tempdir().unwrap());
        let mut build = images.hcs("guest-image build --kernel");
        ended(build.arg(kernel())).fine();
        images
    }

    pub(crate) fn hcs(&self, words: &str) -> Command {
        let mut command = hcs(words.split_whitespace());
        command.env("HCS_GUEST_IMAGES", self.0.path());
        command
    }

    /// Runs `hcs run --isolation vm` with these options and a shell script inside.
    fn script(&self, options: &str, script: &str) -> Ended {
        let mut command = self.hcs(&format!("run --isolation vm {options} -- sh -c"));
        ended(command.arg(script))
    }
}

/// The directory of a kernel and its modules.
fn kernel() -> PathBuf {
    let usual = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../target/guest-kernel/current"
    );
    let kernel = env::var_os("HCS_TEST_GUEST_KERNEL").unwrap_or_else(|| usual.into());
    let kernel = PathBuf::from(kernel);
    assert!(
        kernel.exists(),
        "there is no kernel for a guest in {}; run: cargo xtask packages",
        kernel.display()
    );
    kernel
}

#[test]
fn a_command_has_a_kernel_of_its_own_and_disks() {
    let images = Images::new();
    // The agent of an image that no user has built is an older one: the image is made again.
    let (about, mut before) = images.about();
    let agent = before["Agent"].take();
    before["Agent"] = json!("an older one");
    before["Automatic"] = json!(true);
    fs::write(&about, before.to_string()).unwrap();
    let disk = images.0.path().join("data.img");
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let script = "hostname; cat /sys/block/sda/size; echo here > /dev/sda; nproc >&2; exit 7";
    let said = images.script(
        &format!(
            "--hostname box --cpus 1.5 --memory 256 --disk {}",
            disk.display()
        ),
        script,
    );
    assert_eq!(
        (said.code, &*said.out, &*said.err),
        (Some(7), "box\n2048\n", "2\n")
    );
    assert!(fs::read(&disk).unwrap().starts_with(b"here\n"));
    // It was granted to the machine for as long as that was there.
    let mut list = [0; 64];
    let attribute = "system.posix_acl_access";
    let left = rustix::fs::getxattr(&disk, attribute, &mut list[..]);
    assert_eq!(left, Err(rustix::io::Errno::NODATA));
    before["Agent"] = agent;
    assert_eq!(read(&about), before);
}

#[test]
fn a_disk_of_containers_is_that_of_a_machine_and_comes_back() {
    let images = Images::new();
    let disk = images.0.path().join("work.vhdx");
    let verb = |words: &str| ended(images.hcs(&format!("disk {words}")).arg(&disk)).fine();
    verb("create --size 16M");
    let mounted = || PathBuf::from(verb("mount").trim());
    fs::write(mounted().join("note"), "of the host").unwrap();
    // As long as the host has it, no machine gets it.
    let options = format!("--memory 256 --disk {}", disk.display());
    let refused = images.script(&options, "true");
    verb("unmount");
    let script = "mkdir -p /tmp/m && mount -t ext4 /dev/sda /tmp/m && cat /tmp/m/note && echo of a machine > /tmp/m/answer && \
                  umount /tmp/m";
    let said = images.script(&options, script);
    let answer = fs::read_to_string(mounted().join("answer"));
    verb("unmount");
    assert!(
        refused.code == Some(125) && refused.err.contains("in use"),
        "{refused:?}"
    );
    assert_eq!(
        (said.code, &*said.out),
        (Some(0), "of the host"),
        "{said:?}"
    );
    assert_eq!(answer.unwrap(), "of a machine\n");
}

#[test]
fn a_machine_is_looked_at_as_a_container_is() {
    let images = Images::new();
    // A user has built the image, with whatever agent: it stays as it is.
    let (about, mut built) = images.about();
    built["Agent"] = json!("another one");
    fs::write(&about, built.to_string()).unwrap();
    let id = unique("machine");
    let made = ended(images.hcs("create --isolation vm --id").arg(&id));
    assert_eq!(made.fine(), format!("{id}\n"));
    assert_eq!(read(&about), built);
    words(&format!("start {id}")).fine();
    let missing = words(&format!("exec {id} -- no-such-program"));
    assert_eq!(missing.code, Some(127), "{missing:?}");
    let out = words(&format!("exec {id} -- uname -n")).fine();
    assert_eq!(out, "localhost\n");
    let read = |line: &str| serde_json::from_str::<Value>(&words(line).fine()).unwrap();
    let inspected = read(&format!("inspect {id}"));
    assert!(
        inspected.to_string().contains("VirtualMachine"),
        "{inspected}"
    );
    let stats = words(&format!("stats {id}")).fine();
    assert!(stats.starts_with("UPTIME"), "{stats}");
    // In kilobytes.
    let memory = || {
        let script = "while read name size unit; do echo $size; break; done < /proc/meminfo";
        let said = ended(&mut hcs(["exec", &id, "--", "sh", "-c", script])).fine();
        said.trim().parse::<u64>().unwrap()
    };
    let before = memory();
    words(&format!("update --memory 768 {id}")).fine();
    assert_eq!(memory() - before, 256 << 10);
    let refused = words(&format!("update --memory 512 --cpus 1 {id}"));
    assert_eq!(refused.code, Some(125), "{refused:?}");
    assert!(refused.err.contains("--cpus"), "{refused:?}");
    assert_eq!(memory() - before, 256 << 10);
    words(&format!("pause {id}")).fine();
    words(&format!("resume {id}")).fine();
    words(&format!("shutdown {id}")).fine();
}

#[test]
fn a_screen_is_an_option() {
    let images = Images::new();
    let id = unique("drawn");
    let made = ended(images.hcs("create --isolation vm --screen --id").arg(&id));
    made.fine();
    words(&format!("start {id}")).fine();
    let picture = images.0.path().join("box.png");
    ended(hcs(["screenshot", &id]).arg(&picture)).fine();
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    words(&format!("terminate {id}")).fine();
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    for (line, name) in [
        ("run --isolation vm --layer / -- true", "--layer"),
        ("run --isolation vm -d -- true", "--detach"),
        ("create --disk x", "--disk"),
        ("run --kernel k -- true", "--kernel"),
        ("create --document - --isolation vm", "--isolation"),
        (
            "run --isolation vm --guest-image a --kernel k -- true",
            "--kernel",
        ),
        ("run --isolation chroot -- true", "--isolation"),
    ] {
        let said = words(line);
        assert_eq!((said.code, &*said.out), (Some(125), ""), "{line}: {said:?}");
        assert!(said.err.contains(name), "{line}: {said:?}");
    }
    let place = tempfile::tempdir().unwrap();
    let mut command = hcs("run --isolation vm --guest-image none -- true".split(' '));
    let said = ended(command.env("HCS_GUEST_IMAGES", place.path()));
    assert_eq!(said.code, Some(125), "{said:?}");
    assert!(said.err.contains("hcs guest-image build"), "{said:?}");
}

#[test]
fn a_kernel_that_is_named_is_made_an_image_once() {
    let images = Images(tempfile::tempdir().unwrap());
    let missing = ended(&mut images.hcs("run --isolation vm --kernel /nope -- true"));
    assert_eq!(missing.code, Some(125), "{missing:?}");
    assert!(
        missing.err.contains("/nope cannot be read") && !missing.err.contains("--modules"),
        "{missing:?}"
    );
    let made = || {
        let id = unique("kernel");
        let mut create = images.hcs("create --isolation vm --kernel");
        ended(create.arg(kernel()).arg("--id").arg(&id)).fine();
        words(&format!("terminate {id}")).fine();
        let all = fs::read_dir(images.0.path()).unwrap().flatten();
        let named = all.filter(|entry| entry.path().join("image.json").exists());
        let named: Vec<_> = named
            .map(|entry| (entry.file_name(), entry.ino()))
            .collect();
        assert_eq!(named.len(), 1, "{named:?}");
        named
    };
    assert_eq!(made(), made());
}

#[test]
fn readers_have_a_console_one_after_the_other() {
    let images = Images::new();
    let id = unique("console");
    let made = ended(images.hcs("create --isolation vm --console --id").arg(&id));
    made.fine();
    words(&format!("start {id}")).fine();
    // What was written before is there for the first reader.
    let mut first = Session::start(&["console", &id]);
    first.until("Linux version");
    let answer = "setsid sh -c 'exec 0<>/dev/ttyS0 >&0; echo ready; while read line; do echo heard $line; done' &";
    ended(&mut hcs(["exec", &id, "--", "sh", "-c", answer])).fine();
    first.until("ready");
    first.type_in(b"one\r");
    first.until("heard one");
    // Another one waits for its turn.
    let mut second = Session::start(&["console", "--detach-keys", "~,.", &id]);
    second.type_in(b"two\r");
    first.type_in(b"\x10\x11");
    assert_eq!(first.end(), Some(0));
    second.until("heard two");
    second.type_in(b"~.");
    assert_eq!(second.end(), Some(0));
    let mut third = Session::start(&["console", &id]);
    third.type_in(b"three\r");
    third.until("heard three");
    words(&format!("terminate {id}")).fine();
    assert_eq!(third.end(), Some(0));
    let none = words(&format!("console {id}"));
    assert_eq!(none.code, Some(125), "{none:?}");
    let none = words(&format!("screenshot {id} -"));
    assert_eq!(none.code, Some(125), "{none:?}");
}

#[test]
fn what_a_screen_shows_is_saved_as_a_picture() {
    let place = tempfile::tempdir().unwrap();
    let (document, picture) = (place.path().join("box.json"), place.path().join("box.png"));
    let machine = |devices: Value| {
        let machine = json!({
            "Chipset": {"Uefi": {}},
            "ComputeTopology": {"Memory": {"SizeInMB": 64}},
            "Devices": devices,
        });
        let whole = json!({"SchemaVersion": {"Major": 2, "Minor": 1}, "VirtualMachine": machine});
        fs::write(&document, whole.to_string()).unwrap();
        let id = unique("screen");
        ended(hcs(["create", "--id", &id, "--document"]).arg(&document)).fine();
        id
    };
    let screenshot = |id: &str| ended(hcs(["screenshot", id]).arg(&picture));
    let devices = json!({"VideoMonitor": {}, "Keyboard": {}, "Mouse": {}});
    let id = machine(devices);
    words(&format!("start {id}")).fine();
    screenshot(&id).fine();
    let saved = fs::read(&picture).unwrap();
    assert!(saved.starts_with(b"\x89PNG\r\n\x1a\n") && saved.len() > 100);
    // The next one replaces it.
    screenshot(&id).fine();
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    words(&format!("terminate {id}")).fine();

    let id = machine(json!({}));
    words(&format!("start {id}")).fine();
    let none = screenshot(&id);
    assert_eq!(none.code, Some(125), "{none:?}");
    assert!(none.err.contains("VideoMonitor"), "{none:?}");
    words(&format!("terminate {id}")).fine();
}

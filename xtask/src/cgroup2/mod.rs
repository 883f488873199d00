//! `cargo xtask cgroup2`: the container engine on control groups v2, in a virtual machine.
//!
//! A host has one layout of control groups; this boots Debian's cloud kernel with the other. [`GUEST`] is what runs
//! there; it says PASS or FAIL of each check on the serial console. Nothing but the kernel, busybox, AppArmor's parser
//! and our programs is in the guest: this kernel has AppArmor, which is tried along. Emulated (TCG), so it works on
//! machines without virtualization.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use crate::{
    Repository, Result,
    packages::{
        self,
        apt::unpack,
        kernel::{image, modules},
    },
    process::{cargo, output, succeeds},
};

/// The checks.
const GUEST: &str = include_str!("guest.sh");
/// First program in the guest: `pivot_root(2)` refuses to leave an initial ramdisk, so a tmpfs becomes the root.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t tmpfs -o size=80% root /new
/bin/busybox cp -a /bin /lib /lib64 /usr /etc /overlay.ko /guest.sh /new/
cd /new && /bin/busybox mkdir -p proc sys dev tmp run var root
exec /bin/busybox switch_root /new /guest.sh
";
/// Probes and packages beyond those of the tests.
const PACKAGES: &[(&str, &str)] = &[
    ("cpio", "cpio"),
    ("busybox", "busybox-static"),
    ("strip", "binutils"),
];
/// The package with the program that loads AppArmor profiles.
const PARSER: &str = "apparmor";
/// The longest the guest may take, in seconds: it needs some sixty.
const LIMIT: &str = "400";

/// Boots the guest and reports its checks.
///
/// # Errors
/// Something needed is missing, or a program cannot be run.
pub(crate) fn run(repository: &Repository) -> Result<ExitCode> {
    packages::provide(PACKAGES)?;
    let kernel = packages::provide_machine(repository)?;
    let build = [
        "build",
        "--locked",
        "--package",
        "hcsd",
        "--package",
        "hcs_cli",
    ];
    if !succeeds(cargo().current_dir(&repository.root).args(build))? {
        return Err("the build failed".into());
    }
    let folder = tempfile::Builder::new().prefix("hcs-cgroup2-").tempdir()?;
    let root = folder.path().join("root");
    fill_root(&root, &kernel, &repository.target.join("debug"))?;
    add_parser(&root, &unpack(folder.path(), PARSER)?)?;
    let ramdisk = pack(&root)?;
    let said = boot(&image(&kernel)?, &ramdisk)?;
    verdict(&said)
}

fn verdict(said: &str) -> Result<ExitCode> {
    let lines = |word: &str| {
        said.lines()
            .map(str::trim)
            .filter(|l| l.starts_with(word))
            .count()
    };
    let (passed, failed, done) = (lines("PASS "), lines("FAIL "), lines("DONE"));
    for line in said
        .lines()
        .map(str::trim)
        .filter(|l| l.starts_with("FAIL "))
    {
        println!("{line}");
    }
    if done != 1 {
        return Err(format!("the guest did not come to its end; it said:\n{said}").into());
    }
    println!("control groups v2: {passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The guest's files: busybox, our programs with their libraries, the module for overlays.
fn fill_root(root: &Path, kernel: &Path, programs: &Path) -> Result<()> {
    for folder in ["bin", "lib", "lib64", "usr/lib", "etc", "proc", "new"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = output(Command::new("sh").args(["-c", "command -v busybox"]))?;
    fs::copy(busybox.trim(), root.join("bin/busybox"))?;
    for applet in output(Command::new("busybox").arg("--list"))?
        .lines()
        .filter(|a| *a != "busybox")
    {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for program in ["hcs", "hcsd"] {
        let (from, to) = (programs.join(program), root.join("bin").join(program));
        if !succeeds(Command::new("strip").arg("-o").arg(&to).arg(&from))? {
            return Err(format!("{} could not be stripped", from.display()).into());
        }
        copy_libraries(&from, root)?;
    }
    fs::copy(
        modules(kernel)?.join("kernel/fs/overlayfs/overlay.ko"),
        root.join("overlay.ko"),
    )?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    for (name, text) in [("init", INIT), ("guest.sh", GUEST)] {
        fs::write(root.join(name), text)?;
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// AppArmor's parser, from its unpacked package, to where the service looks for it.
fn add_parser(root: &Path, package: &Path) -> Result<()> {
    let parser = package.join("sbin/apparmor_parser");
    let to = root.join("usr/sbin");
    fs::create_dir_all(&to)?;
    fs::copy(&parser, to.join("apparmor_parser"))?;
    copy_libraries(&parser, root)
}

/// Copies the shared libraries that `program` needs to where it looks for them. A program that is linked statically, of
/// which `ldd` has nothing to say, needs none.
fn copy_libraries(program: &Path, root: &Path) -> Result<()> {
    let listed = Command::new("ldd").arg(program).output()?;
    let needed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for library in needed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let to = root.join(library.trim_start_matches('/'));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(library, to)?;
    }
    Ok(())
}

/// The files below `root` as an initial ramdisk.
fn pack(root: &Path) -> Result<PathBuf> {
    let image = root.with_extension("cpio");
    let pack = "find . | cpio --quiet -o -H newc > \"$0\"";
    if !succeeds(
        Command::new("sh")
            .current_dir(root)
            .args(["-c", pack])
            .arg(&image),
    )? {
        return Err("the initial ramdisk could not be packed".into());
    }
    Ok(image)
}

/// Runs the guest to its end and answers what it wrote on its console.
fn boot(kernel: &Path, ramdisk: &Path) -> Result<String> {
    let machine = [
        "-M",
        "q35",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "2048",
    ];
    let command_line = "console=ttyS0 quiet panic=-1 cryptomgr.notests";
    let answer = Command::new("timeout")
        .args([
            LIMIT,
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
        ])
        .args(machine)
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(ramdisk)
        .args(["-append", command_line])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the guest could not be started: {error}"))?;
    let errors = String::from_utf8_lossy(&answer.stderr);
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stdout);
        return Err(format!("the guest ended with {}: {errors}\n{said}", answer.status).into());
    }
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

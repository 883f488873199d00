//! The initial ramdisk of the guest: the test program as `/init`, and the modules of the device.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The modules that the device needs; others that these depend on come along.
const MODULES: &[&str] = &["virtio_pci", "vmw_vsock_virtio_transport"];

/// The directory with `boot/` and `lib/modules/` of the guest's kernel.
fn kernel_directory() -> PathBuf {
    if let Some(named) = env::var_os("HCS_TEST_GUEST_KERNEL") {
        return named.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest-kernel/current");
    assert!(
        own.exists(),
        "there is no kernel for a guest in {}; run: cargo xtask packages",
        own.display()
    );
    own
}

/// The kernel to boot.
pub(crate) fn kernel() -> PathBuf {
    let entries = fs::read_dir(kernel_directory().join("boot")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_kernel = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
    };
    paths
        .find(is_kernel)
        .expect("boot/ of the guest's kernel has a vmlinuz-*")
}

/// Makes the ramdisk in `folder`.
pub(crate) fn make(folder: &Path) -> PathBuf {
    let program = folder.join("guest");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/qemu/guest.c");
    let mut compile = Command::new("gcc");
    compile
        .args(["-static", "-O2", "-pthread", "-Wall", "-Werror", "-o"])
        .arg(&program)
        .arg(source);
    assert!(
        compile.status().unwrap().success(),
        "gcc cannot compile the guest's program"
    );
    let mut archive = Archive::default();
    archive.add("dev", 0o040_755, (0, 0), &[]);
    archive.add("dev/console", 0o020_600, (5, 1), &[]);
    let mut list = String::new();
    for (name, bytes) in modules() {
        archive.add(&name, 0o100_644, (0, 0), &bytes);
        list += &format!("/{name}\n");
    }
    archive.add("modules", 0o100_644, (0, 0), list.as_bytes());
    archive.add("init", 0o100_755, (0, 0), &fs::read(program).unwrap());
    archive.add("TRAILER!!!", 0, (0, 0), &[]);
    let path = folder.join("ramdisk");
    fs::write(&path, archive.0).unwrap();
    path
}

/// The modules in the order in which they are loaded. Those that are built in are left out.
fn modules() -> Vec<(String, Vec<u8>)> {
    let mut files = HashMap::new();
    find(&kernel_directory().join("lib/modules"), &mut files);
    let mut order = Vec::new();
    for name in MODULES {
        add_module(name, &files, &mut order);
    }
    order
}

fn add_module(name: &str, files: &HashMap<String, PathBuf>, order: &mut Vec<(String, Vec<u8>)>) {
    let file = format!("{name}.ko");
    let Some(path) = files.get(name) else { return };
    if order.iter().any(|(there, _)| *there == file) {
        return;
    }
    let bytes = fs::read(path).unwrap();
    for needed in depends(&bytes) {
        add_module(&needed, files, order);
    }
    order.push((file, bytes));
}

/// The modules that one depends on, as its section of information has them.
fn depends(module: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = module.windows(key.len()).position(|window| window == key) else {
        return Vec::new();
    };
    let value = module[start + key.len()..]
        .split(|byte| *byte == 0)
        .next()
        .unwrap();
    let value = String::from_utf8_lossy(value).replace('-', "_");
    value
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn find(folder: &Path, files: &mut HashMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            find(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "ko") {
            let name = path
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .replace('-', "_");
            files.insert(name, path);
        }
    }
}

/// An archive in the format `newc` of cpio.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) {
        let number = u32::try_from(self.0.len()).unwrap();
        let length = u32::try_from(bytes.len()).unwrap();
        let name_length = u32::try_from(name.len()).unwrap() + 1;
        let fields = [
            number,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            device.0,
            device.1,
            name_length,
            0,
        ];
        self.0.extend(b"070701");
        for field in fields {
            self.0.extend(format!("{field:08x}").bytes());
        }
        self.0.extend(name.bytes().chain([0]));
        self.align();
        self.0.extend(bytes);
        self.align();
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

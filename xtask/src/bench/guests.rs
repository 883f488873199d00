//! The kernel and the initial ramdisk that machines of the bench boot, with the agent of the service or without.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    bundle::Bundles,
    command::{line, require, run},
};

/// A kernel package, unpacked: `cargo xtask packages` puts it there.
const KERNEL: &str = "target/guest-kernel/current";
/// Names another one.
const KERNEL_VARIABLE: &str = "HCS_TEST_GUEST_KERNEL";
/// Where the program `hcs` keeps guest images.
const STORE_VARIABLE: &str = "HCS_GUEST_IMAGES";
/// Its name there.
const NAME: &str = "bench";
/// Memory of a machine, in megabytes: what `hcs run` gives it.
const MEMORY_MB: u32 = 512;
/// The kernel's command line: that of `hcs run`.
const COMMAND_LINE: &str = "quiet panic=-1 unknown_nmi_panic cryptomgr.notests";

/// What a machine boots.
#[derive(Debug)]
pub(crate) struct Image {
    /// Path of the kernel.
    pub(crate) kernel: String,
    /// Path of the initial ramdisk.
    pub(crate) initrd: String,
}

impl Image {
    /// The first process of a bare guest, in the initial ramdisk.
    pub(crate) const BARE_INIT: &str = "/bench-init";

    /// Makes it by `hcs guest-image build`, with the root of `bundles`, which is the same for both kinds of guests.
    pub(crate) fn make(bundles: &Bundles, program: &str) -> Result<Self, String> {
        require("qemu-system-x86_64", "qemu-system-x86")?;
        let kernel = std::env::var_os(KERNEL_VARIABLE).map_or_else(|| KERNEL.into(), PathBuf::from);
        if !kernel.exists() {
            let path = kernel.display();
            return Err(format!(
                "{path} has no kernel for a guest; run: cargo xtask packages"
            ));
        }
        let folder = bundles.state("guests")?;
        let root = folder.join("root").display().to_string();
        run(&line(&["cp", "-a", &bundles.root_text(), &root]))?;
        compile(&folder, &root)?;
        let store = folder.join("images");
        run(&line(&[
            "env",
            &format!("{STORE_VARIABLE}={}", store.display()),
            program,
            "guest-image",
            "build",
            "--kernel",
            &kernel.display().to_string(),
            "--root",
            &root,
            NAME,
        ]))?;
        let file = |name: &str| store.join(NAME).join(name).display().to_string();
        Ok(Self {
            kernel: file("kernel"),
            initrd: file("initrd"),
        })
    }

    /// The document of a machine of the service that boots it.
    pub(crate) fn document(&self) -> Value {
        json!({
            "Owner": "bench",
            "SchemaVersion": { "Major": 2, "Minor": 1 },
            "ShouldTerminateOnLastHandleClosed": true,
            "VirtualMachine": {
                "StopOnReset": true,
                "Chipset": { "LinuxKernelDirect": {
                    "KernelFilePath": self.kernel, "InitRdPath": self.initrd, "KernelCmdLine": COMMAND_LINE,
                } },
                "ComputeTopology": { "Memory": { "SizeInMB": MEMORY_MB } },
                "GuestConnection": {},
            },
        })
    }
}

/// The first process of a bare guest.
fn compile(folder: &Path, root: &str) -> Result<(), String> {
    let compiler = require("cc", "gcc")?;
    let source = folder.join("bare.c");
    fs::write(&source, include_str!("bare.c")).map_err(|e| format!("{}: {e}", source.display()))?;
    let source = source.display().to_string();
    let program = format!("{root}{}", Image::BARE_INIT);
    run(&line(&[
        &compiler, "-O2", "-static", &source, "-o", &program,
    ]))
}

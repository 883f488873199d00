//! LXC: `lxc-attach` to a running container and `lxc-execute` of a new one, on the same root, without network.

use super::{Peer, end};
use crate::bench::{
    bundle::{Bundles, write},
    command::{Line, line, require, run},
};

const IDLE: &str = "bench-idle";
const ONCE: &str = "bench-once";

/// LXC with an idle container.
#[derive(Debug)]
pub(super) struct Lxc {
    folder: String,
}

impl Lxc {
    /// Writes both configurations and starts the idle container.
    pub(super) fn start(bundles: &Bundles) -> Result<Self, String> {
        for program in ["lxc-start", "lxc-attach", "lxc-execute", "lxc-stop"] {
            require(program, "lxc")?;
        }
        let folder = bundles.state("lxc")?;
        for name in [IDLE, ONCE] {
            let root = bundles.root_text();
            let cgroup = bundles.cgroup(&format!("lxc-{name}"));
            bundles.state(&format!("lxc/{name}"))?;
            write(
                &folder.join(name).join("config"),
                &configuration(&root, cgroup.trim_start_matches('/')),
            )?;
        }
        let lxc = Self {
            folder: folder.display().to_string(),
        };
        run(&lxc.command("lxc-start", IDLE, &["--", "/bin/sleep", "100000"]))?;
        Ok(lxc)
    }

    fn command(&self, program: &str, name: &str, words: &[&str]) -> Line {
        let mut command = line(&[program, "-P", &self.folder, "-n", name]);
        command.extend(line(words));
        command
    }
}

fn configuration(root: &str, cgroup: &str) -> String {
    format!(
        "lxc.uts.name = bench\nlxc.rootfs.path = dir:{root}\nlxc.net.0.type = empty\n\
         lxc.mount.auto = proc:mixed sys:ro\nlxc.cgroup.dir = {cgroup}\n"
    )
}

impl Peer for Lxc {
    fn exec(&self, words: &[&str]) -> Option<(&'static str, Line)> {
        let mut command = self.command("lxc-attach", IDLE, &["--"]);
        command.extend(line(words));
        Some(("lxc-attach", command))
    }

    fn once(&self) -> (&'static str, Line) {
        let config = format!("{}/{ONCE}/config", self.folder);
        let words = ["-f", &config, "--", "/bin/true"];
        ("lxc-execute", self.command("lxc-execute", ONCE, &words))
    }
}

impl Drop for Lxc {
    fn drop(&mut self) {
        end(&self.command("lxc-stop", IDLE, &["-k"]));
    }
}

//! Which control group hierarchies this host has (`cgroups(7)`): version 1, version 2, or both at once ("hybrid",
//! where the unified hierarchy has no controllers or only some).

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// A controller that containers are accounted or limited by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) enum Controller {
    /// Memory.
    Memory,
    /// Share of the processors.
    Cpu,
    /// Processor time (version 1; part of every group in version 2).
    Cpuacct,
    /// Number of processes.
    Pids,
    /// Block devices (`blkio` in version 1).
    Io,
    /// Access to devices (version 1; a BPF program in version 2).
    Devices,
    /// Freezing (version 1; part of every group in version 2).
    Freezer,
}

impl Controller {
    const V1: [(&'static str, Self); 7] = [
        ("memory", Self::Memory),
        ("cpu", Self::Cpu),
        ("cpuacct", Self::Cpuacct),
        ("pids", Self::Pids),
        ("blkio", Self::Io),
        ("devices", Self::Devices),
        ("freezer", Self::Freezer),
    ];

    /// Whether only the engine has a use for it.
    pub(super) const fn is_of_the_engine(self) -> bool {
        matches!(self, Self::Devices | Self::Freezer)
    }

    /// Its name in version 1.
    pub(super) fn v1_name(self) -> &'static str {
        let named = Self::V1.iter().find(|(_, known)| *known == self);
        named.map_or("", |(name, _)| name)
    }

    fn from_v1(name: &str) -> Option<Self> {
        let found = Self::V1.iter().find(|(known, _)| *known == name);
        found.map(|(_, controller)| *controller)
    }
}

/// One mounted hierarchy of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct V1Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// Those of its controllers that are of use here.
    pub(crate) controllers: Vec<Controller>,
}

/// All of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    /// Version 1, each controller once.
    pub(crate) v1: Vec<V1Hierarchy>,
    /// Where the unified hierarchy is mounted.
    pub(crate) unified: Option<PathBuf>,
}

impl Hierarchies {
    /// Finds them in the text of `/proc/self/mountinfo` (`proc_pid_mountinfo(5)`).
    pub(crate) fn from_mountinfo(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let Some((path, kind, options)) = parse_line(line) else {
                continue;
            };
            match kind {
                "cgroup2" if all.unified.is_none() => all.unified = Some(path),
                "cgroup" => all.add_v1(path, options),
                _ => {}
            }
        }
        all
    }

    fn add_v1(&mut self, mount: PathBuf, options: &str) {
        let mut controllers: Vec<Controller> =
            options.split(',').filter_map(Controller::from_v1).collect();
        controllers.retain(|new| !self.v1.iter().any(|known| known.controllers.contains(new)));
        if !controllers.is_empty() {
            self.v1.push(V1Hierarchy { mount, controllers });
        }
    }

    /// Those that containers are put into: in a version 1 hierarchy only for a controller that is not `unwanted`.
    pub(crate) fn without(mut self, unwanted: &[Controller]) -> Self {
        for hierarchy in &mut self.v1 {
            hierarchy
                .controllers
                .retain(|controller| !unwanted.contains(controller));
        }
        self.v1
            .retain(|hierarchy| !hierarchy.controllers.is_empty());
        self
    }

    /// The mount points, for looking below all of them.
    pub(crate) fn mounts(&self) -> impl Iterator<Item = &Path> {
        let v1 = self.v1.iter().map(|hierarchy| hierarchy.mount.as_path());
        v1.chain(self.unified.as_deref())
    }
}

/// Every hierarchy, also those without a controller of use here, and whether it is the unified one.
pub(super) fn every_mount(text: &str) -> Vec<(PathBuf, bool)> {
    let mounts = text.lines().filter_map(parse_line);
    let hierarchies = mounts.filter_map(|(path, kind, _)| match kind {
        "cgroup" => Some((path, false)),
        "cgroup2" => Some((path, true)),
        _ => None,
    });
    hierarchies.collect()
}

/// Mount point, file system type and options of the file system, of one line.
fn parse_line(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let path = mount.split(' ').nth(4)?;
    let mut fields = file_system.split(' ');
    let kind = fields.next()?;
    let options = fields.nth(1)?;
    Some((unescape(path), kind, options))
}

/// Undoes the octal escapes that mountinfo writes for blanks and backslashes.
fn unescape(path: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:32 / /srv/second\\040view rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_host_has_both() {
        let found = Hierarchies::from_mountinfo(HYBRID);
        let hierarchy = |mount: &str, controllers: &[Controller]| V1Hierarchy {
            mount: mount.into(),
            controllers: controllers.to_vec(),
        };
        let v1 = [
            hierarchy(
                "/sys/fs/cgroup/cpu,cpuacct",
                &[Controller::Cpu, Controller::Cpuacct],
            ),
            hierarchy("/sys/fs/cgroup/memory", &[Controller::Memory]),
        ];
        assert_eq!(found.v1, v1);
        assert_eq!(
            found.unified.as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified"))
        );
    }

    #[test]
    fn every_hierarchy_is_found_those_without_a_controller_too() {
        let found = every_mount(HYBRID);
        assert_eq!(found.len(), 6);
        assert!(found.contains(&("/sys/fs/cgroup/systemd".into(), false)));
        assert!(found.contains(&("/sys/fs/cgroup/unified".into(), true)));
    }

    #[test]
    fn what_is_unwanted_is_left_out() {
        let found =
            Hierarchies::from_mountinfo(HYBRID).without(&[Controller::Memory, Controller::Cpu]);
        let [only] = found.v1.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(only.controllers, [Controller::Cpuacct]);
    }

    #[test]
    fn a_unified_host_has_one() {
        let text =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = Hierarchies::from_mountinfo(text);
        assert!(found.v1.is_empty());
        assert_eq!(
            found.mounts().collect::<Vec<_>>(),
            [Path::new("/sys/fs/cgroup")]
        );
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "a b c", "1 2 3 4 /x rw - cgroup", " - cgroup2 x rw"] {
            assert_eq!(
                Hierarchies::from_mountinfo(text),
                Hierarchies::default(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(r"/a\040b\134c\9"), Path::new(r"/a b\c\9"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "[0-9a-z/ \\\\\\n,:=-]{0,200}") {
            let found = Hierarchies::from_mountinfo(&text);
            proptest::prop_assert!(found.v1.iter().all(|hierarchy| !hierarchy.controllers.is_empty()));
        }

        #[test]
        fn what_mountinfo_escapes_is_undone(path in "[ -~]{0,40}") {
            let escaped: String = path
                .chars()
                .map(|c| match c {
                    ' ' | '\\' => format!("\\{:03o}", u32::from(c)),
                    c => c.to_string(),
                })
                .collect();
            proptest::prop_assert_eq!(unescape(&escaped), PathBuf::from(path));
        }
    }
}

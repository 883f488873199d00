//! Systems come and go many times, and afterwards everything is where it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

mod alone {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
        thread,
        time::{Duration, Instant},
    };

    use super::service::{Service, shell};

    /// The number of cycles before the count begins: caches fill, the service prepares slots.
    const FIRST: usize = 50;
    /// How often it happens then, unless `$HCS_TEST_CYCLES` says otherwise.
    const CYCLES: usize = 300;
    /// How much more memory the service may have at the end: it remembers the time lines of its last calls, of which
    /// the first cycles make some hundred and which are about a thousand in the end.
    const REMEMBERED_KIB: usize = 4096;
    /// Containers that the service keeps ready.
    const SLOTS: usize = 2;
    /// The time limit for the service to remove the remains of ended systems and to prepare slots, both in the
    /// background.
    const LIMIT: Duration = Duration::from_secs(60);

    /// The countable resources of a service.
    #[derive(Debug, PartialEq, Eq)]
    struct Census {
        /// It and all its descendants.
        processes: usize,
        /// Places in its directory where something is mounted, as it sees them.
        mounts: usize,
        cgroups: usize,
        /// Those its processes are in, and those they hold open.
        namespaces: usize,
        descriptors: usize,
        descriptors_of_launcher: usize,
        /// Directories of systems and their scratch.
        directories: usize,
    }

    impl Census {
        fn of(service: &Service, cgroup_root: &str) -> Self {
            let pids = descendants(service.pid());
            let launcher = children(service.pid());
            let own = service.root().display().to_string();
            let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", service.pid())).unwrap();
            let namespaces: BTreeSet<PathBuf> = pids
                .iter()
                .flat_map(|pid| [links(*pid, "ns"), links(*pid, "fd")].concat())
                .filter(|link| is_namespace(link))
                .collect();
            let hierarchies = entries(Path::new("/sys/fs/cgroup"));
            let cgroups = hierarchies
                .iter()
                .flat_map(|hierarchy| entries(&hierarchy.join(cgroup_root)))
                .filter(|path| path.is_dir());
            Self {
                processes: pids.len(),
                mounts: mounts.lines().filter(|line| line.contains(&own)).count(),
                cgroups: cgroups.count(),
                namespaces: namespaces.len(),
                descriptors: links(service.pid(), "fd").len(),
                descriptors_of_launcher: launcher.iter().map(|pid| links(*pid, "fd").len()).sum(),
                directories: ["systems", "scratch"]
                    .iter()
                    .map(|name| entries(&service.root().join(name)).len())
                    .sum(),
            }
        }

        fn numbers(&self) -> [usize; 7] {
            [
                self.processes,
                self.mounts,
                self.cgroups,
                self.namespaces,
                self.descriptors,
                self.descriptors_of_launcher,
                self.directories,
            ]
        }

        /// Whether there is nothing more than there was.
        fn is_within(&self, before: &Self) -> bool {
            let pairs = self.numbers().into_iter().zip(before.numbers());
            pairs.into_iter().all(|(now, before)| now <= before)
        }
    }

    fn entries(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Returns the targets of the links in a directory of `/proc/PID`; none once the process is gone.
    fn links(pid: u32, directory: &str) -> Vec<PathBuf> {
        let entries = entries(&PathBuf::from(format!("/proc/{pid}/{directory}")));
        entries
            .iter()
            .filter_map(|entry| fs::read_link(entry).ok())
            .collect()
    }

    fn is_namespace(link: &Path) -> bool {
        let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
        let name = link.to_string_lossy();
        name.split_once(":[")
            .is_some_and(|(kind, _)| kinds.contains(&kind))
    }

    fn children(pid: u32) -> Vec<u32> {
        let tasks = entries(&PathBuf::from(format!("/proc/{pid}/task")));
        let texts = tasks
            .iter()
            .map(|task| fs::read_to_string(task.join("children")));
        let text: String = texts.filter_map(Result::ok).collect();
        text.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    fn descendants(pid: u32) -> Vec<u32> {
        let mut all = vec![pid];
        let mut next = 0;
        while next < all.len() {
            all.extend(children(all[next]));
            next += 1;
        }
        all
    }

    /// Memory that the service has for itself, in KiB.
    fn resident(service: &Service) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    /// Returns the census once no remains of ended systems are left, all slots are there, and no number changes any
    /// more.
    fn at_rest(service: &Service, cgroup_root: &str) -> Census {
        let end = Instant::now() + LIMIT;
        let mut last = Census::of(service, cgroup_root);
        loop {
            thread::sleep(Duration::from_millis(100));
            let census = Census::of(service, cgroup_root);
            // The service, its launcher, and each slot's only process; a slot has a scratch.
            if census == last && census.processes == 2 + SLOTS && census.directories == SLOTS {
                return census;
            }
            assert!(Instant::now() < end, "nothing comes to rest: {census:?}");
            last = census;
        }
    }

    fn cycle(service: &Service, number: usize) {
        let system = service.system(&format!("cycle-{number}"));
        let process = system.create_process(&shell("exit 7")).wait().unwrap();
        assert_eq!(process.wait().unwrap().code, 7);
    }

    #[test]
    fn many_systems_leave_everything_where_it_was() {
        let cycles = std::env::var("HCS_TEST_CYCLES");
        let cycles = cycles.map_or(CYCLES, |cycles| cycles.parse().unwrap());
        let configured = format!("hcs-test-cycles-{}", std::process::id());
        let service = Service::with(&format!(
            "cgroup_root = \"{configured}\"\nwarm_slots = {SLOTS}\n"
        ));
        let tag = hcs_wire::endpoint::tag(service.endpoint().path()).unwrap();
        let cgroup_root = format!("{configured}/{tag}");
        (0..FIRST).for_each(|number| cycle(&service, number));
        let before = at_rest(&service, &cgroup_root);
        let memory = resident(&service);
        (0..cycles).for_each(|number| cycle(&service, FIRST + number));
        let after = at_rest(&service, &cgroup_root);
        assert!(
            after.is_within(&before),
            "after {cycles} cycles {after:?}, before {before:?}"
        );
        let now = resident(&service);
        println!("{cycles} cycles: {before:?} {memory} KiB, then {after:?} {now} KiB");
        assert!(
            now <= memory + REMEMBERED_KIB,
            "{cycles} cycles: the service had {memory} KiB and has {now}"
        );
    }
}

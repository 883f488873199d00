//! The configuration file, `/etc/hcs/hcsd.toml`. Every setting has a default that works; a mistake is reported with
//! its line.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use hcs_wire::trust::{Reason, Untrusted};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::container_section::{self, Container, TWICE};
use crate::{
    engines::{Acceleration, HostView, IdRange, Users},
    record::files,
};

/// Where the file is looked for when neither `--config` nor `$HCS_CONFIG` names one.
pub const DEFAULT_CONFIG: &str = "/etc/hcs/hcsd.toml";

/// Bytes of event log below which it would forget too soon.
const LEAST_EVENT_LOG: usize = 64 << 10;
/// Bytes of event log above which the service would take too long to make room in it.
const MOST_EVENT_LOG: usize = 256 << 20;

/// Bytes of unanswered calls below which the longest call could not be made.
const LEAST_UNANSWERED: usize = hcs_wire::service::MAX_MESSAGE_BYTES as usize;

/// What an administrator can set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// cgroup below which the systems' cgroups are made, relative to each hierarchy.
    pub cgroup_root: Option<String>,
    /// Directory for submitted crash reports.
    pub crash_report_directory: Option<PathBuf>,
    /// Group whose members may use the service, besides root and the service's own user.
    pub socket_group: Option<String>,
    /// User who owns the socket and may use the service.
    pub socket_owner: Option<String>,
    /// Mode of the socket.
    pub socket_mode: Option<u32>,
    /// Whether processes in containers may use the service, if their user may.
    pub clients_in_containers: bool,
    /// The network that `hcs run` puts containers into for which none is named.
    pub default_network: Option<DefaultNetwork>,
    /// What is logged: "error", "warn", "info", "debug", "trace", or directives as `tracing` has them.
    pub log: Option<String>,
    /// Whether the event log and the log may quote what clients wrote into documents, for finding a fault.
    pub log_client_values: bool,
    /// How containers are made.
    pub container: Container,
    /// How virtual machines are run.
    pub vm: Vm,
    /// Limits on what one client may have.
    pub limits: Limits,
    /// How long things may take.
    pub times: Times,
    // Where settings of containers stood before: `gather` moves them into their section.
    #[serde(skip_serializing)]
    pub(super) scratch_root: Option<PathBuf>,
    #[serde(skip_serializing)]
    pub(super) scratch_size_in_mb: Option<u64>,
    #[serde(skip_serializing)]
    pub(super) scratch_inodes: Option<u64>,
    #[serde(skip_serializing)]
    pub(super) processes_per_container: Option<u64>,
    #[serde(skip_serializing)]
    pub(super) user_namespaces: Option<bool>,
    #[serde(skip_serializing)]
    pub(super) user_namespace_ids: Option<Ids>,
    #[serde(skip_serializing)]
    pub(super) warm_slots: Option<usize>,
    #[serde(skip_serializing)]
    pub(super) host_view: Option<HostViewLists>,
    /// The settings of containers that the file has in those places.
    #[serde(skip)]
    pub moved: Vec<&'static str>,
    /// The settings that the file has and that mean nothing any more, each with what to do.
    #[serde(skip)]
    pub unused: Vec<&'static str>,
    /// The file that says so, whether or not it is there.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Whether the file was named, so that it has to be there.
    #[serde(skip)]
    pub named: bool,
    /// Whether the file was there.
    #[serde(skip)]
    pub found: bool,
}

/// The network of containers for which none is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultNetwork {
    /// The network `nat`, which is made when it is first used.
    #[default]
    Nat,
    /// Loopback only.
    None,
}

/// What containers without layers do not see of the host's files: see [`HostView`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostViewLists {
    /// Directories that are empty.
    pub empty: Option<Vec<String>>,
    /// What is never shown.
    pub hidden: Option<Vec<String>>,
}

impl HostViewLists {
    /// In the words of the engine, with its defaults.
    #[must_use]
    pub fn view(&self) -> HostView {
        let default = HostView::default();
        HostView {
            empty: self.empty.clone().unwrap_or(default.empty),
            hidden: self.hidden.clone().unwrap_or(default.hidden),
        }
    }

    /// The first setting whose value makes no sense, with the reason.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let lists = [("empty", &self.empty), ("hidden", &self.hidden)];
        let unfit = |(_, list): &(_, &Option<Vec<String>>)| {
            list.iter().flatten().any(|path| !is_pattern(path))
        };
        let (key, _) = lists.into_iter().find(unfit)?;
        Some((
            key,
            "expected absolute paths, or paths below ~, without \"..\"",
        ))
    }
}

/// How virtual machines are run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vm {
    /// QEMU's program.
    pub qemu: Option<PathBuf>,
    /// Users of the host, and groups of the same numbers, that machines run as, each as one of its own.
    pub users: Option<Ids>,
    // The one user of all machines, before each had its own: `unused` tells of it.
    #[serde(skip_serializing)]
    pub(super) user: Option<u32>,
    /// What executes the instructions of guests: "tcg" or "kvm".
    pub accelerator: Option<Accelerator>,
}

/// What the log tells of [`Vm::user`].
const UNUSED_USER: &str = "user, in [vm]: each virtual machine runs as a user of its own, of the range that is users, in [vm]";

/// What executes the instructions of guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accelerator {
    /// QEMU's translator.
    Tcg,
    /// The kernel's hypervisor.
    Kvm,
}

impl Vm {
    /// In the words of the engine, with its default.
    pub(crate) fn acceleration(&self) -> Acceleration {
        match self.accelerator {
            None => Acceleration::default(),
            Some(Accelerator::Tcg) => Acceleration::Translate,
            Some(Accelerator::Kvm) => Acceleration::Kvm,
        }
    }

    /// [`Vm::users`], or the default.
    pub(crate) fn users(&self) -> Users {
        self.users.map_or(Users::UNUSED, |ids| Users {
            first: ids.first,
            count: ids.count,
        })
    }

    fn mistake(&self, containers: Option<Ids>) -> Option<(&'static str, &'static str)> {
        if self.qemu.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Some(("qemu", "expected an absolute path"));
        }
        let users = self.users();
        if !users.is_sound() {
            let expected =
                "expected a first id of at least 1000 and a count of at least 2, within 32 bits";
            return Some(("users", expected));
        }
        // The engine tells of the default, where a machine is to be made: most hosts have none.
        self.users?;
        let containers = containers.map_or(IdRange::UNUSED, Ids::range);
        users.meets(containers.first, containers.count).then_some((
            "users",
            "containers with user namespaces have some of these ids (user_namespace_ids); expected a range of its own",
        ))
    }
}

/// A range of ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Ids {
    /// In the words of the engine.
    #[must_use]
    pub const fn range(self) -> IdRange {
        IdRange {
            first: self.first,
            count: self.count,
        }
    }
}

/// Limits on what one client may have. A client is a user: all connections of one uid count together, except where a
/// limit says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections, over all clients. Root and the service's own user get some more.
    pub connections: usize,
    /// Connections of one user, root and the service's own user excepted.
    pub connections_per_client: usize,
    /// Living systems a user has created.
    pub systems_per_client: usize,
    /// Living processes a user has created.
    pub processes_per_client: usize,
    /// Open handles of a user.
    pub handles_per_client: usize,
    /// Open handles of one connection.
    pub handles_per_connection: usize,
    /// Unanswered calls of one connection.
    pub pending_per_connection: usize,
    /// Bytes of the unanswered calls of a user: further long calls are refused.
    pub unanswered_bytes_per_client: usize,
    /// Bytes of answers and events that a user's connections have not read. What is left of them bounds each
    /// connection, too, so that none takes all.
    pub unread_bytes_per_client: usize,
    /// Bytes of answers and events a connection has not read; past it the connection is closed.
    pub unread_bytes_per_connection: usize,
    /// Exit statuses that no client has asked for that a system keeps; the oldest goes first.
    pub unreported_exits_per_system: usize,
    /// About how many bytes of the event log are kept, in the state root, at most 256 MiB; the oldest events go first.
    pub event_log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_client: 1024,
            systems_per_client: 16384,
            processes_per_client: 262_144,
            handles_per_client: 1 << 20,
            handles_per_connection: 262_144,
            pending_per_connection: 16384,
            unanswered_bytes_per_client: 256 << 20,
            unread_bytes_per_client: 128 << 20,
            unread_bytes_per_connection: 8 << 20,
            unreported_exits_per_system: 4096,
            event_log_bytes: 8 << 20,
        }
    }
}

/// How long things may take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Times {
    /// From the start of a system to its agent's first answer.
    pub start_seconds: u64,
    /// One answer of a guest agent.
    pub guest_seconds: u64,
    /// What a guest agent has to say for a query of properties, if that is less.
    pub query_seconds: u64,
    /// A polite shutdown.
    pub shutdown_seconds: u64,
    /// From a kill to the machine being gone.
    pub kill_seconds: u64,
    /// How long an adopted system waits for its clients to come back before its exit status is forgotten, or before
    /// "terminate on last handle closed" takes effect.
    pub reconnect_seconds: u64,
    /// How long a service started by a client stays after its last client and last system.
    pub idle_seconds: u64,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            start_seconds: 60,
            guest_seconds: 30,
            query_seconds: 5,
            shutdown_seconds: 30,
            kill_seconds: 10,
            reconnect_seconds: 60,
            idle_seconds: 5,
        }
    }
}

impl Times {
    /// [`Times::start_seconds`].
    #[must_use]
    pub const fn start(&self) -> Duration {
        Duration::from_secs(self.start_seconds)
    }

    /// [`Times::guest_seconds`].
    #[must_use]
    pub const fn guest(&self) -> Duration {
        Duration::from_secs(self.guest_seconds)
    }

    /// [`Times::query_seconds`], or [`Times::guest_seconds`].
    #[must_use]
    pub fn query(&self) -> Duration {
        Duration::from_secs(self.query_seconds.min(self.guest_seconds))
    }

    /// [`Times::shutdown_seconds`].
    #[must_use]
    pub const fn shutdown(&self) -> Duration {
        Duration::from_secs(self.shutdown_seconds)
    }

    /// [`Times::kill_seconds`].
    #[must_use]
    pub const fn kill(&self) -> Duration {
        Duration::from_secs(self.kill_seconds)
    }

    /// [`Times::reconnect_seconds`].
    #[must_use]
    pub const fn reconnect(&self) -> Duration {
        Duration::from_secs(self.reconnect_seconds)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others could change the file.
    #[error("the configuration {} is not used, since other users could change it: {source}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Which part of its path.
        #[source]
        source: Untrusted,
    },
    /// The file is wrong.
    #[error("the configuration {} is wrong in line {line}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was expected.
        reason: String,
    },
}

impl Config {
    /// Reads the file at `named`, or the default one if that exists.
    ///
    /// # Errors
    /// [`ConfigError`], with the line of a mistake. A file that other users could change is none to be used.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_CONFIG));
        let owned = path.to_owned();
        let mut config = match files::read_trusted(path) {
            Ok(text) => Self {
                found: true,
                ..Self::parse(path, &text)?
            },
            Err(untrusted) => match untrusted.reason {
                Reason::Io(Errno::NOENT) if named.is_none() => Self::default(),
                Reason::Io(errno) => {
                    return Err(ConfigError::Read {
                        path: owned,
                        source: errno.into(),
                    });
                }
                _ => {
                    return Err(ConfigError::Untrusted {
                        path: owned,
                        source: untrusted,
                    });
                }
            },
        };
        config.file = Some(owned);
        config.named = named.is_some();
        Ok(config)
    }

    /// Whether a service would be the same by either, wherever they come from.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        let said = |config: &Self| Self {
            file: None,
            named: false,
            found: false,
            moved: Vec::new(),
            unused: Vec::new(),
            ..config.clone()
        };
        said(self) == said(other)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let wrong = |offset: Option<usize>, reason: String| ConfigError::Wrong {
            path: path.to_owned(),
            line: text[..offset.unwrap_or(0)].matches('\n').count() + 1,
            reason,
        };
        let mut config: Self = toml::from_str(text)
            .map_err(|e| wrong(e.span().map(|span| span.start), plain(e.message())))?;
        config.moved = container_section::gather(&mut config)
            .map_err(|key| wrong(text.find(key), format!("{key}: {TWICE}")))?;
        config.unused = config
            .vm
            .user
            .take()
            .map(|_| UNUSED_USER)
            .into_iter()
            .collect();
        if let Some((key, reason)) = config.mistake() {
            return Err(wrong(text.find(key), format!("{key}: {reason}")));
        }
        Ok(config)
    }

    /// The first setting whose value makes no sense, with the reason.
    fn mistake(&self) -> Option<(&'static str, &'static str)> {
        self.place_mistake()
            .or_else(|| self.container.mistake())
            .or_else(|| self.vm.mistake(self.container.user_namespace_ids))
            .or_else(|| self.access_mistake())
            .or_else(|| self.limits.mistake())
    }

    fn place_mistake(&self) -> Option<(&'static str, &'static str)> {
        let cgroup = self.cgroup_root.as_deref().unwrap_or("hcs");
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !cgroup.split('/').all(plain) {
            return Some((
                "cgroup_root",
                "expected a relative path like \"hcs\" or \"hcs/one\"",
            ));
        }
        let crashes = self.crash_report_directory.as_ref();
        if crashes.is_some_and(|p| !p.is_absolute()) {
            return Some(("crash_report_directory", "expected an absolute path"));
        }
        if self.log.as_deref().is_some_and(|log| !is_log(log)) {
            return Some(("log", LOG));
        }
        None
    }

    fn access_mistake(&self) -> Option<(&'static str, &'static str)> {
        if self.socket_mode.is_some_and(|mode| mode & !0o777 != 0) {
            return Some(("socket_mode", "expected a mode like 0o660"));
        }
        if self.socket_group.is_some() && self.socket_mode.is_some_and(|mode| mode & 0o002 != 0) {
            return Some((
                "socket_mode",
                "others may connect, so members of socket_group could not be told from them; expected a mode like 0o660",
            ));
        }
        None
    }
}

impl Limits {
    fn mistake(&self) -> Option<(&'static str, &'static str)> {
        let least_one = [
            ("connections", self.connections),
            ("connections_per_client", self.connections_per_client),
            ("systems_per_client", self.systems_per_client),
            ("processes_per_client", self.processes_per_client),
            ("handles_per_client", self.handles_per_client),
            ("handles_per_connection", self.handles_per_connection),
            ("pending_per_connection", self.pending_per_connection),
            ("unread_bytes_per_client", self.unread_bytes_per_client),
            (
                "unread_bytes_per_connection",
                self.unread_bytes_per_connection,
            ),
        ];
        if self.unanswered_bytes_per_client < LEAST_UNANSWERED {
            let expected = "expected at least 16777216, the size of the longest call";
            return Some(("unanswered_bytes_per_client", expected));
        }
        if !(LEAST_EVENT_LOG..=MOST_EVENT_LOG).contains(&self.event_log_bytes) {
            return Some(("event_log_bytes", "expected from 65536 to 268435456"));
        }
        least_one
            .into_iter()
            .find(|(_, value)| *value == 0)
            .map(|(key, _)| (key, "expected at least 1"))
    }
}

/// What the parser says, in the words of the person who wrote the file: without types of Rust.
fn plain(message: &str) -> String {
    const TYPES: [(&str, &str); 4] = [
        ("expected usize", "expected a whole number of at least 0"),
        ("expected u64", "expected a whole number of at least 0"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        ("expected path string", "expected a path in quotes"),
    ];
    let words = |text: String, (rust, plain): &(&str, &str)| text.replace(rust, plain);
    TYPES.iter().fold(message.to_owned(), words)
}

/// What `log` can be.
const LOG: &str = "expected \"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"off\", or such levels for parts of the \
                   service, as in \"info,hcsd=debug\"";

/// Whether `text` can be the value of `log`. A word that is no level would be read as the name of a part of which all
/// is logged, and nothing of the others.
fn is_log(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let mut levels = text
        .split(',')
        .map(|directive| match directive.rsplit_once('=') {
            Some((part, level)) => (!part.is_empty(), level),
            None => (true, directive),
        });
    let is_level = |level: &str| LEVELS.iter().any(|one| one.eq_ignore_ascii_case(level));
    levels.all(|(named, level)| named && is_level(level))
}

/// Whether `path` can be one of [`HostView`].
fn is_pattern(path: &str) -> bool {
    let begins = path.starts_with('/') || path == "~" || path.starts_with("~/");
    begins && !path.trim_matches('/').is_empty() && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/c.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_has_to_be_set() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn the_example_shows_every_setting_with_its_default() {
        let example = include_str!("../../../../packaging/hcsd.toml");
        assert_eq!(parse(example).unwrap(), Config::default());
        let settings: String = example
            .lines()
            .filter(|line| !line.starts_with("# "))
            .map(|line| format!("{}\n", line.trim_start_matches('#')))
            .collect();
        let shown = parse(&settings).unwrap();
        assert_eq!(shown.container.view(), HostView::default());
        assert_eq!(shown.limits, Limits::default());
        assert_eq!(shown.times, Times::default());
        assert_eq!(shown.cgroup_root.as_deref(), Some("hcs"));
        assert_eq!(
            shown.container.warm_slots,
            Some(container_section::WARM_SLOTS)
        );
        assert!(shown.moved.is_empty());
        assert_eq!(shown.vm.users(), Users::UNUSED);
        for (key, value) in [("[limits]", 12), ("[times]", 7)] {
            let table = settings.split(key).nth(1).unwrap();
            let keys = table.split('[').next().unwrap().matches('=').count();
            assert_eq!(keys, value, "{key}");
        }
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        for (text, line, word) in [
            ("\n\ncgrup_root = \"x\"\n", 3, "cgrup_root"),
            ("[limits]\nconnections = \"many\"\n", 2, "invalid type"),
            ("log = \"info\"\ncgroup_root = \"../x\"\n", 2, "cgroup_root"),
            ("scratch_root = \"tmp\"\n", 1, "absolute"),
            (
                "user_namespace_ids = { first = 0, count = 9 }\n",
                1,
                "at least 1000",
            ),
            (
                "[vm]\nusers = { first = 5, count = 9 }\n",
                2,
                "at least 1000",
            ),
            (
                "user_namespace_ids = { first = 5000, count = 9 }\n[vm]\nusers = { first = 5008, count = 9 }\n",
                3,
                "user_namespace_ids",
            ),
            ("[vm]\nuser = \"qemu\"\n", 2, "0 to 4294967295"),
            ("\nsocket_mode = 0o4755\n", 2, "0o660"),
            (
                "socket_group = \"hcs\"\nsocket_mode = 0o666\n",
                2,
                "others may connect",
            ),
            ("\nlog = \"loud\"\n", 2, "\"info\", \"debug\""),
            ("log = \"\"\n", 1, "\"trace\" or \"off\""),
            ("log = \"hcsd=loud,info\"\n", 1, "info,hcsd=debug"),
            (
                "[limits]\nconnections = -3\n",
                2,
                "expected a whole number of at least 0",
            ),
            (
                "warm_slots = \"x\"\n",
                1,
                "expected a whole number of at least 0",
            ),
            (
                "scratch_inodes = true\n",
                1,
                "expected a whole number of at least 0",
            ),
            ("socket_mode = \"x\"\n", 1, "from 0 to 4294967295"),
            ("scratch_root = 3\n", 1, "a path in quotes"),
            ("[container]\nwarm_slots = 1000\n", 2, "at most 256"),
            ("[container.host_view]\nhidden = [\"etc\"]\n", 2, "absolute"),
            ("[host_view]\nempty = [\"/\"]\n", 2, "absolute"),
            ("scratch_size_in_mb = 1\n", 1, "4 to 16777216"),
            ("scratch_inodes = 100\n", 1, "scratch_size_in_mb"),
            ("[limits]\n\npending_per_connection = 0\n", 3, "at least 1"),
            (
                "[limits]\nevent_log_bytes = 65535\n",
                2,
                "from 65536 to 268435456",
            ),
            (
                "[limits]\nevent_log_bytes = 268435457\n",
                2,
                "from 65536 to 268435456",
            ),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(&format!("line {line}")), "{message}");
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn files_of_before_machines_had_users_of_their_own_still_work() {
        let old = parse("[vm]\nuser = 5000\n").unwrap();
        assert!(old.is_as(&Config::default()));
        assert!(old.unused[0].contains("users, in [vm]"), "{:?}", old.unused);
        assert!(parse("").unwrap().unused.is_empty());
        // Ids that machines have by default, on a host that need not have machines.
        let first = Users::UNUSED.first;
        let containers = format!("user_namespace_ids = {{ first = {first}, count = 65536 }}\n");
        parse(&containers).unwrap();
        let count = Users::UNUSED.count;
        let both = format!("{containers}[vm]\nusers = {{ first = {first}, count = {count} }}\n");
        assert!(parse(&both).unwrap_err().contains("range of its own"));
    }

    #[test]
    fn levels_of_the_log_may_be_for_all_or_for_parts() {
        for text in [
            "error",
            "TRACE",
            "off",
            "info,hcsd=debug",
            "hcsd::upkeep::slots=trace,warn",
        ] {
            parse(&format!("log = \"{text}\"\n")).unwrap();
            tracing_subscriber::EnvFilter::try_new(text).unwrap();
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let missing = Path::new("/nonexistent/hcsd.toml");
        assert!(matches!(
            Config::load(Some(missing)),
            Err(ConfigError::Read { .. })
        ));
    }
}

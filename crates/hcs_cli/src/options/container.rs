//! The options that describe a container, and its `ComputeSystem` document.

use std::path::{Path, PathBuf};

use clap::Args;
use hcs_schema::{
    Failure,
    documents::{
        ComputeSystem, Container, ContainerMemory, GuestOs, Layer, Networking, Signal, Storage,
        TemporaryDirectory, Version,
    },
};

use hcs_storage::image::document::Platform;

use super::{
    Surroundings,
    device::{self, Device},
    image::ChosenImage,
    memory,
    mount::{self, Mapped, Mount},
    network::NetworkOptions,
    privileges::PrivilegeOptions,
    processors::{self, Processors},
    pull::Pull,
    temporary,
    unpacking::UnpackingOptions,
};

/// The owner that our documents name.
pub(crate) const OWNER: &str = "hcs";

/// All options of a container by their names in clap, which makes no group of options that have others flattened in.
pub(crate) const ARGUMENTS: [&str; 40] = [
    "layers",
    "image",
    "store",
    "pull",
    "platform",
    "max_size",
    "max_files",
    "max_depth",
    "max_time",
    "omit_privileged",
    "mounts",
    "devices",
    "scratch",
    "scratch_size",
    "scratch_files",
    "read_only",
    "temporary",
    "shm_size",
    "memory",
    "cpus",
    "pids_limit",
    "stop_signal",
    "labels",
    "hostname",
    "no_hosts",
    "userns",
    "net_namespace",
    "networks",
    "published",
    "publish_all",
    "ip",
    "mac",
    "aliases",
    "hosts",
    "servers",
    "domains",
    "added",
    "dropped",
    "allow_new_privileges",
    "limits",
];

/// What a container is made from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Container")]
pub(crate) struct ContainerOptions {
    /// A directory to make the root from, topmost first; repeat for more. What is written inside goes elsewhere. "/" is
    /// all of the host's files [default: the host's files without homes, keys and the like, but with the current
    /// directory]
    #[arg(long = "layer", value_name = "DIR")]
    layers: Vec<PathBuf>,

    /// An image to make the root from: a name, or the first digits of an id. Its user, variables, directory and command
    /// hold unless other options say otherwise
    #[arg(long, value_name = "IMAGE", conflicts_with = "layers")]
    pub image: Option<String>,

    /// The store that the image is in, in place of this user's own
    #[arg(long, value_name = "DIR", conflicts_with = "layers")]
    pub store: Option<PathBuf>,

    /// When the image is got from its registry, as hcs image pull does [default: missing]
    #[arg(long, value_name = "WHEN", value_enum, conflicts_with = "layers")]
    pub pull: Option<Pull>,

    /// The kind of machine whose image is taken, as linux/arm64 or linux/arm/v7, and run though it is not this one
    /// [default: this machine]
    #[arg(long, value_name = "OS/ARCH", value_parser = super::image::platform, conflicts_with = "layers")]
    pub platform: Option<Platform>,

    #[command(flatten)]
    pub unpacking: UnpackingOptions,

    /// Let a directory, file, socket or FIFO of the host appear inside; repeat for more. A colon in a path is written
    /// \:, or all of it as src=HOST,dst=GUEST,OPTION,... Options, with commas between them: ro, it can only be read;
    /// shift, with --userns files of root on the host belong to root inside, as they do without --userns; suid, the
    /// container may make set-user-ID programs, files with capabilities and device nodes, which it cannot with anything
    /// mapped otherwise; said for all writable directories or for none
    #[arg(long = "mount", value_name = "HOST:GUEST[:OPTION,...]", value_parser = mount::parse)]
    mounts: Vec<Mount>,

    /// Let a device of the host, such as /dev/fuse, appear inside and be used; repeat for more. What may be done with
    /// it is said in letters: r, read; w, write; m, make nodes of it. It keeps its owner and mode [default: the same
    /// path, rwm]
    #[arg(long = "device", value_name = "HOST[:GUEST][:rwm]", value_parser = device::parse)]
    devices: Vec<Device>,

    /// Keep what is written inside in this directory, which has to exist, below upper/; it gets mode 0700. Without an
    /// image or --layer, what is written in the current directory is below a name such as -home-me-project/upper/. Or
    /// in a virtual disk of hcs disk create, which is mounted and stays so until hcs disk unmount [default: it vanishes
    /// with the container]
    #[arg(long, value_name = "DIR|DISK")]
    pub scratch: Option<PathBuf>,

    /// The most that may be written inside, in megabytes or as 2G; does not go with --scratch
    #[arg(long, value_name = "MB", value_parser = memory::megabytes, conflicts_with = "scratch")]
    scratch_size: Option<u64>,

    /// The most files and directories that may be made inside
    #[arg(long, value_name = "N", requires = "scratch_size", value_parser = super::count)]
    scratch_files: Option<u64>,

    /// Let nothing be written inside, but in a --mount and a --tmpfs
    #[arg(long, conflicts_with_all = ["scratch", "scratch_size"])]
    read_only: bool,

    /// An empty directory in memory, which counts for --memory; repeat for more. Options, with commas between them:
    /// size=64M, mode=1777 [default: half of the machine's memory, mode=1777]
    #[arg(long = "tmpfs", value_name = "PATH[:OPTION,...]", value_parser = temporary::parse)]
    temporary: Vec<TemporaryDirectory>,

    /// The most that /dev/shm holds, in megabytes or as 2G [default: 64]
    #[arg(long, value_name = "MB", value_parser = memory::megabytes)]
    shm_size: Option<u64>,

    /// Memory limit in megabytes, or as 2G
    #[arg(long, value_name = "MB", value_parser = memory::megabytes)]
    memory: Option<u64>,

    /// How many processors it may keep busy, such as 2 or 0.5
    #[arg(long, value_name = "N", value_parser = processors::parse)]
    cpus: Option<Processors>,

    /// The most processes and threads inside [default: what the service's configuration says, 4096 without it]
    #[arg(long, value_name = "N", value_parser = super::count)]
    pids_limit: Option<u64>,

    /// The signal by which hcs shutdown asks processes to end, such as INT or RTMIN+3 [default: the image's, else TERM]
    #[arg(long, value_name = "SIGNAL", value_parser = super::signal)]
    stop_signal: Option<Signal>,

    /// A note of the container, for programs that look for it and for people: hcs inspect shows all; repeat for more
    #[arg(long = "label", short = 'l', value_name = "NAME[=TEXT]", value_parser = label)]
    labels: Vec<(String, String)>,

    /// Host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// Leave /etc/hosts, /etc/hostname and /etc/resolv.conf as the layers have them
    #[arg(long)]
    no_hosts: bool,

    /// Make root inside an unprivileged user of the host; with =no, do not, whatever the service's configuration says
    /// [default: where the container has the same files and can do the same: no --net-namespace, no --scratch, no
    /// --cap-add of a capability over the host, and file systems that can show files with other owners]
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes",
          value_parser = yes_or_no)]
    userns: Option<bool>,

    /// A network namespace made by `ip netns add` [default: one of its own]
    #[arg(long, value_name = "NAME", value_parser = net_namespace)]
    net_namespace: Option<String>,

    #[command(flatten)]
    pub networks: NetworkOptions,

    #[command(flatten)]
    privileges: PrivilegeOptions,
}

/// Reads a label; one without a text has an empty one.
fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    match name.is_empty() {
        true => Err(format!(
            "expected NAME or NAME=TEXT, as tier=web, found {text:?}"
        )),
        false => Ok((name.to_owned(), value.to_owned())),
    }
}

/// Reads the name of a network namespace, which is that of a file in one directory.
fn net_namespace(text: &str) -> Result<String, String> {
    if text.is_empty() || text == "." || text == ".." || text.contains('/') {
        return Err(
            "expected the name of a network namespace as `ip netns list` shows it, not a path"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Reads `yes` or `no`.
fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("{other:?} is neither yes nor no")),
    }
}

impl ContainerOptions {
    /// Whether the memory is limited.
    pub(crate) const fn limits_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// The memory that was asked for, in megabytes.
    pub(crate) const fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// The processors that were asked for, in thousandths.
    pub(crate) fn cpus(&self) -> Option<u32> {
        self.cpus.map(Processors::thousandths)
    }

    /// The host name that was asked for.
    pub(crate) fn host_name(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The first option that was given and means nothing to a virtual machine.
    pub(crate) fn only_of_containers(&self) -> Option<&'static str> {
        let privileges = &self.privileges;
        let given = [
            ("--layer", !self.layers.is_empty()),
            ("--image", self.image.is_some()),
            ("--store", self.store.is_some()),
            ("--platform", self.platform.is_some()),
            ("--mount", !self.mounts.is_empty()),
            ("--device", !self.devices.is_empty()),
            ("--scratch", self.scratch.is_some()),
            ("--scratch-size", self.scratch_size.is_some()),
            ("--scratch-files", self.scratch_files.is_some()),
            ("--read-only", self.read_only),
            ("--tmpfs", !self.temporary.is_empty()),
            ("--shm-size", self.shm_size.is_some()),
            ("--pids-limit", self.pids_limit.is_some()),
            ("--stop-signal", self.stop_signal.is_some()),
            ("--label", !self.labels.is_empty()),
            ("--no-hosts", self.no_hosts),
            ("--userns", self.userns.is_some()),
            ("--net-namespace", self.net_namespace.is_some()),
            ("--cap-add", privileges.added().is_some()),
            ("--cap-drop", privileges.dropped().is_some()),
            (
                "--allow-new-privileges",
                privileges.no_new_privileges().is_some(),
            ),
            ("--ulimit", privileges.limits().is_some()),
        ];
        let given = given.into_iter().find(|(_, given)| *given);
        given
            .map(|(name, _)| name)
            .or_else(|| self.unpacking.given())
    }

    /// Whether it has the default view of the host's files, which leaves some out.
    pub(crate) const fn has_default_view(&self) -> bool {
        self.layers.is_empty() && self.image.is_none()
    }

    /// The option that puts something else in the place of `path`, or of a directory above it, as it would be typed.
    pub(crate) fn covering(&self, path: &Path) -> Option<String> {
        let temporary = self.temporary.iter().filter_map(|directory| {
            let place = directory.container_path.as_deref()?;
            path.starts_with(place).then(|| format!("--tmpfs {place}"))
        });
        let mounts = self.mounts.iter().filter_map(|mount| {
            let place = mount.guest();
            path.starts_with(place)
                .then(|| format!("--mount ...:{place}"))
        });
        temporary.chain(mounts).next()
    }

    fn guest_os(&self) -> Option<GuestOs> {
        (self.hostname.is_some() || self.no_hosts).then(|| GuestOs {
            host_name: self.hostname.clone(),
            keep_name_files: self.no_hosts.then_some(true),
        })
    }

    /// The document. `image` is what it is made from, if that is an image. `ends_with_us`: the service removes the
    /// system when the last handle to it is gone.
    ///
    /// # Errors
    /// A path cannot be said in JSON, or the image says what no container can have.
    pub(crate) fn document(
        &self,
        surroundings: &Surroundings,
        image: Option<&ChosenImage>,
        ends_with_us: bool,
    ) -> Result<ComputeSystem, Failure> {
        let (mut mounts, mut pipes) = (Vec::new(), Vec::new());
        for mount in &self.mounts {
            match mount.document(surroundings)? {
                Mapped::Directory(directory) => mounts.push(directory),
                Mapped::Pipe(pipe) => pipes.push(pipe),
            }
        }
        let devices = self.devices.iter();
        let devices: Vec<_> = devices
            .map(|device| device.document(surroundings))
            .collect::<Result<_, _>>()?;
        let container = Container {
            guest_os: self.guest_os(),
            storage: self.storage(surroundings, image)?,
            mapped_directories: (!mounts.is_empty()).then_some(mounts),
            mapped_pipes: (!pipes.is_empty()).then_some(pipes),
            mapped_devices: (!devices.is_empty()).then_some(devices),
            memory: self.memory.map(|megabytes| ContainerMemory {
                size_in_mb: Some(megabytes),
            }),
            processor: self.cpus.map(|cpu| cpu.document(surroundings.processors())),
            process_limit: self.pids_limit,
            networking: self.net_namespace.as_ref().map(|name| Networking {
                namespace: Some(name.clone()),
                ..Networking::default()
            }),
            user_namespace: self.userns,
            prefer_user_namespace: self.userns.is_none().then_some(true),
            add_capabilities: self.privileges.added(),
            drop_capabilities: self.privileges.dropped(),
            no_new_privileges: self.privileges.no_new_privileges(),
            resource_limits: self.privileges.limits(),
            temporary_directories: (!self.temporary.is_empty()).then(|| self.temporary.clone()),
            shared_memory_in_mb: self.shm_size,
            volumes: self.volumes(image)?,
            process_defaults: image.map(ChosenImage::defaults).transpose()?.flatten(),
            labels: (!self.labels.is_empty()).then(|| self.labels.iter().cloned().collect()),
            stop_signal: match self.stop_signal {
                Some(signal) => Some(signal),
                None => image.map(ChosenImage::stop_signal).transpose()?.flatten(),
            },
            ..Container::default()
        };
        Ok(ComputeSystem {
            owner: Some(OWNER.to_owned()),
            schema_version: Some(Version {
                major: Some(2),
                minor: Some(1),
            }),
            container: Some(container),
            should_terminate_on_last_handle_closed: ends_with_us.then_some(true),
            ..ComputeSystem::default()
        })
    }

    /// The volumes of an image, but for those that other options put something else in the place of.
    fn volumes(&self, image: Option<&ChosenImage>) -> Result<Option<Vec<String>>, Failure> {
        let volumes = image.map(ChosenImage::volumes).transpose()?.flatten();
        let left = volumes.into_iter().flatten();
        let left = left.filter(|path| self.covering(Path::new(path)).is_none());
        let left: Vec<_> = left.collect();
        Ok((!left.is_empty()).then_some(left))
    }

    /// Without layers it is the default view of the host's files, which shows the current directory.
    fn storage(
        &self,
        surroundings: &Surroundings,
        image: Option<&ChosenImage>,
    ) -> Result<Option<Storage>, Failure> {
        let named = self.layers.iter().map(|path| surroundings.absolute(path));
        let of_image = image.map(|image| image.layers.clone()).unwrap_or_default();
        let paths = named.chain(of_image.into_iter().map(Ok));
        let layers = paths
            .map(|path| {
                Ok(Layer {
                    path: Some(path?),
                    ..Layer::default()
                })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        let scratch = self
            .scratch
            .as_ref()
            .map(|path| surroundings.absolute(path));
        let storage = Storage {
            layers: (!layers.is_empty()).then_some(layers),
            scratch_size_in_mb: self.scratch_size,
            scratch_inodes: self.scratch_files,
            read_only: self.read_only.then_some(true),
            path: scratch.transpose()?,
            host_directory: self.host_directory(surroundings).map(str::to_owned),
            image: image.map(ChosenImage::document).transpose()?,
            ..Storage::default()
        };
        Ok((storage != Storage::default()).then_some(storage))
    }

    /// The current directory, where the container would show it if a document could name it.
    pub(crate) fn unnamed_directory<'a>(&self, surroundings: &'a Surroundings) -> Option<&'a Path> {
        let directory = surroundings.directory.as_deref()?;
        (self.has_default_view() && directory.to_str().is_none()).then_some(directory)
    }

    /// The current directory, where the container is to show it: a command starts there. A container has file systems
    /// of its own at some places, and the root is always shown.
    pub(crate) fn host_directory<'a>(&self, surroundings: &'a Surroundings) -> Option<&'a str> {
        const OWN: [&str; 3] = ["/dev", "/proc", "/sys"];
        let directory = surroundings.directory.as_deref()?;
        let own = OWN.iter().any(|own| directory.starts_with(own));
        let shown = self.has_default_view() && !own && directory != Path::new("/");
        directory.to_str().filter(|_| shown)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use hcs_schema::Document;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        container: ContainerOptions,
    }

    fn document(line: &[&str], ends_with_us: bool) -> Value {
        let line = Line::try_parse_from([&["x"], line].concat()).unwrap();
        let surroundings = Surroundings {
            directory: Some("/home/me".into()),
            processors: || 4,
        };
        let document = line
            .container
            .document(&surroundings, None, ends_with_us)
            .unwrap();
        document.check().unwrap();
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn without_options_the_document_is_as_small_as_it_can_be() {
        let expected = json!({
            "Owner": "hcs", "SchemaVersion": {"Major": 2, "Minor": 1},
            "Container": {"Storage": {"HostDirectory": "/home/me"}, "PreferUserNamespace": true},
        });
        assert_eq!(document(&[], false), expected);
        assert_eq!(
            document(&[], true)["ShouldTerminateOnLastHandleClosed"],
            true
        );
    }

    #[test]
    fn every_option_has_its_property() {
        let line = [
            "--layer",
            "top",
            "--layer",
            "/base",
            "--mount",
            "/a:/b:ro",
            "--mount",
            "c:/d:shift,suid",
            "--device",
            "/dev/fuse:/dev/f:rw",
            "--scratch",
            "s",
            "--memory",
            "1G",
            "--cpus",
            "0.5",
            "--pids-limit",
            "64",
            "--stop-signal",
            "int",
            "--label",
            "tier=web=1",
            "-l",
            "plain",
            "--hostname",
            "box",
            "--net-namespace",
            "blue",
            "--userns",
            "--cap-add",
            "net_raw",
            "--cap-drop",
            "CAP_KILL",
            "--allow-new-privileges",
            "--ulimit",
            "nofile=64:unlimited",
        ];
        let expected = json!({
            "GuestOs": {"HostName": "box"},
            "Storage": {"Layers": [{"Path": "/home/me/top"}, {"Path": "/base"}], "Path": "/home/me/s"},
            "MappedDirectories": [
                {"HostPath": "/a", "ContainerPath": "/b", "ReadOnly": true},
                {"HostPath": "/home/me/c", "ContainerPath": "/d", "ReadOnly": false,
                 "ShiftOwners": true, "AllowSetId": true},
            ],
            "MappedDevices": [{"HostPath": "/dev/fuse", "ContainerPath": "/dev/f", "Access": "rw"}],
            "Memory": {"SizeInMB": 1024},
            "Processor": {"Maximum": 1250},
            "ProcessLimit": 64,
            "StopSignal": 2,
            "Labels": {"tier": "web=1", "plain": ""},
            "Networking": {"Namespace": "blue"},
            "UserNamespace": true,
            "AddCapabilities": ["CAP_NET_RAW"],
            "DropCapabilities": ["CAP_KILL"],
            "NoNewPrivileges": false,
            "ResourceLimits": [{"Name": "nofile", "Soft": 64, "Hard": u64::MAX}],
        });
        assert_eq!(document(&line, false)["Container"], expected);
    }

    #[test]
    fn a_user_namespace_can_be_asked_for_and_declined() {
        let asked = |line: &[&str]| {
            let container = &document(line, false)["Container"];
            ["UserNamespace", "PreferUserNamespace"].map(|name| container[name].clone())
        };
        assert_eq!(asked(&[]), [Value::Null, true.into()]);
        for yes in ["--userns", "--userns=yes"] {
            assert_eq!(asked(&[yes]), [true.into(), Value::Null]);
        }
        assert_eq!(asked(&["--userns=no"]), [false.into(), Value::Null]);
        // What follows is the next argument.
        let line = ["x", "--userns", "no"];
        assert!(Line::try_parse_from(line).is_err());
        assert!(Line::try_parse_from(["x", "--userns=maybe"]).is_err());
    }

    #[test]
    fn a_network_namespace_has_a_name_without_a_path() {
        assert_eq!(net_namespace("blue"), Ok("blue".to_owned()));
        for bad in ["", ".", "..", "../x", "/run/netns/x", "a/b"] {
            assert!(
                net_namespace(bad).unwrap_err().contains("ip netns list"),
                "{bad}"
            );
        }
    }

    #[test]
    fn every_option_has_its_name_in_the_list() {
        let line = <Line as clap::CommandFactory>::command();
        let names: Vec<&str> = line
            .get_arguments()
            .map(|one| one.get_id().as_str())
            .collect();
        assert_eq!(names, ARGUMENTS);
    }

    #[test]
    fn what_is_written_inside_may_be_limited() {
        let line = [
            "--layer",
            "/x",
            "--scratch-size",
            "1G",
            "--scratch-files",
            "5000",
        ];
        let storage = &document(&line, false)["Container"]["Storage"];
        assert_eq!(storage["ScratchSizeInMB"], 1024);
        assert_eq!(storage["ScratchInodes"], 5000);
        for wrong in [
            &["--scratch-files", "5000"][..],
            &["--scratch-size", "1G", "--scratch", "/s"],
        ] {
            assert!(Line::try_parse_from([&["x"], wrong].concat()).is_err());
        }
    }

    #[test]
    fn a_scratch_without_layers_keeps_changes_to_the_view() {
        let storage = &document(&["--scratch", "/s"], false)["Container"]["Storage"];
        assert_eq!(*storage, json!({"Path": "/s", "HostDirectory": "/home/me"}));
    }

    #[test]
    fn only_a_directory_of_the_view_is_asked_for() {
        let here = |directory: Option<&str>| Surroundings {
            directory: directory.map(PathBuf::from),
            processors: || 1,
        };
        let none = ContainerOptions::default();
        assert_eq!(
            none.host_directory(&here(Some("/home/me/x"))),
            Some("/home/me/x")
        );
        for directory in [
            None,
            Some("/"),
            Some("/proc/1"),
            Some("/sys"),
            Some("/dev/shm"),
        ] {
            assert_eq!(none.host_directory(&here(directory)), None);
        }
        let named = ContainerOptions {
            layers: vec!["/".into()],
            ..ContainerOptions::default()
        };
        assert_eq!(named.host_directory(&here(Some("/home/me/x"))), None);
    }
}

//! The options that describe a virtual machine, and its `ComputeSystem` document.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueEnum};
use hcs_schema::{
    Failure, HResult,
    documents::{
        Attachment, AttachmentType, Chipset, ComPort, ComputeSystem, Devices, GuestConnection,
        LinuxKernelDirect, Scsi, Topology, Version, VideoMonitor, VirtualMachine,
        VirtualMachineMemory, VirtualMachineProcessor,
    },
};

use uuid::Uuid;

use super::{
    Surroundings,
    container::{ContainerOptions, OWNER},
    share::{self, Share},
};

/// All options of a virtual machine by their names in clap.
pub(crate) const ARGUMENTS: [&str; 8] = [
    "isolation",
    "kernel",
    "initrd",
    "guest_image",
    "disks",
    "shares",
    "console",
    "screen",
];

/// Memory of a machine of which nothing is said, in megabytes. Pages that the guest does not touch cost nothing.
const MEMORY: u64 = 512;

/// The kernel's command line: no messages, an end of the machine when it crashes, a crash when the host asks for one,
/// and no tests of its own ciphers, which take half a second.
const COMMAND_LINE: &str = "quiet panic=-1 unknown_nmi_panic cryptomgr.notests";

/// The word for messages on the serial port.
const SERIAL: &str = "console=ttyS0";

/// The longest name of a machine.
const LONGEST_NAME: usize = 64;

/// What keeps a system apart from this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Namespaces of the kernel of this machine
    #[default]
    #[value(alias = "process", alias = "default")]
    Container,
    /// A Linux kernel of its own, in QEMU
    #[value(alias = "hyperv")]
    Vm,
}

/// What a virtual machine is made from.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Virtual machine")]
pub(crate) struct MachineOptions {
    /// What keeps it apart from this machine: container, or vm, which is a Linux kernel of its own in QEMU
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    isolation: Isolation,

    /// The kernel to boot (bzImage or ELF), or a directory with boot/ and lib/modules/ as a package has them [default:
    /// that of the guest image]
    #[arg(long, value_name = "PATH")]
    kernel: Option<PathBuf>,

    /// The initial ramdisk, with the guest agent (hcs-guest) as /init [default: that of the guest image]
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,

    /// A guest image that hcs guest-image build has made [default: the image "default", made when it is first needed]
    #[arg(long, value_name = "NAME", conflicts_with = "kernel")]
    guest_image: Option<String>,

    /// A disk image, which the guest sees as a SCSI disk: .qcow2, .vhdx, .vhd, .iso (only read), others raw; :ro, it
    /// can only be read; repeat for more, the first is /dev/sda
    #[arg(long = "disk", value_name = "FILE[:ro]", value_parser = disk)]
    disks: Vec<Disk>,

    /// A directory of this machine that the guest has at GUEST, a directory that is made there: it reads and writes the
    /// files with your rights; :ro, it can only read them; repeat for more. Its kernel needs 9P, as Debian's
    /// linux-image-amd64 has
    #[arg(long = "share", value_name = "HOST:GUEST[:ro]", value_parser = share::parse)]
    shares: Vec<Share>,

    /// Give it a serial port for hcs console, on which its kernel writes its messages
    #[arg(long)]
    console: bool,

    /// Give it a screen for hcs screenshot. Its kernel shows something there with a driver, bochs, that Debian's
    /// linux-image-amd64 has: hcs guest-image build --module bochs
    #[arg(long)]
    screen: bool,
}

/// A disk, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    path: PathBuf,
    read_only: bool,
}

/// The files that a machine boots, as a document names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    /// The kernel.
    pub kernel: String,
    /// The initial ramdisk.
    pub initrd: String,
}

/// Reads `FILE`, `FILE:ro` or `FILE:rw`.
fn disk(text: &str) -> Result<Disk, String> {
    let (path, read_only) = match text.rsplit_once(':') {
        Some((path, "ro")) => (path, true),
        Some((path, "rw")) => (path, false),
        _ => (text, false),
    };
    if path.is_empty() {
        return Err("the path of the disk is empty".to_owned());
    }
    Ok(Disk {
        path: path.into(),
        read_only,
    })
}

impl Disk {
    fn document(&self, surroundings: &Surroundings) -> Result<Attachment, Failure> {
        let optical = self
            .path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("iso"));
        let kind = match optical {
            true => AttachmentType::Iso,
            false => AttachmentType::VirtualDisk,
        };
        Ok(Attachment {
            r#type: Some(kind),
            path: Some(surroundings.absolute(&self.path)?),
            read_only: (self.read_only && !optical).then_some(true),
            ..Attachment::default()
        })
    }
}

impl MachineOptions {
    /// Whether the system is to be a virtual machine.
    ///
    /// # Errors
    /// An option is of the other kind of system.
    pub(crate) fn is_machine(&self, container: &ContainerOptions) -> Result<bool, Failure> {
        let foreign = match self.isolation {
            Isolation::Vm => container.only_of_containers().map(|option| {
                format!(
                    "{option} is for containers, and --isolation vm asks for a virtual machine: its files are those of its \
                     guest image and its disks (--disk)"
                )
            }),
            Isolation::Container => self.only_of_machines().map(|option| {
                format!("{option} is for virtual machines: it goes with --isolation vm")
            }),
        };
        match foreign {
            Some(message) => Err(Failure::new(HResult::E_INVALIDARG, message)),
            None => Ok(self.isolation == Isolation::Vm),
        }
    }

    /// The first option that was given and means nothing to a container.
    fn only_of_machines(&self) -> Option<&'static str> {
        let given = [
            ("--kernel", self.kernel.is_some()),
            ("--initrd", self.initrd.is_some()),
            ("--guest-image", self.guest_image.is_some()),
            ("--disk", !self.disks.is_empty()),
            ("--share", !self.shares.is_empty()),
            ("--console", self.console),
            ("--screen", self.screen),
        ];
        given
            .into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }

    /// The kernel that was named.
    pub(crate) const fn kernel(&self) -> Option<&PathBuf> {
        self.kernel.as_ref()
    }

    /// The initial ramdisk that was named.
    pub(crate) const fn initrd(&self) -> Option<&PathBuf> {
        self.initrd.as_ref()
    }

    /// The guest image that was named.
    pub(crate) fn image(&self) -> Option<&str> {
        self.guest_image.as_deref()
    }

    /// The document of a machine that boots `boot`. `ends_with_us`: the service removes the system when the last handle
    /// to it is gone.
    ///
    /// # Errors
    /// A path cannot be said in JSON, or the host name is none.
    pub(crate) fn document(
        &self,
        container: &ContainerOptions,
        boot: Boot,
        surroundings: &Surroundings,
        ends_with_us: bool,
    ) -> Result<ComputeSystem, Failure> {
        let kernel = LinuxKernelDirect {
            kernel_file_path: Some(boot.kernel),
            init_rd_path: Some(boot.initrd),
            kernel_cmd_line: Some(
                command_line(container.host_name(), self.console)? + &share::words(&self.shares),
            ),
        };
        let machine = VirtualMachine {
            stop_on_reset: Some(true),
            chipset: Some(Chipset {
                linux_kernel_direct: Some(kernel),
                ..Chipset::default()
            }),
            compute_topology: Some(Topology {
                memory: Some(VirtualMachineMemory {
                    size_in_mb: Some(container.memory().unwrap_or(MEMORY)),
                    ..VirtualMachineMemory::default()
                }),
                processor: container.cpus().map(processor),
                ..Topology::default()
            }),
            devices: self.devices(surroundings)?,
            guest_connection: Some(GuestConnection::default()),
            ..VirtualMachine::default()
        };
        Ok(ComputeSystem {
            owner: Some(OWNER.to_owned()),
            schema_version: Some(Version {
                major: Some(2),
                minor: Some(1),
            }),
            virtual_machine: Some(machine),
            should_terminate_on_last_handle_closed: ends_with_us.then_some(true),
            ..ComputeSystem::default()
        })
    }

    fn devices(&self, surroundings: &Surroundings) -> Result<Option<Devices>, Failure> {
        let (com_ports, scsi) = (self.com_ports(), self.scsi(surroundings)?);
        let plan9 = share::document(&self.shares, surroundings)?;
        let video_monitor = self.screen.then(VideoMonitor::default);
        let any = com_ports.is_some() || scsi.is_some() || plan9.is_some() || self.screen;
        Ok(any.then(|| Devices {
            com_ports,
            scsi,
            plan9,
            video_monitor,
            ..Devices::default()
        }))
    }

    fn com_ports(&self) -> Option<BTreeMap<String, ComPort>> {
        let port = self.console.then(|| ComPort {
            // No other machine has it.
            named_pipe: Some(format!(r"\\.\pipe\console-{}", Uuid::new_v4())),
            ..ComPort::default()
        });
        port.map(|port| BTreeMap::from([("0".to_owned(), port)]))
    }

    fn scsi(&self, surroundings: &Surroundings) -> Result<Option<BTreeMap<String, Scsi>>, Failure> {
        if self.disks.is_empty() {
            return Ok(None);
        }
        let mut attachments = BTreeMap::new();
        for (number, disk) in self.disks.iter().enumerate() {
            attachments.insert(number.to_string(), disk.document(surroundings)?);
        }
        let controller = Scsi {
            attachments: Some(attachments),
            ..Scsi::default()
        };
        Ok(Some(BTreeMap::from([("0".to_owned(), controller)])))
    }
}

/// So many processors that the time asked for fits on them, in thousandths of one.
fn processor(thousandths: u32) -> VirtualMachineProcessor {
    let count = thousandths.div_ceil(1000);
    let limit = u64::from(thousandths) * 10 / u64::from(count.max(1));
    VirtualMachineProcessor {
        count: Some(count),
        limit: (!thousandths.is_multiple_of(1000)).then_some(limit.max(1)),
        ..VirtualMachineProcessor::default()
    }
}

fn command_line(host_name: Option<&str>, console: bool) -> Result<String, Failure> {
    let messages = match console {
        true => COMMAND_LINE.replace("quiet", SERIAL),
        false => COMMAND_LINE.to_owned(),
    };
    let Some(name) = host_name else {
        return Ok(messages);
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        let message = format!(
            "{name:?} is no host name of a virtual machine: 1 to {LONGEST_NAME} letters, digits, '-' and '.' were expected"
        );
        return Err(Failure::new(HResult::E_INVALIDARG, message));
    }
    Ok(format!("{messages} hostname={name}"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};
    use hcs_schema::Document as _;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        container: ContainerOptions,
        #[command(flatten)]
        machine: MachineOptions,
    }

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        _machine: MachineOptions,
    }

    fn line(words: &str) -> Line {
        let words = std::iter::once("x").chain(words.split_whitespace());
        Line::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"))
    }

    fn document(words: &str) -> Result<Value, Failure> {
        let Line { container, machine } = line(words);
        assert!(machine.is_machine(&container)?);
        let boot = Boot {
            kernel: "/k".to_owned(),
            initrd: "/i".to_owned(),
        };
        let here = Surroundings {
            directory: Some("/home/me".into()),
            processors: || 4,
        };
        let document = machine.document(&container, boot, &here, true)?;
        document.check().unwrap();
        Ok(serde_json::to_value(document).unwrap())
    }

    #[test]
    fn a_machine_without_options_has_memory_and_an_agent() {
        let expected = json!({
            "Owner": "hcs", "SchemaVersion": {"Major": 2, "Minor": 1}, "ShouldTerminateOnLastHandleClosed": true,
            "VirtualMachine": {
                "StopOnReset": true,
                "Chipset": {"LinuxKernelDirect": {
                    "KernelFilePath": "/k", "InitRdPath": "/i", "KernelCmdLine": COMMAND_LINE,
                }},
                "ComputeTopology": {"Memory": {"SizeInMB": 512}},
                "GuestConnection": {},
            },
        });
        assert_eq!(document("--isolation vm").unwrap(), expected);
        assert_eq!(document("--isolation hyperv").unwrap(), expected);
    }

    #[test]
    fn every_option_has_its_property() {
        let words = "--isolation vm --memory 1G --cpus 1.5 --hostname box --disk a.qcow2 --disk /b.img:ro --disk c.ISO";
        let machine = &document(words).unwrap()["VirtualMachine"];
        assert_eq!(
            machine["ComputeTopology"],
            json!({"Memory": {"SizeInMB": 1024}, "Processor": {"Count": 2, "Limit": 7500}})
        );
        let line = &machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        assert!(line.as_str().unwrap().ends_with(" hostname=box"), "{line}");
        let disks = json!({
            "0": {"Type": "VirtualDisk", "Path": "/home/me/a.qcow2"},
            "1": {"Type": "VirtualDisk", "Path": "/b.img", "ReadOnly": true},
            "2": {"Type": "Iso", "Path": "/home/me/c.ISO"},
        });
        assert_eq!(
            machine["Devices"]["Scsi"],
            json!({"0": {"Attachments": disks}})
        );
        assert_eq!(
            document("--isolation vm --cpus 2").unwrap()["VirtualMachine"]["ComputeTopology"]["Processor"],
            json!({"Count": 2})
        );
        assert!(document("--isolation vm --hostname a,b").is_err());
        let machine =
            &document("--isolation vm --share a:/a --share /b:/b:ro").unwrap()["VirtualMachine"];
        let share = |number: &str, path: &str, flags: u32| json!({"Name": number, "AccessName": number, "Path": path, "Port": 564, "Flags": flags});
        assert_eq!(
            machine["Devices"]["Plan9"]["Shares"],
            json!([share("0", "/home/me/a", 4), share("1", "/b", 5)])
        );
        let line = &machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        assert!(
            line.as_str()
                .unwrap()
                .ends_with(" hcs.share=564:0:/a hcs.share=564:1:/b:ro"),
            "{line}"
        );
        let machine = &document("--isolation vm --console").unwrap()["VirtualMachine"];
        let pipe = &machine["Devices"]["ComPorts"]["0"]["NamedPipe"];
        assert!(
            pipe.as_str().unwrap().starts_with(r"\\.\pipe\console-"),
            "{pipe}"
        );
        let line = &machine["Chipset"]["LinuxKernelDirect"]["KernelCmdLine"];
        assert!(
            line.as_str().unwrap().starts_with("console=ttyS0 panic"),
            "{line}"
        );
        let machine = &document("--isolation vm --screen").unwrap()["VirtualMachine"];
        assert_eq!(machine["Devices"], json!({"VideoMonitor": {}}));
    }

    #[test]
    fn options_of_the_other_kind_are_refused_by_name() {
        for option in [
            "--layer /",
            "--mount /a:/b",
            "--scratch /s",
            "--scratch-size 5",
            "--read-only",
            "--tmpfs /tmp",
            "--shm-size 5",
            "--no-hosts",
            "--userns",
            "--net-namespace blue",
            "--cap-add KILL",
            "--cap-drop KILL",
            "--allow-new-privileges",
            "--ulimit core=0",
        ] {
            let name = option.split(' ').next().unwrap();
            let refused = document(&format!("--isolation vm {option}")).unwrap_err();
            assert!(
                refused
                    .message
                    .starts_with(&format!("{name} is for containers")),
                "{refused}"
            );
        }
        for option in [
            "--kernel k",
            "--initrd i",
            "--guest-image g",
            "--disk d",
            "--share d:/d",
            "--console",
            "--screen",
        ] {
            let Line { container, machine } = line(option);
            let name = option.split(' ').next().unwrap();
            let refused = machine.is_machine(&container).unwrap_err();
            assert!(
                refused
                    .message
                    .starts_with(&format!("{name} is for virtual machines")),
                "{refused}"
            );
        }
        let Line { container, machine } = line("");
        assert!(!machine.is_machine(&container).unwrap());
    }

    #[test]
    fn every_option_has_its_name_in_the_list() {
        let line = Alone::command();
        let names: Vec<&str> = line
            .get_arguments()
            .map(|one| one.get_id().as_str())
            .collect();
        assert_eq!(names, ARGUMENTS);
    }

    #[test]
    fn a_disk_may_have_a_colon_in_its_name() {
        let read =
            |text: &str| disk(text).map(|disk| (disk.path.display().to_string(), disk.read_only));
        assert_eq!(read("a:b"), Ok(("a:b".to_owned(), false)));
        assert_eq!(read("a:b:rw"), Ok(("a:b".to_owned(), false)));
        assert!(read("").is_err() && read(":ro").is_err());
    }
}

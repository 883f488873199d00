//! What a document asks for, in the terms of this engine. No I/O.
//!
//! Properties that this engine does not have never come here: the service refuses them by the table
//! (`hcs_schema::coverage::VIRTUAL_MACHINE`).

use engine_container::shared::MachineLimits;
use hcs_schema::{
    Failure, HResult,
    documents::{ComputeSystem, MemoryBackingType, VirtualMachine, VirtualMachineProcessor},
};

use crate::{
    argv::Accelerator,
    crash_memory,
    disk::{self, Attached},
    firmware::FirmwareBoot,
    hot_memory::{self, HotMemory},
    hv_socket::Rules,
    persistent_memory::{self, Image},
    pipe::PipeName,
    screen::Screen,
    shares::{self, MOST_CONNECTIONS, Share},
    storage::StorageLimits,
    virtio_serial::{self, PipedPort},
};

/// JSON pointers of properties.
const KERNEL: &str = "/VirtualMachine/Chipset/LinuxKernelDirect/KernelFilePath";
const INITRD: &str = "/VirtualMachine/Chipset/LinuxKernelDirect/InitRdPath";
const COMMAND_LINE: &str = "/VirtualMachine/Chipset/LinuxKernelDirect/KernelCmdLine";
const UEFI: &str = "/VirtualMachine/Chipset/Uefi";
const STATE: &str = "/VirtualMachine/GuestState/GuestStateFilePath";
const MEMORY: &str = "/VirtualMachine/ComputeTopology/Memory/SizeInMB";
pub(crate) const BACKING: &str = "/VirtualMachine/ComputeTopology/Memory/Backing";
const PROCESSORS: &str = "/VirtualMachine/ComputeTopology/Processor";
/// JSON pointer of the property that names a group of processors.
pub(crate) const GROUP: &str = "/VirtualMachine/ComputeTopology/Processor/CpuGroup/Id";
const ADAPTERS: &str = "/VirtualMachine/Devices/NetworkAdapters";
const COM_PORTS: &str = "/VirtualMachine/Devices/ComPorts";

/// The most memory of one machine, in megabytes: 4 TB.
const MOST_MEMORY: u64 = 4 << 20;
/// The most processors that the board has.
const MOST_PROCESSORS: u32 = 240;
/// The longest command line that a Linux kernel for x86-64 reads, in bytes.
const LONGEST_COMMAND_LINE: usize = 2047;
/// The most network cards of a document, as many as Hyper-V has.
const MOST_CARDS: usize = 8;
/// Places for network cards where there are any, so that some can be plugged in later. A guest takes time to find each.
const LEAST_NETWORK_PORTS: usize = 4;
/// Serial ports of the board.
const SERIAL_PORTS: u8 = 4;
/// What `Limit` counts in: the whole of the machine's processors.
const WHOLE: u64 = 10_000;
/// Memory that QEMU, the worker and the process that serves shares need beside the guest's and the translated code, in
/// megabytes: one for each of [`MOST_CONNECTIONS`], which hold a message and its answer.
const BESIDE_MB: u64 = 384 + MOST_CONNECTIONS as u64;
/// Threads that QEMU, the worker and the process that serves shares need beside the guest's processors: each of
/// [`MOST_CONNECTIONS`] has one.
const BESIDE_THREADS: u64 = 128 + MOST_CONNECTIONS as u64;

/// Words of a kernel's command line that are for a Hyper-V guest and turn off what this engine's guests need: the
/// driver of vsock, and the bus that devices are on.
const NOT_FOR_QEMU: [&str; 2] = ["initcall_blacklist=virtio_vsock_init", "pci=off"];

/// A file that a document names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its path.
    pub(crate) path: String,
    /// JSON pointer of the property.
    pub(crate) pointer: &'static str,
}

/// A serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SerialPort {
    /// Its number, from 0.
    pub(crate) number: u8,
    /// The host's end.
    pub(crate) pipe: PipeName,
    /// JSON pointer of the property that names the pipe.
    pub(crate) pointer: String,
}

/// What a machine begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// A Linux kernel.
    Kernel {
        /// Its file.
        kernel: Named,
        /// The initial RAM disk.
        initrd: Option<Named>,
        /// The kernel's command line.
        command_line: String,
    },
    /// Firmware, which boots a disk.
    Firmware(FirmwareBoot),
}

/// A machine to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What it begins with.
    pub(crate) boot: Boot,
    /// Memory, in megabytes.
    pub(crate) memory_mb: u64,
    /// The most memory that comes on top while it runs, in megabytes.
    pub(crate) most_added_mb: u64,
    /// Processors.
    pub(crate) processors: u32,
    /// The id of the group of the host's processors that they run on.
    pub(crate) processor_group: Option<String>,
    /// Serial ports with a pipe.
    pub(crate) ports: Vec<SerialPort>,
    /// Virtio serial ports with a pipe; none where there is no device for them.
    pub(crate) virtio_ports: Option<Vec<PipedPort>>,
    /// Numbers of its SCSI controllers.
    pub(crate) controllers: Vec<u8>,
    /// Disks.
    pub(crate) disks: Vec<Attached>,
    /// The image that is its persistent memory.
    pub(crate) persistent: Option<Image>,
    /// Sockets between programs of the host and of the guest.
    pub(crate) hv_socket: Option<Rules>,
    /// Directories of the host that the guest sees, with their pointers; none where it can have no such.
    pub(crate) shares: Option<Vec<(Share, String)>>,
    /// Places for network cards, which the service plugs in.
    pub(crate) network_ports: usize,
    /// Its screen.
    pub(crate) screen: Option<Screen>,
    /// Whether its memory is taken from the host before it starts, and kept.
    pub(crate) holds_memory: bool,
    /// The file for the memory of a guest that crashed.
    pub(crate) crash_memory: Option<Named>,
    /// Limits on the input and output of its disks, where it can have some.
    pub(crate) storage_limits: Option<StorageLimits>,
    /// Whether a reset ends it.
    pub(crate) stops_on_reset: bool,
    /// Limits on its processes on the host.
    pub(crate) limits: MachineLimits,
}

impl Plan {
    /// The most memory that the machine has with all that is beside its guest's, in megabytes.
    pub(crate) fn whole_mb(&self) -> u64 {
        let limit = self.limits.memory.map(|bytes| bytes.div_ceil(1 << 20));
        limit.unwrap_or(self.memory_mb)
    }

    /// Room for so many bytes more in its memory on the host.
    pub(crate) fn add_memory(&mut self, bytes: u64) {
        self.limits.memory = self.limits.memory.map(|limit| limit + bytes);
    }

    /// Its memory, where that can be resized.
    pub(crate) fn hot_memory(&self) -> Option<HotMemory> {
        (self.most_added_mb > 0).then(|| HotMemory {
            boot_mb: self.memory_mb,
            whole_mb: self.whole_mb(),
            most_added_mb: self.most_added_mb,
        })
    }
}

/// The machine that `document` asks for.
///
/// # Errors
/// A value that is missing or out of range, by pointer.
pub(crate) fn plan(document: &ComputeSystem, accelerator: Accelerator) -> Result<Plan, Failure> {
    let machine = document.virtual_machine.as_ref();
    let machine = machine.ok_or_else(|| wrong("/VirtualMachine", "it is missing"))?;
    let (controllers, disks) =
        disk::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let boot = boot(machine, &disks)?;
    let (memory_mb, processors) = (memory(machine)?, processors(machine)?);
    let hv_socket =
        Rules::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let shares =
        shares::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let screen =
        Screen::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let storage_limits =
        StorageLimits::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let ports = ports(machine)?;
    let virtio_ports =
        virtio_serial::of_machine(machine).map_err(|(pointer, message)| wrong(pointer, message))?;
    let has_pipe = |port: &&PipedPort| ports.iter().any(|other| other.pipe == port.pipe);
    if let Some(port) = virtio_ports.iter().flatten().find(has_pipe) {
        let message = "a serial port of the document has the same pipe";
        return Err(wrong(port.pointer.clone(), message));
    }
    let beside_mb = screen.map_or(0, Screen::memory_mb);
    Ok(Plan {
        boot,
        memory_mb,
        // What is held is held from the start.
        most_added_mb: match holds_memory(machine) {
            true => 0,
            false => hot_memory::most_added(memory_mb),
        },
        processors,
        processor_group: processor_group(machine).map(str::to_owned),
        ports,
        virtio_ports,
        controllers,
        disks,
        persistent: persistent_memory::of_machine(machine)
            .map_err(|(pointer, message)| wrong(pointer, message))?,
        hv_socket,
        shares,
        network_ports: network_ports(machine)?,
        screen,
        holds_memory: holds_memory(machine),
        crash_memory: crash_memory::of_machine(machine),
        storage_limits,
        stops_on_reset: machine.stop_on_reset != Some(false),
        limits: limits(machine, memory_mb + beside_mb, processors, accelerator)?,
    })
}

fn boot(machine: &VirtualMachine, disks: &[Attached]) -> Result<Boot, Failure> {
    let chipset = machine.chipset.as_ref();
    let direct = chipset.and_then(|chipset| chipset.linux_kernel_direct.as_ref());
    let uefi = chipset.and_then(|chipset| chipset.uefi.as_ref());
    if let (None, Some(uefi)) = (direct, uefi) {
        let firmware = FirmwareBoot::of_machine(machine, uefi, disks);
        return firmware
            .map(Boot::Firmware)
            .map_err(|(pointer, message)| wrong(pointer, message));
    }
    if uefi.is_some() {
        let message = "a machine boots by firmware or a kernel, not by both: leave this or \"LinuxKernelDirect\" out";
        return Err(wrong(UEFI, message));
    }
    let path = |path: Option<&String>| path.filter(|path| !path.is_empty()).cloned();
    let state = machine.guest_state.as_ref();
    if path(state.and_then(|state| state.guest_state_file_path.as_ref())).is_some() {
        let message = "only firmware keeps its state in a file: leave this out, or give \"Uefi\" in \"Chipset\"";
        return Err(wrong(STATE, message));
    }
    let kernel = path(direct.and_then(|boot| boot.kernel_file_path.as_ref()));
    let kernel = kernel.ok_or_else(|| {
        let message = "nothing to boot is named: give the path of a Linux kernel, such as /boot/vmlinuz, or \"Uefi\" in \
                       \"Chipset\" for a disk that boots";
        wrong(KERNEL, message)
    })?;
    let initrd = path(direct.and_then(|boot| boot.init_rd_path.as_ref()));
    let command_line = direct.and_then(|boot| boot.kernel_cmd_line.as_deref());
    Ok(Boot::Kernel {
        kernel: Named {
            path: kernel,
            pointer: KERNEL,
        },
        initrd: initrd.map(|path| Named {
            path,
            pointer: INITRD,
        }),
        command_line: kernel_command_line(command_line.unwrap_or_default())?,
    })
}

fn memory(machine: &VirtualMachine) -> Result<u64, Failure> {
    let topology = machine.compute_topology.as_ref();
    let memory = topology.and_then(|topology| topology.memory.as_ref());
    let size = memory
        .and_then(|memory| memory.size_in_mb)
        .unwrap_or_default();
    if size == 0 {
        return Err(wrong(
            MEMORY,
            "no size is given: name the memory of the machine in megabytes",
        ));
    }
    if size > MOST_MEMORY {
        return Err(wrong(
            MEMORY,
            format!("{size} is too much; at most {MOST_MEMORY} is possible"),
        ));
    }
    Ok(size)
}

/// Whether the machine is to have all of its memory from the start, none of it swapped out.
fn holds_memory(machine: &VirtualMachine) -> bool {
    let topology = machine.compute_topology.as_ref();
    let memory = topology.and_then(|topology| topology.memory.as_ref());
    memory.and_then(|memory| memory.backing) == Some(MemoryBackingType::Physical)
}

fn processor(machine: &VirtualMachine) -> Option<&VirtualMachineProcessor> {
    machine.compute_topology.as_ref()?.processor.as_ref()
}

/// The group of the host's processors that a document names, as it stands there.
pub(crate) fn processor_group(machine: &VirtualMachine) -> Option<&str> {
    processor(machine)?.cpu_group.as_ref()?.id.as_deref()
}

fn processors(machine: &VirtualMachine) -> Result<u32, Failure> {
    let count = processor(machine)
        .and_then(|processor| processor.count)
        .unwrap_or_default();
    if count > MOST_PROCESSORS {
        let message = format!("{count} is too much; at most {MOST_PROCESSORS} is possible");
        return Err(wrong(format!("{PROCESSORS}/Count"), message));
    }
    Ok(count.max(1))
}

fn limits(
    machine: &VirtualMachine,
    memory_mb: u64,
    processors: u32,
    accelerator: Accelerator,
) -> Result<MachineLimits, Failure> {
    let asked = processor(machine);
    let ranged = |value: Option<u64>, name: &str| match value.unwrap_or_default() {
        value if value > WHOLE => {
            let message = format!("{value} is too much; 0 to {WHOLE} are allowed");
            Err(wrong(format!("{PROCESSORS}/{name}"), message))
        }
        value => Ok(Some(value).filter(|value| *value > 0)),
    };
    let limit = ranged(asked.and_then(|asked| asked.limit), "Limit")?;
    let translations = match accelerator {
        Accelerator::Tcg => crate::argv::TRANSLATIONS_MB,
        Accelerator::Kvm => 0,
    };
    Ok(MachineLimits {
        memory: Some((memory_mb + translations + BESIDE_MB) << 20),
        processor: limit.map(|limit| limit * u64::from(processors) * 1000 / WHOLE),
        weight: ranged(asked.and_then(|asked| asked.weight), "Weight")?,
        tasks: Some(BESIDE_THREADS + u64::from(processors)),
    })
}

fn ports(machine: &VirtualMachine) -> Result<Vec<SerialPort>, Failure> {
    let devices = machine.devices.as_ref();
    let asked = devices.and_then(|devices| devices.com_ports.as_ref());
    let mut ports = Vec::new();
    for (name, port) in asked.into_iter().flatten() {
        let number = name.parse().ok().filter(|number| *number < SERIAL_PORTS);
        let number = number.ok_or_else(|| {
            let message = format!(
                "{name:?} is no serial port; \"0\" to \"{}\" are",
                SERIAL_PORTS - 1
            );
            wrong(format!("{COM_PORTS}/{name}"), message)
        })?;
        let pointer = format!("{COM_PORTS}/{name}/NamedPipe");
        // Empty means that nothing is plugged in.
        let Some(pipe) = port.named_pipe.as_ref().filter(|pipe| !pipe.is_empty()) else {
            continue;
        };
        let pipe = PipeName::parse(pipe).map_err(|why| wrong(pointer.clone(), why))?;
        if ports
            .iter()
            .any(|other: &SerialPort| other.pipe == pipe || other.number == number)
        {
            return Err(wrong(
                pointer,
                "another serial port of the document is the same",
            ));
        }
        ports.push(SerialPort {
            number,
            pipe,
            pointer,
        });
    }
    Ok(ports)
}

/// Places for the network cards of the document and some more; none where it does not name network cards at all.
fn network_ports(machine: &VirtualMachine) -> Result<usize, Failure> {
    let devices = machine.devices.as_ref();
    let adapters = devices.and_then(|devices| devices.network_adapters.as_ref());
    let networking = machine.networking.as_ref();
    if adapters.is_none() && networking.is_none() {
        return Ok(0);
    }
    let own = networking.map_or(0, |networking| {
        let adapters = networking.network_adapters.as_ref().map_or(0, Vec::len);
        networking.endpoints.as_ref().map_or(0, Vec::len) + adapters
    });
    match adapters.map_or(0, std::collections::BTreeMap::len) + own {
        count @ 0..=MOST_CARDS => Ok(LEAST_NETWORK_PORTS.max(count)),
        count => {
            let message = format!("{count} are too many; at most {MOST_CARDS} are possible");
            Err(wrong(ADAPTERS, message))
        }
    }
}

/// The command line as QEMU gets it. Arguments of the first program, behind `--`, stay as they are.
fn kernel_command_line(asked: &str) -> Result<String, Failure> {
    if asked.len() > LONGEST_COMMAND_LINE {
        let message = format!(
            "it has {} bytes; a kernel reads at most {LONGEST_COMMAND_LINE}",
            asked.len()
        );
        return Err(wrong(COMMAND_LINE, message));
    }
    if asked.chars().any(char::is_control) {
        return Err(wrong(COMMAND_LINE, "it has a control character"));
    }
    let (own, arguments) = match asked.split_once(" -- ") {
        Some((own, arguments)) => (own, Some(arguments)),
        None => (asked, None),
    };
    if !own.split(' ').any(|word| NOT_FOR_QEMU.contains(&word)) {
        return Ok(asked.to_owned());
    }
    let kept: Vec<&str> = own
        .split(' ')
        .filter(|word| !NOT_FOR_QEMU.contains(word))
        .collect();
    let kept = kept.join(" ");
    Ok(match arguments {
        Some(arguments) => format!("{kept} -- {arguments}"),
        None => kept,
    })
}

fn wrong(pointer: impl Into<String>, message: impl Into<String>) -> Failure {
    let (pointer, message) = (pointer.into(), message.into());
    Failure::new(
        HResult::HCS_E_INVALID_JSON,
        format!("the virtual machine cannot be made: {pointer}: {message}"),
    )
    .cause_at(pointer, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn planned(machine: &Value) -> Result<Plan, Failure> {
        let text = json!({"SchemaVersion": {"Major": 2, "Minor": 1}, "VirtualMachine": machine});
        let document = hcs_schema::parse(&text.to_string()).unwrap();
        plan(&document, Accelerator::Tcg)
    }

    /// The smallest machine, with `value` at `path`.
    fn with(path: &[&str], value: Value) -> Value {
        let mut machine = json!({
            "Chipset": {"LinuxKernelDirect": {"KernelFilePath": "/k"}},
            "ComputeTopology": {"Memory": {"SizeInMB": 64}},
        });
        let mut place = &mut machine;
        for step in path {
            place = &mut place[*step];
        }
        *place = value;
        machine
    }

    fn pointer(machine: &Value) -> String {
        planned(machine).unwrap_err().causes[0]
            .pointer
            .clone()
            .unwrap()
    }

    #[test]
    fn the_smallest_machine_has_defaults() {
        let plan = planned(&with(&["StopOnReset"], Value::Null)).unwrap();
        let whole_mb = plan.whole_mb();
        assert_eq!(
            (plan.memory_mb, plan.processors, plan.stops_on_reset),
            (64, 1, true)
        );
        let boot = Boot::Kernel {
            kernel: Named {
                path: "/k".to_owned(),
                pointer: KERNEL,
            },
            initrd: None,
            command_line: String::new(),
        };
        assert_eq!((plan.boot, plan.ports), (boot, Vec::new()));
        let memory = (64 + crate::argv::TRANSLATIONS_MB + BESIDE_MB) << 20;
        assert_eq!(
            (plan.limits.memory, plan.limits.processor),
            (Some(memory), None)
        );
        assert_eq!(whole_mb << 20, memory);
        assert!(
            !planned(&with(&["StopOnReset"], json!(false)))
                .unwrap()
                .stops_on_reset
        );
    }

    #[test]
    fn what_is_missing_or_out_of_range_is_told_by_pointer() {
        assert_eq!(pointer(&json!({})), KERNEL);
        assert_eq!(pointer(&with(&["Chipset"], json!({}))), KERNEL);
        assert_eq!(pointer(&with(&["Chipset", "Uefi"], json!({}))), UEFI);
        let firmware = planned(&with(&["Chipset"], json!({"Uefi": {}}))).unwrap();
        assert!(matches!(firmware.boot, Boot::Firmware(_)));
        let state = |path: &str| with(&["GuestState"], json!({"GuestStateFilePath": path}));
        assert_eq!(pointer(&state("/s")), STATE);
        planned(&state("")).unwrap();
        assert_eq!(pointer(&with(&["ComputeTopology"], json!({}))), MEMORY);
        let memory = ["ComputeTopology", "Memory", "SizeInMB"];
        assert_eq!(pointer(&with(&memory, json!(MOST_MEMORY + 1))), MEMORY);
        let processor = |value: Value| with(&["ComputeTopology", "Processor"], value);
        assert_eq!(
            pointer(&processor(json!({"Count": 1000}))),
            format!("{PROCESSORS}/Count")
        );
        assert_eq!(
            pointer(&processor(json!({"Limit": 10_001}))),
            format!("{PROCESSORS}/Limit")
        );
        let line = |text: &str| {
            let boot = json!({"KernelFilePath": "/k", "KernelCmdLine": text});
            with(&["Chipset", "LinuxKernelDirect"], boot)
        };
        assert_eq!(pointer(&line(&"x".repeat(2048))), COMMAND_LINE);
        assert_eq!(pointer(&line("a\nb")), COMMAND_LINE);
        let ports = |value: Value| with(&["Devices"], json!({ "ComPorts": value }));
        assert_eq!(pointer(&ports(json!({"7": {}}))), format!("{COM_PORTS}/7"));
        assert_eq!(pointer(&ports(json!({"x": {}}))), format!("{COM_PORTS}/x"));
        let bad = json!({"0": {"NamedPipe": "relative"}});
        assert_eq!(pointer(&ports(bad)), format!("{COM_PORTS}/0/NamedPipe"));
        let same = json!({"0": {"NamedPipe": "/a"}, "1": {"NamedPipe": "/a"}});
        assert_eq!(pointer(&ports(same)), format!("{COM_PORTS}/1/NamedPipe"));
        assert_eq!(
            planned(&ports(json!({"0": {"NamedPipe": ""}})))
                .unwrap()
                .ports,
            []
        );
    }

    #[test]
    fn a_group_of_processors_is_named_by_its_id() {
        let path = ["ComputeTopology", "Processor"];
        let group = |value: Value| planned(&with(&path, value)).unwrap().processor_group;
        let id = "12345678-1234-1234-1234-123456789abc";
        assert_eq!(group(json!({"CpuGroup": {"Id": id}})).as_deref(), Some(id));
        assert_eq!(group(json!({"CpuGroup": {}})), None);
        assert_eq!(group(json!({})), None);
    }

    #[test]
    fn processor_time_is_a_part_of_the_machine_s_processors() {
        let machine = with(
            &["ComputeTopology", "Processor"],
            json!({"Count": 4, "Limit": 2500, "Weight": 200}),
        );
        let limits = planned(&machine).unwrap().limits;
        assert_eq!((limits.processor, limits.weight), (Some(1000), Some(200)));
    }

    #[test]
    fn words_for_hyper_v_do_not_reach_the_kernel_but_the_first_program() {
        let line = |text: &str| kernel_command_line(text).unwrap();
        assert_eq!(
            line("quiet pci=off initcall_blacklist=virtio_vsock_init a -- pci=off"),
            "quiet a -- pci=off"
        );
        assert_eq!(line(" two  spaces stay"), " two  spaces stay");
        assert_eq!(line("pci=offset"), "pci=offset");
    }

    #[test]
    fn there_are_places_for_cards_where_a_document_names_some() {
        let boot = json!({"LinuxKernelDirect": {"KernelFilePath": "/k"}});
        let ports = |members: &Value| {
            let mut machine =
                json!({"Chipset": boot, "ComputeTopology": {"Memory": {"SizeInMB": 64}}});
            let (to, from) = (
                machine.as_object_mut().unwrap(),
                members.as_object().unwrap(),
            );
            to.extend(from.clone());
            planned(&machine).map(|plan| plan.network_ports)
        };
        let adapters = |count: usize| {
            let adapters = (0..count).map(|number| (number.to_string(), json!({})));
            let adapters: serde_json::Map<_, _> = adapters.collect();
            json!({"Devices": {"NetworkAdapters": adapters}})
        };
        assert_eq!(ports(&json!({})).unwrap(), 0);
        assert_eq!(ports(&adapters(0)).unwrap(), LEAST_NETWORK_PORTS);
        assert_eq!(ports(&adapters(8)).unwrap(), 8);
        let refused = ports(&adapters(9)).unwrap_err();
        assert_eq!(refused.causes[0].pointer.as_deref(), Some(ADAPTERS));
        let own = json!({"Networking": {"Endpoints": [{}, {}, {}, {}, {}]}});
        assert_eq!(ports(&own).unwrap(), 5);
    }
}

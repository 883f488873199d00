//! [`Container`].

use std::collections::BTreeMap;

use crate::documents::{
    ContainerCredentialGuardState, ContainerHvSocket, ContainerMemory, ContainerProcessor,
    ContainersDefDevice, Device, GuestOs, MappedDevice, MappedDirectory, MappedPipe, Networking,
    ProcessDefaults, RegistryChanges, ResourceLimit, Signal, Storage, TemporaryDirectory,
};

document! {
    /// The settings from which a container is made.
    Container, checked by crate::rules::privileges::container {
        /// The operating system as the processes inside see it.
        guest_os: GuestOs = "GuestOs", 2.0;
        /// The file system: layers and scratch.
        storage: Storage = "Storage", 2.0;
        /// Directories of the host that appear inside. On Linux: bind mounts.
        mapped_directories: Vec<MappedDirectory> = "MappedDirectories", 2.0;
        /// Pipes of the host that appear inside. On Linux: unix sockets or FIFOs.
        mapped_pipes: Vec<MappedPipe> = "MappedPipes", 2.0;
        /// Devices of the host that appear inside (our extension).
        mapped_devices: Vec<MappedDevice> = "MappedDevices", "extension";
        /// The memory limit.
        memory: ContainerMemory = "Memory", 2.0;
        /// The processor limit or share.
        processor: ContainerProcessor = "Processor", 2.0;
        /// The network namespace and names.
        networking: Networking = "Networking", 2.0;
        /// Sockets between host and container by way of the hypervisor.
        hv_socket: ContainerHvSocket = "HvSocket", 2.0;
        /// Credentials of a Windows domain for the container.
        container_credential_guard: ContainerCredentialGuardState = "ContainerCredentialGuard", 2.1;
        /// Changes to the container's Windows registry.
        registry_changes: RegistryChanges = "RegistryChanges", 2.0;
        /// Devices of the host that the container may use directly.
        assigned_devices: Vec<Device> = "AssignedDevices", 2.1;
        /// Further Windows device interfaces to show inside.
        additional_device_namespace: ContainersDefDevice = "AdditionalDeviceNamespace", 2.3;
        /// Whether root inside is an unprivileged user of the host (our extension): a user namespace. Without it the
        /// service's configuration decides.
        user_namespace: bool = "UserNamespace", "extension";
        /// Whether the container gets a user namespace where everything that the document names can be had with one
        /// (our extension): the file systems shift owners; owners are among the first 65536 ids; the network namespace
        /// and the scratch are its own, and no capability is added that acts on the host only.
        /// `ShiftOwners` is then set for each mapped directory that does not say otherwise, so files are those that a
        /// container without a user namespace has. Otherwise it gets none; where all ids are taken it is refused.
        /// Without effect where `UserNamespace` or the
        /// service's configuration says what it gets.
        prefer_user_namespace: bool = "PreferUserNamespace", "extension";
        /// Capabilities that processes inside have beside the usual ones (our extension): names as in
        /// `capabilities(7)`, or `ALL`. No process can have one that is neither usual nor named here.
        add_capabilities: Vec<String> = "AddCapabilities", "extension";
        /// Usual capabilities that processes inside have not, unless they name them (our extension).
        drop_capabilities: Vec<String> = "DropCapabilities", "extension";
        /// Whether no program gives its process more rights, set-user-ID programs such as `sudo` among them (our
        /// extension). They do not, unless this is `false`.
        no_new_privileges: bool = "NoNewPrivileges", "extension";
        /// Limits on the resources of each single process inside (our extension).
        resource_limits: Vec<ResourceLimit> = "ResourceLimits", "extension";
        /// The most processes and threads inside, the container's first one among them (our extension). Without it, or
        /// with 0, the service's configuration says how many.
        process_limit: u64 = "ProcessLimit", "extension";
        /// Directories in memory (our extension).
        temporary_directories: Vec<TemporaryDirectory> = "TemporaryDirectories", "extension";
        /// Absolute paths of directories that are mounts of their own (our extension). Each begins with what the layers
        /// have there and goes with the container. It can be written to also where the root cannot.
        volumes: Vec<String> = "Volumes", "extension";
        /// The most that shared memory (`/dev/shm`) holds, in megabytes (our extension); 64 without it.
        shared_memory_in_mb: u64 = "SharedMemoryInMB", "extension";
        /// What processes inside get where their own documents say nothing of it (our extension).
        process_defaults: ProcessDefaults = "ProcessDefaults", "extension";
        /// The signal by which `HcsShutDownComputeSystem` asks the processes inside to end (our extension); `SIGTERM`
        /// without it. `SIGCONT` follows it, so that a stopped process hears it.
        stop_signal: Signal = "StopSignal", "extension";
        /// What clients note of the container, for people and for programs that look for containers by it (our
        /// extension): names with texts. Those of its image are in `Storage.Image`, and hold where none here has the
        /// name.
        labels: BTreeMap<String, String> = "Labels", "extension";
    }
}

//! The commands in use, each with the type of its return.

use std::os::fd::BorrowedFd;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::storage::{GROUP, StorageLimits};

/// A command.
pub(crate) trait Command {
    /// Its name.
    const NAME: &'static str;
    /// What it answers.
    type Return: DeserializeOwned;

    /// What it is told.
    fn arguments(&self) -> Option<Value> {
        None
    }

    /// The descriptor that goes with it.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The answer of a command that answers nothing: an empty object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Nothing {}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $wire:literal -> $return:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name;

            impl Command for $name {
                const NAME: &'static str = $wire;
                type Return = $return;
            }
        )*
    };
}

commands! {
    /// Ends the negotiation; no other command is allowed before.
    QmpCapabilities = "qmp_capabilities" -> Nothing;
    /// Lets the processors run.
    Cont = "cont" -> Nothing;
    /// Stops the processors.
    Stop = "stop" -> Nothing;
    /// Presses the power button.
    SystemPowerdown = "system_powerdown" -> Nothing;
    /// Interrupts each processor in a way that it cannot mask.
    InjectNmi = "inject-nmi" -> Nothing;
    /// Ends QEMU.
    Quit = "quit" -> Nothing;
    /// Asks whether the processors run.
    QueryStatus = "query-status" -> Status;
    /// Asks which files QEMU was given and has not closed.
    QueryFdsets = "query-fdsets" -> Vec<FdSet>;
}

/// Whether the processors run, and the state of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Status {
    /// Whether they run.
    pub(crate) running: bool,
    /// `prelaunch` before the first run, then `running`, `paused`, `shutdown`, `guest-panicked` and others.
    pub(crate) status: String,
}

/// Files that QEMU has under one number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FdSet {
    /// The number.
    pub(crate) fdset_id: u32,
    /// The files.
    pub(crate) fds: Vec<Added>,
}

/// Asks for all images and files that QEMU has opened for disks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryNamedBlockNodes;

/// An image, or a file of one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct BlockNode {
    /// Its name. That of one that was not asked for begins with `#`.
    pub(crate) node_name: Option<String>,
    /// What it opened.
    pub(crate) file: String,
}

impl Command for QueryNamedBlockNodes {
    const NAME: &'static str = "query-named-block-nodes";
    type Return = Vec<BlockNode>;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "flat": true }))
    }
}

/// Gives the disks that share the group other limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetLimits(pub(crate) StorageLimits);

impl Command for SetLimits {
    const NAME: &'static str = "qom-set";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        let path = format!("/objects/{GROUP}");
        Some(json!({ "path": path, "property": "limits", "value": self.0.value() }))
    }
}

/// Changes a property of an object.
#[derive(Clone, Debug)]
pub(crate) struct QomSet {
    /// The object.
    pub(crate) path: String,
    /// The property.
    pub(crate) property: &'static str,
    /// Its value.
    pub(crate) value: Value,
}

impl Command for QomSet {
    const NAME: &'static str = "qom-set";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "path": self.path, "property": self.property, "value": self.value }))
    }
}

/// Asks for a property of an object.
#[derive(Clone, Debug)]
pub(crate) struct QomGet {
    /// The object.
    pub(crate) path: String,
    /// The property.
    pub(crate) property: &'static str,
}

impl Command for QomGet {
    const NAME: &'static str = "qom-get";
    type Return = Value;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "path": self.path, "property": self.property }))
    }
}

/// Gives QEMU a file, by the number of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddFd<'a> {
    /// The number.
    pub(crate) set: u32,
    /// The file.
    pub(crate) file: BorrowedFd<'a>,
}

/// The answer to [`AddFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Added {
    /// QEMU's own number for the file.
    pub(crate) fd: i64,
}

impl Command for AddFd<'_> {
    const NAME: &'static str = "add-fd";
    type Return = Added;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "fdset-id": self.set }))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file)
    }
}

/// Takes a file from QEMU, or all of the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RemoveFd {
    /// The number of the set.
    pub(crate) set: u32,
    /// QEMU's own number for the file.
    pub(crate) fd: Option<i64>,
}

impl Command for RemoveFd {
    const NAME: &'static str = "remove-fd";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        Some(match self.fd {
            Some(fd) => json!({ "fdset-id": self.set, "fd": fd }),
            None => json!({ "fdset-id": self.set }),
        })
    }
}

/// Gives QEMU a descriptor, by a name.
#[derive(Clone, Debug)]
pub(crate) struct GetFd<'a> {
    /// The name.
    pub(crate) name: String,
    /// The descriptor.
    pub(crate) descriptor: BorrowedFd<'a>,
}

impl Command for GetFd<'_> {
    const NAME: &'static str = "getfd";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "fdname": self.name }))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.descriptor)
    }
}

/// Has QEMU write a picture of the screen into a file of a set, in the format PNG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScreenDump {
    /// The number of the set.
    pub(crate) set: u32,
}

impl Command for ScreenDump {
    const NAME: &'static str = "screendump";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        Some(json!({ "filename": format!("/dev/fdset/{}", self.set), "format": "png" }))
    }
}

/// Has the memory of the guest written to the descriptor of this name, as an ELF core. QEMU answers at once, tells the
/// end by an event, and closes the descriptor before.
#[derive(Clone, Debug)]
pub(crate) struct DumpGuestMemory(pub(crate) String);

impl Command for DumpGuestMemory {
    const NAME: &'static str = "dump-guest-memory";
    type Return = Nothing;

    fn arguments(&self) -> Option<Value> {
        let target = format!("fd:{}", self.0);
        Some(json!({ "paging": false, "protocol": target, "detach": true, "format": "elf" }))
    }
}

macro_rules! commands_with {
    ($($(#[$doc:meta])* $name:ident = $wire:literal, $arguments:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug)]
            pub(crate) struct $name(pub(crate) Value);

            impl Command for $name {
                const NAME: &'static str = $wire;
                type Return = Nothing;

                fn arguments(&self) -> Option<Value> {
                    let wrap: fn(&Value) -> Value = $arguments;
                    Some(wrap(&self.0))
                }
            }
        )*
    };
}

commands_with! {
    /// Opens an image.
    BlockdevAdd = "blockdev-add", Value::clone;
    /// Closes the image of this name.
    BlockdevDel = "blockdev-del", |name| json!({ "node-name": name });
    /// Closes the descriptor of this name.
    CloseFd = "closefd", |name| json!({ "fdname": name });
    /// Connects the host's end of a card.
    NetdevAdd = "netdev_add", Value::clone;
    /// Takes the host's end of a card away.
    NetdevDel = "netdev_del", |name| json!({ "id": name });
    /// Makes an object.
    ObjectAdd = "object-add", Value::clone;
    /// Removes the object of this name.
    ObjectDel = "object-del", |name| json!({ "id": name });
    /// Plugs a device in.
    DeviceAdd = "device_add", Value::clone;
    /// Has the device of this name unplugged, which an event tells.
    DeviceDel = "device_del", |name| json!({ "id": name });
}

//! Virtio serial ports of a machine: `Devices/VirtioSerial` of its document. The guest finds them by their names.

use hcs_schema::documents::{VirtioSerialPort, VirtualMachine};
use serde::{Deserialize, Serialize};

use crate::{disk::Wrong, pipe::PipeName};

/// JSON pointer of the ports.
const PORTS: &str = "/VirtualMachine/Devices/VirtioSerial/Ports";

/// Ports of the device, from 0. QEMU keeps one more for itself.
pub(crate) const MOST_PORTS: u8 = 30;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// A port as QEMU has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VirtioPort {
    /// Its number, from 0.
    pub(crate) number: u8,
    /// The name that the guest sees.
    pub(crate) name: String,
    /// Whether the guest has it as a console, `hvc0` for the first one.
    pub(crate) is_console: bool,
}

/// A port with its host's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PipedPort {
    /// The port.
    pub(crate) port: VirtioPort,
    /// The host's end.
    pub(crate) pipe: PipeName,
    /// JSON pointer of the property that names the pipe.
    pub(crate) pointer: String,
}

/// The ports that `machine` has; `None` where it has no such device.
///
/// # Errors
/// A value is wrong.
pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Vec<PipedPort>>, Wrong> {
    let devices = machine.devices.as_ref();
    let Some(asked) = devices.and_then(|devices| devices.virtio_serial.as_ref()) else {
        return Ok(None);
    };
    let mut ports: Vec<PipedPort> = Vec::new();
    for (key, asked) in asked.ports.iter().flatten() {
        let at = format!("{PORTS}/{key}");
        let Some(port) = read(key, asked, &at)? else {
            continue;
        };
        let same = |other: &PipedPort| {
            let names = (&other.port.name, &port.port.name);
            other.port.number == port.port.number
                || other.pipe == port.pipe
                || names.0 == names.1 && !names.0.is_empty()
        };
        if ports.iter().any(same) {
            let message = "another port of the document has the same number, name or pipe";
            return Err((at, message.to_owned()));
        }
        ports.push(port);
    }
    // The guest finds consoles in this order.
    ports.sort_by_key(|port| port.port.number);
    Ok(Some(ports))
}

/// One port; none where nothing is plugged in.
fn read(key: &str, asked: &VirtioSerialPort, at: &str) -> Result<Option<PipedPort>, Wrong> {
    let number = key.parse().ok().filter(|number| *number < MOST_PORTS);
    let number = number.ok_or_else(|| {
        let message = format!("{key:?} is no port; \"0\" to \"{}\" are", MOST_PORTS - 1);
        (at.to_owned(), message)
    })?;
    let name = asked.name.clone().unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
        let message = format!(
            "the name {name:?} cannot be that of a port: at most {LONGEST_NAME} visible characters of ASCII are possible, no \"/\""
        );
        return Err((format!("{at}/Name"), message));
    }
    let pointer = format!("{at}/NamedPipe");
    let Some(pipe) = asked.named_pipe.as_ref().filter(|pipe| !pipe.is_empty()) else {
        return Ok(None);
    };
    let pipe = PipeName::parse(pipe).map_err(|why| (pointer.clone(), why))?;
    Ok(Some(PipedPort {
        port: VirtioPort {
            number,
            name,
            is_console: asked.console_support == Some(true),
        },
        pipe,
        pointer,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ports(ports: &Value) -> Result<Vec<PipedPort>, Wrong> {
        let machine = json!({"Devices": {"VirtioSerial": {"Ports": ports}}}).to_string();
        let machine: VirtualMachine = hcs_schema::parse(&machine).unwrap();
        of_machine(&machine).map(Option::unwrap)
    }

    #[test]
    fn ports_are_in_order_and_those_without_a_pipe_are_none() {
        let found = ports(&json!({
            "10": {"NamedPipe": "/b", "Name": "b"},
            "2": {"NamedPipe": "/a", "ConsoleSupport": true},
            "3": {"Name": "c"},
        }));
        let found = found.unwrap();
        let numbers: Vec<_> = found.iter().map(|port| port.port.number).collect();
        assert_eq!(numbers, [2, 10]);
        assert!(found[0].port.is_console && found[1].port.name == "b");
        assert!(ports(&json!({})).unwrap().is_empty());
        let machine: VirtualMachine = hcs_schema::parse("{}").unwrap();
        assert_eq!(of_machine(&machine).unwrap(), None);
    }

    #[test]
    fn what_is_wrong_is_told_by_pointer() {
        let pointer = |asked: Value| ports(&asked).unwrap_err().0;
        for name in ["30", "x", ""] {
            let at = format!("{PORTS}/{name}");
            assert_eq!(pointer(json!({name: {"NamedPipe": "/a"}})), at);
        }
        for name in ["a/b", "a b", &"x".repeat(65)] {
            let asked = json!({"0": {"NamedPipe": "/a", "Name": name}});
            assert_eq!(pointer(asked), format!("{PORTS}/0/Name"));
        }
        let asked = json!({"0": {"NamedPipe": "relative"}});
        assert_eq!(pointer(asked), format!("{PORTS}/0/NamedPipe"));
        for other in [
            json!({"NamedPipe": "/a"}),
            json!({"NamedPipe": "/b", "Name": "n"}),
        ] {
            let asked = json!({"0": {"NamedPipe": "/a", "Name": "n"}, "1": other});
            assert_eq!(pointer(asked), format!("{PORTS}/1"));
        }
    }
}

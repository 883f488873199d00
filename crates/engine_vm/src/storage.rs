//! Limits on the input and output of all disks of a machine: `StorageQoS` of its document.
//!
//! The disks share one throttle group of QEMU. Other limits hold for requests that come from then on: those that wait
//! already are let go, by a short pause of the machine. A document that names no limits has none for good: a node that
//! limits stands between each disk and its image from the start.

use hcs_schema::documents::{StorageQoS, VirtualMachine};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::disk::Wrong;

/// JSON pointer of the limits.
const POINTER: &str = "/VirtualMachine/StorageQoS";

/// The name of the group in QEMU.
pub(crate) const GROUP: &str = "storage";

/// The most that QEMU takes for a limit.
const MOST: u64 = 1_000_000_000_000_000;

/// Bytes of an operation that counts as one; a longer one counts as several, as HCS has it.
const OPERATION: u64 = 8 << 10;

/// Limits; zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StorageLimits {
    /// Operations in a second.
    pub(crate) operations: u64,
    /// Bytes in a second.
    pub(crate) bytes: u64,
}

impl StorageLimits {
    /// The limits that a machine begins with; `None` where it can have none.
    ///
    /// # Errors
    /// A value is wrong.
    pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Self>, Wrong> {
        let asked = machine.storage_qos.as_ref();
        let read = |asked| Self::read(asked).map_err(|(at, why)| (format!("{POINTER}{at}"), why));
        asked.map(read).transpose()
    }

    /// Reads limits.
    ///
    /// # Errors
    /// A value is wrong; its pointer within them, and the reason.
    pub(crate) fn read(asked: &StorageQoS) -> Result<Self, Wrong> {
        let limit = |value: Option<u64>, name: &str| match value.unwrap_or_default() {
            value if value > MOST => {
                let message =
                    format!("{value} is too much; at most {MOST} is possible, and 0 is no limit");
                Err((format!("/{name}"), message))
            }
            value => Ok(value),
        };
        Ok(Self {
            operations: limit(asked.iops_maximum, "IopsMaximum")?,
            bytes: limit(asked.bandwidth_maximum, "BandwidthMaximum")?,
        })
    }

    /// As QEMU takes them.
    pub(crate) fn value(self) -> Value {
        let size = if self.operations == 0 { 0 } else { OPERATION };
        json!({ "iops-total": self.operations, "iops-size": size, "bps-total": self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_those_that_qemu_refuses_are_told_by_pointer() {
        let read = |text: &str| {
            let machine: VirtualMachine = hcs_schema::parse(text).unwrap();
            StorageLimits::of_machine(&machine)
        };
        assert_eq!(read("{}").unwrap(), None);
        let none = read(r#"{"StorageQoS": {}}"#).unwrap().unwrap();
        assert_eq!(
            none.value(),
            json!({"iops-total": 0, "iops-size": 0, "bps-total": 0})
        );
        let some = read(r#"{"StorageQoS": {"IopsMaximum": 10, "BandwidthMaximum": 4096}}"#);
        let expected = json!({"iops-total": 10, "iops-size": 8192, "bps-total": 4096});
        assert_eq!(some.unwrap().unwrap().value(), expected);
        for name in ["IopsMaximum", "BandwidthMaximum"] {
            let text = format!(r#"{{"StorageQoS": {{"{name}": {}}}}}"#, MOST + 1);
            assert_eq!(read(&text).unwrap_err().0, format!("{POINTER}/{name}"));
        }
    }
}

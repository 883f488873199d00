//! The screen of a machine: `Devices/VideoMonitor` of its document.

use hcs_schema::documents::VirtualMachine;
use serde::{Deserialize, Serialize};

use crate::disk::Wrong;

/// JSON pointer of it.
const MONITOR: &str = "/VirtualMachine/Devices/VideoMonitor";

/// The size of a screen of which nothing is said, in pixels.
const USUAL: (u16, u16) = (1024, 768);
/// The least and the most pixels of a side.
const SIDES: std::ops::RangeInclusive<u16> = 320..=4096;
/// Bytes of a pixel.
const PIXEL: u64 = 4;
/// The least memory of a screen, in megabytes: guests may choose other sizes than that of the document.
const LEAST_MEMORY: u64 = 16;

/// A screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Screen {
    /// Pixels of a line, as the screen offers them to the guest.
    pub(crate) width: u16,
    /// Lines.
    pub(crate) height: u16,
}

impl Screen {
    /// The screen that `machine` has.
    ///
    /// # Errors
    /// A value is wrong.
    pub(crate) fn of_machine(machine: &VirtualMachine) -> Result<Option<Self>, Wrong> {
        let devices = machine.devices.as_ref();
        let Some(monitor) = devices.and_then(|devices| devices.video_monitor.as_ref()) else {
            return Ok(None);
        };
        let side = |asked: Option<u16>, usual: u16, name: &str| match asked.unwrap_or_default() {
            0 => Ok(usual),
            side if SIDES.contains(&side) => Ok(side),
            side => {
                let (least, most) = (SIDES.start(), SIDES.end());
                let message = format!("{side} pixels are not possible; {least} to {most} are");
                Err((format!("{MONITOR}/{name}"), message))
            }
        };
        Ok(Some(Self {
            width: side(
                monitor.horizontal_resolution,
                USUAL.0,
                "HorizontalResolution",
            )?,
            height: side(monitor.vertical_resolution, USUAL.1, "VerticalResolution")?,
        }))
    }

    /// Its memory, in megabytes.
    pub(crate) fn memory_mb(self) -> u64 {
        let bytes = u64::from(self.width) * u64::from(self.height) * PIXEL;
        bytes
            .div_ceil(1 << 20)
            .next_power_of_two()
            .max(LEAST_MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn screen(monitor: &Value) -> Result<Option<Screen>, Wrong> {
        let machine = json!({"Devices": {"VideoMonitor": monitor}});
        Screen::of_machine(&hcs_schema::parse(&machine.to_string()).unwrap())
    }

    #[test]
    fn a_screen_has_the_size_that_is_asked_for_within_limits() {
        let usual = screen(&json!({})).unwrap().unwrap();
        assert_eq!(
            (usual.width, usual.height, usual.memory_mb()),
            (1024, 768, 16)
        );
        let large = json!({"HorizontalResolution": 3840, "VerticalResolution": 2160});
        let large = screen(&large).unwrap().unwrap();
        assert_eq!(
            (large.width, large.height, large.memory_mb()),
            (3840, 2160, 32)
        );
        let (pointer, why) = screen(&json!({"VerticalResolution": 5000})).unwrap_err();
        assert_eq!(pointer, format!("{MONITOR}/VerticalResolution"));
        assert!(why.contains("4096"), "{why}");
        let none: VirtualMachine = hcs_schema::parse("{}").unwrap();
        assert_eq!(Screen::of_machine(&none), Ok(None));
    }
}

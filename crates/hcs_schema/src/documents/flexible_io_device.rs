//! [`FlexibleIoDevice`].

use crate::{documents::FlexibleIoDeviceHostingModel, shape::format::Guid};

document! {
    /// A virtual device that another program emulates.
    FlexibleIoDevice {
        /// Which emulator.
        emulator_id: String as Guid = "EmulatorId", 2.1;
        /// Where the emulator runs.
        hosting_model: FlexibleIoDeviceHostingModel = "HostingModel", 2.1;
        /// Settings for the emulator.
        configuration: Vec<String> = "Configuration", 2.1;
    }
}

//! [`GpuConfiguration`], [`GpuAssignmentMode`].

use std::collections::BTreeMap;

document! {
    /// Which graphics processors a virtual machine gets.
    GpuConfiguration {
        /// How they are chosen.
        assignment_mode: GpuAssignmentMode = "AssignmentMode", 2.0;
        /// For `List`: partitions by the device's name.
        assignment_request: BTreeMap<String, u16> = "AssignmentRequest", 2.0;
        /// Whether the vendor's own extension is allowed.
        allow_vendor_extension: bool = "AllowVendorExtension", 2.0;
        /// Whether old drawing calls are not accelerated.
        disable_gdi_acceleration: bool = "DisableGdiAcceleration", 2.7;
        /// Whether the guest cannot show pictures by it.
        disable_presentation: bool = "DisablePresentation", 2.7;
    }
}

schema_enum! {
    /// How graphics processors are chosen.
    GpuAssignmentMode {
        /// None.
        Disabled = "Disabled", 2.0;
        /// The host's default one.
        Default = "Default", 2.0;
        /// Those that are listed.
        List = "List", 2.0;
        /// All of the host's.
        Mirror = "Mirror", 2.0;
    }
}

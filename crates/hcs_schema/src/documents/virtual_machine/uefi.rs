//! [`Uefi`], [`ApplySecureBootTemplateType`], [`SerialConsole`].

use crate::{documents::UefiBootEntry, shape::format::Guid};

document! {
    /// Boot by firmware.
    Uefi {
        /// Whether the firmware's debugger listens.
        enable_debugger: bool = "EnableDebugger", 2.0;
        /// The keys to check signatures with.
        secure_boot_template_id: String as Guid = "SecureBootTemplateId", 2.0;
        /// Whether those keys are installed.
        apply_secure_boot_template: ApplySecureBootTemplateType = "ApplySecureBootTemplate", 2.3;
        /// The entry to boot.
        boot_this: UefiBootEntry = "BootThis", 2.0;
        /// Where the firmware writes.
        console: SerialConsole = "Console", 2.0;
        /// Whether the machine stops when nothing boots.
        stop_on_boot_failure: bool = "StopOnBootFailure", 2.2;
    }
}

schema_enum! {
    /// Whether secure boot keys are installed.
    ApplySecureBootTemplateType {
        /// They are not.
        Skip = "Skip", 2.3;
        /// They are.
        Apply = "Apply", 2.3;
    }
}

schema_enum! {
    /// Where firmware writes.
    SerialConsole {
        /// Where it likes.
        Default = "Default", 2.0;
        /// Nowhere.
        Disabled = "Disabled", 2.0;
        /// The first serial port.
        ComPort1 = "ComPort1", 2.0;
        /// The second serial port.
        ComPort2 = "ComPort2", 2.0;
    }
}

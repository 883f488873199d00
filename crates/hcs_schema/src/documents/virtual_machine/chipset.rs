//! [`Chipset`].

use crate::documents::{FirmwareFile, LinuxKernelDirect, Uefi};

document! {
    /// How a virtual machine boots, and the data about its board.
    Chipset {
        /// Boot by firmware.
        uefi: Uefi = "Uefi", 2.0;
        /// Whether NumLock is off at boot.
        is_num_lock_disabled: bool = "IsNumLockDisabled", 2.0;
        /// Serial number of the board.
        base_board_serial_number: String = "BaseBoardSerialNumber", 2.0;
        /// Serial number of the case.
        chassis_serial_number: String = "ChassisSerialNumber", 2.0;
        /// Asset tag of the case.
        chassis_asset_tag: String = "ChassisAssetTag", 2.0;
        /// Whether the guest may hibernate.
        enable_hibernation: bool = "EnableHibernation", 2.5;
        /// Whether the clock of the board runs in UTC.
        use_utc: bool = "UseUtc", 2.1;
        /// Boot of a Linux kernel without firmware.
        linux_kernel_direct: LinuxKernelDirect = "LinuxKernelDirect", 2.2;
        /// Firmware of the client's own.
        firmware_file: FirmwareFile = "FirmwareFile", 2.7;
    }
}

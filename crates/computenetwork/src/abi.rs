//! The types of `ComputeNetwork.h`, as C lays them out. Enumerations are plain `i32` because C may pass any number.

use std::ffi::c_void;

use c_border::types::{HRESULT, PCWSTR};

/// `GUID`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GUID {
    /// The first eight digits.
    pub(crate) Data1: u32,
    /// The next four.
    pub(crate) Data2: u16,
    /// The next four.
    pub(crate) Data3: u16,
    /// The last sixteen.
    pub(crate) Data4: [u8; 8],
}

/// `HCN_NOTIFICATION_CALLBACK`.
pub(crate) type HCN_NOTIFICATION_CALLBACK =
    Option<unsafe extern "C" fn(u32, *mut c_void, HRESULT, PCWSTR)>;

/// `HCN_PORT_RANGE_RESERVATION`: both ends belong to the range.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct HCN_PORT_RANGE_RESERVATION {
    /// The first port.
    pub(crate) startingPort: u16,
    /// The last port.
    pub(crate) endingPort: u16,
}

/// `HCN_PORT_RANGE_ENTRY`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct HCN_PORT_RANGE_ENTRY {
    /// The partition that owns it.
    pub(crate) OwningPartitionId: GUID,
    /// The partition that it is for.
    pub(crate) TargetPartitionId: GUID,
    /// `HCN_PORT_PROTOCOL`.
    pub(crate) Protocol: i32,
    /// Which of several counts.
    pub(crate) Priority: u64,
    /// What kind of reservation it is.
    pub(crate) ReservationType: u32,
    /// Which others may use it.
    pub(crate) SharingFlags: u32,
    /// How packets are delivered.
    pub(crate) DeliveryMode: u32,
    /// The first port.
    pub(crate) StartingPort: u16,
    /// The last port.
    pub(crate) EndingPort: u16,
}

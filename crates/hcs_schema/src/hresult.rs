//! HRESULT values: the results of all HCS and HCN functions.
//!
//! Values are those of the HCS reference (`Reference/HCSHResult.md`) and of `winerror.h`. Messages are ours: short,
//! lower case, without a full stop, so that they read well inside a longer sentence.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A COM result code: negative means failure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HResult(pub i32);

/// Win32 codes that HCS wraps into HRESULTs (`HRESULT_FROM_WIN32`).
pub mod win32 {
    /// The file or path does not exist.
    pub const ERROR_FILE_NOT_FOUND: u16 = 2;
    /// The caller lacks a right.
    pub const ERROR_ACCESS_DENIED: u16 = 5;
    /// The host cannot do what was asked.
    pub const ERROR_NOT_SUPPORTED: u16 = 50;
    /// A limit on resources was reached.
    pub const ERROR_NO_SYSTEM_RESOURCES: u16 = 1450;
    /// The thing is in use.
    pub const ERROR_BUSY: u16 = 170;
    /// The thing already exists.
    pub const ERROR_ALREADY_EXISTS: u16 = 183;
    /// The file is no program that this machine can run.
    pub const ERROR_BAD_EXE_FORMAT: u16 = 193;
    /// The element was not found; HCS answers this for a process that is gone.
    pub const ERROR_NOT_FOUND: u16 = 1168;
    /// The requested entry was dropped from a log.
    pub const ERROR_JOURNAL_ENTRY_DELETED: u16 = 1181;
    /// The operation was cancelled.
    pub const ERROR_CANCELLED: u16 = 1223;
    /// A string is not valid Unicode.
    pub const ERROR_NO_UNICODE_TRANSLATION: u16 = 1113;
    /// Time ran out outside an HCS operation.
    pub const ERROR_TIMEOUT: u16 = 1460;
}

macro_rules! hresults {
    ($($name:ident = $value:literal, $message:literal;)*) => {
        impl HResult {
            $(
                #[doc = concat!("`", stringify!($name), "` (", stringify!($value), "): ", $message, ".")]
                pub const $name: Self = Self(i32::from_be_bytes(u32::to_be_bytes($value)));
            )*

            /// The symbolic name, where this project knows one.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            fn known_message(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($message),)*
                    _ => None,
                }
            }
        }
    };
}

hresults! {
    S_OK = 0x0000_0000, "success";
    S_FALSE = 0x0000_0001, "success, with nothing done";
    E_NOTIMPL = 0x8000_4001, "this function is not implemented";
    E_POINTER = 0x8000_4003, "a pointer that must not be NULL was NULL";
    E_ABORT = 0x8000_4004, "the call was aborted";
    E_FAIL = 0x8000_4005, "the call failed";
    E_UNEXPECTED = 0x8000_FFFF, "an internal error occurred";
    E_ACCESSDENIED = 0x8007_0005, "access is denied";
    E_HANDLE = 0x8007_0006, "the handle is not valid";
    E_OUTOFMEMORY = 0x8007_000E, "there is not enough memory";
    E_INVALIDARG = 0x8007_0057, "an argument is not valid";
    HCS_E_TERMINATED_DURING_START = 0x8037_0100, "the compute system ended while it was starting";
    HCS_E_IMAGE_MISMATCH = 0x8037_0101, "the image was made for another operating system than the host runs";
    HCS_E_HYPERV_NOT_INSTALLED = 0x8037_0102, "the virtual machine monitor this needs is not installed";
    HCS_E_INVALID_STATE = 0x8037_0105, "the compute system is in a state that does not allow this call";
    HCS_E_UNEXPECTED_EXIT = 0x8037_0106, "the compute system ended unexpectedly";
    HCS_E_TERMINATED = 0x8037_0107, "the compute system was terminated";
    HCS_E_CONNECT_FAILED = 0x8037_0108, "no connection to the compute system could be made";
    HCS_E_CONNECTION_TIMEOUT = 0x8037_0109, "the compute system did not answer in time";
    HCS_E_CONNECTION_CLOSED = 0x8037_010A, "the connection to the compute system was closed";
    HCS_E_UNKNOWN_MESSAGE = 0x8037_010B, "a message of an unknown kind was received";
    HCS_E_UNSUPPORTED_PROTOCOL_VERSION = 0x8037_010C, "the two sides share no protocol version";
    HCS_E_INVALID_JSON = 0x8037_010D, "the JSON document is invalid";
    HCS_E_SYSTEM_NOT_FOUND = 0x8037_010E, "no compute system has this id";
    HCS_E_SYSTEM_ALREADY_EXISTS = 0x8037_010F, "a compute system with this id already exists";
    HCS_E_SYSTEM_ALREADY_STOPPED = 0x8037_0110, "the compute system has already stopped";
    HCS_E_PROTOCOL_ERROR = 0x8037_0111, "the peer broke the communication protocol";
    HCS_E_INVALID_LAYER = 0x8037_0112, "a storage layer has a format that is not recognised";
    HCS_E_WINDOWS_INSIDER_REQUIRED = 0x8037_0113, "the image needs a preview release of the host";
    HCS_E_SERVICE_NOT_AVAILABLE = 0x8037_0114, "the host compute service is not available";
    HCS_E_OPERATION_NOT_STARTED = 0x8037_0115, "the operation has not been started";
    HCS_E_OPERATION_ALREADY_STARTED = 0x8037_0116, "the operation is already tracking a call";
    HCS_E_OPERATION_PENDING = 0x8037_0117, "the operation has not completed yet";
    HCS_E_OPERATION_TIMEOUT = 0x8037_0118, "the operation did not complete within the time limit";
    HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET = 0x8037_0119, "an event callback already takes the completions of this handle";
    HCS_E_OPERATION_RESULT_ALLOCATION_FAILED = 0x8037_011A, "there was not enough memory for the result document";
    HCS_E_ACCESS_DENIED = 0x8037_011B, "the caller may not use the host compute service";
    HCS_E_GUEST_CRITICAL_ERROR = 0x8037_011C, "the guest reported a critical error";
    HCS_E_PROCESS_INFO_NOT_AVAILABLE = 0x8037_011D, "the process information is not available";
    HCS_E_SERVICE_DISCONNECT = 0x8037_011E, "the host compute service went away";
    HCS_E_PROCESS_ALREADY_STOPPED = 0x8037_011F, "the process has already exited";
    HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION = 0x8037_0120, "the compute system was not set up for this call";
    HCS_E_OPERATION_ALREADY_CANCELLED = 0x8037_0121, "the operation was cancelled before";
    HCN_E_NETWORK_NOT_FOUND = 0x803B_0001, "no network has this id";
    HCN_E_ENDPOINT_NOT_FOUND = 0x803B_0002, "no endpoint has this id";
    HCN_E_LAYER_NOT_FOUND = 0x803B_0003, "the layer of the network stack was not found";
    HCN_E_SWITCH_NOT_FOUND = 0x803B_0004, "the switch was not found";
    HCN_E_SUBNET_NOT_FOUND = 0x803B_0005, "the network has no such subnet";
    HCN_E_ADAPTER_NOT_FOUND = 0x803B_0006, "the network adapter was not found";
    HCN_E_PORT_NOT_FOUND = 0x803B_0007, "the port was not found";
    HCN_E_POLICY_NOT_FOUND = 0x803B_0008, "there is no such policy";
    HCN_E_VFP_PORTSETTING_NOT_FOUND = 0x803B_0009, "the port has no such setting";
    HCN_E_INVALID_NETWORK = 0x803B_000A, "the network is not valid";
    HCN_E_INVALID_NETWORK_TYPE = 0x803B_000B, "the type of the network does not allow this";
    HCN_E_INVALID_ENDPOINT = 0x803B_000C, "the endpoint is not valid";
    HCN_E_INVALID_POLICY = 0x803B_000D, "the policy is not valid";
    HCN_E_INVALID_POLICY_TYPE = 0x803B_000E, "the type of the policy is not valid here";
    HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION = 0x803B_000F, "a remote endpoint does not allow this";
    HCN_E_NETWORK_ALREADY_EXISTS = 0x803B_0010, "a network with this id or name already exists";
    HCN_E_LAYER_ALREADY_EXISTS = 0x803B_0011, "the layer of the network stack already exists";
    HCN_E_POLICY_ALREADY_EXISTS = 0x803B_0012, "the policy already exists";
    HCN_E_PORT_ALREADY_EXISTS = 0x803B_0013, "the port is already in use";
    HCN_E_ENDPOINT_ALREADY_ATTACHED = 0x803B_0014, "the endpoint is already attached";
    HCN_E_REQUEST_UNSUPPORTED = 0x803B_0015, "the request is not supported";
    HCN_E_MAPPING_NOT_SUPPORTED = 0x803B_0016, "the network cannot map ports";
    HCN_E_DEGRADED_OPERATION = 0x803B_0017, "the operation had less effect than asked for";
    HCN_E_SHARED_SWITCH_MODIFICATION = 0x803B_0018, "a shared switch cannot be changed";
    HCN_E_GUID_CONVERSION_FAILURE = 0x803B_0019, "a GUID cannot be read";
    HCN_E_REGKEY_FAILURE = 0x803B_001A, "a stored setting cannot be read or written";
    HCN_E_INVALID_JSON = 0x803B_001B, "the JSON document is invalid";
    HCN_E_INVALID_JSON_REFERENCE = 0x803B_001C, "the JSON document refers to what does not exist";
    HCN_E_ENDPOINT_SHARING_DISABLED = 0x803B_001D, "the endpoint cannot be shared";
    HCN_E_INVALID_IP = 0x803B_001E, "an IP address is not valid";
    HCN_E_SWITCH_EXTENSION_NOT_FOUND = 0x803B_001F, "the switch extension was not found";
    HCN_E_MANAGER_STOPPED = 0x803B_0020, "the network service is stopping";
    HCN_E_MODULE_NOT_FOUND = 0x803B_0021, "the module of the guest was not found";
    HCN_E_NO_REQUEST_HANDLERS = 0x803B_0022, "the guest has no handler for the request";
    HCN_E_GUEST_REQUEST_UNSUPPORTED = 0x803B_0023, "the guest does not support the request";
    HCN_E_RUNTIMEKEYS_FAILED = 0x803B_0024, "the keys of the guest failed";
    HCN_E_NETADAPTER_TIMEOUT = 0x803B_0025, "the network adapter of the guest did not appear in time";
    HCN_E_NETADAPTER_NOT_FOUND = 0x803B_0026, "the network adapter of the guest was not found";
    HCN_E_NETCOMPARTMENT_NOT_FOUND = 0x803B_0027, "the network namespace of the guest was not found";
    HCN_E_NETINTERFACE_NOT_FOUND = 0x803B_0028, "the network interface of the guest was not found";
    HCN_E_DEFAULTNAMESPACE_EXISTS = 0x803B_0029, "the default namespace already exists";
    HCN_E_ICS_DISABLED = 0x803B_002A, "connection sharing is disabled";
    HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS = 0x803B_002B, "the endpoint is already in a namespace";
    HCN_E_ENTITY_HAS_REFERENCES = 0x803B_002C, "other objects still refer to this one";
    HCN_E_INVALID_INTERNAL_PORT = 0x803B_002D, "the internal port is not valid";
    HCN_E_NAMESPACE_ATTACH_FAILED = 0x803B_002E, "the endpoint could not be put into the namespace";
    HCN_E_ADDR_INVALID_OR_RESERVED = 0x803B_002F, "an address is not valid or is reserved";
    HCN_E_INVALID_PREFIX = 0x803B_0030, "an address prefix is not valid";
    HCN_E_OBJECT_USED_AFTER_UNLOAD = 0x803B_0031, "the object is gone";
    HCN_E_INVALID_SUBNET = 0x803B_0032, "a subnet is not valid";
    HCN_E_INVALID_IP_SUBNET = 0x803B_0033, "an address is in no subnet of the network";
    HCN_E_ENDPOINT_NOT_ATTACHED = 0x803B_0034, "the endpoint is not attached";
    HCN_E_ENDPOINT_NOT_LOCAL = 0x803B_0035, "the endpoint is not on this host";
    HCN_E_INTERFACEPARAMETERS_ALREADY_APPLIED = 0x803B_0036, "the parameters of the interface were set before";
    HCN_E_VFP_NOT_ALLOWED = 0x803B_0037, "the switch cannot filter here";
}

impl HResult {
    /// `HRESULT_FROM_WIN32(ERROR_CANCELLED)`: the result of a cancelled operation.
    pub const CANCELLED: Self = Self::from_win32(win32::ERROR_CANCELLED);
    /// `HRESULT_FROM_WIN32(ERROR_NOT_FOUND)`: a process that is gone or never was.
    pub const NOT_FOUND: Self = Self::from_win32(win32::ERROR_NOT_FOUND);
    /// `HRESULT_FROM_WIN32(ERROR_JOURNAL_ENTRY_DELETED)`: events that the service does not keep any more.
    pub const ENTRY_DELETED: Self = Self::from_win32(win32::ERROR_JOURNAL_ENTRY_DELETED);
    /// `HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)`: a property this host refuses.
    pub const NOT_SUPPORTED: Self = Self::from_win32(win32::ERROR_NOT_SUPPORTED);
    /// `HRESULT_FROM_WIN32(ERROR_TIMEOUT)`: the awaited event did not happen within the time given.
    pub const TIMEOUT: Self = Self::from_win32(win32::ERROR_TIMEOUT);
    /// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`: a path or program that does not exist.
    pub const FILE_NOT_FOUND: Self = Self::from_win32(win32::ERROR_FILE_NOT_FOUND);

    /// `HRESULT_FROM_WIN32`: wraps a Win32 code; 0 becomes `S_OK`.
    #[must_use]
    pub const fn from_win32(code: u16) -> Self {
        if code == 0 {
            Self::S_OK
        } else {
            Self((0x8007_u32 << 16 | code as u32).cast_signed())
        }
    }

    /// Whether the value says success.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >= 0
    }

    /// Whether two values mean the same HCS error: the 0x8037xxxx and 0xC037xxxx families are twins.
    #[must_use]
    pub const fn same_error(self, other: Self) -> bool {
        let (a, b) = (self.0.cast_unsigned(), other.0.cast_unsigned());
        a == b || (a & 0x3fff_ffff == b & 0x3fff_ffff && a >> 16 & 0x3fff == 0x0037)
    }

    /// The meaning of the value, in words. Never empty.
    #[must_use]
    pub fn message(self) -> String {
        if let Some(text) = self.known_message() {
            return text.to_owned();
        }
        let win32 = match self {
            Self::CANCELLED => "the operation was cancelled",
            Self::ENTRY_DELETED => "the entry was deleted from the log",
            Self::NOT_FOUND => "the element was not found",
            Self::NOT_SUPPORTED => "this is not supported here",
            Self::FILE_NOT_FOUND => "the file or path does not exist",
            Self::TIMEOUT => "it did not happen within the time given",
            _ => return format!("error {self:?}"),
        };
        win32.to_owned()
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:08X})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

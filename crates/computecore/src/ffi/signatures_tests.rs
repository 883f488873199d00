//! Holds the exports, the C headers and `windows-sys` against each other: parameters, structures, values.
//!
//! A type has one spelling in C ([`Spelled`]), whether it is one of ours or of `windows-sys`. So the signatures of both
//! can be compared as text, and a C program made of them lets the compiler compare them with the headers.

use std::{ffi::c_void, fs, mem::offset_of, path::Path, process::Command};

use windows_sys::Win32::{
    Foundation, Security::SECURITY_DESCRIPTOR, System::HostComputeSystem as windows,
};

use crate::abi;

/// The exports of this library.
mod own {
    pub(super) use crate::ffi::{
        frees::*, operation::*, process::*, reserved::*, service::*, storage::*, system::*, vm::*,
    };
}

/// How a type is written in C, handles as `void *`, enumerations as `int`.
trait Spelled {
    const C: &'static str;
}

macro_rules! spelled {
    ($($type:ty => $c:literal;)*) => { $(impl Spelled for $type { const C: &'static str = $c; })* };
}

spelled! {
    () => "void";
    i32 => "int";
    u32 => "DWORD";
    u64 => "UINT64";
    *mut c_void => "void *";
    *const c_void => "const void *";
    *mut *mut c_void => "void **";
    *const u16 => "PCWSTR";
    *mut *mut u16 => "PWSTR *";
    *mut *const u16 => "PCWSTR *";
    *const i32 => "const HCS_CREATE_OPTIONS *";
    *const abi::SECURITY_DESCRIPTOR => "const SECURITY_DESCRIPTOR *";
    *const SECURITY_DESCRIPTOR => "const SECURITY_DESCRIPTOR *";
    *mut abi::HCS_PROCESS_INFORMATION => "HCS_PROCESS_INFORMATION *";
    *mut windows::HCS_PROCESS_INFORMATION => "HCS_PROCESS_INFORMATION *";
    abi::HCS_OPERATION_COMPLETION => "HCS_OPERATION_COMPLETION";
    windows::HCS_OPERATION_COMPLETION => "HCS_OPERATION_COMPLETION";
    abi::HCS_EVENT_CALLBACK => "HCS_EVENT_CALLBACK";
    windows::HCS_EVENT_CALLBACK => "HCS_EVENT_CALLBACK";
}

/// The C type of a pointer to a function; `(*)` stands where its name would.
trait Function {
    fn spell(self) -> String;
}

macro_rules! function {
    ($($parameter:ident)*) => {
        impl<R: Spelled, $($parameter: Spelled),*> Function for unsafe extern "C" fn($($parameter),*) -> R {
            fn spell(self) -> String {
                format!("{} (*)({})", R::C, [$($parameter::C),*].join(", "))
            }
        }
        impl<R: Spelled, $($parameter: Spelled),*> Function for unsafe extern "system" fn($($parameter),*) -> R {
            fn spell(self) -> String {
                format!("{} (*)({})", R::C, [$($parameter::C),*].join(", "))
            }
        }
    };
}
function!(A);
function!(A B);
function!(A B C);
function!(A B C D);
function!(A B C D E);
function!(A B C D E F);

/// Spells each `fn` with as many parameters as there are underscores.
macro_rules! signatures {
    ($abi:literal: $path:ident; $($name:ident($($hole:tt),*);)*) => {
        vec![$((
            stringify!($name),
            ($path::$name as unsafe extern $abi fn($($hole),*) -> _).spell(),
        )),*]
    };
}

/// The exports that `windows-sys` declares too.
macro_rules! shared {
    ($abi:literal, $path:ident) => {
        signatures! { $abi: $path;
            HcsAddResourceToOperation(_, _, _, _);
            HcsAttachLayerStorageFilter(_, _);
            HcsCancelOperation(_);
            HcsCloseComputeSystem(_);
            HcsCloseOperation(_);
            HcsCloseProcess(_);
            HcsCrashComputeSystem(_, _, _);
            HcsCreateComputeSystem(_, _, _, _, _);
            HcsCreateComputeSystemInNamespace(_, _, _, _, _, _);
            HcsCreateEmptyGuestStateFile(_);
            HcsCreateEmptyRuntimeStateFile(_);
            HcsCreateOperation(_, _);
            HcsCreateOperationWithNotifications(_, _, _);
            HcsCreateProcess(_, _, _, _, _);
            HcsDestroyLayer(_);
            HcsDetachLayerStorageFilter(_);
            HcsEnumerateComputeSystems(_, _);
            HcsEnumerateComputeSystemsInNamespace(_, _, _);
            HcsExportLayer(_, _, _, _);
            HcsExportLegacyWritableLayer(_, _, _, _);
            HcsFormatWritableLayerVhd(_);
            HcsGetComputeSystemFromOperation(_);
            HcsGetComputeSystemProperties(_, _, _);
            HcsGetLayerVhdMountPath(_, _);
            HcsGetOperationContext(_);
            HcsGetOperationId(_);
            HcsGetOperationResult(_, _);
            HcsGetOperationResultAndProcessInfo(_, _, _);
            HcsGetOperationType(_);
            HcsGetProcessFromOperation(_);
            HcsGetProcessInfo(_, _);
            HcsGetProcessProperties(_, _, _);
            HcsGetProcessorCompatibilityFromSavedState(_, _);
            HcsGetServiceProperties(_, _);
            HcsGrantVmAccess(_, _);
            HcsGrantVmGroupAccess(_);
            HcsImportLayer(_, _, _);
            HcsInitializeLegacyWritableLayer(_, _, _, _);
            HcsInitializeWritableLayer(_, _, _);
            HcsModifyComputeSystem(_, _, _, _);
            HcsModifyProcess(_, _, _);
            HcsModifyServiceSettings(_, _);
            HcsOpenComputeSystem(_, _, _);
            HcsOpenComputeSystemInNamespace(_, _, _, _);
            HcsOpenProcess(_, _, _, _);
            HcsPauseComputeSystem(_, _, _);
            HcsResumeComputeSystem(_, _, _);
            HcsRevokeVmAccess(_, _);
            HcsRevokeVmGroupAccess(_);
            HcsSaveComputeSystem(_, _, _);
            HcsSetComputeSystemCallback(_, _, _, _);
            HcsSetOperationCallback(_, _, _);
            HcsSetOperationContext(_, _);
            HcsSetProcessCallback(_, _, _, _);
            HcsSetupBaseOSLayer(_, _, _);
            HcsSetupBaseOSVolume(_, _, _);
            HcsShutDownComputeSystem(_, _, _);
            HcsSignalProcess(_, _, _);
            HcsStartComputeSystem(_, _, _);
            HcsSubmitWerReport(_);
            HcsTerminateComputeSystem(_, _, _);
            HcsTerminateProcess(_, _, _);
            HcsWaitForComputeSystemExit(_, _, _);
            HcsWaitForOperationResult(_, _, _);
            HcsWaitForOperationResultAndProcessInfo(_, _, _, _);
            HcsWaitForProcessExit(_, _, _);
        }
    };
}

/// All exports that a header declares.
fn ours() -> Vec<(&'static str, String)> {
    let mut all = shared!("C", own);
    all.extend(signatures! { "C": own;
        CoTaskMemFree(_);
        HcsAttachOverlayFilter(_, _);
        HcsCancelLiveMigration(_, _, _);
        HcsDetachOverlayFilter(_, _);
        HcsFinalizeLiveMigration(_, _, _);
        HcsGetOperationProperties(_, _, _);
        HcsInitializeLiveMigrationOnSource(_, _, _);
        HcsStartLiveMigrationOnSource(_, _, _);
        HcsStartLiveMigrationTransfer(_, _, _);
        HcsSetOperationDeadline(_, _);
        LocalFree(_);
    });
    all
}

/// Exports that no header declares.
const UNDECLARED: [&str; 8] = [
    "HcsAbortSystemPreservation",
    "HcsEnumerateVmWorkerProcesses",
    "HcsFinalizeSystemPreservation",
    "HcsFindVmWorkerProcesses",
    "HcsGetWorkerProcessJob",
    "HcsStartSystemPreservation",
    "HcsStartVmWorkerProcess",
    "HcsSystemControl",
];

#[test]
fn signatures_are_those_of_windows() {
    let mut windows = shared!("system", windows);
    for (name, signature) in &mut windows {
        // The reference and the headers have it without const.
        if *name == "HcsSetProcessCallback" {
            *signature = signature.replace("const void *", "void *");
        }
    }
    assert_eq!(shared!("C", own), windows);
}

#[test]
fn every_export_is_compared() {
    let list = include_str!("../../exports.txt");
    let mut listed: Vec<&str> = list.lines().filter(|l| !l.starts_with('#')).collect();
    let mut compared: Vec<&str> = ours().iter().map(|(name, _)| *name).collect();
    compared.extend(UNDECLARED);
    // A function with strings is there a second time, for wide characters.
    let twins: Vec<String> = ours()
        .iter()
        .filter(|(_, signature)| {
            ["PCWSTR", "PWSTR", "EVENT_CALLBACK"]
                .iter()
                .any(|it| signature.contains(it))
        })
        .map(|(name, _)| format!("{name}Wide"))
        .collect();
    compared.extend(twins.iter().map(String::as_str));
    listed.sort_unstable();
    compared.sort_unstable();
    assert_eq!(listed, compared);
}

#[test]
fn the_wide_names_are_those_of_the_functions_with_strings() {
    let header = include_str!("../../include/ComputeWide.h");
    let mut named: Vec<String> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define Hcs")?.split_once(' '))
        .map(|(name, wide)| {
            assert_eq!(wide, format!("Hcs{name}Wide"));
            wide.to_owned()
        })
        .collect();
    let mut exported: Vec<&str> = include_str!("../../exports.txt")
        .lines()
        .filter(|name| name.ends_with("Wide"))
        .collect();
    named.sort_unstable();
    exported.sort_unstable();
    assert_eq!(named, exported);
}

#[test]
fn the_headers_declare_these_signatures() {
    // In C an enumeration is its own type, compatible with int, or with unsigned int if nothing in it is negative.
    let checks = ours().into_iter().map(|(name, signature)| {
        let parameter = signature.replace(", int", ", unsigned int");
        let only = signature.replace("(int", "(unsigned int");
        let mut alternatives = vec![signature];
        for other in [parameter, only] {
            if !alternatives.contains(&other) {
                alternatives.push(other);
            }
        }
        let arms: Vec<String> = alternatives.iter().map(|a| format!("{a}: 1")).collect();
        format!(
            "_Static_assert(_Generic(&{name}, {}, default: 0), \"{name}\");\n",
            arms.join(", ")
        )
    });
    let checks: String = checks.collect();
    for flavour in ["", "#define HCS_WIDE\n"] {
        compile(&format!(
            "{flavour}#define DECLARE_HANDLE(name) typedef void *name\n\
             #include <ComputeCore.h>\n#include <ComputeStorage.h>\n#include <HcsExtensions.h>\n{checks}"
        ));
    }
}

/// Compares the sizes of a structure and its fields' offsets: ours, that of Windows, and that of the header.
macro_rules! layout {
    ($checks:ident, $name:ident { $($field:ident),* }) => {
        assert_eq!(size_of::<abi::$name>(), size_of::<windows::$name>());
        $checks += &format!(
            "_Static_assert(sizeof({0}) == {1}, \"{0}\");\n",
            stringify!($name), size_of::<abi::$name>());
        $(
            assert_eq!(offset_of!(abi::$name, $field), offset_of!(windows::$name, $field));
            $checks += &format!(
                "_Static_assert(offsetof({0}, {1}) == {2}, \"{0}.{1}\");\n",
                stringify!($name), stringify!($field), offset_of!(abi::$name, $field));
        )*
    };
}

#[test]
fn structures_are_laid_out_as_on_windows() {
    let mut checks = String::new();
    layout!(
        checks,
        HCS_EVENT {
            Type,
            EventData,
            Operation
        }
    );
    layout!(
        checks,
        HCS_PROCESS_INFORMATION {
            ProcessId,
            Reserved,
            StdInput,
            StdOutput,
            StdError
        }
    );
    layout!(
        checks,
        HCS_CREATE_OPTIONS_1 {
            Version,
            UserToken,
            SecurityDescriptor,
            CallbackOptions,
            CallbackContext,
            Callback
        }
    );
    compile(&format!("#include <ComputeCore.h>\n{checks}"));
}

/// Checks that C finds the same value behind each name as Windows has.
macro_rules! values {
    ($module:ident: $($name:ident)*) => {
        [$((stringify!($name), i64::from($module::$name))),*]
    };
}

#[test]
fn constants_have_the_values_of_windows() {
    let enumerators = values! { windows:
        HcsCreateOptions_1
        HcsEventGroupOperationInfo HcsEventGroupVmLifecycle HcsEventInvalid HcsEventOperationCallback
        HcsEventOptionEnableOperationCallbacks HcsEventOptionEnableVmLifecycle HcsEventOptionNone
        HcsEventProcessExited HcsEventServiceDisconnect HcsEventSystemCrashInitiated HcsEventSystemCrashReport
        HcsEventSystemExited HcsEventSystemGuestConnectionClosed HcsEventSystemRdpEnhancedModeStateChanged
        HcsEventSystemSiloJobCreated
        HcsNotificationFlagFailure HcsNotificationFlagSuccess HcsNotificationFlagsReserved HcsNotificationInvalid
        HcsNotificationOperationProgressUpdate HcsNotificationProcessExited HcsNotificationServiceDisconnect
        HcsNotificationSystemCrashInitiated HcsNotificationSystemCrashReport HcsNotificationSystemCreateCompleted
        HcsNotificationSystemExited HcsNotificationSystemGetPropertiesCompleted
        HcsNotificationSystemGuestConnectionClosed HcsNotificationSystemModifyCompleted
        HcsNotificationSystemOperationCompletion HcsNotificationSystemPassThru HcsNotificationSystemPauseCompleted
        HcsNotificationSystemRdpEnhancedModeStateChanged HcsNotificationSystemResumeCompleted
        HcsNotificationSystemSaveCompleted HcsNotificationSystemShutdownCompleted
        HcsNotificationSystemShutdownFailed HcsNotificationSystemSiloJobCreated HcsNotificationSystemStartCompleted
        HcsOperationOptionNone HcsOperationOptionProgressUpdate
        HcsOperationTypeCrash HcsOperationTypeCreate HcsOperationTypeCreateProcess HcsOperationTypeEnumerate
        HcsOperationTypeGetProcessInfo HcsOperationTypeGetProcessProperties HcsOperationTypeGetProperties
        HcsOperationTypeModify HcsOperationTypeModifyProcess HcsOperationTypeNone HcsOperationTypePause
        HcsOperationTypeResume HcsOperationTypeSave HcsOperationTypeShutdown HcsOperationTypeSignalProcess
        HcsOperationTypeStart HcsOperationTypeTerminate
        HcsResourceTypeFile HcsResourceTypeJob HcsResourceTypeNone
    };
    let codes = values! { Foundation:
        HCS_E_ACCESS_DENIED HCS_E_CONNECTION_CLOSED HCS_E_CONNECTION_TIMEOUT HCS_E_CONNECT_FAILED
        HCS_E_GUEST_CRITICAL_ERROR HCS_E_HYPERV_NOT_INSTALLED HCS_E_IMAGE_MISMATCH HCS_E_INVALID_JSON
        HCS_E_INVALID_LAYER HCS_E_INVALID_STATE HCS_E_OPERATION_ALREADY_CANCELLED HCS_E_OPERATION_ALREADY_STARTED HCS_E_OPERATION_NOT_STARTED
        HCS_E_OPERATION_PENDING HCS_E_OPERATION_RESULT_ALLOCATION_FAILED
        HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET HCS_E_OPERATION_TIMEOUT HCS_E_PROCESS_ALREADY_STOPPED
        HCS_E_PROCESS_INFO_NOT_AVAILABLE HCS_E_PROTOCOL_ERROR HCS_E_SERVICE_DISCONNECT
        HCS_E_SERVICE_NOT_AVAILABLE HCS_E_SYSTEM_ALREADY_EXISTS HCS_E_SYSTEM_ALREADY_STOPPED
        HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION HCS_E_SYSTEM_NOT_FOUND HCS_E_TERMINATED
        HCS_E_TERMINATED_DURING_START HCS_E_UNEXPECTED_EXIT HCS_E_UNKNOWN_MESSAGE
        HCS_E_UNSUPPORTED_PROTOCOL_VERSION HCS_E_WINDOWS_INSIDER_REQUIRED
        S_OK S_FALSE E_NOTIMPL E_POINTER E_ABORT E_FAIL E_UNEXPECTED E_ACCESSDENIED E_HANDLE E_OUTOFMEMORY
        E_INVALIDARG
        GENERIC_READ GENERIC_WRITE GENERIC_EXECUTE GENERIC_ALL
        ERROR_FILE_NOT_FOUND ERROR_ACCESS_DENIED ERROR_NOT_SUPPORTED ERROR_ALREADY_EXISTS ERROR_NOT_FOUND
        ERROR_CANCELLED ERROR_NO_SYSTEM_RESOURCES ERROR_TIMEOUT
    };
    let mut checks = String::new();
    for (name, value) in enumerators.into_iter().chain(codes) {
        checks += &format!("_Static_assert((long long)({name}) == {value}LL, \"{name}\");\n");
    }
    compile(&format!("#include <ComputeCore.h>\n{checks}"));
}

/// Lets the C compiler judge a program against the headers.
fn compile(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("check.c");
    fs::write(&source, text).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let output = Command::new("gcc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            "-I",
        ])
        .args([&include, &source])
        .output()
        .expect("gcc runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}

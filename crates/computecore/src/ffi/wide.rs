//! The functions for programs whose `wchar_t` has 32 bits: each one that has to do with strings once more, with UTF-32
//! in and out, under the name that `ComputeWide.h` gives it.
//!
//! A string argument becomes UTF-16 for the function itself, and a string from the function becomes UTF-32. A value
//! that is no character (a surrogate, or beyond U+10FFFF) becomes a lone surrogate, so it is refused like one.

use std::{ffi::c_void, mem::MaybeUninit, ptr, slice};

use hcs_schema::HResult;

use crate::{
    abi::{
        HCS_EVENT_CALLBACK, HCS_PROCESS_INFORMATION, HRESULT, Handle, PCWSTR, PWSTR,
        SECURITY_DESCRIPTOR,
    },
    ffi::{
        callback::{self, Strings},
        named::{PROCESSES, SYSTEMS},
        operation,
        panic::{guard, guard_or},
        process, reserved, service, storage, string, system, vm,
    },
};

/// `PCWSTR` of a program with wide characters.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text(*const u32);

/// A place for such a string, or NULL.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(*mut *mut u32);

/// A parameter on its way to the function itself, and back.
trait Parameter: Copy {
    /// The type that the function itself takes.
    type Narrow;
    /// The data that has to live as long as the call.
    type Held;

    /// # Safety
    /// It meets the conditions of the header for the parameter.
    unsafe fn hold(self) -> Self::Held;

    fn narrow(held: &mut Self::Held) -> Self::Narrow;

    /// Gives the result back to the program.
    ///
    /// # Safety
    /// As for [`Parameter::hold`].
    unsafe fn give_back(self, held: Self::Held) -> Result<(), HResult>;
}

macro_rules! passed_on {
    ($($type:ty),*) => {$(
        impl Parameter for $type {
            type Narrow = Self;
            type Held = Self;

            unsafe fn hold(self) -> Self {
                self
            }

            fn narrow(held: &mut Self) -> Self {
                *held
            }

            unsafe fn give_back(self, _held: Self) -> Result<(), HResult> {
                Ok(())
            }
        }
    )*};
}

passed_on!(
    i32,
    u32,
    Handle,
    *mut Handle,
    *const i32,
    *const SECURITY_DESCRIPTOR,
    *mut HCS_PROCESS_INFORMATION
);

impl Parameter for Text {
    type Narrow = PCWSTR;
    type Held = Option<Vec<u16>>;

    unsafe fn hold(self) -> Self::Held {
        // SAFETY: the caller says that it is NULL or a string.
        unsafe { read(self.0) }
    }

    fn narrow(held: &mut Self::Held) -> PCWSTR {
        held.as_ref().map_or(ptr::null(), Vec::as_ptr)
    }

    unsafe fn give_back(self, _held: Self::Held) -> Result<(), HResult> {
        Ok(())
    }
}

/// Where the function itself puts its string, if the program has a place for one.
#[derive(Debug)]
struct Given {
    wanted: bool,
    text: PWSTR,
}

impl Parameter for Place {
    type Narrow = *mut PWSTR;
    type Held = Given;

    unsafe fn hold(self) -> Self::Held {
        let wanted = !self.0.is_null();
        if wanted {
            // SAFETY: the caller says that it is a place for a pointer.
            unsafe { self.0.write(ptr::null_mut()) };
        }
        Given {
            wanted,
            text: ptr::null_mut(),
        }
    }

    fn narrow(held: &mut Self::Held) -> *mut PWSTR {
        if held.wanted {
            &raw mut held.text
        } else {
            ptr::null_mut()
        }
    }

    unsafe fn give_back(self, held: Self::Held) -> Result<(), HResult> {
        if held.text.is_null() {
            return Ok(());
        }
        // SAFETY: it is a string of this library, and no other code has it.
        let text = unsafe { string::read(held.text) }.unwrap_or_default();
        // SAFETY: as above, and this is the only time.
        unsafe { string::release(held.text.cast()) };
        let wide = give(&text)?;
        // SAFETY: the function itself gave a string, so there is a place; the caller says that it is one.
        unsafe { self.0.write(wide) };
        Ok(())
    }
}

/// A high surrogate. It is no character where no low one follows, and none follows, as no character is one.
const LONE: u16 = 0xD800;

/// Reads a string that C passed, as UTF-16 with its end; `None` for NULL.
///
/// # Safety
/// `text` is NULL, or points to units of which one is 0, and they do not change during the call.
unsafe fn read(text: *const u32) -> Option<Vec<u16>> {
    if text.is_null() {
        return None;
    }
    let mut end = text;
    // SAFETY: the caller promises an end, and no unit before this one was 0, so it is still inside.
    while unsafe { *end } != 0 {
        // SAFETY: this was not the end, so one more unit follows.
        end = unsafe { end.add(1) };
    }
    let length = (end.addr() - text.addr()) / size_of::<u32>();
    // SAFETY: these units were just read, and the caller promises that they stay as they are.
    let units = unsafe { slice::from_raw_parts(text, length) };
    let mut narrow = Vec::with_capacity(length + 1);
    for unit in units {
        match char::from_u32(*unit) {
            Some(character) => narrow.extend_from_slice(character.encode_utf16(&mut [0; 2])),
            None => narrow.push(LONE),
        }
    }
    narrow.push(0);
    Some(narrow)
}

/// Allocates `text` for C, as [`string::give`] does.
fn give(text: &str) -> Result<*mut u32, HResult> {
    let failed = HResult::HCS_E_OPERATION_RESULT_ALLOCATION_FAILED;
    let units = text.chars().count() + 1;
    let bytes = units.checked_mul(size_of::<u32>()).ok_or(failed)?;
    // SAFETY: any size may be asked for.
    let start: *mut u32 = unsafe { libc::malloc(bytes) }.cast();
    if start.is_null() {
        return Err(failed);
    }
    // SAFETY: the block has room for that many units, no other code has it, and malloc aligns for every type.
    let places: &mut [MaybeUninit<u32>] = unsafe { slice::from_raw_parts_mut(start.cast(), units) };
    let ended = text.chars().map(u32::from).chain([0]);
    for (place, unit) in places.iter_mut().zip(ended) {
        place.write(unit);
    }
    Ok(start)
}

/// The functions of which nothing but the strings is different.
macro_rules! twins {
    ($($wide:ident = $home:ident::$name:ident($($parameter:ident: $type:ty),*);)*) => {$(
        /// See the function of the same name without `Wide`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $wide($($parameter: $type),*) -> HRESULT {
            guard_or(HResult::E_UNEXPECTED.0, || {
                $(
                    // SAFETY: the caller passes arguments as the header requires.
                    let mut $parameter = ($parameter, unsafe { $parameter.hold() });
                )*
                // SAFETY: the arguments are the caller's, or say the same in UTF-16.
                let result = unsafe {
                    $home::$name($(<$type as Parameter>::narrow(&mut $parameter.1)),*)
                };
                let mut given = Ok(());
                $(
                    // SAFETY: the caller passes arguments as the header requires.
                    given = given.and(unsafe { $parameter.0.give_back($parameter.1) });
                )*
                match given {
                    Err(failure) if result >= 0 => failure.0,
                    _ => result,
                }
            })
        }
    )*};
}

twins! {
    HcsGetOperationResultWide = operation::HcsGetOperationResult(operation: Handle, result_document: Place);
    HcsGetOperationResultAndProcessInfoWide = operation::HcsGetOperationResultAndProcessInfo(operation: Handle, process_information: *mut HCS_PROCESS_INFORMATION, result_document: Place);
    HcsAddResourceToOperationWide = operation::HcsAddResourceToOperation(operation: Handle, kind: i32, uri: Text, handle: Handle);
    HcsWaitForOperationResultWide = operation::HcsWaitForOperationResult(operation: Handle, timeout_ms: u32, result_document: Place);
    HcsWaitForOperationResultAndProcessInfoWide = operation::HcsWaitForOperationResultAndProcessInfo(operation: Handle, timeout_ms: u32, process_information: *mut HCS_PROCESS_INFORMATION, result_document: Place);
    HcsGetOperationPropertiesWide = operation::HcsGetOperationProperties(operation: Handle, options: Text, result_document: Place);
    HcsCreateComputeSystemWide = system::HcsCreateComputeSystem(id: Text, configuration: Text, operation: Handle, security_descriptor: *const SECURITY_DESCRIPTOR, compute_system: *mut Handle);
    HcsCreateComputeSystemInNamespaceWide = reserved::HcsCreateComputeSystemInNamespace(id_namespace: Text, id: Text, configuration: Text, operation: Handle, options: *const i32, compute_system: *mut Handle);
    HcsOpenComputeSystemWide = system::HcsOpenComputeSystem(id: Text, requested_access: u32, compute_system: *mut Handle);
    HcsOpenComputeSystemInNamespaceWide = reserved::HcsOpenComputeSystemInNamespace(id_namespace: Text, id: Text, requested_access: u32, compute_system: *mut Handle);
    HcsStartComputeSystemWide = system::HcsStartComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsShutDownComputeSystemWide = system::HcsShutDownComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsTerminateComputeSystemWide = system::HcsTerminateComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsCrashComputeSystemWide = system::HcsCrashComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsPauseComputeSystemWide = system::HcsPauseComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsResumeComputeSystemWide = system::HcsResumeComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsSaveComputeSystemWide = system::HcsSaveComputeSystem(compute_system: Handle, operation: Handle, options: Text);
    HcsGetComputeSystemPropertiesWide = system::HcsGetComputeSystemProperties(compute_system: Handle, operation: Handle, property_query: Text);
    HcsModifyComputeSystemWide = system::HcsModifyComputeSystem(compute_system: Handle, operation: Handle, configuration: Text, identity: Handle);
    HcsWaitForComputeSystemExitWide = system::HcsWaitForComputeSystemExit(compute_system: Handle, timeout_ms: u32, result: Place);
    HcsEnumerateComputeSystemsWide = system::HcsEnumerateComputeSystems(query: Text, operation: Handle);
    HcsEnumerateComputeSystemsInNamespaceWide = reserved::HcsEnumerateComputeSystemsInNamespace(id_namespace: Text, query: Text, operation: Handle);
    HcsInitializeLiveMigrationOnSourceWide = reserved::HcsInitializeLiveMigrationOnSource(compute_system: Handle, operation: Handle, options: Text);
    HcsStartLiveMigrationOnSourceWide = reserved::HcsStartLiveMigrationOnSource(compute_system: Handle, operation: Handle, options: Text);
    HcsStartLiveMigrationTransferWide = reserved::HcsStartLiveMigrationTransfer(compute_system: Handle, operation: Handle, options: Text);
    HcsFinalizeLiveMigrationWide = reserved::HcsFinalizeLiveMigration(compute_system: Handle, operation: Handle, options: Text);
    HcsCancelLiveMigrationWide = reserved::HcsCancelLiveMigration(compute_system: Handle, operation: Handle, options: Text);
    HcsCreateProcessWide = process::HcsCreateProcess(compute_system: Handle, process_parameters: Text, operation: Handle, security_descriptor: *const SECURITY_DESCRIPTOR, process: *mut Handle);
    HcsTerminateProcessWide = process::HcsTerminateProcess(process: Handle, operation: Handle, options: Text);
    HcsSignalProcessWide = process::HcsSignalProcess(process: Handle, operation: Handle, options: Text);
    HcsGetProcessPropertiesWide = process::HcsGetProcessProperties(process: Handle, operation: Handle, property_query: Text);
    HcsModifyProcessWide = process::HcsModifyProcess(process: Handle, operation: Handle, settings: Text);
    HcsWaitForProcessExitWide = process::HcsWaitForProcessExit(process: Handle, timeout_ms: u32, result: Place);
    HcsGetServicePropertiesWide = service::HcsGetServiceProperties(property_query: Text, result: Place);
    HcsModifyServiceSettingsWide = service::HcsModifyServiceSettings(settings: Text, result: Place);
    HcsSubmitWerReportWide = service::HcsSubmitWerReport(settings: Text);
    HcsCreateEmptyGuestStateFileWide = vm::HcsCreateEmptyGuestStateFile(guest_state_file_path: Text);
    HcsCreateEmptyRuntimeStateFileWide = vm::HcsCreateEmptyRuntimeStateFile(runtime_state_file_path: Text);
    HcsGrantVmAccessWide = vm::HcsGrantVmAccess(vm_id: Text, file_path: Text);
    HcsRevokeVmAccessWide = vm::HcsRevokeVmAccess(vm_id: Text, file_path: Text);
    HcsGrantVmGroupAccessWide = vm::HcsGrantVmGroupAccess(file_path: Text);
    HcsRevokeVmGroupAccessWide = vm::HcsRevokeVmGroupAccess(file_path: Text);
    HcsImportLayerWide = storage::HcsImportLayer(layer_path: Text, source_folder_path: Text, layer_data: Text);
    HcsExportLayerWide = storage::HcsExportLayer(layer_path: Text, export_folder_path: Text, layer_data: Text, options: Text);
    HcsExportLegacyWritableLayerWide = storage::HcsExportLegacyWritableLayer(writable_layer_mount_path: Text, writable_layer_folder_path: Text, export_folder_path: Text, layer_data: Text);
    HcsDestroyLayerWide = storage::HcsDestroyLayer(layer_path: Text);
    HcsSetupBaseOSLayerWide = storage::HcsSetupBaseOSLayer(layer_path: Text, vhd_handle: Handle, options: Text);
    HcsSetupBaseOSVolumeWide = storage::HcsSetupBaseOSVolume(layer_path: Text, volume_path: Text, options: Text);
    HcsInitializeWritableLayerWide = storage::HcsInitializeWritableLayer(writable_layer_path: Text, layer_data: Text, options: Text);
    HcsInitializeLegacyWritableLayerWide = storage::HcsInitializeLegacyWritableLayer(writable_layer_mount_path: Text, writable_layer_folder_path: Text, layer_data: Text, options: Text);
    HcsAttachLayerStorageFilterWide = storage::HcsAttachLayerStorageFilter(layer_path: Text, layer_data: Text);
    HcsDetachLayerStorageFilterWide = storage::HcsDetachLayerStorageFilter(layer_path: Text);
    HcsGetLayerVhdMountPathWide = storage::HcsGetLayerVhdMountPath(vhd_handle: Handle, mount_path: Place);
    HcsAttachOverlayFilterWide = storage::HcsAttachOverlayFilter(volume_mount_point: Text, layer_data: Text);
    HcsDetachOverlayFilterWide = storage::HcsDetachOverlayFilter(volume_mount_point: Text, layer_data: Text);
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetComputeSystemCallbackWide(
    compute_system: Handle,
    callback_options: i32,
    context: *const c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    guard(|| {
        let options = callback::options(callback_options)?;
        let callback = callback::events(callback, context, Strings::Wide);
        SYSTEMS.get(compute_system)?.set_callback(options, callback)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetProcessCallbackWide(
    process: Handle,
    callback_options: i32,
    context: *mut c_void,
    callback: HCS_EVENT_CALLBACK,
) -> HRESULT {
    guard(|| {
        let options = callback::options(callback_options)?;
        let callback = callback::events(callback, context, Strings::Wide);
        PROCESSES.get(process)?.set_callback(options, callback)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateOperationWithNotificationsWide(
    _event_types: i32,
    _context: *const c_void,
    _callback: HCS_EVENT_CALLBACK,
) -> Handle {
    ptr::null_mut()
}

/// See `ComputeCore.h`. Not implemented: there is no string to give.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetProcessorCompatibilityFromSavedStateWide(
    runtime_file_name: Text,
    processor_features_string: Place,
) -> HRESULT {
    guard_or(HResult::E_UNEXPECTED.0, || {
        // SAFETY: the caller passes NULL or a string.
        let mut name = unsafe { runtime_file_name.hold() };
        // SAFETY: the caller passes NULL or a place for a pointer.
        let _emptied = unsafe { processor_features_string.hold() };
        // SAFETY: a string of ours, and NULL where that is allowed.
        unsafe {
            vm::HcsGetProcessorCompatibilityFromSavedState(Text::narrow(&mut name), ptr::null_mut())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(units: &[u32]) -> String {
        let ended: Vec<u32> = units.iter().copied().chain([0]).collect();
        // SAFETY: the vector ends with 0 and outlives the call.
        let narrow = unsafe { read(ended.as_ptr()) }.unwrap();
        // SAFETY: as above.
        unsafe { string::read(narrow.as_ptr()) }.unwrap()
    }

    #[test]
    fn strings_survive_the_way_in_and_out() {
        for text in ["", "a", "{\"Ä\": \"😀\"}", "\u{10FFFF}"] {
            let units: Vec<u32> = text.chars().map(u32::from).collect();
            assert_eq!(narrowed(&units), text);
            let given = give(text).unwrap();
            // SAFETY: `give` ends its strings with 0.
            let back = unsafe { read(given) }.unwrap();
            // SAFETY: it was not released yet.
            unsafe { string::release(given.cast()) };
            assert_eq!(back, text.encode_utf16().chain([0]).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_character_is_a_surrogate_that_stands_alone() {
        for units in [
            &[0x41, 0xD800][..],
            &[0xDC00],
            // A pair of UTF-16 surrogates is not taken for the character that it means in UTF-16.
            &[0xD83D, 0xDE00],
            &[0x0011_0000, 0x41],
            &[u32::MAX],
        ] {
            assert!(narrowed(units).contains('\0'), "{units:X?}");
        }
    }

    #[test]
    fn null_stays_null() {
        // SAFETY: NULL is allowed.
        assert_eq!(unsafe { read(ptr::null()) }, None);
    }
}

//! The functions about operations.

use std::{
    ffi::c_void,
    mem,
    os::fd::{IntoRawFd, OwnedFd, RawFd},
    ptr,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::Ordering},
    time::Duration,
};

use hcs::raw::{self, Document, Error};
use hcs_schema::HResult;

use crate::{
    abi::{
        HANDLE, HCS_EVENT_CALLBACK, HCS_INVALID_OPERATION_ID, HCS_OPERATION_COMPLETION,
        HCS_PROCESS_INFORMATION, HRESULT, Handle, INFINITE, OPERATION_TYPE_NONE, PCWSTR, PWSTR,
    },
    ffi::{
        callback::{self, Context},
        handle::{Kind, Table},
        named::{Named, Numbers, PROCESSES, SYSTEMS, Target},
        out::Out,
        panic::{guard, guard_or},
        string,
    },
};

static OPERATIONS: Table<Operation> = Table::new(Kind::Operation);
static NUMBERS: Numbers = Numbers::new();

/// The object that a handle of an operation stands for.
#[derive(Debug)]
struct Operation {
    raw: raw::Operation,
    /// Shared with the callback that was set together with it, so that each callback sees its own.
    context: Mutex<Context>,
    /// Held shared while a call is being started. A thread that does not find the handle of an object that the call
    /// makes waits here and looks again.
    starting: RwLock<()>,
}

impl Operation {
    fn context(&self) -> Context {
        Arc::clone(&self.context.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The handle of the object that the tracked call is made on, or makes.
    fn handle_of<T: Target>(&self, all: &Named<T>, target: Option<T>) -> Option<Handle> {
        let target = target?;
        all.handle_of(&target).or_else(|| {
            drop(
                self.starting
                    .write()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            all.handle_of(&target)
        })
    }
}

/// Starts a call with the operation `handle`, whose other shape checks are done.
///
/// # Errors
/// Those of the handle and of `call`.
pub(crate) fn track(
    handle: Handle,
    call: impl FnOnce(&raw::Operation) -> Result<(), HResult>,
) -> Result<(), HResult> {
    let operation = OPERATIONS.get(handle)?;
    let _starting = operation
        .starting
        .read()
        .unwrap_or_else(PoisonError::into_inner);
    call(&operation.raw)
}

/// The open handle that stands for `operation`.
pub(crate) fn handle_of(operation: &raw::Operation) -> Option<Handle> {
    NUMBERS.get(operation.id())
}

/// Reads a time limit in milliseconds.
pub(crate) fn limit(milliseconds: u32) -> Option<Duration> {
    (milliseconds != INFINITE).then(|| Duration::from_millis(milliseconds.into()))
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateOperation(
    context: *const c_void,
    callback: HCS_OPERATION_COMPLETION,
) -> Handle {
    guard_or(ptr::null_mut(), || {
        create(context, callback).unwrap_or(ptr::null_mut())
    })
}

fn create(context: *const c_void, callback: HCS_OPERATION_COMPLETION) -> Result<Handle, HResult> {
    let context = callback::context(context);
    let raw = raw::Operation::new();
    let (handle, operation) = OPERATIONS.insert_with(|_| Operation {
        raw,
        context: Mutex::new(Arc::clone(&context)),
        starting: RwLock::new(()),
    })?;
    let callback = callback::completion(callback, handle, &context);
    if callback.is_some()
        && let Err(code) = operation.raw.set_callback(callback)
    {
        drop(OPERATIONS.remove(handle));
        return Err(code);
    }
    NUMBERS.insert(operation.raw.id(), handle);
    Ok(handle)
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCreateOperationWithNotifications(
    _event_types: i32,
    _context: *const c_void,
    _callback: HCS_EVENT_CALLBACK,
) -> Handle {
    ptr::null_mut()
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCloseOperation(operation: Handle) {
    guard_or((), || {
        if let Ok(operation) = OPERATIONS.remove(operation) {
            NUMBERS.remove(operation.raw.id());
            // The only error is that it is closed already.
            let _ = operation.raw.close();
        }
    });
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationContext(operation: Handle) -> *mut c_void {
    guard_or(ptr::null_mut(), || {
        OPERATIONS
            .get(operation)
            .map_or(ptr::null_mut(), |it| it.context().load(Ordering::Acquire))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetOperationContext(
    operation: Handle,
    context: *const c_void,
) -> HRESULT {
    guard(|| {
        let operation = OPERATIONS.get(operation)?;
        operation
            .context()
            .store(context.cast_mut(), Ordering::Release);
        Ok(())
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetComputeSystemFromOperation(operation: Handle) -> Handle {
    guard_or(ptr::null_mut(), || {
        OPERATIONS
            .get(operation)
            .ok()
            .and_then(|it| it.handle_of(&SYSTEMS, it.raw.system()))
            .unwrap_or(ptr::null_mut())
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetProcessFromOperation(operation: Handle) -> Handle {
    guard_or(ptr::null_mut(), || {
        OPERATIONS
            .get(operation)
            .ok()
            .and_then(|it| it.handle_of(&PROCESSES, it.raw.process()))
            .unwrap_or(ptr::null_mut())
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationType(operation: Handle) -> i32 {
    guard_or(OPERATION_TYPE_NONE, || {
        OPERATIONS
            .get(operation)
            .map_or(OPERATION_TYPE_NONE, |it| it.raw.kind() as i32)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationId(operation: Handle) -> u64 {
    guard_or(HCS_INVALID_OPERATION_ID, || {
        OPERATIONS
            .get(operation)
            .map_or(HCS_INVALID_OPERATION_ID, |it| it.raw.id())
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationResult(
    operation: Handle,
    result_document: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let document = unsafe { Out::new(result_document) };
        give(OPERATIONS.get(operation)?.raw.result(), &document)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsWaitForOperationResult(
    operation: Handle,
    timeout_ms: u32,
    result_document: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for a pointer.
        let document = unsafe { Out::new(result_document) };
        let operation = OPERATIONS.get(operation)?;
        give(operation.raw.wait(limit(timeout_ms)), &document)
    })
}

fn give(result: Result<Option<Document>, Error>, out: &Out<PWSTR>) -> Result<(), HResult> {
    match result {
        Ok(document) => out.document(document.as_ref()),
        Err(error) => Err(out.failure(&error)),
    }
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationResultAndProcessInfo(
    operation: Handle,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result_document: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the structure.
        let information = unsafe { Out::new(process_information) };
        // SAFETY: the caller passes NULL or a place for a pointer.
        let document = unsafe { Out::new(result_document) };
        let operation = OPERATIONS.get(operation)?;
        let result = operation
            .raw
            .result_and_process_info(information.is_wanted());
        give_with_process(&operation.raw, result, &information, &document)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsWaitForOperationResultAndProcessInfo(
    operation: Handle,
    timeout_ms: u32,
    process_information: *mut HCS_PROCESS_INFORMATION,
    result_document: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes NULL or a place for the structure.
        let information = unsafe { Out::new(process_information) };
        // SAFETY: the caller passes NULL or a place for a pointer.
        let document = unsafe { Out::new(result_document) };
        let operation = OPERATIONS.get(operation)?;
        let wanted = information.is_wanted();
        let result = operation
            .raw
            .wait_and_process_info(limit(timeout_ms), wanted);
        give_with_process(&operation.raw, result, &information, &document)
    })
}

fn give_with_process(
    operation: &raw::Operation,
    result: Result<(Option<Document>, raw::ProcessInformation), Error>,
    information: &Out<HCS_PROCESS_INFORMATION>,
    out: &Out<PWSTR>,
) -> Result<(), HResult> {
    match result {
        Ok((document, process)) => {
            // The steps that may fail come first: the descriptors are given only once.
            out.document(document.as_ref())?;
            if information.is_wanted() {
                information.set(to_c(operation, process));
            }
            Ok(())
        }
        Err(error) => Err(out.failure(&error)),
    }
}

/// Hands the descriptors over to C.
fn to_c(operation: &raw::Operation, info: raw::ProcessInformation) -> HCS_PROCESS_INFORMATION {
    let lend = |stdin: OwnedFd| match operation.process() {
        Some(process) => process.lend_stdin(stdin),
        None => stdin.into_raw_fd(),
    };
    HCS_PROCESS_INFORMATION {
        ProcessId: info.process_id,
        Reserved: 0,
        StdInput: descriptor(info.stdio.stdin.map(lend)),
        StdOutput: descriptor(info.stdio.stdout.map(IntoRawFd::into_raw_fd)),
        StdError: descriptor(info.stdio.stderr.map(IntoRawFd::into_raw_fd)),
    }
}

fn descriptor(descriptor: Option<RawFd>) -> HANDLE {
    let number = descriptor.and_then(|fd| usize::try_from(fd).ok());
    ptr::without_provenance_mut(number.unwrap_or(0))
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsAddResourceToOperation(
    operation: Handle,
    _kind: i32,
    uri: PCWSTR,
    _handle: HANDLE,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a string.
        unsafe { string::required(uri) }?;
        OPERATIONS.get(operation)?;
        Err(HResult::E_NOTIMPL)
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetOperationCallback(
    operation: Handle,
    context: *const c_void,
    callback: HCS_OPERATION_COMPLETION,
) -> HRESULT {
    guard(|| {
        let handle = operation;
        let operation = OPERATIONS.get(handle)?;
        let context = callback::context(context);
        operation
            .raw
            .set_callback(callback::completion(callback, handle, &context))?;
        let mut current = operation
            .context
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        drop(mem::replace(&mut *current, context));
        Ok(())
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsCancelOperation(operation: Handle) -> HRESULT {
    guard(|| OPERATIONS.get(operation)?.raw.cancel())
}

/// See `HcsExtensions.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsSetOperationDeadline(
    operation: Handle,
    timeout_ms: u32,
) -> HRESULT {
    guard(|| {
        OPERATIONS
            .get(operation)?
            .raw
            .set_deadline(limit(timeout_ms))
    })
}

/// See `ComputeCore.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn HcsGetOperationProperties(
    operation: Handle,
    options: PCWSTR,
    result_document: *mut PWSTR,
) -> HRESULT {
    guard(|| {
        // SAFETY: the caller passes a place for a pointer.
        let document = unsafe { Out::new(result_document) }.required()?;
        // SAFETY: the caller passes NULL or a string.
        let options = unsafe { string::optional(options) };
        let operation = OPERATIONS.get(operation)?;
        give(operation.raw.properties(options.as_deref()), &document)
    })
}

/*
 * ComputeCore.h - the functions of the Host Compute Service API: operations, compute systems, processes, the service
 * and utilities for virtual machines. ComputeStorage.h has the ones for layers.
 *
 * Names, parameters and values are those of the Windows header of the same name. The page of the HCS reference that
 * describes a function has the function's name; where it is silent or a Linux host differs, the comment here decides.
 *
 * Rules that hold for every function:
 *
 * Threads. Every function may be called from every thread and from every callback, also for the same handle at the same
 * time. After fork(2) only the parent may go on using the library.
 *
 * Shape errors are the result of the call itself and change nothing: E_INVALIDARG for NULL where it is not allowed (a
 * NULL handle included), E_HANDLE for a handle that is closed, or of another kind, or never was one. Where both could
 * be said, E_INVALIDARG is. HCS_E_OPERATION_ALREADY_STARTED when the operation is tracking another call, which is not
 * disturbed; HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET as explained at HcsSetComputeSystemCallback.
 *
 * Asynchronous calls are those that take an operation. S_OK means that the call has begun; how it ended is the result
 * of the operation: errors in documents, in the state of the system or process, in reaching the service. Every result
 * that is a failure comes with a ResultError document that names the fault and its place.
 *
 * Strings are UTF-16 (UTF-32 with HCS_WIDE, see ComputeWin32.h) and end with NUL. An id with a lone surrogate is
 * refused with E_INVALIDARG. A document with one is an invalid document: HCS_E_INVALID_JSON, as result of the
 * operation where there is one. An optional document may be NULL, empty or {}; all mean the same. A document is
 * limited to 4 MiB (as UTF-8) and 64 levels.
 *
 * Out-parameters are set to NULL (structures to zeros) whenever the call gives nothing. Strings that are given belong
 * to the caller, who releases each with LocalFree or CoTaskMemFree. Event data belongs to the library.
 *
 * Closing a handle never fails; a wrong handle is ignored. Closing does not end the system, process or call of the
 * handle.
 *
 * Callbacks run on threads of the library, one at a time for a handle, with no lock held. Closing a handle waits for
 * its running callback, except from within that callback; after that none of its callbacks starts any more. A callback
 * must return: no longjmp may leave it, and a C++ exception that would leave it ends the program by std::terminate,
 * which shows the exception.
 *
 * The service is found through $HCS_ENDPOINT (the path of its socket), else in the system's or the user's run-time
 * directory, and started when it does not run. Result HCS_E_SERVICE_NOT_AVAILABLE when that fails.
 *
 * Any function may in addition return E_OUTOFMEMORY, and E_UNEXPECTED for a defect of the library.
 */
#ifndef COMPUTECORE_COMPUTECORE_H
#define COMPUTECORE_COMPUTECORE_H

#include "ComputeDefs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Operations ------------------------------------------------------------------------------------------------ */

/**
 * Creates an operation, with which one call at a time can be tracked; it may be used again once that has completed.
 *
 * @param context  Given to the callback, and by HcsGetOperationContext.
 * @param callback Called once for each completion, after the result can be read; may be NULL.
 * @return The operation, to be closed with HcsCloseOperation, or NULL when resources ran out.
 */
HCS_OPERATION HCS_API HcsCreateOperation(_In_opt_ const void *context, _In_opt_ HCS_OPERATION_COMPLETION callback);

/**
 * Creates an operation that raises notifications of its own, progress for example.
 *
 * @param eventTypes Which ones.
 * @return NULL: not implemented on Linux.
 */
HCS_OPERATION HCS_API HcsCreateOperationWithNotifications(_In_ HCS_OPERATION_OPTIONS eventTypes,
                                                          _In_opt_ const void *context,
                                                          _In_ HCS_EVENT_CALLBACK callback);

/**
 * Closes an operation. A call that it tracks goes on; its result is dropped, and with it stdio handles not yet taken.
 * Allowed within its callback.
 */
void HCS_API HcsCloseOperation(_In_ HCS_OPERATION operation);

/** @return The context of the operation; NULL when the handle is not valid. */
void *HCS_API HcsGetOperationContext(_In_ HCS_OPERATION operation);

/**
 * Replaces the context of the operation. A callback that has started keeps the one it was given.
 *
 * @return S_OK, E_INVALIDARG, E_HANDLE.
 */
HRESULT HCS_API HcsSetOperationContext(_In_ HCS_OPERATION operation, _In_opt_ const void *context);

/**
 * @return The handle of the compute system that the tracked call was made on or for; it stays the property of the code
 * that got it from HcsCreateComputeSystem or HcsOpenComputeSystem. NULL when there is none, or the handle is not valid.
 */
HCS_SYSTEM HCS_API HcsGetComputeSystemFromOperation(_In_ HCS_OPERATION operation);

/**
 * @return The handle of the process that the tracked call was made on or for; it stays the property of the code
 * that got it from HcsCreateProcess or HcsOpenProcess. NULL when there is none, or the handle is not valid.
 */
HCS_PROCESS HCS_API HcsGetProcessFromOperation(_In_ HCS_OPERATION operation);

/** @return What the operation tracks or last tracked; HcsOperationTypeNone before that and for an invalid handle. */
HCS_OPERATION_TYPE HCS_API HcsGetOperationType(_In_ HCS_OPERATION operation);

/** @return A number that no other operation of this program has; HCS_INVALID_OPERATION_ID for an invalid handle. */
UINT64 HCS_API HcsGetOperationId(_In_ HCS_OPERATION operation);

/**
 * Gets the result of the tracked call, any number of times, without waiting.
 *
 * @param resultDocument Receives the document of the result: the one that the function promises on success, else a
 *                       ResultError. NULL when there is none. May be NULL.
 * @return S_OK or the failure the call ended with; HCS_E_OPERATION_NOT_STARTED; HCS_E_OPERATION_PENDING.
 */
HRESULT HCS_API HcsGetOperationResult(_In_ HCS_OPERATION operation, _Outptr_opt_ PWSTR *resultDocument);

/**
 * Gets the result of HcsCreateProcess or HcsGetProcessInfo together with the process information.
 *
 * Stdio handles are given once: the first successful call with `processInformation` owns them; later ones get the pid
 * and NULL handles. Handles that no call takes are closed with the operation or the process.
 *
 * @param processInformation Filled on S_OK, zeroed otherwise. May be NULL.
 * @param resultDocument     As for HcsGetOperationResult. May be NULL.
 * @return S_OK or the failure the call ended with; HCS_E_OPERATION_NOT_STARTED; E_INVALIDARG when the operation tracks
 *         another type of call; HCS_E_OPERATION_PENDING. Checked in this order.
 */
HRESULT HCS_API HcsGetOperationResultAndProcessInfo(_In_ HCS_OPERATION operation,
                                                    _Out_opt_ HCS_PROCESS_INFORMATION *processInformation,
                                                    _Outptr_opt_ PWSTR *resultDocument);

/**
 * Hands a resource of this program, a socket for example, to the call that the operation is going to track.
 *
 * @return E_NOTIMPL: not implemented on Linux.
 */
HRESULT HCS_API HcsAddResourceToOperation(_In_ HCS_OPERATION operation, _In_ HCS_RESOURCE_TYPE type, _In_ PCWSTR uri,
                                          _In_ HANDLE handle);

/**
 * Waits until the tracked call, of any type, has completed, and gets its result.
 *
 * @param timeoutMs Milliseconds; INFINITE for no limit, 0 not to wait.
 * @return As HcsGetOperationResult, with HCS_E_OPERATION_TIMEOUT in place of HCS_E_OPERATION_PENDING; the operation
 *         then stays as it is and can be waited for again.
 */
HRESULT HCS_API HcsWaitForOperationResult(_In_ HCS_OPERATION operation, _In_ DWORD timeoutMs,
                                          _Outptr_opt_ PWSTR *resultDocument);

/**
 * Waits for HcsCreateProcess or HcsGetProcessInfo and gets its result together with the process information.
 *
 * @param timeoutMs Milliseconds; INFINITE for no limit, 0 not to wait.
 * @return As HcsGetOperationResultAndProcessInfo, with HCS_E_OPERATION_TIMEOUT in place of HCS_E_OPERATION_PENDING; the
 *         operation then stays as it is and can be waited for again.
 */
HRESULT HCS_API HcsWaitForOperationResultAndProcessInfo(_In_ HCS_OPERATION operation, _In_ DWORD timeoutMs,
                                                        _Out_opt_ HCS_PROCESS_INFORMATION *processInformation,
                                                        _Outptr_opt_ PWSTR *resultDocument);

/**
 * Sets the callback and the context of an operation. While a call is pending, the callback is called for that call;
 * after its completion too, at once, if that is still unknown: no callback was told, and no result was read by a
 * function of this API. Else it is called for the next call.
 *
 * @param callback Called once for each completion. NULL removes the callback.
 * @return S_OK, E_INVALIDARG, E_HANDLE; HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET when the completion of the pending
 *         call goes to the event callback of its handle.
 */
HRESULT HCS_API HcsSetOperationCallback(_In_ HCS_OPERATION operation, _In_opt_ const void *context,
                                        _In_opt_ HCS_OPERATION_COMPLETION callback);

/**
 * Cancels the tracked call: it ends with HRESULT_FROM_WIN32(ERROR_CANCELLED) and is undone. A call that completes
 * first keeps its result. Does not wait.
 *
 * @return S_OK, also when the call has completed; E_INVALIDARG, E_HANDLE, HCS_E_OPERATION_NOT_STARTED. (Windows answers
 *         E_NOTIMPL.)
 */
HRESULT HCS_API HcsCancelOperation(_In_ HCS_OPERATION operation);

/**
 * Asks for facts about the operation itself: its id, type and state, and the id that names it in the service's log.
 *
 * @return S_OK, E_INVALIDARG, E_HANDLE.
 */
HRESULT HCS_API HcsGetOperationProperties(_In_ HCS_OPERATION operation, _In_ PCWSTR options,
                                          _Outptr_ PWSTR *resultDocument);

/* ---- Compute systems ------------------------------------------------------------------------------------------- */

/**
 * Creates a compute system. It lives on when the handle is closed, unless its document says otherwise.
 *
 * @param id                 Any non-empty string of up to 256 UTF-16 units; unique on this service.
 * @param configuration      ComputeSystem document.
 * @param operation          Tracks the call; no result document.
 * @param securityDescriptor Must be NULL.
 * @param computeSystem      Receives the handle at once, usable for further calls, which wait their turn. To be closed
 *                           with HcsCloseComputeSystem also when the operation fails.
 * @return S_OK when begun. Results: HCS_E_SYSTEM_ALREADY_EXISTS, HCS_E_INVALID_JSON, HCS_E_ACCESS_DENIED,
 *         HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED) for a property this host refuses, and others.
 */
HRESULT HCS_API HcsCreateComputeSystem(_In_ PCWSTR id, _In_ PCWSTR configuration, _In_ HCS_OPERATION operation,
                                       _In_opt_ const SECURITY_DESCRIPTOR *securityDescriptor,
                                       _Out_ HCS_SYSTEM *computeSystem);

/**
 * Creates a compute system whose id is known only within a namespace.
 *
 * @return E_NOTIMPL: not implemented on Linux.
 */
HRESULT HCS_API HcsCreateComputeSystemInNamespace(_In_ PCWSTR idNamespace, _In_ PCWSTR id, _In_ PCWSTR configuration,
                                                  _In_ HCS_OPERATION operation,
                                                  _In_opt_ const HCS_CREATE_OPTIONS *options,
                                                  _Out_ HCS_SYSTEM *computeSystem);

/**
 * Opens a handle to a compute system that exists. Waits for the answer.
 *
 * @param requestedAccess A set of rights, GENERIC_ALL for example. All are granted to every user of the service.
 * @param computeSystem   Receives the handle, to be closed with HcsCloseComputeSystem.
 * @return S_OK, E_INVALIDARG, HCS_E_SYSTEM_NOT_FOUND, HCS_E_ACCESS_DENIED, HCS_E_SERVICE_NOT_AVAILABLE.
 */
HRESULT HCS_API HcsOpenComputeSystem(_In_ PCWSTR id, _In_ DWORD requestedAccess, _Out_ HCS_SYSTEM *computeSystem);

/**
 * Opens a compute system of a namespace.
 *
 * @return E_NOTIMPL: not implemented on Linux.
 */
HRESULT HCS_API HcsOpenComputeSystemInNamespace(_In_ PCWSTR idNamespace, _In_ PCWSTR id, _In_ DWORD requestedAccess,
                                                _Out_ HCS_SYSTEM *computeSystem);

/**
 * Closes a handle to a compute system. Calls that are pending on it go on. Its event callback is not called any more.
 * Where the system ends with its last handle, that is under way; a creation with its id waits until it is through.
 */
void HCS_API HcsCloseComputeSystem(_In_ HCS_SYSTEM computeSystem);

/**
 * Starts a created compute system. A container is then ready for HcsCreateProcess; nothing runs in it by itself.
 *
 * @param options Optional StartOptions document; a container has no use for it.
 * @return S_OK when begun. Results: HCS_E_INVALID_STATE, HCS_E_TERMINATED_DURING_START, HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsStartComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                      _In_opt_ PCWSTR options);

/**
 * Asks a compute system to end: its processes get a polite signal and some time.
 *
 * @param options Optional ShutdownOptions document.
 * @return S_OK when begun. Results: HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED, HCS_E_CONNECTION_TIMEOUT.
 */
HRESULT HCS_API HcsShutDownComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                         _In_opt_ PCWSTR options);

/**
 * Ends a compute system at once, in whatever state it is.
 *
 * @param options Reserved; E_INVALIDARG is the result when there are any.
 * @return S_OK when begun. Results: HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsTerminateComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                          _In_opt_ PCWSTR options);

/**
 * Makes the guest of a virtual machine crash, by an interrupt that it cannot mask. What the guest makes of it is its
 * own: a Linux kernel crashes with the word `unknown_nmi_panic` on its command line.
 *
 * @param options Optional CrashOptions document.
 * @return S_OK when begun. Results: HCS_E_INVALID_STATE while the machine stands still; E_NOTIMPL for a container.
 */
HRESULT HCS_API HcsCrashComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                      _In_opt_ PCWSTR options);

/**
 * Stops everything in a running compute system until HcsResumeComputeSystem.
 *
 * @param options Optional PauseOptions document.
 * @return S_OK when begun. Results: HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsPauseComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                      _In_opt_ PCWSTR options);

/**
 * Lets a paused compute system go on.
 *
 * @param options Reserved; E_INVALIDARG is the result when there are any.
 * @return S_OK when begun. Results: HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsResumeComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                       _In_opt_ PCWSTR options);

/**
 * Saves a paused compute system.
 *
 * @param options Optional SaveOptions document.
 * @return S_OK when begun. Results: E_NOTIMPL; nothing can be saved yet.
 */
HRESULT HCS_API HcsSaveComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                     _In_opt_ PCWSTR options);

/**
 * Asks for properties of a compute system. The result document is a Properties document. It has no State until the
 * system has run.
 *
 * @param propertyQuery Optional System_PropertyQuery document; without it the basic properties.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsGetComputeSystemProperties(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                              _In_opt_ PCWSTR propertyQuery);

/**
 * Changes settings of a compute system.
 *
 * @param configuration ModifySettingRequest document.
 * @param identity      Must be NULL: there is no other identity to act as on Linux. E_INVALIDARG otherwise.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_INVALID_STATE, HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED).
 */
HRESULT HCS_API HcsModifyComputeSystem(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                       _In_ PCWSTR configuration, _In_opt_ HANDLE identity);

/**
 * Waits until the compute system has exited. Works for as long as the handle is open, also after the exit.
 *
 * @param timeoutMs Milliseconds; INFINITE for no limit, 0 not to wait.
 * @param result    Receives a SystemExitStatus document; may be NULL.
 * @return S_OK, E_INVALIDARG, E_HANDLE, HRESULT_FROM_WIN32(ERROR_TIMEOUT).
 */
HRESULT HCS_API HcsWaitForComputeSystemExit(_In_ HCS_SYSTEM computeSystem, _In_ DWORD timeoutMs,
                                            _Outptr_opt_ PWSTR *result);

/**
 * Sets the callback that receives the events of this handle. An exit that has been is told to a late callback too; each
 * handle gets its exit event once. So is a completion of a call on this handle, or of the call that made it, where the
 * callback takes completions and it is still unknown: no callback was told, and no result was read by a function of
 * this API. Each completion is told once.
 *
 * @param callbackOptions With HcsEventOptionEnableOperationCallbacks the completions of calls on this handle come here
 *                        as HcsEventOperationCallback; calls with an operation that has a callback of its own are then
 *                        refused with HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET.
 * @param callback        NULL removes the callback, once it does not run any more.
 * @return S_OK, E_INVALIDARG, E_HANDLE.
 */
HRESULT HCS_API HcsSetComputeSystemCallback(_In_ HCS_SYSTEM computeSystem, _In_ HCS_EVENT_OPTIONS callbackOptions,
                                            _In_opt_ const void *context, _In_opt_ HCS_EVENT_CALLBACK callback);

/**
 * Lists compute systems. The result document is an array of Properties documents, [] when there are none. One has no
 * State until its system has run.
 *
 * @param query Optional SystemQuery document.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_ACCESS_DENIED, HCS_E_SERVICE_NOT_AVAILABLE.
 */
HRESULT HCS_API HcsEnumerateComputeSystems(_In_opt_ PCWSTR query, _In_ HCS_OPERATION operation);

/**
 * Lists the compute systems of a namespace.
 *
 * @return E_NOTIMPL: not implemented on Linux.
 */
HRESULT HCS_API HcsEnumerateComputeSystemsInNamespace(_In_ PCWSTR idNamespace, _In_opt_ PCWSTR query,
                                                      _In_ HCS_OPERATION operation);

/* ---- Live migration: not implemented on Linux, all return E_NOTIMPL -------------------------------------------- */

/** Prepares the source of a migration. @return E_NOTIMPL. */
HRESULT HCS_API HcsInitializeLiveMigrationOnSource(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                                   _In_opt_ PCWSTR options);

/** Begins a migration on its source. @return E_NOTIMPL. */
HRESULT HCS_API HcsStartLiveMigrationOnSource(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                              _In_opt_ PCWSTR options);

/** Begins the transfer of memory. @return E_NOTIMPL. */
HRESULT HCS_API HcsStartLiveMigrationTransfer(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                              _In_opt_ PCWSTR options);

/** Ends a migration on either side. @return E_NOTIMPL. */
HRESULT HCS_API HcsFinalizeLiveMigration(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                         _In_opt_ PCWSTR options);

/** Gives a migration up. @return E_NOTIMPL. */
HRESULT HCS_API HcsCancelLiveMigration(_In_ HCS_SYSTEM computeSystem, _In_ HCS_OPERATION operation,
                                       _In_opt_ PCWSTR options);

/* ---- Processes ------------------------------------------------------------------------------------------------- */

/**
 * Starts a process in a running compute system.
 *
 * @param processParameters  ProcessParameters document.
 * @param operation          Tracks the call; HcsWaitForOperationResultAndProcessInfo gives pid and stdio.
 * @param securityDescriptor Must be NULL.
 * @param process            Receives the handle at once, usable for further calls, which wait their turn. To be closed
 *                           with HcsCloseProcess also when the operation fails.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_INVALID_STATE, HCS_E_SYSTEM_ALREADY_STOPPED,
 *         HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND) and others when the program cannot be run.
 */
HRESULT HCS_API HcsCreateProcess(_In_ HCS_SYSTEM computeSystem, _In_ PCWSTR processParameters,
                                 _In_ HCS_OPERATION operation,
                                 _In_opt_ const SECURITY_DESCRIPTOR *securityDescriptor, _Out_ HCS_PROCESS *process);

/**
 * Opens a handle to a process of a compute system. Waits for the answer. A process that has exited can be opened until
 * its exit status was delivered once.
 *
 * @param processId       Pid inside the compute system.
 * @param requestedAccess A set of rights, GENERIC_ALL for example. All are granted.
 * @param process         Receives the handle, to be closed with HcsCloseProcess.
 * @return S_OK, E_INVALIDARG, E_HANDLE, HRESULT_FROM_WIN32(ERROR_NOT_FOUND), HCS_E_SYSTEM_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsOpenProcess(_In_ HCS_SYSTEM computeSystem, _In_ DWORD processId, _In_ DWORD requestedAccess,
                               _Out_ HCS_PROCESS *process);

/**
 * Closes a handle to a process, which goes on. Stdio handles not yet taken are closed. Its event callback is not called
 * any more.
 */
void HCS_API HcsCloseProcess(_In_ HCS_PROCESS process);

/**
 * Kills a process. Never waits behind another signal.
 *
 * @param options Reserved; E_INVALIDARG is the result when there are any.
 * @return S_OK when begun. Results: HCS_E_PROCESS_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsTerminateProcess(_In_ HCS_PROCESS process, _In_ HCS_OPERATION operation, _In_opt_ PCWSTR options);

/**
 * Sends a signal to a process.
 *
 * @param options Optional SignalProcessOptions document. Signal is a name of the schema or a Linux number; without one,
 *                or 0, it is SIGKILL. With "Group": true (an extension) the group of the process gets it: the process
 *                and its descendants that made no group of their own; SIGKILL goes to its whole session.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_PROCESS_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsSignalProcess(_In_ HCS_PROCESS process, _In_ HCS_OPERATION operation, _In_opt_ PCWSTR options);

/**
 * Asks for pid and stdio of a process, with HcsWaitForOperationResultAndProcessInfo. The stdio handles are fresh ones
 * when no client holds the old ones any more, else NULL.
 *
 * @return S_OK when begun. Results: HCS_E_PROCESS_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsGetProcessInfo(_In_ HCS_PROCESS process, _In_ HCS_OPERATION operation);

/**
 * Asks for the state of a process. The result document is a ProcessStatus document.
 *
 * @param propertyQuery Reserved.
 * @return S_OK when begun.
 */
HRESULT HCS_API HcsGetProcessProperties(_In_ HCS_PROCESS process, _In_ HCS_OPERATION operation,
                                        _In_opt_ PCWSTR propertyQuery);

/**
 * Changes a running process: the size of its console, or closing one of its streams. Standard input ends when its
 * handle is closed or when this function closes it; both, in either order, are fine.
 *
 * @param settings ProcessModifyRequest document.
 * @return S_OK when begun. Results: HCS_E_INVALID_JSON, HCS_E_PROCESS_ALREADY_STOPPED.
 */
HRESULT HCS_API HcsModifyProcess(_In_ HCS_PROCESS process, _In_ HCS_OPERATION operation, _In_ PCWSTR settings);

/**
 * Sets the callback that receives the events of this handle. As HcsSetComputeSystemCallback, for a process.
 *
 * @return S_OK, E_INVALIDARG, E_HANDLE.
 */
HRESULT HCS_API HcsSetProcessCallback(_In_ HCS_PROCESS process, _In_ HCS_EVENT_OPTIONS callbackOptions,
                                      _In_opt_ void *context, _In_opt_ HCS_EVENT_CALLBACK callback);

/**
 * Waits until the process has exited. Works for as long as the handle is open, also after the exit. Death by signal N
 * is exit code 128 + N.
 *
 * @param timeoutMs Milliseconds; INFINITE for no limit, 0 not to wait.
 * @param result    Receives a ProcessStatus document; may be NULL.
 * @return S_OK, E_INVALIDARG, E_HANDLE, HRESULT_FROM_WIN32(ERROR_TIMEOUT).
 */
HRESULT HCS_API HcsWaitForProcessExit(_In_ HCS_PROCESS process, _In_ DWORD timeoutMs, _Outptr_opt_ PWSTR *result);

/* ---- The service ----------------------------------------------------------------------------------------------- */

/**
 * Asks for properties of the service. Waits for the answer.
 *
 * @param propertyQuery Optional Service_PropertyQuery document; without it the property Basic is given. Beyond the
 *                      schema there is the property Capabilities: the parts of documents that are honoured here, and
 *                      the reasons why others are not.
 * @param result        Receives a ServiceProperties document, or a ResultError when the call fails.
 * @return S_OK, E_INVALIDARG, HCS_E_INVALID_JSON, HCS_E_ACCESS_DENIED, HCS_E_SERVICE_NOT_AVAILABLE.
 */
HRESULT HCS_API HcsGetServiceProperties(_In_opt_ PCWSTR propertyQuery, _Outptr_ PWSTR *result);

/**
 * Changes settings of the service. Waits for the answer.
 *
 * @param settings ModificationRequest document.
 * @param result   Receives the document of the answer, or a ResultError when the call fails. May be NULL.
 * @return S_OK, E_INVALIDARG, HCS_E_INVALID_JSON, HCS_E_ACCESS_DENIED, HCS_E_SERVICE_NOT_AVAILABLE;
 *         HRESULT_FROM_WIN32 of ERROR_ALREADY_EXISTS, ERROR_NOT_FOUND, ERROR_BUSY for a group of processors that is
 *         there, is not, or is in use; ERROR_NOT_SUPPORTED for a feature that this host does not have.
 */
HRESULT HCS_API HcsModifyServiceSettings(_In_ PCWSTR settings, _Outptr_opt_ PWSTR *result);

/**
 * Submits a report about a crash: it is written into the directory that the service is configured with. Waits for the
 * answer.
 *
 * @param settings CrashReport document.
 * @return S_OK, E_INVALIDARG, HCS_E_INVALID_JSON, HCS_E_ACCESS_DENIED, HCS_E_SERVICE_NOT_AVAILABLE.
 */
HRESULT HCS_API HcsSubmitWerReport(_In_ PCWSTR settings);

/* ---- Utilities for virtual machines ------------------------------------------------------------------------------ */

/**
 * Creates an empty guest state file (.vmgs), which only its owner may use. The first machine that is made with it fills
 * it.
 *
 * @param guestStateFilePath Where nothing is yet.
 * @return S_OK, E_INVALIDARG, HRESULT_FROM_WIN32(ERROR_FILE_EXISTS), or what the host refused.
 */
HRESULT HCS_API HcsCreateEmptyGuestStateFile(_In_ PCWSTR guestStateFilePath);

/**
 * Creates an empty runtime state file (.vmrs), which only its owner may use.
 *
 * @param runtimeStateFilePath Where nothing is yet.
 * @return As HcsCreateEmptyGuestStateFile.
 */
HRESULT HCS_API HcsCreateEmptyRuntimeStateFile(_In_ PCWSTR runtimeStateFilePath);

/**
 * Lets a virtual machine read and write a file: adds an entry for the user that the machine runs as to the access
 * control list of the file. It does so with the rights of the caller, who has to own the file or to be root. A machine
 * is given no disk without. Symbolic links are followed. Asks the service for the user, and waits for the answer.
 *
 * @param vmId     Id of the machine, which need not exist yet.
 * @param filePath A regular file or a block device, on a file system with access control lists.
 * @return S_OK, E_INVALIDARG (also for what is neither), E_ACCESSDENIED,
 *         HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND), HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED),
 *         HCS_E_SERVICE_NOT_AVAILABLE.
 */
HRESULT HCS_API HcsGrantVmAccess(_In_ PCWSTR vmId, _In_ PCWSTR filePath);

/** Undoes HcsGrantVmAccess; a machine without an entry is fine. @return As HcsGrantVmAccess. */
HRESULT HCS_API HcsRevokeVmAccess(_In_ PCWSTR vmId, _In_ PCWSTR filePath);

/** Lets all virtual machines of the service read and write a file, as HcsGrantVmAccess. @return As HcsGrantVmAccess. */
HRESULT HCS_API HcsGrantVmGroupAccess(_In_ PCWSTR filePath);

/** Undoes HcsGrantVmGroupAccess. @return As HcsGrantVmAccess. */
HRESULT HCS_API HcsRevokeVmGroupAccess(_In_ PCWSTR filePath);

/**
 * Reads which processor features a saved virtual machine needs.
 *
 * @param processorFeaturesString Receives a document, to be released by the caller; may be NULL.
 * @return E_NOTIMPL.
 */
HRESULT HCS_API HcsGetProcessorCompatibilityFromSavedState(_In_ PCWSTR runtimeFileName,
                                                           _Outptr_opt_ PCWSTR *processorFeaturesString);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* COMPUTECORE_COMPUTECORE_H */

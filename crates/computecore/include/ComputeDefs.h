/*
 * ComputeDefs.h - types, enumerations and result codes of the Host Compute Service API.
 *
 * Names, values and layouts are those of the Windows header of the same name. Reference pages: "HCS_EVENT",
 * "HCS_EVENT_TYPE", "HCS_EVENT_OPTIONS", "HCS_OPERATION_TYPE", "HCS_PROCESS_INFORMATION", "HCSHResult".
 */
/* Each time, as it looks whether HCS_WIDE is the same each time. */
#include "ComputeWin32.h"

#ifndef COMPUTECORE_COMPUTEDEFS_H
#define COMPUTECORE_COMPUTEDEFS_H

#ifdef HCS_WIDE
#include "ComputeWide.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef DECLARE_HANDLE
#define DECLARE_HANDLE(name)                                                                                           \
    struct name##__;                                                                                                   \
    typedef struct name##__ *name
#endif

/* Enumerations are 32 bits wide: C++ is told so, C chooses so (checked below). */
#ifdef __cplusplus
#define COMPUTECORE_INT_ : int
#else
#define COMPUTECORE_INT_
#endif

/* Handles are opaque: neither memory nor a file descriptor. A closed or otherwise wrong one is recognised and refused
 * with E_HANDLE; values are not reused in any foreseeable time. */

/** A compute system: a container or a virtual machine. */
DECLARE_HANDLE(HCS_SYSTEM);
/** A process in a compute system. */
DECLARE_HANDLE(HCS_PROCESS);
/** What tracks an asynchronous call. */
DECLARE_HANDLE(HCS_OPERATION);
/** Reserved: no function of this API takes or gives one. */
DECLARE_HANDLE(HCS_CALLBACK);

/** What an operation tracks or last tracked. Reference page: HCS_OPERATION_TYPE. */
typedef enum HCS_OPERATION_TYPE COMPUTECORE_INT_
{
    /** Not used yet. */
    HcsOperationTypeNone = -1,
    HcsOperationTypeEnumerate = 0,
    HcsOperationTypeCreate = 1,
    HcsOperationTypeStart = 2,
    HcsOperationTypeShutdown = 3,
    HcsOperationTypePause = 4,
    HcsOperationTypeResume = 5,
    HcsOperationTypeSave = 6,
    HcsOperationTypeTerminate = 7,
    HcsOperationTypeModify = 8,
    HcsOperationTypeGetProperties = 9,
    HcsOperationTypeCreateProcess = 10,
    /** HcsSignalProcess, and HcsTerminateProcess, which has no number of its own. */
    HcsOperationTypeSignalProcess = 11,
    HcsOperationTypeGetProcessInfo = 12,
    HcsOperationTypeGetProcessProperties = 13,
    HcsOperationTypeModifyProcess = 14,
    HcsOperationTypeCrash = 15,
    HcsOperationTypeReserved1 = 16,
    HcsOperationTypeReserved2 = 17,
    HcsOperationTypeReserved3 = 18,
    HcsOperationTypeLiveMigration = 19
} HCS_OPERATION_TYPE;

/** What HcsGetOperationId answers for a handle that is not a valid operation. */
#ifndef HCS_INVALID_OPERATION_ID
#define HCS_INVALID_OPERATION_ID ((UINT64)(-1))
#endif

/** Called once when the call tracked by `operation` has completed. Reference page: HCS_OPERATION_COMPLETION. */
typedef void(HCS_CALLBACK_ *HCS_OPERATION_COMPLETION)(_In_ HCS_OPERATION operation, _In_opt_ void *context);

/** What happened. Reference page: HCS_EVENT_TYPE. */
typedef enum HCS_EVENT_TYPE COMPUTECORE_INT_
{
    HcsEventInvalid = 0x00000000,
    /** The compute system is gone; data: SystemExitStatus. */
    HcsEventSystemExited = 0x00000001,
    /** Its guest has begun to crash; data: CrashReport. */
    HcsEventSystemCrashInitiated = 0x00000002,
    /** The crash is over; data: CrashReport. */
    HcsEventSystemCrashReport = 0x00000003,
    /** Not raised on Linux. */
    HcsEventSystemRdpEnhancedModeStateChanged = 0x00000004,
    /** Not raised on Linux. */
    HcsEventSystemSiloJobCreated = 0x00000005,
    /** The connection to the agent in the compute system is lost, though no request ended the system; no data. */
    HcsEventSystemGuestConnectionClosed = 0x00000006,
    /** The process is gone; data: ProcessStatus. */
    HcsEventProcessExited = 0x00010000,
    /** An operation on this handle completed; needs HcsEventOptionEnableOperationCallbacks. */
    HcsEventOperationCallback = 0x01000000,
    /** The service went away. Handles work again once it is back. */
    HcsEventServiceDisconnect = 0x02000000,
    /** Life of a virtual machine; needs HcsEventOptionEnableVmLifecycle. Not raised on Linux yet. */
    HcsEventGroupVmLifecycle = (int)0x80000002u,
    /** Live migration; needs HcsEventOptionEnableLiveMigrationEvents. Not raised on Linux. */
    HcsEventGroupLiveMigration = (int)0x80000003u,
    /** Progress of an operation; see HcsCreateOperationWithNotifications. Not raised on Linux. */
    HcsEventGroupOperationInfo = (int)0xC0000001u
} HCS_EVENT_TYPE;

/** An event. It and what it points to are valid only until the callback returns. Reference page: HCS_EVENT. */
typedef struct HCS_EVENT
{
    HCS_EVENT_TYPE Type;
    /** JSON document that goes with the type, or NULL. */
    PCWSTR EventData;
    /** The completed operation for HcsEventOperationCallback, else NULL. */
    HCS_OPERATION Operation;
} HCS_EVENT;

/** What an event callback is to receive. Reference page: HCS_EVENT_OPTIONS. */
typedef enum HCS_EVENT_OPTIONS COMPUTECORE_INT_
{
    HcsEventOptionNone = 0x00000000,
    /** Completions of operations on the handle too. Operations with a callback of their own are then refused on it. */
    HcsEventOptionEnableOperationCallbacks = 0x00000001,
    HcsEventOptionEnableVmLifecycle = 0x00000002,
    HcsEventOptionEnableLiveMigrationEvents = 0x00000004
} HCS_EVENT_OPTIONS;

/** Which notifications an operation is to raise. */
typedef enum HCS_OPERATION_OPTIONS COMPUTECORE_INT_
{
    HcsOperationOptionNone = 0x00000000,
    HcsOperationOptionProgressUpdate = 0x00000001,
    HcsOperationOptionReserved1 = 0x00000002
} HCS_OPERATION_OPTIONS;

/** Called for every event of a handle. Reference page: HCS_EVENT_CALLBACK. */
typedef void(HCS_CALLBACK_ *HCS_EVENT_CALLBACK)(_In_ HCS_EVENT *event, _In_opt_ void *context);

/** What HcsAddResourceToOperation hands over. */
typedef enum HCS_RESOURCE_TYPE COMPUTECORE_INT_
{
    HcsResourceTypeNone = 0,
    HcsResourceTypeFile = 1,
    HcsResourceTypeJob = 2,
    HcsResourceTypeComObject = 3,
    HcsResourceTypeSocket = 4
} HCS_RESOURCE_TYPE;

/** Flags of the notifications of the first version of HCS; kept for programs that name them. */
typedef enum HCS_NOTIFICATION_FLAGS COMPUTECORE_INT_
{
    HcsNotificationFlagSuccess = 0x00000000,
    HcsNotificationFlagFailure = (int)0x80000000u
} HCS_NOTIFICATION_FLAGS;

/** Notifications of the first version of HCS; kept for programs that name them. Their numbers are not those of
 * HCS_EVENT_TYPE. */
typedef enum HCS_NOTIFICATIONS COMPUTECORE_INT_
{
    HcsNotificationInvalid = 0x00000000,
    HcsNotificationSystemExited = 0x00000001,
    HcsNotificationSystemCreateCompleted = 0x00000002,
    HcsNotificationSystemStartCompleted = 0x00000003,
    HcsNotificationSystemPauseCompleted = 0x00000004,
    HcsNotificationSystemResumeCompleted = 0x00000005,
    HcsNotificationSystemCrashReport = 0x00000006,
    HcsNotificationSystemSiloJobCreated = 0x00000007,
    HcsNotificationSystemSaveCompleted = 0x00000008,
    HcsNotificationSystemRdpEnhancedModeStateChanged = 0x00000009,
    HcsNotificationSystemShutdownFailed = 0x0000000A,
    HcsNotificationSystemShutdownCompleted = 0x0000000A,
    HcsNotificationSystemGetPropertiesCompleted = 0x0000000B,
    HcsNotificationSystemModifyCompleted = 0x0000000C,
    HcsNotificationSystemCrashInitiated = 0x0000000D,
    HcsNotificationSystemGuestConnectionClosed = 0x0000000E,
    HcsNotificationSystemOperationCompletion = 0x0000000F,
    HcsNotificationSystemPassThru = 0x00000010,
    HcsNotificationOperationProgressUpdate = 0x00000100,
    HcsNotificationProcessExited = 0x00010000,
    HcsNotificationServiceDisconnect = 0x01000000,
    HcsNotificationFlagsReserved = (int)0xF0000000u
} HCS_NOTIFICATIONS;

/** Callback of the first version of HCS; no function of this API takes one. */
typedef void(HCS_CALLBACK_ *HCS_NOTIFICATION_CALLBACK)(_In_ DWORD notificationType, _In_opt_ void *context,
                                                  _In_ HRESULT notificationStatus, _In_opt_ PCWSTR notificationData);

/**
 * Pid and stdio of a process. Reference page: HCS_PROCESS_INFORMATION.
 *
 * Each handle that is not NULL is a file descriptor which the receiver owns and has to close. It is NULL when the
 * process parameters did not ask for that stream, or when an earlier call has received it.
 */
typedef struct HCS_PROCESS_INFORMATION
{
    /** Pid inside the compute system. */
    DWORD ProcessId;
    /** Always 0. */
    DWORD Reserved;
    /** Write end of the process's standard input. */
    HANDLE StdInput;
    /** Read end of its standard output. */
    HANDLE StdOutput;
    /** Read end of its standard error. */
    HANDLE StdError;
} HCS_PROCESS_INFORMATION;

/** Version of the structure that HcsCreateComputeSystemInNamespace is given. */
typedef enum HCS_CREATE_OPTIONS COMPUTECORE_INT_
{
    HcsCreateOptions_1 = 0x00010000
} HCS_CREATE_OPTIONS;

/** Options of HcsCreateComputeSystemInNamespace, first version. */
typedef struct HCS_CREATE_OPTIONS_1
{
    /** HcsCreateOptions_1. */
    HCS_CREATE_OPTIONS Version;
    HANDLE UserToken;
    SECURITY_DESCRIPTOR *SecurityDescriptor;
    HCS_EVENT_OPTIONS CallbackOptions;
    void *CallbackContext;
    HCS_EVENT_CALLBACK Callback;
} HCS_CREATE_OPTIONS_1;

/* -fshort-enums would change the layout of the structures above. */
#ifndef __cplusplus
_Static_assert(sizeof(HCS_EVENT_TYPE) == 4 && sizeof(HCS_EVENT_OPTIONS) == 4 && sizeof(HCS_CREATE_OPTIONS) == 4,
               "enumerations of ComputeCore are 32 bits wide");
#endif
#undef COMPUTECORE_INT_

/* Result codes of HCS. Reference page: HCSHResult. */
#ifndef HCS_E_TERMINATED_DURING_START
/** The compute system ended while it was starting. */
#define HCS_E_TERMINATED_DURING_START ((HRESULT)0x80370100u)
/** The image was made for another operating system than the host runs. */
#define HCS_E_IMAGE_MISMATCH ((HRESULT)0x80370101u)
/** The virtual machine monitor this needs is not installed. */
#define HCS_E_HYPERV_NOT_INSTALLED ((HRESULT)0x80370102u)
/** The state of the compute system does not allow this call. */
#define HCS_E_INVALID_STATE ((HRESULT)0x80370105u)
/** The compute system ended unexpectedly. */
#define HCS_E_UNEXPECTED_EXIT ((HRESULT)0x80370106u)
/** The compute system was terminated. */
#define HCS_E_TERMINATED ((HRESULT)0x80370107u)
/** No connection to the compute system could be made. */
#define HCS_E_CONNECT_FAILED ((HRESULT)0x80370108u)
/** The compute system did not answer in time. */
#define HCS_E_CONNECTION_TIMEOUT ((HRESULT)0x80370109u)
/** The connection to the compute system was closed. */
#define HCS_E_CONNECTION_CLOSED ((HRESULT)0x8037010Au)
/** A message of an unknown kind was received. */
#define HCS_E_UNKNOWN_MESSAGE ((HRESULT)0x8037010Bu)
/** The two sides share no protocol version. */
#define HCS_E_UNSUPPORTED_PROTOCOL_VERSION ((HRESULT)0x8037010Cu)
/** A JSON document is invalid; the ResultError says where. */
#define HCS_E_INVALID_JSON ((HRESULT)0x8037010Du)
/** No compute system has this id. */
#define HCS_E_SYSTEM_NOT_FOUND ((HRESULT)0x8037010Eu)
/** A compute system with this id exists. */
#define HCS_E_SYSTEM_ALREADY_EXISTS ((HRESULT)0x8037010Fu)
/** The compute system has stopped. */
#define HCS_E_SYSTEM_ALREADY_STOPPED ((HRESULT)0x80370110u)
/** A peer broke the communication protocol. */
#define HCS_E_PROTOCOL_ERROR ((HRESULT)0x80370111u)
/** A layer has a format that is not recognised. */
#define HCS_E_INVALID_LAYER ((HRESULT)0x80370112u)
/** The image needs a preview release of the host. */
#define HCS_E_WINDOWS_INSIDER_REQUIRED ((HRESULT)0x80370113u)
/** The service is not available and could not be started; the ResultError says why. */
#define HCS_E_SERVICE_NOT_AVAILABLE ((HRESULT)0x80370114u)
/** The operation has not been used yet. */
#define HCS_E_OPERATION_NOT_STARTED ((HRESULT)0x80370115u)
/** The operation is tracking another call. */
#define HCS_E_OPERATION_ALREADY_STARTED ((HRESULT)0x80370116u)
/** The call has not completed yet. */
#define HCS_E_OPERATION_PENDING ((HRESULT)0x80370117u)
/** The time limit of the wait is over; the call goes on. */
#define HCS_E_OPERATION_TIMEOUT ((HRESULT)0x80370118u)
/** The completions of this handle go to its event callback, so the operation must not have a callback of its own. */
#define HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET ((HRESULT)0x80370119u)
/** No memory for the result document. */
#define HCS_E_OPERATION_RESULT_ALLOCATION_FAILED ((HRESULT)0x8037011Au)
/** The caller may not use the service. */
#define HCS_E_ACCESS_DENIED ((HRESULT)0x8037011Bu)
/** The guest reported a critical error. */
#define HCS_E_GUEST_CRITICAL_ERROR ((HRESULT)0x8037011Cu)
/** The process information is not available. */
#define HCS_E_PROCESS_INFO_NOT_AVAILABLE ((HRESULT)0x8037011Du)
/** The service went away while the call was pending. */
#define HCS_E_SERVICE_DISCONNECT ((HRESULT)0x8037011Eu)
/** The process has exited. */
#define HCS_E_PROCESS_ALREADY_STOPPED ((HRESULT)0x8037011Fu)
/** The compute system was not set up for this call. */
#define HCS_E_SYSTEM_NOT_CONFIGURED_FOR_OPERATION ((HRESULT)0x80370120u)
/** The operation was cancelled before. Not returned on Linux, where cancelling again has no effect. */
#define HCS_E_OPERATION_ALREADY_CANCELLED ((HRESULT)0x80370121u)
#endif

#ifdef __cplusplus
} /* extern "C" */

/* In C the options combine with |, &, ^ and ~ anyway; in C++ only by these. */
#define COMPUTECORE_FLAG_OPERATORS_(type)                                                                              \
    constexpr type operator|(type a, type b) { return static_cast<type>(static_cast<int>(a) | static_cast<int>(b)); } \
    constexpr type operator&(type a, type b) { return static_cast<type>(static_cast<int>(a) & static_cast<int>(b)); } \
    constexpr type operator^(type a, type b) { return static_cast<type>(static_cast<int>(a) ^ static_cast<int>(b)); } \
    constexpr type operator~(type a) { return static_cast<type>(~static_cast<int>(a)); }                               \
    inline type &operator|=(type &a, type b) { return a = a | b; }                                                     \
    inline type &operator&=(type &a, type b) { return a = a & b; }                                                     \
    inline type &operator^=(type &a, type b) { return a = a ^ b; }
COMPUTECORE_FLAG_OPERATORS_(HCS_EVENT_OPTIONS)
COMPUTECORE_FLAG_OPERATORS_(HCS_OPERATION_OPTIONS)
#undef COMPUTECORE_FLAG_OPERATORS_
#endif

#endif /* COMPUTECORE_COMPUTEDEFS_H */

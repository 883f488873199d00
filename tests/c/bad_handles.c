/*
 * Every function with NULL, with closed handles, with handles of another kind and with nonsense.
 *
 * The systems and processes here are never made: their documents are invalid. Their handles are as good as any.
 */
#include "check.h"

#define PATIENCE 60000

static HCS_SYSTEM good_system, closed_system;
static HCS_PROCESS good_process, closed_process;
static HCS_OPERATION good_operation, closed_operation;
static const WCHAR broken[] = {'a', 0xD800, 'b', 0};

typedef HRESULT(WINAPI *system_call)(HCS_SYSTEM, HCS_OPERATION, PCWSTR);
typedef HRESULT(WINAPI *process_call)(HCS_PROCESS, HCS_OPERATION, PCWSTR);

static HRESULT WINAPI modify_system(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR settings)
{
    return HcsModifyComputeSystem(system, operation, settings == NULL ? W("{}") : settings, NULL);
}

static HRESULT WINAPI create_process(HCS_SYSTEM system, HCS_OPERATION operation, PCWSTR settings)
{
    HCS_PROCESS process = (HCS_PROCESS)&good_system;
    HRESULT result = HcsCreateProcess(system, settings == NULL ? W("{}") : settings, operation, NULL, &process);
    CHECK((result == S_OK) == (process != NULL));
    HcsCloseProcess(process);
    return result;
}

static HRESULT WINAPI process_info(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR settings)
{
    (void)settings;
    return HcsGetProcessInfo(process, operation);
}

static HRESULT WINAPI modify_process(HCS_PROCESS process, HCS_OPERATION operation, PCWSTR settings)
{
    return HcsModifyProcess(process, operation, settings == NULL ? W("{}") : settings);
}

static const struct {
    const char *null_row, *handle_row;
    system_call call;
} system_calls[] = {
    {"HcsStartComputeSystem/E_INVALIDARG", "HcsStartComputeSystem/E_HANDLE", HcsStartComputeSystem},
    {"HcsShutDownComputeSystem/E_INVALIDARG", "HcsShutDownComputeSystem/E_HANDLE", HcsShutDownComputeSystem},
    {"HcsTerminateComputeSystem/E_INVALIDARG", "HcsTerminateComputeSystem/E_HANDLE", HcsTerminateComputeSystem},
    {"HcsCrashComputeSystem/E_INVALIDARG", "HcsCrashComputeSystem/E_HANDLE", HcsCrashComputeSystem},
    {"HcsPauseComputeSystem/E_INVALIDARG", "HcsPauseComputeSystem/E_HANDLE", HcsPauseComputeSystem},
    {"HcsResumeComputeSystem/E_INVALIDARG", "HcsResumeComputeSystem/E_HANDLE", HcsResumeComputeSystem},
    {"HcsSaveComputeSystem/E_INVALIDARG", "HcsSaveComputeSystem/E_HANDLE", HcsSaveComputeSystem},
    {"HcsGetComputeSystemProperties/E_INVALIDARG", "HcsGetComputeSystemProperties/E_HANDLE",
     HcsGetComputeSystemProperties},
    {"HcsModifyComputeSystem/E_INVALIDARG", "HcsModifyComputeSystem/E_HANDLE", modify_system},
    {"HcsCreateProcess/E_INVALIDARG", "HcsCreateProcess/E_HANDLE", create_process},
};

static const struct {
    const char *null_row, *handle_row;
    process_call call;
} process_calls[] = {
    {"HcsTerminateProcess/E_INVALIDARG", "HcsTerminateProcess/E_HANDLE", HcsTerminateProcess},
    {"HcsSignalProcess/E_INVALIDARG", "HcsSignalProcess/E_HANDLE", HcsSignalProcess},
    {"HcsGetProcessInfo/E_INVALIDARG", "HcsGetProcessInfo/E_HANDLE", process_info},
    {"HcsGetProcessProperties/E_INVALIDARG", "HcsGetProcessProperties/E_HANDLE", HcsGetProcessProperties},
    {"HcsModifyProcess/E_INVALIDARG", "HcsModifyProcess/E_HANDLE", modify_process},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The refused call left the operation as it was. */
static void check_untouched(const char *name)
{
    if (HcsGetOperationType(good_operation) != HcsOperationTypeNone ||
        HcsGetOperationResult(good_operation, NULL) != HCS_E_OPERATION_NOT_STARTED) {
        fprintf(stderr, "%s touched an operation it refused\n", name);
        platform_count(&check_failures);
    }
}

static void check_call(const char *row, HRESULT found, HRESULT expected)
{
    CONFORMS_HR(row, found, expected);
    check_untouched(row);
}

static void calls_on_systems(void)
{
    const HCS_SYSTEM wrong[] = {closed_system, (HCS_SYSTEM)good_operation, (HCS_SYSTEM)good_process,
                                (HCS_SYSTEM)closed_process, (HCS_SYSTEM)(intptr_t)-1, (HCS_SYSTEM)&good_system};
    const HCS_OPERATION wrong_operations[] = {closed_operation, (HCS_OPERATION)good_system,
                                              (HCS_OPERATION)(intptr_t)8};
    size_t i, k;
    for (i = 0; i < COUNT(system_calls); i++) {
        const char *null_row = system_calls[i].null_row, *handle_row = system_calls[i].handle_row;
        system_call call = system_calls[i].call;
        check_call(null_row, call(NULL, good_operation, NULL), E_INVALIDARG);
        check_call(null_row, call(good_system, NULL, NULL), E_INVALIDARG);
        check_call(null_row, call(closed_system, NULL, NULL), E_INVALIDARG);
        for (k = 0; k < COUNT(wrong); k++) {
            check_call(handle_row, call(wrong[k], good_operation, NULL), E_HANDLE);
        }
        for (k = 0; k < COUNT(wrong_operations); k++) {
            check_call(handle_row, call(good_system, wrong_operations[k], NULL), E_HANDLE);
        }
    }
}

static void calls_on_processes(void)
{
    const HCS_PROCESS wrong[] = {closed_process, (HCS_PROCESS)good_operation, (HCS_PROCESS)good_system,
                                 (HCS_PROCESS)(intptr_t)-1, (HCS_PROCESS)&good_process};
    const HCS_OPERATION wrong_operations[] = {closed_operation, (HCS_OPERATION)good_process,
                                              (HCS_OPERATION)(intptr_t)8};
    size_t i, k;
    for (i = 0; i < COUNT(process_calls); i++) {
        const char *null_row = process_calls[i].null_row, *handle_row = process_calls[i].handle_row;
        process_call call = process_calls[i].call;
        check_call(null_row, call(NULL, good_operation, NULL), E_INVALIDARG);
        check_call(null_row, call(good_process, NULL, NULL), E_INVALIDARG);
        for (k = 0; k < COUNT(wrong); k++) {
            check_call(handle_row, call(wrong[k], good_operation, NULL), E_HANDLE);
        }
        for (k = 0; k < COUNT(wrong_operations); k++) {
            check_call(handle_row, call(good_process, wrong_operations[k], NULL), E_HANDLE);
        }
    }
}

static void making_systems_and_processes(void)
{
    const SECURITY_DESCRIPTOR *descriptor = (const SECURITY_DESCRIPTOR *)&good_system;
    HCS_SYSTEM system;
    HCS_PROCESS process;
    static WCHAR longest[258];
    size_t i;
    for (i = 0; i < 257; i++) {
        longest[i] = 'x';
    }
#define CREATE(row, id, document, operation, descriptor, expected)                                                     \
    system = (HCS_SYSTEM)&system;                                                                                      \
    CONFORMS_HR(row, HcsCreateComputeSystem(id, document, operation, descriptor, &system), expected);                  \
    CHECK(system == NULL);                                                                                             \
    check_untouched("HcsCreateComputeSystem")
    CREATE("HcsCreateComputeSystem/E_INVALIDARG", NULL, W("{}"), good_operation, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/id", W(""), W("{}"), good_operation, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/id", broken, W("{}"), good_operation, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/id", longest, W("{}"), good_operation, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/E_INVALIDARG", W("bad"), NULL, good_operation, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/E_INVALIDARG", W("bad"), W("{}"), NULL, NULL, E_INVALIDARG);
    CREATE("HcsCreateComputeSystem/E_HANDLE", W("bad"), W("{}"), closed_operation, NULL, E_HANDLE);
    CREATE("HcsCreateComputeSystem/E_HANDLE", W("bad"), W("{}"), (HCS_OPERATION)good_system, NULL, E_HANDLE);
    CREATE("HcsCreateComputeSystem/securityDescriptor", W("bad"), W("{}"), good_operation, descriptor, E_INVALIDARG);
    CHECK_HR(HcsCreateComputeSystem(W("bad"), W("{}"), good_operation, NULL, NULL), E_INVALIDARG);
    check_untouched("HcsCreateComputeSystem");
#define OPEN(id, expected)                                                                                             \
    system = (HCS_SYSTEM)&system;                                                                                      \
    CONFORMS_HR("HcsOpenComputeSystem/E_INVALIDARG", HcsOpenComputeSystem(id, GENERIC_ALL, &system), expected);        \
    CHECK(system == NULL)
    OPEN(NULL, E_INVALIDARG);
    OPEN(W(""), E_INVALIDARG);
    OPEN(broken, E_INVALIDARG);
    OPEN(longest, E_INVALIDARG);
    CHECK_HR(HcsOpenComputeSystem(W("bad"), GENERIC_ALL, NULL), E_INVALIDARG);
    process = (HCS_PROCESS)&process;
    CONFORMS_HR("HcsCreateProcess/securityDescriptor",
                HcsCreateProcess(good_system, W("{}"), good_operation, descriptor, &process), E_INVALIDARG);
    CHECK(process == NULL);
    CHECK_HR(HcsCreateProcess(good_system, NULL, good_operation, NULL, &process), E_INVALIDARG);
    CHECK_HR(HcsCreateProcess(good_system, W("{}"), good_operation, NULL, NULL), E_INVALIDARG);
    check_untouched("HcsCreateProcess");
    process = (HCS_PROCESS)&process;
    CONFORMS_HR("HcsOpenProcess/E_INVALIDARG", HcsOpenProcess(NULL, 1, GENERIC_ALL, &process), E_INVALIDARG);
    CHECK(process == NULL);
    CONFORMS_HR("HcsOpenProcess/E_HANDLE", HcsOpenProcess(closed_system, 1, GENERIC_ALL, &process), E_HANDLE);
    CHECK_HR(HcsOpenProcess((HCS_SYSTEM)good_process, 1, GENERIC_ALL, &process), E_HANDLE);
    CHECK_HR(HcsOpenProcess(good_system, 1, GENERIC_ALL, NULL), E_INVALIDARG);
    CHECK_HR(HcsModifyComputeSystem(good_system, good_operation, NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsModifyComputeSystem/identity",
                HcsModifyComputeSystem(good_system, good_operation, W("{}"), (HANDLE)&system), E_INVALIDARG);
    CHECK_HR(HcsModifyProcess(good_process, good_operation, NULL), E_INVALIDARG);
    check_untouched("HcsModify...");
    CONFORMS_HR("HcsEnumerateComputeSystems/E_INVALIDARG", HcsEnumerateComputeSystems(NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsEnumerateComputeSystems/E_HANDLE", HcsEnumerateComputeSystems(NULL, closed_operation), E_HANDLE);
    CHECK_HR(HcsEnumerateComputeSystems(NULL, (HCS_OPERATION)good_system), E_HANDLE);
}

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
    (void)event;
    (void)context;
}

static void waits_and_callbacks(void)
{
    PWSTR document = (PWSTR)&good_system;
    CONFORMS_HR("HcsWaitForComputeSystemExit/E_INVALIDARG", HcsWaitForComputeSystemExit(NULL, 0, &document),
                E_INVALIDARG);
    CHECK(document == NULL);
    CONFORMS_HR("HcsWaitForComputeSystemExit/E_HANDLE", HcsWaitForComputeSystemExit(closed_system, INFINITE, NULL),
                E_HANDLE);
    CHECK_HR(HcsWaitForComputeSystemExit((HCS_SYSTEM)good_process, INFINITE, NULL), E_HANDLE);
    document = (PWSTR)&good_system;
    CONFORMS_HR("HcsWaitForProcessExit/E_INVALIDARG", HcsWaitForProcessExit(NULL, 0, &document), E_INVALIDARG);
    CHECK(document == NULL);
    CONFORMS_HR("HcsWaitForProcessExit/E_HANDLE", HcsWaitForProcessExit(closed_process, INFINITE, NULL), E_HANDLE);
    CHECK_HR(HcsWaitForProcessExit((HCS_PROCESS)good_system, INFINITE, NULL), E_HANDLE);
    CONFORMS_HR("HcsSetComputeSystemCallback/E_INVALIDARG",
                HcsSetComputeSystemCallback(NULL, HcsEventOptionNone, NULL, on_event), E_INVALIDARG);
    CONFORMS_HR("HcsSetComputeSystemCallback/E_HANDLE",
                HcsSetComputeSystemCallback(closed_system, HcsEventOptionNone, NULL, on_event), E_HANDLE);
    CHECK_HR(HcsSetComputeSystemCallback((HCS_SYSTEM)good_operation, HcsEventOptionNone, NULL, on_event), E_HANDLE);
    CONFORMS_HR("HcsSetProcessCallback/E_INVALIDARG", HcsSetProcessCallback(NULL, HcsEventOptionNone, NULL, on_event),
                E_INVALIDARG);
    CONFORMS_HR("HcsSetProcessCallback/E_HANDLE",
                HcsSetProcessCallback(closed_process, HcsEventOptionNone, NULL, on_event), E_HANDLE);
    CHECK_HR(HcsSetProcessCallback((HCS_PROCESS)good_operation, HcsEventOptionNone, NULL, on_event), E_HANDLE);
}

static void closing_what_is_no_handle(void)
{
    HcsCloseComputeSystem(NULL);
    HcsCloseComputeSystem(closed_system);
    HcsCloseComputeSystem((HCS_SYSTEM)good_process);
    HcsCloseComputeSystem((HCS_SYSTEM)&good_system);
    HcsCloseProcess(NULL);
    HcsCloseProcess(closed_process);
    HcsCloseProcess((HCS_PROCESS)good_operation);
    HcsCloseOperation((HCS_OPERATION)good_system);
    /* None of them closed anything. */
    CONFORMS_HR("HcsCloseComputeSystem/wrong",
                HcsSetComputeSystemCallback(good_system, HcsEventOptionNone, NULL, NULL), S_OK);
    CONFORMS_HR("HcsCloseProcess/wrong", HcsSetProcessCallback(good_process, HcsEventOptionNone, NULL, NULL), S_OK);
    CONFORMS_HR("HcsCloseComputeSystem/closed",
                HcsSetComputeSystemCallback(closed_system, HcsEventOptionNone, NULL, NULL), E_HANDLE);
    CONFORMS_HR("HcsCloseProcess/closed", HcsSetProcessCallback(closed_process, HcsEventOptionNone, NULL, NULL),
                E_HANDLE);
    CHECK(HcsGetOperationId(good_operation) != HCS_INVALID_OPERATION_ID);
}

static void the_service_functions(void)
{
    PWSTR document = (PWSTR)&good_system;
    CONFORMS_HR("HcsGetServiceProperties/E_INVALIDARG", HcsGetServiceProperties(NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsModifyServiceSettings/E_INVALIDARG", HcsModifyServiceSettings(NULL, &document), E_INVALIDARG);
    CHECK(document == NULL);
    CONFORMS_HR("HcsSubmitWerReport/E_INVALIDARG", HcsSubmitWerReport(NULL), E_INVALIDARG);
}

int main(void)
{
    HCS_OPERATION first = HcsCreateOperation(NULL, NULL), second = HcsCreateOperation(NULL, NULL);
    closed_operation = HcsCreateOperation(NULL, NULL);
    good_operation = HcsCreateOperation(NULL, NULL);
    HcsCloseOperation(closed_operation);
    REQUIRE(HcsCreateComputeSystem(W("never-made"), W("nonsense"), first, NULL, &good_system) == S_OK);
    REQUIRE(HcsCreateComputeSystem(W("never-made"), W("nonsense"), second, NULL, &closed_system) == S_OK);
    HcsCloseComputeSystem(closed_system);
    REQUIRE(FAILED(HcsWaitForOperationResult(first, PATIENCE, NULL)));
    REQUIRE(FAILED(HcsWaitForOperationResult(second, PATIENCE, NULL)));
    REQUIRE(HcsCreateProcess(good_system, W("{}"), first, NULL, &good_process) == S_OK);
    REQUIRE(HcsCreateProcess(good_system, W("{}"), second, NULL, &closed_process) == S_OK);
    HcsCloseProcess(closed_process);
    REQUIRE(FAILED(HcsWaitForOperationResult(first, PATIENCE, NULL)));
    REQUIRE(FAILED(HcsWaitForOperationResult(second, PATIENCE, NULL)));

    RUN(calls_on_systems);
    RUN(calls_on_processes);
    RUN(making_systems_and_processes);
    RUN(waits_and_callbacks);
    RUN(closing_what_is_no_handle);
    RUN(the_service_functions);

    HcsCloseProcess(good_process);
    HcsCloseComputeSystem(good_system);
    HcsCloseOperation(first);
    HcsCloseOperation(second);
    HcsCloseOperation(good_operation);
    return EXIT_STATUS;
}

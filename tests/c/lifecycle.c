/* Every call on a compute system in every state: it begins, and its result is as it is documented. */
#include "fixture.h"

typedef HRESULT(WINAPI *system_call)(HCS_SYSTEM, HCS_OPERATION, PCWSTR);

/* The rows of one function: what it says when it is done, when the state is wrong, when the system has stopped. */
struct rows {
    const char *begun, *done, *type, *wrong_state, *stopped, *options;
    system_call call;
    HCS_OPERATION_TYPE number;
};

static const struct rows start = {
    "HcsStartComputeSystem/S_OK",
    "HcsStartComputeSystem/result/S_OK",
    "HcsGetOperationType/HcsOperationTypeStart",
    "HcsStartComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsStartComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsStartComputeSystem/options",
    HcsStartComputeSystem,
    HcsOperationTypeStart,
};

static const struct rows shut_down = {
    "HcsShutDownComputeSystem/S_OK",
    "HcsShutDownComputeSystem/result/S_OK",
    "HcsGetOperationType/HcsOperationTypeShutdown",
    "HcsShutDownComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsShutDownComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsShutDownComputeSystem/options",
    HcsShutDownComputeSystem,
    HcsOperationTypeShutdown,
};

static const struct rows terminate = {
    "HcsTerminateComputeSystem/S_OK",
    "HcsTerminateComputeSystem/result/S_OK",
    "HcsGetOperationType/HcsOperationTypeTerminate",
    NULL,
    "HcsTerminateComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsTerminateComputeSystem/options",
    HcsTerminateComputeSystem,
    HcsOperationTypeTerminate,
};

static const struct rows pause_system = {
    "HcsPauseComputeSystem/S_OK",
    "HcsPauseComputeSystem/result/S_OK",
    "HcsGetOperationType/HcsOperationTypePause",
    "HcsPauseComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsPauseComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsPauseComputeSystem/options",
    HcsPauseComputeSystem,
    HcsOperationTypePause,
};

static const struct rows resume_system = {
    "HcsResumeComputeSystem/S_OK",
    "HcsResumeComputeSystem/result/S_OK",
    "HcsGetOperationType/HcsOperationTypeResume",
    "HcsResumeComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsResumeComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsResumeComputeSystem/options",
    HcsResumeComputeSystem,
    HcsOperationTypeResume,
};

/* Here neither ends with S_OK: see result/E_NOTIMPL. */
static const struct rows save = {
    "HcsSaveComputeSystem/S_OK",
    "HcsSaveComputeSystem/result/E_NOTIMPL",
    "HcsGetOperationType/HcsOperationTypeSave",
    "HcsSaveComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsSaveComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsSaveComputeSystem/options",
    HcsSaveComputeSystem,
    HcsOperationTypeSave,
};

static const struct rows crash = {
    "HcsCrashComputeSystem/S_OK",
    "HcsCrashComputeSystem/result/E_NOTIMPL",
    "HcsGetOperationType/HcsOperationTypeCrash",
    "HcsCrashComputeSystem/result/HCS_E_INVALID_STATE",
    "HcsCrashComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
    "HcsCrashComputeSystem/options",
    HcsCrashComputeSystem,
    HcsOperationTypeCrash,
};

static const struct rows *const all[] = {&start, &shut_down, &terminate, &pause_system, &resume_system, &save, &crash};
#define ALL (sizeof all / sizeof all[0])

static HCS_OPERATION operation;

/* Makes the call and checks its result; `row` is the row that this result is. */
static void check_result(const struct rows *of, HCS_SYSTEM system, PCWSTR options, HRESULT expected, const char *row)
{
    PWSTR document = (PWSTR)of;
    HRESULT result;
    CONFORMS_HR(of->begun, of->call(system, operation, options), S_OK);
    result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    CONFORMS(of->type, HcsGetOperationType(operation) == of->number);
    CONFORMS_HR(row, result, expected);
    if (FAILED(expected)) {
        CONFORMS("HcsWaitForOperationResult/ResultError", is_error(document, expected));
        CHECK_HR(HcsGetOperationResult(operation, &document), expected);
        CONFORMS("HcsGetOperationResult/ResultError", is_error(document, expected));
    } else {
        CONFORMS("HcsWaitForOperationResult/S_OK", result == S_OK);
        CONFORMS_HR("HcsWaitForOperationResult/any type", HcsWaitForOperationResult(operation, 0, NULL), S_OK);
        LocalFree(document);
    }
}

/* What calls that are wrong in a created, a running and a paused system answer. */
static void each_state_refuses_what_does_not_fit(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    const struct rows *const wrong_when_created[] = {&shut_down, &pause_system, &resume_system, &save, &crash};
    const struct rows *const wrong_when_running[] = {&start, &resume_system, &save};
    const struct rows *const wrong_when_paused[] = {&start, &shut_down, &pause_system, &crash};
    size_t i;
    for (i = 0; i < sizeof wrong_when_created / sizeof wrong_when_created[0]; i++) {
        check_result(wrong_when_created[i], system, NULL, HCS_E_INVALID_STATE, wrong_when_created[i]->wrong_state);
    }
    check_result(&start, system, NULL, S_OK, start.done);
    for (i = 0; i < sizeof wrong_when_running / sizeof wrong_when_running[0]; i++) {
        check_result(wrong_when_running[i], system, NULL, HCS_E_INVALID_STATE, wrong_when_running[i]->wrong_state);
    }
    check_result(&crash, system, NULL, E_NOTIMPL, crash.done);
    CHECK_HR(HcsCrashComputeSystem(system, operation, NULL), S_OK);
    {
        PWSTR document = NULL;
        CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), E_NOTIMPL);
        CONFORMS("HcsCrashComputeSystem/result/document", is_error(document, E_NOTIMPL));
    }
    check_result(&pause_system, system, NULL, S_OK, pause_system.done);
    for (i = 0; i < sizeof wrong_when_paused / sizeof wrong_when_paused[0]; i++) {
        check_result(wrong_when_paused[i], system, NULL, HCS_E_INVALID_STATE, wrong_when_paused[i]->wrong_state);
    }
    check_result(&save, system, NULL, E_NOTIMPL, save.done);
    check_result(&resume_system, system, NULL, S_OK, resume_system.done);
    fixture_end(system);
    free(id);
}

/* Ends a running system by `of`; then every call says that it has stopped. */
static void check_end(const struct rows *of)
{
    HCS_SYSTEM system = fixture_system();
    size_t i;
    check_result(of, system, W(""), S_OK, of->done);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    for (i = 0; i < ALL; i++) {
        check_result(all[i], system, NULL, HCS_E_SYSTEM_ALREADY_STOPPED, all[i]->stopped);
    }
    HcsCloseComputeSystem(system);
}

static void a_stopped_system_refuses_everything(void)
{
    check_end(&shut_down);
    check_end(&terminate);
}

/* In a state in which the call itself would be possible. */
static void options_that_cannot_be_are_refused(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    PCWSTR nonsense = W("{");
    check_result(&start, system, nonsense, HCS_E_INVALID_JSON, start.options);
    check_result(&start, system, W("{}"), S_OK, start.done);
    check_result(&shut_down, system, nonsense, HCS_E_INVALID_JSON, shut_down.options);
    check_result(&terminate, system, nonsense, E_INVALIDARG, terminate.options);
    check_result(&terminate, system, W("{\"x\":1}"), E_INVALIDARG, terminate.options);
    check_result(&crash, system, nonsense, HCS_E_INVALID_JSON, crash.options);
    check_result(&pause_system, system, nonsense, HCS_E_INVALID_JSON, pause_system.options);
    check_result(&pause_system, system, W("{}"), S_OK, pause_system.done);
    check_result(&resume_system, system, nonsense, E_INVALIDARG, resume_system.options);
    check_result(&save, system, nonsense, HCS_E_INVALID_JSON, save.options);
    check_result(&resume_system, system, W("{}"), S_OK, resume_system.done);
    fixture_end(system);
    free(id);
}

static void check_creation_refused(const char *row, PCWSTR document, HRESULT expected)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = NULL;
    PWSTR error = NULL;
    HRESULT result;
    CHECK_HR(HcsCreateComputeSystem(id, document, operation, NULL, &system), S_OK);
    result = HcsWaitForOperationResult(operation, PATIENCE, &error);
    CONFORMS_HR(row, result, expected);
    CONFORMS("HcsCreateComputeSystem/result/failure", is_error(error, expected));
    HcsCloseComputeSystem(system);
    free(id);
}

static void documents_of_systems(void)
{
    check_creation_refused("HcsCreateComputeSystem/result/HCS_E_INVALID_JSON", W("{"), HCS_E_INVALID_JSON);
    check_creation_refused("HcsCreateComputeSystem/result/HCS_E_INVALID_JSON", W("{\"Owner\":5,\"Container\":{}}"),
                           HCS_E_INVALID_JSON);
    check_creation_refused("HcsCreateComputeSystem/exclusive", W("{\"Owner\":\"test\"}"), HCS_E_INVALID_JSON);
    check_creation_refused("HcsCreateComputeSystem/exclusive", W("{\"Container\":{},\"VirtualMachine\":{}}"),
                           HCS_E_INVALID_JSON);
    check_creation_refused("HcsCreateComputeSystem/exclusive", W("{\"Container\":{},\"HostedSystem\":{}}"),
                           HCS_E_INVALID_JSON);
    check_creation_refused("HcsCreateComputeSystem/result/ERROR_NOT_SUPPORTED",
                           W("{\"HostingSystemId\":\"x\",\"Container\":{}}"),
                           HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED));
}

/* A creation takes longer than a question; should it once not, it is made anew. */
static void a_creation_is_pending_until_it_is_done(void)
{
    WCHAR *configuration = platform_wide(DEFAULT_SYSTEM);
    HRESULT early = S_OK;
    int i;
    for (i = 0; i < 100 && early != HCS_E_OPERATION_PENDING; i++) {
        WCHAR *id = fixture_id();
        HCS_SYSTEM system = NULL;
        HRESULT begun = HcsCreateComputeSystem(id, configuration, operation, NULL, &system);
        early = HcsGetOperationResult(operation, NULL);
        CONFORMS_HR("HcsCreateComputeSystem/S_OK", begun, S_OK);
        CONFORMS("HcsCreateComputeSystem/computeSystem", system != NULL);
        CONFORMS_HR("HcsCreateComputeSystem/result/S_OK", fixture_wait(operation), S_OK);
        CONFORMS("HcsGetOperationType/HcsOperationTypeCreate",
                 HcsGetOperationType(operation) == HcsOperationTypeCreate);
        fixture_end(system);
        free(id);
    }
    CONFORMS_HR("HcsCreateComputeSystem/result/HCS_E_OPERATION_PENDING", early, HCS_E_OPERATION_PENDING);
    CONFORMS_HR("HcsGetOperationResult/HCS_E_OPERATION_PENDING", early, HCS_E_OPERATION_PENDING);
    free(configuration);
}

/* Resources of the reference's table: all of virtual machines. */
static const struct {
    const char *row;
    const char *settings;
} resources[] = {
    {"HcsModifyComputeSystem/VirtualMachine/ComputeTopology/Processor/CpuGroup", "{\"Id\":\"x\"}"},
    {"HcsModifyComputeSystem/VirtualMachine/ComputeTopology/Processor/IdledProcessors", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/ComputeTopology/Processor/CpuFrequencyPowerCap", "1"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/FlexibleIov/x", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/ComputeTopology/Gpu", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/MappedPipes/x", "null"},
    {"HcsModifyComputeSystem/VirtualMachine/ComputeTopology/Memory/SizeInMB", "512"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/NetworkAdapters/x", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/Plan9/Shares", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/Scsi/x/Attachments/0", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/ComPorts/0", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/SharedMemory/Regions", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/VirtualPMem/Devices/0", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/VirtualPMem/Devices/0/Mappings/0", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/VirtualSmb/Shares", "{}"},
    {"HcsModifyComputeSystem/VirtualMachine/Devices/VirtualPci/x", "{}"},
};

/* Modifies and gives the result; a failure has to say what `named` is. */
static HRESULT modify(HCS_SYSTEM system, const char *path, const char *settings, const char *named)
{
    char text[512];
    WCHAR *request;
    PWSTR document = NULL;
    HRESULT result;
    snprintf(text, sizeof text, "{\"ResourcePath\":\"%s\",\"RequestType\":\"Update\",\"Settings\":%s}", path, settings);
    request = platform_wide(text);
    CONFORMS_HR("HcsModifyComputeSystem/S_OK", HcsModifyComputeSystem(system, operation, request, NULL), S_OK);
    CONFORMS("HcsGetOperationType/HcsOperationTypeModify", HcsGetOperationType(operation) == HcsOperationTypeModify);
    result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    free(request);
    if (FAILED(result)) {
        char *error = take_text(document);
        CHECK(error != NULL && strstr(error, named) != NULL);
        free(error);
    } else {
        LocalFree(document);
    }
    return result;
}

static void what_can_be_modified_and_what_not(void)
{
    HCS_SYSTEM system = fixture_system();
    size_t i;
    CONFORMS_HR("HcsModifyComputeSystem/result/S_OK", modify(system, "Container/Memory/SizeInMB", "512", ""), S_OK);
    for (i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        const char *path = strchr(resources[i].row, '/') + 1;
        HRESULT result = modify(system, path, resources[i].settings, path);
        CONFORMS_HR(resources[i].row, result, HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED));
        CONFORMS_HR("HcsModifyComputeSystem/result/ERROR_NOT_SUPPORTED", result,
                    HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED));
    }
    CHECK_HR(HcsModifyComputeSystem(system, operation, W("{"), NULL), S_OK);
    CONFORMS_HR("HcsModifyComputeSystem/result/HCS_E_INVALID_JSON",
                HcsWaitForOperationResult(operation, PATIENCE, NULL), HCS_E_INVALID_JSON);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CONFORMS_HR("HcsModifyComputeSystem/result/HCS_E_SYSTEM_ALREADY_STOPPED",
                modify(system, "Container/Memory/SizeInMB", "512", ""), HCS_E_SYSTEM_ALREADY_STOPPED);
    HcsCloseComputeSystem(system);
}

static void properties_of_systems(void)
{
    WCHAR *id = fixture_id();
    char *name = platform_utf8(id), *text;
    HCS_SYSTEM system = fixture_created(id);
    const PCWSTR queries[] = {NULL, W(""), W("{}"), W("{\"PropertyTypes\":[\"TerminateOnLastHandleClosed\"]}"),
                              W("{\"PropertyTypes\":[\"Memory\"]}")};
    PWSTR document = NULL;
    size_t i;
    for (i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        CONFORMS_HR("HcsGetComputeSystemProperties/S_OK", HcsGetComputeSystemProperties(system, operation, queries[i]),
                    S_OK);
        CONFORMS_HR("HcsGetComputeSystemProperties/result/S_OK",
                    HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
        CONFORMS("HcsGetOperationType/HcsOperationTypeGetProperties",
                 HcsGetOperationType(operation) == HcsOperationTypeGetProperties);
        text = take_text(document);
        CONFORMS("HcsGetComputeSystemProperties/Id",
                 text != NULL && json_value(text, "Id") != NULL &&
                     strncmp(json_value(text, "Id") + 1, name, strlen(name)) == 0);
        CONFORMS("HcsGetComputeSystemProperties/SystemType",
                 text != NULL && json_value(text, "SystemType") != NULL &&
                     strncmp(json_value(text, "SystemType"), "\"Container\"", 11) == 0);
        CONFORMS("HcsWaitForOperationResult/document", text != NULL && text[0] == '{');
        free(text);
        CONFORMS_HR("HcsGetOperationResult/S_OK", HcsGetOperationResult(operation, &document), S_OK);
        text = platform_utf8(document);
        CONFORMS("HcsGetOperationResult/document", json_value(text, "Id") != NULL);
        free(text);
        CONFORMS("HcsGetOperationResult/LocalFree", LocalFree(document) == NULL);
        CONFORMS_HR("HcsGetOperationResult/again", HcsGetOperationResult(operation, &document), S_OK);
        text = platform_utf8(document);
        CONFORMS("LocalFree/document", json_value(text, "Id") != NULL && LocalFree(document) == NULL);
        free(text);
        CHECK_HR(HcsGetOperationResult(operation, &document), S_OK);
        text = platform_utf8(document);
        CoTaskMemFree(document);
        CONFORMS("CoTaskMemFree/document", json_value(text, "Id") != NULL);
        free(text);
    }
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, W("{\"PropertyTypes\":[\"Nonsense\"]}")), S_OK);
    CONFORMS_HR("HcsGetComputeSystemProperties/result/HCS_E_INVALID_JSON",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_JSON);
    CHECK_ERROR(document, HCS_E_INVALID_JSON);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CONFORMS_HR("HcsGetComputeSystemProperties/result/HCS_E_SYSTEM_ALREADY_STOPPED",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SYSTEM_ALREADY_STOPPED);
    CHECK_ERROR(document, HCS_E_SYSTEM_ALREADY_STOPPED);
    HcsCloseComputeSystem(system);
    free(name);
    free(id);
}

int main(void)
{
    operation = HcsCreateOperation(NULL, NULL);
    RUN(a_creation_is_pending_until_it_is_done);
    RUN(documents_of_systems);
    RUN(each_state_refuses_what_does_not_fit);
    RUN(a_stopped_system_refuses_everything);
    RUN(options_that_cannot_be_are_refused);
    RUN(what_can_be_modified_and_what_not);
    RUN(properties_of_systems);
    HcsCloseOperation(operation);
    return EXIT_STATUS;
}

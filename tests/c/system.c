/* The life of compute systems, and what their handles answer when. */
#include "fixture.h"

static HRESULT start_and_wait(HCS_SYSTEM system)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HRESULT result = HcsStartComputeSystem(system, operation, NULL);
    if (result == S_OK) {
        result = HcsWaitForOperationResult(operation, PATIENCE, NULL);
    }
    HcsCloseOperation(operation);
    return result;
}

/* Whether the list of systems names `id`. */
static int is_listed(const WCHAR *id, PCWSTR query)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    char *text, *name = platform_utf8(id);
    int found;
    CONFORMS_HR("HcsEnumerateComputeSystems/S_OK", HcsEnumerateComputeSystems(query, operation), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    CONFORMS("HcsGetOperationType/HcsOperationTypeEnumerate",
             HcsGetOperationType(operation) == HcsOperationTypeEnumerate);
    CHECK(HcsGetComputeSystemFromOperation(operation) == NULL);
    text = take_text(document);
    REQUIRE(text != NULL && name != NULL);
    found = strstr(text, name) != NULL;
    CONFORMS("HcsEnumerateComputeSystems/result/S_OK",
             text[0] == '[' && (!found || (json_value(text, "Id") != NULL && json_value(text, "SystemType") != NULL)));
    free(text);
    free(name);
    HcsCloseOperation(operation);
    return found;
}

static void one_operation_serves_a_whole_life(void)
{
    WCHAR *id = fixture_id();
    WCHAR *configuration = platform_wide(DEFAULT_SYSTEM);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    UINT64 number = HcsGetOperationId(operation);
    HCS_SYSTEM system = NULL;
    PWSTR status = NULL;
    char *text;
    CHECK_HR(HcsCreateComputeSystem(id, configuration, operation, NULL, &system), S_OK);
    CHECK(system != NULL);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeCreate);
    CHECK(HcsGetComputeSystemFromOperation(operation) == system);
    CHECK_HR(HcsStartComputeSystem(system, operation, W("")), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeStart);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, W("")), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeTerminate);
    CHECK(HcsGetOperationId(operation) == number);
    CONFORMS_HR("HcsWaitForComputeSystemExit/S_OK", HcsWaitForComputeSystemExit(system, PATIENCE, &status), S_OK);
    text = status == NULL ? NULL : platform_utf8(status);
    CONFORMS("HcsWaitForComputeSystemExit/result", text != NULL && json_value(text, "ExitType") != NULL);
    free(text);
    CONFORMS("HcsWaitForComputeSystemExit/LocalFree", LocalFree(status) == NULL);
    HcsCloseComputeSystem(system);
    CONFORMS("HcsGetComputeSystemFromOperation/closed", HcsGetComputeSystemFromOperation(operation) == NULL);
    HcsCloseOperation(operation);
    free(configuration);
    free(id);
}

static void calls_may_follow_before_the_creation_is_done(void)
{
    WCHAR *id = fixture_id();
    WCHAR *configuration = platform_wide(DEFAULT_SYSTEM);
    HCS_OPERATION create = HcsCreateOperation(NULL, NULL), start = HcsCreateOperation(NULL, NULL);
    HCS_OPERATION run = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = NULL;
    HCS_PROCESS process = NULL;
    CHECK_HR(HcsCreateComputeSystem(id, configuration, create, NULL, &system), S_OK);
    CHECK_HR(HcsStartComputeSystem(system, start, NULL), S_OK);
    CHECK_HR(HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), run, NULL, &process), S_OK);
    CONFORMS("HcsCreateComputeSystem/early", fixture_exit_code(process) == 7);
    CHECK_HR(fixture_wait(create), S_OK);
    CHECK_HR(fixture_wait(start), S_OK);
    CHECK_HR(fixture_wait(run), S_OK);
    HcsCloseProcess(process);
    HcsCloseOperation(create);
    HcsCloseOperation(start);
    HcsCloseOperation(run);
    fixture_end(system);
    free(configuration);
    free(id);
}

static void an_id_is_taken_once(void)
{
    WCHAR *id = fixture_id();
    WCHAR *configuration = platform_wide(DEFAULT_SYSTEM);
    HCS_SYSTEM system = fixture_created(id), second = NULL;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    HRESULT result;
    CHECK_HR(HcsCreateComputeSystem(id, configuration, operation, NULL, &second), S_OK);
    result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    CONFORMS_HR("HcsCreateComputeSystem/result/HCS_E_SYSTEM_ALREADY_EXISTS", result, HCS_E_SYSTEM_ALREADY_EXISTS);
    CHECK_ERROR(document, result);
    HcsCloseComputeSystem(second);
    HcsCloseOperation(operation);
    fixture_end(system);
    /* Gone, and its id is free again. */
    second = (HCS_SYSTEM)id;
    CONFORMS_HR("HcsOpenComputeSystem/HCS_E_SYSTEM_NOT_FOUND", HcsOpenComputeSystem(id, GENERIC_ALL, &second),
                HCS_E_SYSTEM_NOT_FOUND);
    CHECK(second == NULL);
    fixture_end(fixture_created(id));
    free(configuration);
    free(id);
}

static void a_system_can_be_opened_and_listed(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id), again = NULL;
    CONFORMS("HcsEnumerateComputeSystems/empty", is_listed(id, NULL) && is_listed(id, W("")) && is_listed(id, W("{}")));
    CONFORMS("HcsEnumerateComputeSystems/query", is_listed(id, W("{\"Owners\":[\"test\"]}")) &&
             !is_listed(id, W("{\"Owners\":[\"nobody\"]}")) && is_listed(id, W("{\"Types\":[\"Container\"]}")) &&
             !is_listed(id, W("{\"Types\":[\"VirtualMachine\"]}")) && !is_listed(id, W("{\"Ids\":[\"nobody\"]}")));
    CONFORMS_HR("HcsOpenComputeSystem/S_OK", HcsOpenComputeSystem(id, GENERIC_ALL, &again), S_OK);
    CHECK(again != NULL && again != system);
    CONFORMS_HR("HcsOpenComputeSystem/requestedAccess", start_and_wait(again), S_OK);
    CHECK_HR(start_and_wait(system), HCS_E_INVALID_STATE);
    CONFORMS_HR("HcsWaitForComputeSystemExit/ERROR_TIMEOUT", HcsWaitForComputeSystemExit(again, 1, NULL),
                HRESULT_FROM_WIN32(ERROR_TIMEOUT));
    fixture_end(system);
    CHECK_HR(HcsWaitForComputeSystemExit(again, PATIENCE, NULL), S_OK);
    HcsCloseComputeSystem(again);
    CHECK(!is_listed(id, NULL));
    free(id);
}

static void a_stopped_system_answers_its_exit_and_no_more(void)
{
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(system, COMMAND_SLEEP, 0, &info), late = NULL;
    PWSTR document = NULL;
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, 0, NULL), S_OK);
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, NULL), S_OK);
    CHECK_HR(start_and_wait(system), HCS_E_SYSTEM_ALREADY_STOPPED);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SYSTEM_ALREADY_STOPPED);
    CHECK_ERROR(document, HCS_E_SYSTEM_ALREADY_STOPPED);
    CHECK_HR(HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), operation, NULL, &late), S_OK);
    CONFORMS_HR("HcsCreateProcess/result/HCS_E_SYSTEM_ALREADY_STOPPED",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SYSTEM_ALREADY_STOPPED);
    CHECK_ERROR(document, HCS_E_SYSTEM_ALREADY_STOPPED);
    HcsCloseProcess(late);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
    HcsCloseComputeSystem(system);
}

static void a_system_that_is_not_started_runs_nothing(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = NULL;
    PWSTR document = NULL;
    CHECK_HR(HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), operation, NULL, &process), S_OK);
    CONFORMS_HR("HcsCreateProcess/result/HCS_E_INVALID_STATE",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_STATE);
    CHECK_ERROR(document, HCS_E_INVALID_STATE);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
    fixture_end(system);
    free(id);
}

static void closing_a_pending_operation_drops_only_the_result(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id), again = NULL;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process;
    CHECK_HR(HcsStartComputeSystem(system, operation, NULL), S_OK);
    HcsCloseOperation(operation);
    /* The start went on: a process can be run after it, also by another handle. */
    CHECK_HR(HcsOpenComputeSystem(id, GENERIC_ALL, &again), S_OK);
    process = fixture_process(system, COMMAND_EXIT_7, 0, &info);
    CONFORMS("HcsCloseOperation/pending", fixture_exit_code(process) == 7);
    HcsCloseProcess(process);
    HcsCloseComputeSystem(system);
    system = again;
    process = fixture_process(system, COMMAND_EXIT_7, 0, &info);
    CONFORMS("HcsCloseComputeSystem/lives on", fixture_exit_code(process) == 7);
    HcsCloseProcess(process);
    fixture_end(system);
    free(id);
}

/* Whether the properties of a system say that it is in this state. */
static int is_in_state(HCS_SYSTEM system, const char *state)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    char *text;
    const char *value;
    int is;
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    text = take_text(document);
    value = text == NULL ? NULL : json_value(text, "State");
    is = value != NULL && value[0] == '"' && strncmp(value + 1, state, strlen(state)) == 0;
    free(text);
    HcsCloseOperation(operation);
    return is;
}

/* Row C3. */
static void a_system_has_no_state_until_it_has_run(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    char *text;
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    text = take_text(document);
    CONFORMS("HcsGetComputeSystemProperties/State", text != NULL && json_value(text, "State") == NULL);
    free(text);
    CHECK_HR(HcsStartComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(is_in_state(system, "Running"));
    HcsCloseOperation(operation);
    fixture_end(system);
    free(id);
}

static void a_system_can_be_paused_and_resumed(void)
{
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    HCS_PROCESS_INFORMATION info;
    CHECK(is_in_state(system, "Running"));
    CHECK_HR(HcsPauseComputeSystem(system, operation, W("{}")), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(is_in_state(system, "Paused"));
    CHECK_HR(HcsPauseComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_STATE);
    CHECK_ERROR(document, HCS_E_INVALID_STATE);
    CHECK_HR(HcsResumeComputeSystem(system, operation, W("")), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK(is_in_state(system, "Running"));
    HcsCloseProcess(fixture_process(system, COMMAND_EXIT_7, 0, &info));
    HcsCloseOperation(operation);
    fixture_end(system);
}

static void settings_of_a_running_system_can_be_changed(void)
{
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    PCWSTR memory = W("{\"ResourcePath\":\"Container/Memory/SizeInMB\",\"RequestType\":\"Update\",\"Settings\":512}");
    PCWSTR nonsense = W("{\"ResourcePath\":\"Container/Nonsense\",\"RequestType\":\"Update\",\"Settings\":{}}");
    HCS_PROCESS_INFORMATION info;
    CHECK_HR(HcsModifyComputeSystem(system, operation, memory, NULL), S_OK);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeModify);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsModifyComputeSystem(system, operation, nonsense, NULL), S_OK);
    CHECK(FAILED(HcsWaitForOperationResult(operation, PATIENCE, &document)));
    CHECK_ERROR(document, HcsGetOperationResult(operation, NULL));
    HcsCloseProcess(fixture_process(system, COMMAND_EXIT_7, 0, &info));
    HcsCloseOperation(operation);
    fixture_end(system);
}

/* Row C8. To its client a system that ends with its last handle is gone with that, so the id can be used again at once. */
static void an_id_is_free_after_the_last_close(void)
{
    enum { ROUNDS = 5 };
    WCHAR *id = fixture_id();
    int i;
    for (i = 0; i < ROUNDS; i++) {
        HCS_SYSTEM system = fixture_created(id);
        HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
        CHECK_HR(HcsStartComputeSystem(system, operation, NULL), S_OK);
        CHECK_HR(fixture_wait(operation), S_OK);
        HcsCloseOperation(operation);
        if (getenv("HCS_TEST_SYSTEM") == NULL) {
            HcsCloseComputeSystem(system);
        } else {
            fixture_end(system);
        }
    }
    CONFORMS("HcsCloseComputeSystem/id", i == ROUNDS);
    free(id);
}

static void a_shutdown_ends_processes_and_system(void)
{
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(system, COMMAND_SLEEP, 0, &info);
    CHECK_HR(HcsShutDownComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, NULL), S_OK);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
    HcsCloseComputeSystem(system);
}

int main(void)
{
    RUN(one_operation_serves_a_whole_life);
    RUN(calls_may_follow_before_the_creation_is_done);
    RUN(an_id_is_taken_once);
    RUN(a_system_can_be_opened_and_listed);
    RUN(a_stopped_system_answers_its_exit_and_no_more);
    RUN(a_system_that_is_not_started_runs_nothing);
    RUN(closing_a_pending_operation_drops_only_the_result);
    RUN(a_system_has_no_state_until_it_has_run);
    RUN(a_system_can_be_paused_and_resumed);
    RUN(settings_of_a_running_system_can_be_changed);
    RUN(an_id_is_free_after_the_last_close);
    RUN(a_shutdown_ends_processes_and_system);
    return EXIT_STATUS;
}

/* Callbacks: of operations, of systems, of processes; once, late, from within, and never after a close. */
#include "fixture.h"

struct seen {
    platform_semaphore arrived;
    platform_counter completions, events, wrong;
    HCS_OPERATION operation;
    HRESULT result;
    HCS_PROCESS process;
    int type;
    char *data;
    int close_within;
};

static void seen_make(struct seen *it)
{
    memset(it, 0, sizeof *it);
    platform_semaphore_make(&it->arrived);
}

static void seen_free(struct seen *it)
{
    platform_semaphore_free(&it->arrived);
    free(it->data);
}

static void CALLBACK on_completion(HCS_OPERATION operation, void *context)
{
    struct seen *it = (struct seen *)context;
    platform_count(&it->completions);
    it->operation = operation;
    it->result = HcsGetOperationResult(operation, NULL);
    it->process = HcsGetProcessFromOperation(operation);
    if (it->close_within) {
        HcsCloseOperation(operation);
        HcsCloseOperation(operation);
    }
    platform_semaphore_post(&it->arrived);
}

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
    struct seen *it = (struct seen *)context;
    platform_count(&it->events);
    it->type = event->Type;
    it->operation = event->Operation;
    free(it->data);
    it->data = event->EventData == NULL ? NULL : platform_utf8(event->EventData);
    platform_semaphore_post(&it->arrived);
}

static HCS_SYSTEM running;

static void a_completion_is_told_once_and_can_be_read(void)
{
    struct seen seen;
    HCS_OPERATION operation;
    HCS_PROCESS process = NULL;
    seen_make(&seen);
    operation = HcsCreateOperation(&seen, on_completion);
    CHECK_HR(HcsCreateProcess(running, W("{" COMMAND_EXIT_7 "}"), operation, NULL, &process), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsCreateOperation/callback", seen.operation == operation && seen.result == S_OK);
    /* Also when the callback comes before HcsCreateProcess has returned. */
    CHECK(seen.process == process);
    CHECK(fixture_exit_code(process) == 7);
    CHECK_HR(HcsGetProcessProperties(process, operation, NULL), S_OK);
    platform_semaphore_wait(&seen.arrived);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
    CHECK(platform_counted(&seen.completions) == 2);
    seen_free(&seen);
}

static void a_failure_completes_too(void)
{
    struct seen seen, other;
    HCS_OPERATION operation;
    HCS_PROCESS process = NULL;
    seen_make(&seen);
    operation = HcsCreateOperation(NULL, NULL);
    seen_make(&other);
    CHECK_HR(HcsSetOperationCallback(operation, &seen, on_completion), S_OK);
    CHECK_HR(HcsCreateProcess(running, W("{"), operation, NULL, &process), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetOperationCallback/callback", seen.result == HCS_E_INVALID_JSON);
    HcsCloseProcess(process);
    /* Another context, then no callback. */
    CHECK_HR(HcsSetOperationContext(operation, &other), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(running, operation, NULL), S_OK);
    platform_semaphore_wait(&other.arrived);
    CONFORMS("HcsSetOperationContext/callback", other.operation == operation && other.result == S_OK);
    CHECK_HR(HcsSetOperationCallback(operation, NULL, NULL), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(running, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    HcsCloseOperation(operation);
    CONFORMS("HcsSetOperationCallback/NULL",
             platform_counted(&seen.completions) == 1 && platform_counted(&other.completions) == 1);
    seen_free(&seen);
    seen_free(&other);
}

static void an_operation_may_be_closed_within_its_callback(void)
{
    struct seen seen;
    HCS_OPERATION operation;
    seen_make(&seen);
    seen.close_within = 1;
    operation = HcsCreateOperation(&seen, on_completion);
    CHECK_HR(HcsGetComputeSystemProperties(running, operation, NULL), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CHECK(seen.result == S_OK);
    CONFORMS("HcsCloseOperation/within a callback", HcsGetOperationId(operation) == HCS_INVALID_OPERATION_ID);
    HcsCloseOperation(operation);
    seen_free(&seen);
}

static void no_callback_starts_after_a_close(void)
{
    enum { ROUNDS = 50 };
    int i;
    for (i = 0; i < ROUNDS; i++) {
        struct seen seen;
        long before;
        HCS_OPERATION operation;
        seen_make(&seen);
        operation = HcsCreateOperation(&seen, on_completion);
        CHECK_HR(HcsGetComputeSystemProperties(running, operation, NULL), S_OK);
        HcsCloseOperation(operation);
        before = platform_counted(&seen.completions);
        CHECK(before <= 1);
        /* Were one still to come, it would use what is freed here. */
        seen_free(&seen);
        memset(&seen, 0xFF, sizeof seen);
    }
}

static void the_exit_of_a_process_is_told_early_and_late(void)
{
    struct seen early, late;
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN, &info);
    HCS_PROCESS other = NULL;
    seen_make(&early);
    seen_make(&late);
    CHECK_HR(HcsOpenProcess(running, info.ProcessId, GENERIC_ALL, &other), S_OK);
    CONFORMS_HR("HcsSetProcessCallback/S_OK",
                HcsSetProcessCallback(process, HcsEventOptionNone, &early, on_event), S_OK);
    platform_close(info.StdInput);
    platform_semaphore_wait(&early.arrived);
    CONFORMS("HcsSetProcessCallback/HcsEventProcessExited",
             early.type == HcsEventProcessExited && early.operation == NULL &&
                 json_number(early.data, "ProcessId", -1) == (long)info.ProcessId &&
                 json_number(early.data, "ExitCode", -1) == 0);
    CHECK_HR(HcsWaitForProcessExit(other, PATIENCE, NULL), S_OK);
    CHECK_HR(HcsSetProcessCallback(other, HcsEventOptionNone, &late, on_event), S_OK);
    platform_semaphore_wait(&late.arrived);
    CONFORMS("HcsSetProcessCallback/late", late.type == HcsEventProcessExited);
    HcsCloseProcess(process);
    HcsCloseProcess(other);
    /* Each callback was called with its own context, which is where it counts. */
    CONFORMS("HcsSetProcessCallback/context",
             platform_counted(&early.events) >= 1 && platform_counted(&late.events) >= 1);
    CONFORMS("HcsSetProcessCallback/once", platform_counted(&early.events) == 1 && platform_counted(&late.events) == 1);
    seen_free(&early);
    seen_free(&late);
}

static void a_system_takes_the_completions_of_its_calls(void)
{
    struct seen seen, own;
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    HCS_OPERATION plain = HcsCreateOperation(NULL, NULL), with_callback;
    seen_make(&seen);
    seen_make(&own);
    with_callback = HcsCreateOperation(&own, on_completion);
    CONFORMS_HR("HcsSetComputeSystemCallback/S_OK",
                HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    CONFORMS_HR("HcsStartComputeSystem/HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET",
                HcsStartComputeSystem(system, with_callback, NULL), HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    CONFORMS_HR("HcsSetComputeSystemCallback/HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET",
                HcsPauseComputeSystem(system, with_callback, NULL), HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    CHECK(HcsGetOperationType(with_callback) == HcsOperationTypeNone);
    CHECK_HR(HcsStartComputeSystem(system, plain, NULL), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetComputeSystemCallback/HcsEventOperationCallback",
             seen.type == HcsEventOperationCallback && seen.operation == plain);
    CONFORMS("HcsSetComputeSystemCallback/context", platform_counted(&seen.events) == 1);
    CHECK_HR(HcsGetOperationResult(plain, NULL), S_OK);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, NULL, NULL), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(system, with_callback, NULL), S_OK);
    platform_semaphore_wait(&own.arrived);
    CHECK(own.result == S_OK);
    CONFORMS_HR("HcsSetComputeSystemCallback/options",
                HcsSetComputeSystemCallback(system, (HCS_EVENT_OPTIONS)0x40000000, &seen, on_event), E_INVALIDARG);
    HcsCloseOperation(plain);
    HcsCloseOperation(with_callback);
    fixture_end(system);
    CONFORMS("HcsSetComputeSystemCallback/NULL", platform_counted(&seen.events) == 1);
    seen_free(&seen);
    seen_free(&own);
    free(id);
}

static void a_process_takes_the_completions_of_its_calls(void)
{
    struct seen seen, own;
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN, &info);
    HCS_OPERATION plain = HcsCreateOperation(NULL, NULL), with_callback;
    seen_make(&seen);
    seen_make(&own);
    with_callback = HcsCreateOperation(&own, on_completion);
    CONFORMS_HR("HcsSetProcessCallback/options",
                HcsSetProcessCallback(process, (HCS_EVENT_OPTIONS)0x40000000, &seen, on_event), E_INVALIDARG);
    CHECK_HR(HcsSetProcessCallback(process, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    CONFORMS_HR("HcsSetProcessCallback/HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET",
                HcsGetProcessProperties(process, with_callback, NULL), HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    CHECK_HR(HcsGetProcessProperties(process, plain, NULL), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetProcessCallback/HcsEventOperationCallback",
             seen.type == HcsEventOperationCallback && seen.operation == plain);
    CHECK_HR(HcsSetProcessCallback(process, HcsEventOptionNone, NULL, NULL), S_OK);
    CHECK_HR(HcsGetProcessProperties(process, with_callback, NULL), S_OK);
    platform_semaphore_wait(&own.arrived);
    CHECK(own.result == S_OK);
    platform_close(info.StdInput);
    CHECK(fixture_exit_code(process) == 0);
    HcsCloseProcess(process);
    HcsCloseOperation(plain);
    HcsCloseOperation(with_callback);
    CONFORMS("HcsSetProcessCallback/NULL", platform_counted(&seen.events) == 1);
    seen_free(&seen);
    seen_free(&own);
}

/* A callback cannot come between a pending call and the event callback that its completion goes to. */
static void a_pending_call_keeps_its_event_callback(void)
{
    struct seen seen, own;
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), kill = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(system, COMMAND_STUBBORN, STDOUT, &info);
    char ready[8];
    CHECK(platform_read(info.StdOutput, ready, sizeof ready) > 0);
    platform_close(info.StdOutput);
    seen_make(&seen);
    seen_make(&own);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    CHECK_HR(HcsShutDownComputeSystem(system, operation, NULL), S_OK);
    CONFORMS_HR("HcsSetOperationCallback/HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET",
                HcsSetOperationCallback(operation, &own, on_completion), HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
    CHECK_HR(HcsTerminateComputeSystem(system, kill, NULL), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    CHECK_HR(fixture_wait(kill), S_OK);
    HcsCloseProcess(process);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    HcsCloseOperation(kill);
    CHECK(platform_counted(&own.completions) == 0);
    seen_free(&seen);
    seen_free(&own);
}

static void the_exit_of_a_system_is_told(void)
{
    struct seen seen;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = fixture_system();
    seen_make(&seen);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, &seen, on_event), S_OK);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetComputeSystemCallback/HcsEventSystemExited",
             seen.type == HcsEventSystemExited && seen.data != NULL && json_value(seen.data, "ExitType") != NULL);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    CONFORMS("HcsSetComputeSystemCallback/HcsEventOptionNone", platform_counted(&seen.events) == 1);
    CONFORMS("HcsSetComputeSystemCallback/once", platform_counted(&seen.events) == 1);
    seen_free(&seen);
}

static void the_exit_of_a_system_is_told_late(void)
{
    struct seen seen;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = fixture_system();
    seen_make(&seen);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, &seen, on_event), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetComputeSystemCallback/late", seen.type == HcsEventSystemExited);
    CHECK_HR(fixture_wait(operation), S_OK);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    CHECK(platform_counted(&seen.events) == 1);
    seen_free(&seen);
}

int main(void)
{
    running = fixture_system();
    RUN(a_completion_is_told_once_and_can_be_read);
    RUN(a_failure_completes_too);
    RUN(an_operation_may_be_closed_within_its_callback);
    RUN(no_callback_starts_after_a_close);
    RUN(the_exit_of_a_process_is_told_early_and_late);
    RUN(a_system_takes_the_completions_of_its_calls);
    RUN(a_process_takes_the_completions_of_its_calls);
    RUN(a_pending_call_keeps_its_event_callback);
    RUN(the_exit_of_a_system_is_told);
    RUN(the_exit_of_a_system_is_told_late);
    fixture_end(running);
    return EXIT_STATUS;
}

/* The three patterns of the reference's page "Operation Completion Samples", and completions that a callback comes late
 * for: each is told once, to the first that can be told, unless its result was read before. */
#include "fixture.h"

struct seen {
    platform_semaphore arrived;
    platform_counter calls;
    HCS_OPERATION operation;
    HCS_OPERATION_TYPE operation_type;
    HCS_EVENT_TYPE type;
    HRESULT result;
    int close;
};

static void seen_make(struct seen *it)
{
    memset(it, 0, sizeof *it);
    platform_semaphore_make(&it->arrived);
}

static void seen_free(struct seen *it) { platform_semaphore_free(&it->arrived); }

static void see(struct seen *it, HCS_OPERATION operation)
{
    PWSTR document = NULL;
    platform_count(&it->calls);
    it->operation = operation;
    it->operation_type = HcsGetOperationType(operation);
    it->result = HcsGetOperationResult(operation, &document);
    LocalFree(document);
    if (it->close) {
        HcsCloseOperation(operation);
    }
    platform_semaphore_post(&it->arrived);
}

static void CALLBACK on_completion(HCS_OPERATION operation, void *context) { see((struct seen *)context, operation); }

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
    struct seen *it = (struct seen *)context;
    /* An exit may come, too. */
    if (event->Type == HcsEventOperationCallback) {
        it->type = event->Type;
        see(it, event->Operation);
    }
}

/* Begins the creation of a system. */
static HCS_SYSTEM creation(HCS_OPERATION operation)
{
    const char *chosen = getenv("HCS_TEST_SYSTEM");
    WCHAR *configuration = platform_wide(chosen == NULL ? DEFAULT_SYSTEM : chosen);
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = NULL;
    REQUIRE(HcsCreateComputeSystem(id, configuration, operation, NULL, &system) == S_OK);
    free(id);
    free(configuration);
    return system;
}

/* When this is answered, so is all that was asked of the system before. */
static void asked(HCS_SYSTEM system)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    HcsCloseOperation(operation);
}

static void wait_for_the_operation(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = creation(operation);
    PWSTR document = NULL;
    CHECK_HR(HcsWaitForOperationResult(operation, INFINITE, &document), S_OK);
    LocalFree(document);
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, INFINITE, &document), S_OK);
#ifdef _WIN32
    LocalFree(document);
#else
    /* .NET's Marshal.FreeHGlobal is that. Under valgrind and the sanitizers a block that malloc did not give is a fault. */
    free(document);
#endif
    CONFORMS("LocalFree/free", document != NULL);
    HcsCloseOperation(operation);
    fixture_end(system);
}

static void use_the_callback_of_the_operation(void)
{
    struct seen seen;
    HCS_SYSTEM system;
    seen_make(&seen);
    seen.close = 1;
    system = creation(HcsCreateOperation(&seen, on_completion));
    platform_semaphore_wait(&seen.arrived);
    CHECK(seen.operation_type == HcsOperationTypeCreate && seen.result == S_OK);
    fixture_end(system);
    CHECK(platform_counted(&seen.calls) == 1);
    seen_free(&seen);
}

/* As the sample does it: nothing is known of when the creation is through. */
static void use_the_event_callback(void)
{
    enum { ROUNDS = 10 };
    int i;
    for (i = 0; i < ROUNDS; i++) {
        struct seen seen, own;
        HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), with_callback;
        HCS_SYSTEM system;
        seen_make(&seen);
        seen_make(&own);
        seen.close = 1;
        system = creation(operation);
        CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
        platform_semaphore_wait(&seen.arrived);
        CHECK(seen.type == HcsEventOperationCallback && seen.operation == operation);
        CHECK(seen.operation_type == HcsOperationTypeCreate && seen.result == S_OK);
        with_callback = HcsCreateOperation(&own, on_completion);
        CHECK_HR(HcsStartComputeSystem(system, with_callback, NULL), HCS_E_OPERATION_SYSTEM_CALLBACK_ALREADY_SET);
        HcsCloseOperation(with_callback);
        HcsCloseComputeSystem(system);
        CHECK(platform_counted(&seen.calls) == 1 && platform_counted(&own.calls) == 0);
        seen_free(&seen);
        seen_free(&own);
    }
}

/* Row C1. */
static void a_completion_waits_for_the_event_callback(void)
{
    struct seen seen, second;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), read = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = creation(operation);
    seen_make(&seen);
    seen_make(&second);
    asked(system);
    /* One whose result was read is not told. */
    CHECK_HR(HcsGetComputeSystemProperties(system, read, NULL), S_OK);
    CHECK_HR(fixture_wait(read), S_OK);
    /* Nor by a callback that takes none. */
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, &second, on_event), S_OK);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetComputeSystemCallback/late completion",
             seen.operation == operation && seen.operation_type == HcsOperationTypeCreate && seen.result == S_OK);
    /* It was told: neither a callback of the operation nor another of the system is told again. */
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, NULL, NULL), S_OK);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &second, on_event), S_OK);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionNone, NULL, NULL), S_OK);
    CHECK_HR(HcsSetOperationCallback(operation, &second, on_completion), S_OK);
    HcsCloseOperation(operation);
    HcsCloseOperation(read);
    fixture_end(system);
    CHECK(platform_counted(&seen.calls) == 1 && platform_counted(&second.calls) == 0);
    seen_free(&seen);
    seen_free(&second);
}

static void a_failed_creation_waits_for_the_event_callback_too(void)
{
    struct seen seen;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), other = HcsCreateOperation(NULL, NULL);
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = NULL;
    PWSTR document = NULL;
    seen_make(&seen);
    CHECK_HR(HcsCreateComputeSystem(id, W("{"), operation, NULL, &system), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(system, other, NULL), S_OK);
    CHECK(FAILED(HcsWaitForOperationResult(other, PATIENCE, &document)));
    LocalFree(document);
    CHECK_HR(HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CHECK(seen.operation == operation && seen.result == HCS_E_INVALID_JSON);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    HcsCloseOperation(other);
    CHECK(platform_counted(&seen.calls) == 1);
    seen_free(&seen);
    free(id);
}

static void a_completion_waits_for_the_callback_of_its_operation(void)
{
    struct seen seen, next;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = creation(operation);
    seen_make(&seen);
    seen_make(&next);
    asked(system);
    CHECK_HR(HcsSetOperationCallback(operation, &seen, on_completion), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetOperationCallback/late",
             seen.operation == operation && seen.operation_type == HcsOperationTypeCreate && seen.result == S_OK);
    /* Its result was read: another callback is for the next call only. */
    CHECK_HR(HcsSetOperationCallback(operation, &next, on_completion), S_OK);
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    platform_semaphore_wait(&next.arrived);
    HcsCloseOperation(operation);
    CONFORMS("HcsSetOperationCallback/read before",
             platform_counted(&seen.calls) == 1 && platform_counted(&next.calls) == 1 &&
                 next.operation_type == HcsOperationTypeGetProperties);
    fixture_end(system);
    seen_free(&seen);
    seen_free(&next);
}

static void the_creation_of_a_process_waits_for_its_event_callback(void)
{
    struct seen seen;
    HCS_SYSTEM system = fixture_system();
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), other = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = NULL;
    seen_make(&seen);
    CHECK_HR(HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), operation, NULL, &process), S_OK);
    CHECK_HR(HcsGetProcessProperties(process, other, NULL), S_OK);
    CHECK_HR(fixture_wait(other), S_OK);
    CHECK_HR(HcsSetProcessCallback(process, HcsEventOptionEnableOperationCallbacks, &seen, on_event), S_OK);
    platform_semaphore_wait(&seen.arrived);
    CONFORMS("HcsSetProcessCallback/late completion",
             seen.operation == operation && seen.operation_type == HcsOperationTypeCreateProcess &&
                 seen.result == S_OK);
    CHECK(fixture_exit_code(process) == 7);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
    HcsCloseOperation(other);
    CHECK(platform_counted(&seen.calls) == 1);
    fixture_end(system);
    seen_free(&seen);
}

int main(void)
{
    RUN(wait_for_the_operation);
    RUN(use_the_callback_of_the_operation);
    RUN(use_the_event_callback);
    RUN(a_completion_waits_for_the_event_callback);
    RUN(a_failed_creation_waits_for_the_event_callback_too);
    RUN(a_completion_waits_for_the_callback_of_its_operation);
    RUN(the_creation_of_a_process_waits_for_its_event_callback);
    return EXIT_STATUS;
}

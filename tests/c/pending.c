/* Operations that take long: what they answer meanwhile, a second use, a cancel, a close. */
#include "fixture.h"

/* A system with a process that does not end when it is asked to. */
static HCS_SYSTEM stubborn_system(HCS_PROCESS *process)
{
    HCS_SYSTEM system = fixture_system();
    HCS_PROCESS_INFORMATION info;
    char ready[8];
    *process = fixture_process(system, COMMAND_STUBBORN, STDOUT, &info);
    CHECK(platform_read(info.StdOutput, ready, sizeof ready) > 0);
    platform_close(info.StdOutput);
    return system;
}

static void a_pending_operation_says_so_and_is_not_disturbed(void)
{
    HCS_PROCESS process, other = NULL;
    HCS_SYSTEM system = stubborn_system(&process), second = NULL;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), kill = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    PWSTR document = (PWSTR)&info;
    CHECK_HR(HcsShutDownComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(HcsGetOperationResult(operation, &document), HCS_E_OPERATION_PENDING);
    CHECK(document == NULL);
    CONFORMS_HR("HcsWaitForOperationResult/HCS_E_OPERATION_TIMEOUT",
                HcsWaitForOperationResult(operation, 10, &document), HCS_E_OPERATION_TIMEOUT);
    CHECK_HR(HcsGetOperationResultAndProcessInfo(operation, &info, NULL), E_INVALIDARG);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, INFINITE, &info, NULL), E_INVALIDARG);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeShutdown);
    CHECK(HcsGetComputeSystemFromOperation(operation) == system);
    CHECK_HR(HcsPauseComputeSystem(system, operation, NULL), HCS_E_OPERATION_ALREADY_STARTED);
    CONFORMS_HR("HcsEnumerateComputeSystems/HCS_E_OPERATION_ALREADY_STARTED",
                HcsEnumerateComputeSystems(NULL, operation), HCS_E_OPERATION_ALREADY_STARTED);
    CONFORMS_HR("HcsSignalProcess/HCS_E_OPERATION_ALREADY_STARTED", HcsSignalProcess(process, operation, NULL),
                HCS_E_OPERATION_ALREADY_STARTED);
    CONFORMS_HR("HcsCreateProcess/HCS_E_OPERATION_ALREADY_STARTED",
                HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), operation, NULL, &other),
                HCS_E_OPERATION_ALREADY_STARTED);
    CONFORMS_HR("HcsCreateComputeSystem/HCS_E_OPERATION_ALREADY_STARTED",
                HcsCreateComputeSystem(W("refused"), W("{}"), operation, NULL, &second),
                HCS_E_OPERATION_ALREADY_STARTED);
    CHECK(other == NULL && second == NULL);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeShutdown);
    CHECK_HR(HcsGetOperationResult(operation, NULL), HCS_E_OPERATION_PENDING);
    /* A terminate does not wait behind it, and the shutdown then has what it asked for. */
    CHECK_HR(HcsTerminateComputeSystem(system, kill, NULL), S_OK);
    CHECK_HR(fixture_wait(kill), S_OK);
    CONFORMS("HcsWaitForOperationResult/after a timeout",
             HcsWaitForOperationResult(operation, PATIENCE, NULL) != HCS_E_OPERATION_TIMEOUT);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    HcsCloseOperation(operation);
    HcsCloseOperation(kill);
    HcsCloseProcess(process);
    HcsCloseComputeSystem(system);
}

/* Looked at in the moment after the call. The process may be there by then, if this thread was held up: so it is tried
   until both looks were in time. */
static void a_process_that_is_being_created_has_no_information_yet(void)
{
    HCS_SYSTEM system = fixture_system();
    HCS_PROCESS_INFORMATION info;
    HRESULT get = S_OK, wait = S_OK;
    int tried;
    for (tried = 0; tried < 500 && (get == S_OK || wait == S_OK); tried++) {
        HCS_OPERATION run = HcsCreateOperation(NULL, NULL);
        HCS_PROCESS process = NULL;
        CHECK_HR(HcsCreateProcess(system, W("{" COMMAND_EXIT_7 "}"), run, NULL, &process), S_OK);
        get = HcsGetOperationResultAndProcessInfo(run, &info, NULL);
        wait = HcsWaitForOperationResultAndProcessInfo(run, 0, &info, NULL);
        CHECK_HR(fixture_wait(run), S_OK);
        CHECK(fixture_exit_code(process) == 7);
        HcsCloseOperation(run);
        HcsCloseProcess(process);
    }
    CONFORMS_HR("HcsGetOperationResultAndProcessInfo/HCS_E_OPERATION_PENDING", get, HCS_E_OPERATION_PENDING);
    CONFORMS_HR("HcsWaitForOperationResultAndProcessInfo/HCS_E_OPERATION_TIMEOUT", wait, HCS_E_OPERATION_TIMEOUT);
    fixture_end(system);
}

/* Windows answers E_NOTIMPL, and the shutdown goes on. */
static void a_cancelled_call_is_undone(void)
{
    HCS_PROCESS process;
    HCS_SYSTEM system = stubborn_system(&process);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    PWSTR document = NULL;
    HRESULT result;
    CHECK_HR(HcsShutDownComputeSystem(system, operation, NULL), S_OK);
    result = HcsCancelOperation(operation);
    CONFORMS_HR("HcsCancelOperation/E_NOTIMPL", result, CANCEL_RESULT(S_OK));
#ifndef _WIN32
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HRESULT_FROM_WIN32(ERROR_CANCELLED));
    CONFORMS("HcsCancelOperation/S_OK", is_error(document, HRESULT_FROM_WIN32(ERROR_CANCELLED)));
    document = NULL;
    {
        /* The system runs on, and a finished call is left alone. */
        HCS_PROCESS_INFORMATION info;
        HCS_PROCESS another = fixture_process(system, COMMAND_EXIT_7, 0, &info);
        CONFORMS("HcsCancelOperation/undone", fixture_exit_code(another) == 7);
        HcsCloseProcess(another);
    }
    CHECK_HR(HcsGetComputeSystemProperties(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsCancelOperation(operation), S_OK);
    CONFORMS_HR("HcsCancelOperation/completed", HcsGetOperationResult(operation, NULL), S_OK);
#endif
    LocalFree(document);
    HcsCloseOperation(operation);
    HcsCloseProcess(process);
    fixture_end(system);
}

static HCS_OPERATION waited_for;
static platform_semaphore waiting;

static PLATFORM_THREAD_RESULT wait_without_limit(void *argument)
{
    HRESULT *result = (HRESULT *)argument;
    platform_semaphore_post(&waiting);
    *result = HcsWaitForOperationResult(waited_for, INFINITE, NULL);
    return 0;
}

/* Often, because the close may come before, within or after the first look of the wait. */
static void a_close_ends_the_waits_of_others(void)
{
    HCS_PROCESS process;
    HCS_SYSTEM system = stubborn_system(&process);
    platform_thread thread;
    int round;
    platform_semaphore_make(&waiting);
    for (round = 0; round < 25; round++) {
        HRESULT result = S_OK;
        waited_for = HcsCreateOperation(NULL, NULL);
        CHECK_HR(HcsShutDownComputeSystem(system, waited_for, NULL), S_OK);
        REQUIRE(platform_thread_start(&thread, wait_without_limit, &result));
        platform_semaphore_wait(&waiting);
        HcsCloseOperation(waited_for);
        platform_thread_join(thread);
        CONFORMS_HR("HcsCloseOperation/waits", result, E_HANDLE);
    }
    platform_semaphore_free(&waiting);
    HcsCloseProcess(process);
    fixture_end(system);
}

int main(void)
{
    RUN(a_pending_operation_says_so_and_is_not_disturbed);
    RUN(a_process_that_is_being_created_has_no_information_yet);
    RUN(a_cancelled_call_is_undone);
    RUN(a_close_ends_the_waits_of_others);
    return EXIT_STATUS;
}

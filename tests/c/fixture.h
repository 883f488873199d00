/*
 * fixture.h - compute systems and processes for the programs that need running ones.
 *
 * $HCS_TEST_SYSTEM may hold another ComputeSystem document than the default one of platform.h.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "check.h"

/* A limit that is only there to end a hanging test. */
#define PATIENCE 60000

/* An id no other system has. */
static inline WCHAR *fixture_id(void)
{
    static platform_counter made;
    char text[64];
    platform_count(&made);
    snprintf(text, sizeof text, "c-test-%lu-%ld", platform_process_id(), platform_counted(&made));
    return platform_wide(text);
}

/* Waits for the call that `operation` tracks and tells of its failure. */
static inline HRESULT fixture_wait(HCS_OPERATION operation)
{
    PWSTR document = NULL;
    HRESULT result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    if (FAILED(result)) {
        char *text = take_text(document);
        fprintf(stderr, "the call failed with 0x%08X: %s\n", (unsigned)result, text == NULL ? "no document" : text);
        free(text);
    } else {
        LocalFree(document);
    }
    return result;
}

/* A created system with a given id, not started. */
static inline HCS_SYSTEM fixture_created(const WCHAR *id)
{
    const char *chosen = getenv("HCS_TEST_SYSTEM");
    WCHAR *configuration = platform_wide(chosen == NULL ? DEFAULT_SYSTEM : chosen);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = NULL;
    REQUIRE(HcsCreateComputeSystem(id, configuration, operation, NULL, &system) == S_OK);
    REQUIRE(fixture_wait(operation) == S_OK);
    HcsCloseOperation(operation);
    free(configuration);
    return system;
}

/* A running system. */
static inline HCS_SYSTEM fixture_system(void)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = fixture_created(id);
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    REQUIRE(HcsStartComputeSystem(system, operation, NULL) == S_OK);
    REQUIRE(fixture_wait(operation) == S_OK);
    HcsCloseOperation(operation);
    free(id);
    return system;
}

/* Ends a system, waits until it is gone, closes its handle. */
static inline void fixture_end(HCS_SYSTEM system)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    CHECK_HR(HcsTerminateComputeSystem(system, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForComputeSystemExit(system, PATIENCE, NULL), S_OK);
    HcsCloseOperation(operation);
    HcsCloseComputeSystem(system);
}

/* Pipes of a process. */
enum { STDIN = 1, STDOUT = 2, STDERR = 4 };

/* Starts a process: `command` is the inside of a ProcessParameters document. */
static inline HCS_PROCESS fixture_process(HCS_SYSTEM system, const char *command, int pipes,
                                          HCS_PROCESS_INFORMATION *information)
{
    char text[1024];
    WCHAR *parameters;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = NULL;
    HRESULT result;
    PWSTR document = NULL;
    snprintf(text, sizeof text, "{%s%s%s%s}", command, pipes & STDIN ? ",\"CreateStdInPipe\":true" : "",
             pipes & STDOUT ? ",\"CreateStdOutPipe\":true" : "", pipes & STDERR ? ",\"CreateStdErrPipe\":true" : "");
    parameters = platform_wide(text);
    CHECK_HR(HcsCreateProcess(system, parameters, operation, NULL, &process), S_OK);
    result = HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, information, &document);
    if (FAILED(result)) {
        char *error = take_text(document);
        fprintf(stderr, "%s: 0x%08X: %s\n", text, (unsigned)result, error == NULL ? "no document" : error);
        free(error);
    } else {
        LocalFree(document);
    }
    REQUIRE(result == S_OK);
    HcsCloseOperation(operation);
    free(parameters);
    return process;
}

/* Waits for the end of a process; its exit code. */
static inline long fixture_exit_code(HCS_PROCESS process)
{
    PWSTR status = NULL;
    char *text;
    long code;
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, &status), S_OK);
    text = take_text(status);
    code = json_number(text, "ExitCode", -1);
    CHECK(json_number(text, "LastWaitResult", -1) == 0);
    free(text);
    return code;
}

/* Has a process send `sent` back, with all three pipes, and end; what came, to be freed. `information` is told. */
static inline char *fixture_copy(HCS_SYSTEM system, const char *sent, HCS_PROCESS_INFORMATION *information)
{
    HCS_PROCESS process = fixture_process(system, COMMAND_COPY, STDIN | STDOUT | STDERR, information);
    char *received, *errors;
    CHECK(platform_write(information->StdInput, sent, strlen(sent)));
    platform_close(information->StdInput);
    received = platform_read_all(information->StdOutput);
    errors = platform_read_all(information->StdError);
    CHECK(errors[0] == 0);
    free(errors);
    CHECK(fixture_exit_code(process) == 0);
    platform_close(information->StdOutput);
    platform_close(information->StdError);
    HcsCloseProcess(process);
    return received;
}

#endif

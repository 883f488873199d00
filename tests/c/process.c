/* The main job: systems, processes, their stdio, their results, their end. */
#include "fixture.h"

static HCS_SYSTEM running;

static void a_process_echoes_and_exits(void)
{
    HCS_PROCESS_INFORMATION info;
    char *text = fixture_copy(running, "hello" LINE_END, &info);
    CHECK(info.ProcessId != 0 && info.Reserved == 0);
    CONFORMS("HcsCreateProcess/process information", info.StdInput != NULL && info.StdOutput != NULL &&
             info.StdError != NULL);
    CHECK(strstr(text, "hello") != NULL);
    free(text);
}

static void streams_are_apart_and_only_as_asked(void)
{
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_BOTH, STDOUT | STDERR, &info);
    char *text;
    CHECK(info.StdInput == NULL);
    text = platform_read_all(info.StdOutput);
    CHECK(strstr(text, "out") != NULL && strstr(text, "err") == NULL);
    free(text);
    text = platform_read_all(info.StdError);
    CHECK(strstr(text, "err") != NULL && strstr(text, "out") == NULL);
    free(text);
    CHECK(fixture_exit_code(process) == 0);
    platform_close(info.StdOutput);
    platform_close(info.StdError);
    HcsCloseProcess(process);
    process = fixture_process(running, COMMAND_EXIT_7, 0, &info);
    CONFORMS("HcsCreateProcess/streams", info.ProcessId != 0 && info.StdInput == NULL && info.StdOutput == NULL &&
             info.StdError == NULL);
    CHECK(fixture_exit_code(process) == 7);
    HcsCloseProcess(process);
}

static void handles_are_given_once(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION first, second;
    HCS_PROCESS process = NULL;
    PWSTR document = NULL;
    PCWSTR parameters = W("{" COMMAND_COPY ",\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true}");
    CONFORMS_HR("HcsCreateProcess/S_OK", HcsCreateProcess(running, parameters, operation, NULL, &process), S_OK);
    CONFORMS("HcsCreateProcess/process", process != NULL);
    CONFORMS("HcsGetOperationType/HcsOperationTypeCreateProcess",
             HcsGetOperationType(operation) == HcsOperationTypeCreateProcess);
    CONFORMS("HcsGetComputeSystemFromOperation/system", HcsGetComputeSystemFromOperation(operation) == running);
    CONFORMS("HcsGetProcessFromOperation/process", HcsGetProcessFromOperation(operation) == process);
    /* Not asking for the structure takes nothing. */
    CONFORMS_HR("HcsCreateProcess/result/S_OK", HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    LocalFree(document);
    CONFORMS_HR("HcsWaitForOperationResultAndProcessInfo/optional",
                HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, NULL, NULL), S_OK);
    CONFORMS_HR("HcsGetOperationResultAndProcessInfo/optional",
                HcsGetOperationResultAndProcessInfo(operation, NULL, NULL), S_OK);
    CONFORMS_HR("HcsGetOperationResultAndProcessInfo/S_OK",
                HcsGetOperationResultAndProcessInfo(operation, &first, &document), S_OK);
    LocalFree(document);
    CONFORMS("HcsGetOperationResultAndProcessInfo/process information",
             first.ProcessId != 0 && first.StdInput != NULL && first.StdOutput != NULL && first.StdError == NULL);
    CONFORMS_HR("HcsWaitForOperationResultAndProcessInfo/S_OK",
                HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &second, NULL), S_OK);
    CONFORMS("HcsGetOperationResultAndProcessInfo/once",
             second.ProcessId == first.ProcessId && second.StdInput == NULL && second.StdOutput == NULL &&
                 second.StdError == NULL);
    /* Nor does asking anew give them, while they are held. The operation is used again. */
    CONFORMS_HR("HcsGetProcessInfo/S_OK", HcsGetProcessInfo(process, operation), S_OK);
    CONFORMS_HR("HcsGetProcessInfo/result/S_OK",
                HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &second, NULL), S_OK);
    CONFORMS("HcsGetOperationType/HcsOperationTypeGetProcessInfo",
             HcsGetOperationType(operation) == HcsOperationTypeGetProcessInfo);
    CONFORMS("HcsGetProcessInfo/held",
             second.ProcessId == first.ProcessId && second.StdInput == NULL && second.StdOutput == NULL &&
                 second.StdError == NULL);
    platform_close(first.StdInput);
    CHECK(fixture_exit_code(process) == 0);
    platform_close(first.StdOutput);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

static void handles_can_be_had_later(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), later = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = NULL;
    HCS_PROCESS_INFORMATION info;
    PCWSTR parameters = W("{" COMMAND_COPY ",\"CreateStdInPipe\":true,\"CreateStdOutPipe\":true}");
    char *text;
    CHECK_HR(HcsCreateProcess(running, parameters, operation, NULL, &process), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsGetProcessInfo(process, later), S_OK);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(later, PATIENCE, &info, NULL), S_OK);
    CONFORMS("HcsWaitForOperationResultAndProcessInfo/process information", info.ProcessId != 0);
    CONFORMS("HcsCreateProcess/later", info.StdInput != NULL && info.StdOutput != NULL && info.StdError == NULL);
    HcsCloseOperation(operation);
    CHECK(platform_write(info.StdInput, "late" LINE_END, strlen("late" LINE_END)));
    platform_close(info.StdInput);
    text = platform_read_all(info.StdOutput);
    CHECK(strstr(text, "late") != NULL);
    free(text);
    platform_close(info.StdOutput);
    CHECK(fixture_exit_code(process) == 0);
    HcsCloseProcess(process);
    HcsCloseOperation(later);
    /* And when no descriptor of them is open any more. */
    operation = HcsCreateOperation(NULL, NULL);
    process = fixture_process(running, COMMAND_SLEEP, STDOUT, &info);
    platform_close(info.StdOutput);
    CHECK_HR(HcsGetProcessInfo(process, operation), S_OK);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &info, NULL), S_OK);
    CONFORMS("HcsGetProcessInfo/again", info.StdOutput != NULL);
    platform_close(info.StdOutput);
    CHECK_HR(HcsTerminateProcess(process, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, NULL), S_OK);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

static void handles_nobody_took_are_closed(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = NULL;
    CHECK_HR(HcsCreateProcess(running, W("{" COMMAND_COPY ",\"CreateStdInPipe\":true}"), operation, NULL, &process),
             S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    /* The process sees the end of its input, and only so it ends. */
    HcsCloseOperation(operation);
    CHECK(fixture_exit_code(process) == 0);
    HcsCloseProcess(process);
}

static void other_operations_have_no_process_information(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info, zeros;
    PWSTR document = NULL;
    char *text;
    memset(&zeros, 0, sizeof zeros);
    memset(&info, 0xFF, sizeof info);
    CHECK_HR(HcsGetComputeSystemProperties(running, operation, NULL), S_OK);
    CONFORMS_HR("HcsWaitForOperationResultAndProcessInfo/E_INVALIDARG",
                HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &info, &document), E_INVALIDARG);
    CONFORMS_HR("HcsGetOperationResultAndProcessInfo/E_INVALIDARG",
                HcsGetOperationResultAndProcessInfo(operation, &info, NULL), E_INVALIDARG);
    CONFORMS("HcsWaitForOperationResultAndProcessInfo/zeros", memcmp(&info, &zeros, sizeof info) == 0 &&
             document == NULL);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    text = take_text(document);
    CHECK(text != NULL && json_value(text, "State") != NULL);
    CHECK(text != NULL && strncmp(json_value(text, "State"), "\"Running\"", 9) == 0);
    free(text);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeGetProperties);
    CONFORMS("HcsGetProcessFromOperation/NULL", HcsGetProcessFromOperation(operation) == NULL);
    HcsCloseOperation(operation);
}

static void a_program_that_is_not_there_is_told(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = NULL;
    PWSTR document = NULL;
    HRESULT result;
    CHECK_HR(HcsCreateProcess(running, W("{\"CommandLine\":\"/no/such/program\"}"), operation, NULL, &process), S_OK);
    CHECK(process != NULL);
    result = HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &info, &document);
    CONFORMS_HR("HcsCreateProcess/result/ERROR_FILE_NOT_FOUND", result, HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
    CONFORMS_HR("HcsWaitForOperationResultAndProcessInfo/failure", result, HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
    CONFORMS("HcsWaitForOperationResultAndProcessInfo/ResultError", is_error(document, result));
    CONFORMS_HR("HcsGetOperationResultAndProcessInfo/failure",
                HcsGetOperationResultAndProcessInfo(operation, NULL, &document), result);
    CONFORMS("HcsGetOperationResultAndProcessInfo/ResultError", is_error(document, result));
    CONFORMS_HR("HcsGetOperationResult/failure", HcsGetOperationResult(operation, NULL), result);
    CONFORMS_HR("HcsWaitForOperationResult/failure", HcsWaitForOperationResult(operation, 0, NULL), result);
    CHECK(info.ProcessId == 0);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

static void a_killed_process_says_so(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_SLEEP, 0, &info);
    PWSTR document = (PWSTR)&info;
    HRESULT result;
    CONFORMS_HR("HcsWaitForProcessExit/ERROR_TIMEOUT", HcsWaitForProcessExit(process, 0, &document),
                HRESULT_FROM_WIN32(ERROR_TIMEOUT));
    CHECK(document == NULL);
    CHECK_HR(HcsTerminateProcess(process, operation, W("{\"x\":1}")), S_OK);
    CONFORMS_HR("HcsTerminateProcess/options", HcsWaitForOperationResult(operation, PATIENCE, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsTerminateProcess/S_OK", HcsTerminateProcess(process, operation, NULL), S_OK);
    CONFORMS_HR("HcsTerminateProcess/result/S_OK", fixture_wait(operation), S_OK);
    CONFORMS("HcsGetOperationType/HcsTerminateProcess",
             HcsGetOperationType(operation) == HcsOperationTypeSignalProcess);
    CONFORMS("HcsTerminateProcess/ExitCode", IS_KILLED(fixture_exit_code(process)));
    CHECK_HR(HcsTerminateProcess(process, operation, W("")), S_OK);
    result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    CONFORMS_HR("HcsTerminateProcess/result/HCS_E_PROCESS_ALREADY_STOPPED", result, HCS_E_PROCESS_ALREADY_STOPPED);
    CHECK_ERROR(document, result);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

/* The one thing that every signal does. */
static void a_signal_ends_what_does_not_expect_it(void)
{
    static const struct {
        const char *row;
        PCWSTR options;
    } cases[] = {
        {"HcsSignalProcess/options", W("" SIGNAL_OPTIONS)},
        {"HcsSignalProcess/no options", NULL},
        {"HcsSignalProcess/no options", W("")},
    };
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        HCS_PROCESS_INFORMATION info;
        HCS_PROCESS process = fixture_process(running, COMMAND_SLEEP, 0, &info);
        PWSTR document = NULL;
        CHECK_HR(HcsSignalProcess(process, operation, W("{")), S_OK);
        CONFORMS_HR("HcsSignalProcess/result/HCS_E_INVALID_JSON",
                    HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_JSON);
        CHECK_ERROR(document, HCS_E_INVALID_JSON);
        CONFORMS_HR("HcsSignalProcess/S_OK", HcsSignalProcess(process, operation, cases[i].options), S_OK);
        CONFORMS_HR("HcsSignalProcess/result/S_OK", fixture_wait(operation), S_OK);
        CONFORMS("HcsGetOperationType/HcsOperationTypeSignalProcess",
                 HcsGetOperationType(operation) == HcsOperationTypeSignalProcess);
        CONFORMS(cases[i].row, fixture_exit_code(process) != 0);
        HcsCloseProcess(process);
    }
    HcsCloseOperation(operation);
}

#ifndef _WIN32
static void signals_arrive_as_asked(void)
{
    static const struct {
        PCWSTR options;
        long code;
    } cases[] = {
        {W("{\"Signal\":15}"), 128 + 15},
        {W("{\"Signal\":1}"), 128 + 1},
        {W("{\"Signal\":0}"), 128 + 9},
        {W("{}"), 128 + 9},
        {NULL, 128 + 9},
    };
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        HCS_PROCESS_INFORMATION info;
        HCS_PROCESS process = fixture_process(running, COMMAND_SLEEP, 0, &info);
        CHECK_HR(HcsSignalProcess(process, operation, cases[i].options), S_OK);
        CHECK_HR(fixture_wait(operation), S_OK);
        CHECK(fixture_exit_code(process) == cases[i].code);
        HcsCloseProcess(process);
    }
    HcsCloseOperation(operation);
}
#endif

static void input_ends_by_handle_or_by_request(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    PCWSTR request = W("{\"Operation\":\"CloseHandle\",\"CloseHandle\":{\"Handle\":\"StdIn\"}}");
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN | STDOUT, &info);
    CHECK(platform_write(info.StdInput, "x" LINE_END, strlen("x" LINE_END)));
    CHECK_HR(HcsModifyProcess(process, operation, W("{")), S_OK);
    CONFORMS_HR("HcsModifyProcess/result/HCS_E_INVALID_JSON", HcsWaitForOperationResult(operation, PATIENCE, NULL),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsModifyProcess/S_OK", HcsModifyProcess(process, operation, request), S_OK);
    CONFORMS_HR("HcsModifyProcess/result/S_OK", fixture_wait(operation), S_OK);
    CONFORMS("HcsGetOperationType/HcsOperationTypeModifyProcess",
             HcsGetOperationType(operation) == HcsOperationTypeModifyProcess);
    CONFORMS("HcsModifyProcess/CloseHandle", fixture_exit_code(process) == 0);
    platform_close(info.StdInput);
    platform_close(info.StdOutput);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

static void the_console_of_a_process_has_the_size_it_is_given(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_SLEEP ",\"EmulateConsole\":true", 0, &info);
    PCWSTR request = W("{\"Operation\":\"ConsoleSize\",\"ConsoleSize\":{\"Height\":20,\"Width\":90}}");
    CHECK_HR(HcsModifyProcess(process, operation, request), S_OK);
    CONFORMS_HR("HcsModifyProcess/ConsoleSize", fixture_wait(operation), S_OK);
    CHECK_HR(HcsTerminateProcess(process, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, NULL), S_OK);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

static void an_open_process_tells_its_end(void)
{
    HCS_PROCESS_INFORMATION info;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN, &info);
    HCS_PROCESS again = NULL;
    PWSTR status = NULL;
    char *text;
    CHECK_HR(HcsWaitForProcessExit(process, 0, NULL), HRESULT_FROM_WIN32(ERROR_TIMEOUT));
    CONFORMS_HR("HcsOpenProcess/S_OK", HcsOpenProcess(running, info.ProcessId, GENERIC_ALL, &again), S_OK);
    CHECK(again != NULL && again != process);
    /* Closing a handle ends nothing. */
    HcsCloseProcess(process);
    CONFORMS_HR("HcsCloseProcess/lives on", HcsWaitForProcessExit(again, 0, NULL), HRESULT_FROM_WIN32(ERROR_TIMEOUT));
    platform_close(info.StdInput);
    CONFORMS_HR("HcsWaitForProcessExit/S_OK", HcsWaitForProcessExit(again, PATIENCE, &status), S_OK);
    text = platform_utf8(status);
    CONFORMS("HcsWaitForProcessExit/result",
             json_number(text, "ProcessId", -1) == (long)info.ProcessId && json_number(text, "ExitCode", -1) == 0 &&
                 strncmp(json_value(text, "Exited"), "true", 4) == 0 && json_number(text, "LastWaitResult", -1) == 0);
    free(text);
    CONFORMS("HcsWaitForProcessExit/LocalFree", LocalFree(status) == NULL);
    HcsCloseProcess(again);
    again = (HCS_PROCESS)&info;
    CONFORMS_HR("HcsOpenProcess/ERROR_NOT_FOUND", HcsOpenProcess(running, 0x7FFFFFF0, GENERIC_ALL, &again),
                HRESULT_FROM_WIN32(ERROR_NOT_FOUND));
    CHECK(again == NULL);
    /* The handle of an opened process can do all that one of a created process can. */
    process = fixture_process(running, COMMAND_SLEEP, 0, &info);
    CHECK_HR(HcsOpenProcess(running, info.ProcessId, GENERIC_ALL, &again), S_OK);
    CHECK_HR(HcsTerminateProcess(again, operation, NULL), S_OK);
    CONFORMS_HR("HcsOpenProcess/requestedAccess", fixture_wait(operation), S_OK);
    CHECK(IS_KILLED(fixture_exit_code(process)));
    HcsCloseProcess(again);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

#ifndef _WIN32
static void streams_that_were_dropped_can_be_had_again(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    const char *command = "\"CommandLine\":\"sh -c 'trap \\\"echo again; exit 5\\\" TERM; "
                          "echo ready; while :; do sleep 1; done'\"";
    HCS_PROCESS process = fixture_process(running, command, STDOUT, &info);
    HCS_PROCESS other = NULL;
    char ready[8];
    char *text;
    CHECK(platform_read(info.StdOutput, ready, sizeof ready) > 0);
    CHECK_HR(HcsOpenProcess(running, info.ProcessId, GENERIC_ALL, &other), S_OK);
    platform_close(info.StdOutput);
    CHECK_HR(HcsGetProcessInfo(other, operation), S_OK);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, &info, NULL), S_OK);
    CHECK(info.StdInput == NULL && info.StdOutput != NULL && info.StdError == NULL);
    CHECK_HR(HcsSignalProcess(process, operation, W("{\"Signal\":15}")), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    text = platform_read_all(info.StdOutput);
    CHECK(strcmp(text, "again\n") == 0);
    free(text);
    platform_close(info.StdOutput);
    CHECK(fixture_exit_code(process) == 5);
    HcsCloseProcess(other);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}
#endif

static void properties_of_a_process_are_its_status(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_SLEEP, 0, &info);
    PWSTR document = NULL;
    char *text;
    CONFORMS_HR("HcsGetProcessProperties/S_OK", HcsGetProcessProperties(process, operation, NULL), S_OK);
    CONFORMS_HR("HcsGetProcessProperties/any wait", HcsWaitForOperationResult(operation, PATIENCE, &document), S_OK);
    CONFORMS_HR("HcsGetProcessProperties/result/S_OK", HcsGetOperationResult(operation, NULL), S_OK);
    CONFORMS("HcsGetOperationType/HcsOperationTypeGetProcessProperties",
             HcsGetOperationType(operation) == HcsOperationTypeGetProcessProperties);
    text = take_text(document);
    CONFORMS("HcsGetProcessProperties/ProcessStatus",
             json_number(text, "ProcessId", -1) == (long)info.ProcessId && json_value(text, "Exited") != NULL &&
                 strncmp(json_value(text, "Exited"), "false", 5) == 0);
    free(text);
    CHECK_HR(HcsTerminateProcess(process, operation, NULL), S_OK);
    CHECK_HR(fixture_wait(operation), S_OK);
    CHECK_HR(HcsWaitForProcessExit(process, PATIENCE, NULL), S_OK);
    HcsCloseProcess(process);
    HcsCloseOperation(operation);
}

int main(void)
{
    long before;
    running = fixture_system();
    RUN(a_process_echoes_and_exits);
    before = platform_open_handles();
    RUN(a_process_echoes_and_exits);
    RUN(streams_are_apart_and_only_as_asked);
    RUN(handles_are_given_once);
    RUN(handles_can_be_had_later);
    RUN(handles_nobody_took_are_closed);
    RUN(other_operations_have_no_process_information);
    RUN(a_program_that_is_not_there_is_told);
    RUN(a_killed_process_says_so);
    RUN(a_signal_ends_what_does_not_expect_it);
#ifndef _WIN32
    RUN(signals_arrive_as_asked);
#endif
    RUN(input_ends_by_handle_or_by_request);
    RUN(the_console_of_a_process_has_the_size_it_is_given);
    RUN(an_open_process_tells_its_end);
    RUN(properties_of_a_process_are_its_status);
#ifndef _WIN32
    RUN(streams_that_were_dropped_can_be_had_again);
#endif
    CHECK(platform_open_handles() == before);
    fixture_end(running);
    return EXIT_STATUS;
}

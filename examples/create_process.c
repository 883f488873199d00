/*
 * create_process.c - starts a container, runs a process in it and talks with it.
 *
 * Build it after `cargo build --release`, in the root of the repository:
 *
 *   cc -std=c11 -Wall -Wextra -I crates/computecore/include examples/create_process.c \
 *      -L target/release -Wl,-rpath,$PWD/target/release -lcomputecore -o create_process
 *
 * or, where the library is installed:
 *
 *   cc -std=c11 examples/create_process.c $(pkg-config --cflags --libs computecore) -o create_process
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ComputeCore.h>

static const WCHAR container[] = u"{"
                                 u"  \"SchemaVersion\": { \"Major\": 2, \"Minor\": 1 },"
                                 u"  \"Owner\": \"create_process.c\","
                                 u"  \"ShouldTerminateOnLastHandleClosed\": true,"
                                 u"  \"Container\": {}"
                                 u"}";

static const WCHAR copy_input_to_output[] = u"{"
                                            u"  \"CommandLine\": \"cat\","
                                            u"  \"CreateStdInPipe\": true,"
                                            u"  \"CreateStdOutPipe\": true,"
                                            u"  \"CreateStdErrPipe\": true"
                                            u"}";

/* Documents are ASCII unless names in another script are put into them; then print them with iconv(3). */
static void print_document(FILE *out, const char *what, PCWSTR document)
{
    fprintf(out, "%s: %s", what, document == NULL ? "none" : "");
    for (; document != NULL && *document != 0; document++) {
        fputc(*document < 0x80 ? (char)*document : '?', out);
    }
    fputc('\n', out);
}

/* Says what failed and, from the ResultError document, why; releases the document. */
static int failed(const char *what, HRESULT result, PWSTR document)
{
    fprintf(stderr, "%s failed with 0x%08" PRIX32 "\n", what, (uint32_t)result);
    if (document != NULL) {
        print_document(stderr, "ResultError", document);
        LocalFree(document);
    }
    return 1;
}

/* Waits for an operation that has no result document of interest. */
static int finish(const char *what, HRESULT started, HCS_OPERATION operation)
{
    PWSTR document = NULL;
    HRESULT result = started;
    if (SUCCEEDED(result)) {
        result = HcsWaitForOperationResult(operation, INFINITE, &document);
    }
    if (FAILED(result)) {
        return failed(what, result, document);
    }
    LocalFree(document);
    return 0;
}

/* Sends a line to the process and prints what comes back, to the end. */
static int talk(const HCS_PROCESS_INFORMATION *process)
{
    static const char line[] = "hello from the host\n";
    int to_process = (int)(intptr_t)process->StdInput;
    int from_process = (int)(intptr_t)process->StdOutput;
    char buffer[512];
    ssize_t got;
    if (write(to_process, line, strlen(line)) != (ssize_t)strlen(line)) {
        perror("writing to the process");
        return 1;
    }
    close(to_process); /* The process sees the end of its input. */
    while ((got = read(from_process, buffer, sizeof buffer)) > 0) {
        fwrite(buffer, 1, (size_t)got, stdout);
    }
    close(from_process);
    close((int)(intptr_t)process->StdError);
    return got < 0;
}

static int run_process(HCS_SYSTEM system, HCS_OPERATION operation)
{
    HCS_PROCESS process = NULL;
    HCS_PROCESS_INFORMATION information;
    PWSTR document = NULL;
    HRESULT result = HcsCreateProcess(system, copy_input_to_output, operation, NULL, &process);
    if (SUCCEEDED(result)) {
        result = HcsWaitForOperationResultAndProcessInfo(operation, INFINITE, &information, &document);
    }
    if (FAILED(result)) {
        HcsCloseProcess(process);
        return failed("HcsCreateProcess", result, document);
    }
    print_document(stdout, "result document", document);
    LocalFree(document);
    printf("process %" PRIu32 " runs\n", information.ProcessId);

    int status = talk(&information);
    result = HcsWaitForProcessExit(process, INFINITE, &document);
    if (FAILED(result)) {
        status = failed("HcsWaitForProcessExit", result, NULL);
    } else {
        print_document(stdout, "exit status", document);
        LocalFree(document);
    }
    HcsCloseProcess(process);
    return status;
}

int main(void)
{
    WCHAR id[32] = u"create-process-";
    HCS_SYSTEM system = NULL;
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    size_t end = 15;
    int status = 1;
    if (operation == NULL) {
        return failed("HcsCreateOperation", E_OUTOFMEMORY, NULL);
    }
    /* An id that no other system has: this program's pid. */
    for (long pid = getpid(); pid > 0; pid /= 10) {
        id[end++] = (WCHAR)(u'0' + pid % 10);
    }
    /* One operation serves all calls, one after the other. */
    if (finish("HcsCreateComputeSystem", HcsCreateComputeSystem(id, container, operation, NULL, &system),
               operation) == 0 &&
        finish("HcsStartComputeSystem", HcsStartComputeSystem(system, operation, NULL), operation) == 0) {
        status = run_process(system, operation);
        status |= finish("HcsTerminateComputeSystem", HcsTerminateComputeSystem(system, operation, NULL), operation);
    }
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
    return status;
}

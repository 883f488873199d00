/*
 * Documents that are no documents: each is the result of the operation, with a ResultError that has a message.
 * $HCS_TEST_DEPTH and $HCS_TEST_LENGTH are how deep and how long (in tens of characters; 0 for none) the worst of them
 * are.
 */
#include "fixture.h"

static HCS_SYSTEM running;
static HCS_OPERATION operation;

/* A text of `size` times `unit`, between `head` and `tail`. */
static WCHAR *repeated(const char *head, const char *unit, size_t size, const char *tail)
{
    size_t step = strlen(unit), i;
    char *text = (char *)malloc(strlen(head) + size * step + strlen(tail) + 1), *at = text;
    WCHAR *wide;
    REQUIRE(text != NULL);
    at += strlen(strcpy(at, head));
    for (i = 0; i < size; i++, at += step) {
        memcpy(at, unit, step);
    }
    strcpy(at, tail);
    wide = platform_wide(text);
    free(text);
    REQUIRE(wide != NULL);
    return wide;
}

static void check_refused(const char *what, HRESULT started)
{
    PWSTR document = NULL;
    HRESULT result;
    CHECK_HR(started, S_OK);
    result = HcsWaitForOperationResult(operation, PATIENCE, &document);
    if (result != HCS_E_INVALID_JSON) {
        fprintf(stderr, "%s: ", what);
    }
    CHECK_HR(result, HCS_E_INVALID_JSON);
    CHECK_ERROR(document, result);
}

/* Where a document is optional, a blank one is none. */
static int is_blank(PCWSTR document)
{
    while (*document == ' ' || *document == '\n') {
        document++;
    }
    return *document == 0;
}

static void check_everywhere(const char *what, PCWSTR document)
{
    WCHAR *id = fixture_id();
    HCS_SYSTEM system = NULL;
    HCS_PROCESS process = NULL;
    check_refused(what, HcsCreateComputeSystem(id, document, operation, NULL, &system));
    CHECK(system != NULL);
    HcsCloseComputeSystem(system);
    CHECK_HR(HcsOpenComputeSystem(id, GENERIC_ALL, &system), HCS_E_SYSTEM_NOT_FOUND);
    check_refused(what, HcsCreateProcess(running, document, operation, NULL, &process));
    CHECK(process != NULL);
    HcsCloseProcess(process);
    check_refused(what, HcsModifyComputeSystem(running, operation, document, NULL));
    if (!is_blank(document)) {
        check_refused(what, HcsEnumerateComputeSystems(document, operation));
        check_refused(what, HcsGetComputeSystemProperties(running, operation, document));
    }
    free(id);
}

static void check_on_process(const char *what, PCWSTR document)
{
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN, &info);
    check_refused(what, HcsModifyProcess(process, operation, document));
    if (!is_blank(document)) {
        check_refused(what, HcsSignalProcess(process, operation, document));
    }
    platform_close(info.StdInput);
    CHECK(fixture_exit_code(process) == 0);
    HcsCloseProcess(process);
}

static void check_all(const char *what, PCWSTR document)
{
    check_everywhere(what, document);
    check_on_process(what, document);
}

static void empty_and_truncated(void)
{
    check_all("empty", W(""));
    check_all("blank", W(" \n"));
    check_all("truncated", W("{\"SchemaVersion\":{\"Major\":2"));
    check_all("truncated string", W("{\"Owner\":\"a"));
    check_all("not an object", W("[]"));
    check_all("more than one", W("{}{}"));
    check_all("unquoted", W("{Owner:1}"));
}

static void broken_utf16(void)
{
    static const WCHAR lone_high[] = {'{', '"', 'O', 0xD800, '"', ':', '1', '}', 0};
    static const WCHAR lone_low[] = {'{', '}', 0xDC00, 0};
    static const WCHAR at_the_end[] = {'{', '}', 0xD83D, 0};
    check_all("lone high surrogate", lone_high);
    check_all("lone low surrogate", lone_low);
    check_all("ends within a pair", at_the_end);
}

static void deeply_nested(void)
{
    size_t depth = (size_t)check_setting("HCS_TEST_DEPTH", 100000);
    WCHAR *closed = repeated("{\"Owner\":", "[", depth, "1}");
    WCHAR *objects = repeated("", "{\"a\":", depth, "1");
    check_all("nested arrays", closed);
    check_all("nested objects", objects);
    free(closed);
    free(objects);
}

static void ten_megabytes(void)
{
    size_t length = (size_t)check_setting("HCS_TEST_LENGTH", 1 << 20);
    WCHAR *text = repeated("{\"Owner\":\"", "0123456789", length, "\"}");
    if (length > 0) {
        check_all("long", text);
    }
    free(text);
}

static void unknown_and_wrong_properties(void)
{
    PWSTR document = NULL;
    HCS_PROCESS process = NULL;
    char *text;
    CHECK_HR(HcsCreateProcess(running, W("{\"CommandLin\":\"cat\"}"), operation, NULL, &process), S_OK);
    CONFORMS_HR("HcsCreateProcess/result/HCS_E_INVALID_JSON",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_JSON);
    text = take_text(document);
    CHECK(text != NULL && strstr(text, "/CommandLin") != NULL && strstr(text, "CommandLine") != NULL);
    free(text);
    HcsCloseProcess(process);
    CHECK_HR(HcsCreateProcess(running, W("{\"CommandLine\":5}"), operation, NULL, &process), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_JSON);
    CHECK_ERROR(document, HCS_E_INVALID_JSON);
    HcsCloseProcess(process);
    CHECK_HR(HcsEnumerateComputeSystems(W("{\"Nonsense\":1}"), operation), S_OK);
    CONFORMS_HR("HcsEnumerateComputeSystems/result/HCS_E_INVALID_JSON",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_INVALID_JSON);
    CHECK_ERROR(document, HCS_E_INVALID_JSON);
}

/* Options that are reserved must not be there; those that are documents must be good ones. */
static void options_of_systems_and_processes(void)
{
    typedef HRESULT(WINAPI * system_call)(HCS_SYSTEM, HCS_OPERATION, PCWSTR);
    static const struct {
        system_call call;
        HRESULT result;
    } cases[] = {
        {HcsStartComputeSystem, HCS_E_INVALID_JSON},   {HcsShutDownComputeSystem, HCS_E_INVALID_JSON},
        {HcsPauseComputeSystem, HCS_E_INVALID_JSON},   {HcsResumeComputeSystem, E_INVALIDARG},
        {HcsTerminateComputeSystem, E_INVALIDARG},
    };
    static const WCHAR broken[] = {'{', '"', 0xD800, '"', ':', '1', '}', 0};
    const PCWSTR bad[] = {W("{"), W("[]"), W("{\"Nonsense\":1}"), broken};
    HCS_PROCESS_INFORMATION info;
    HCS_PROCESS process = fixture_process(running, COMMAND_COPY, STDIN, &info);
    PWSTR document = NULL;
    size_t i, k;
    for (k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            CHECK_HR(cases[i].call(running, operation, bad[k]), S_OK);
            CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), cases[i].result);
            CHECK_ERROR(document, cases[i].result);
        }
        CHECK_HR(HcsTerminateProcess(process, operation, bad[k]), S_OK);
        CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), E_INVALIDARG);
        CHECK_ERROR(document, E_INVALIDARG);
    }
    /* Nothing of all that happened. */
    platform_close(info.StdInput);
    CHECK(fixture_exit_code(process) == 0);
    HcsCloseProcess(process);
}

static void documents_for_the_service(void)
{
    static const WCHAR broken[] = {'{', '"', 0xD800, '"', ':', '1', '}', 0};
    PWSTR document = NULL;
    CONFORMS_HR("HcsGetServiceProperties/HCS_E_INVALID_JSON", HcsGetServiceProperties(W("{"), &document),
                HCS_E_INVALID_JSON);
    CHECK_ERROR(document, HCS_E_INVALID_JSON);
    CHECK_HR(HcsGetServiceProperties(broken, &document), HCS_E_INVALID_JSON);
    CHECK_ERROR(document, HCS_E_INVALID_JSON);
}

int main(void)
{
    operation = HcsCreateOperation(NULL, NULL);
    running = fixture_system();
    RUN(empty_and_truncated);
    RUN(broken_utf16);
    RUN(deeply_nested);
    RUN(ten_megabytes);
    RUN(unknown_and_wrong_properties);
    RUN(options_of_systems_and_processes);
    RUN(documents_for_the_service);
    fixture_end(running);
    HcsCloseOperation(operation);
    return EXIT_STATUS;
}

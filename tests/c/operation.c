/* Operations by themselves: no service is needed. */
#include "check.h"
#ifndef _WIN32
#include <HcsExtensions.h>
#endif

static int never_used;

static void CALLBACK never(HCS_OPERATION operation, void *context)
{
    (void)operation;
    (void)context;
    CHECK(!"a callback without a call");
}

/* What an operation without a result answers to each function that asks. */
struct answers {
    HRESULT code;
    const char *get, *wait, *get_info, *wait_info;
};

static const struct answers not_started = {
    HCS_E_OPERATION_NOT_STARTED,
    "HcsGetOperationResult/HCS_E_OPERATION_NOT_STARTED",
    "HcsWaitForOperationResult/HCS_E_OPERATION_NOT_STARTED",
    "HcsGetOperationResultAndProcessInfo/HCS_E_OPERATION_NOT_STARTED",
    "HcsWaitForOperationResultAndProcessInfo/HCS_E_OPERATION_NOT_STARTED",
};

static const struct answers no_handle = {
    E_HANDLE,
    "HcsGetOperationResult/E_HANDLE",
    "HcsWaitForOperationResult/E_HANDLE",
    "HcsGetOperationResultAndProcessInfo/E_HANDLE",
    "HcsWaitForOperationResultAndProcessInfo/E_HANDLE",
};

static const struct answers null_handle = {
    E_INVALIDARG,
    "HcsGetOperationResult/E_INVALIDARG",
    "HcsWaitForOperationResult/E_INVALIDARG",
    "HcsGetOperationResultAndProcessInfo/E_INVALIDARG/NULL",
    "HcsWaitForOperationResultAndProcessInfo/E_INVALIDARG/NULL",
};

/* All ways to ask for a result give what is expected, and leave nothing in the out-parameters. */
static void check_results(HCS_OPERATION operation, const struct answers *expected)
{
    HCS_PROCESS_INFORMATION information, zeros;
    PWSTR document = (PWSTR)&zeros;
    memset(&zeros, 0, sizeof zeros);
    CONFORMS_HR(expected->get, HcsGetOperationResult(operation, &document), expected->code);
    CONFORMS("HcsGetOperationResult/NULL document", document == NULL);
    document = (PWSTR)&zeros;
    CONFORMS_HR(expected->wait, HcsWaitForOperationResult(operation, INFINITE, &document), expected->code);
    CHECK(document == NULL);
    document = (PWSTR)&zeros;
    memset(&information, 0xFF, sizeof information);
    CONFORMS_HR(expected->get_info, HcsGetOperationResultAndProcessInfo(operation, &information, &document),
                expected->code);
    CONFORMS("HcsGetOperationResultAndProcessInfo/zeros",
             document == NULL && memcmp(&information, &zeros, sizeof zeros) == 0);
    document = (PWSTR)&zeros;
    memset(&information, 0xFF, sizeof information);
    CONFORMS_HR(expected->wait_info, HcsWaitForOperationResultAndProcessInfo(operation, 0, &information, &document),
                expected->code);
    CONFORMS("HcsWaitForOperationResultAndProcessInfo/zeros",
             document == NULL && memcmp(&information, &zeros, sizeof zeros) == 0);
    CHECK_HR(HcsGetOperationResult(operation, NULL), expected->code);
    CHECK_HR(HcsWaitForOperationResult(operation, 0, NULL), expected->code);
    CHECK_HR(HcsGetOperationResultAndProcessInfo(operation, NULL, NULL), expected->code);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, INFINITE, NULL, NULL), expected->code);
}

static void a_fresh_operation_tracks_nothing(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    CONFORMS("HcsCreateOperation/handle", operation != NULL);
    CONFORMS("HcsGetOperationType/HcsOperationTypeNone", HcsGetOperationType(operation) == HcsOperationTypeNone);
    CONFORMS("HcsGetComputeSystemFromOperation/NULL", HcsGetComputeSystemFromOperation(operation) == NULL);
    CHECK(HcsGetProcessFromOperation(operation) == NULL);
    check_results(operation, &not_started);
    CONFORMS_HR("HcsCancelOperation/HCS_E_OPERATION_NOT_STARTED", HcsCancelOperation(operation),
                CANCEL_RESULT(HCS_E_OPERATION_NOT_STARTED));
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeNone);
    HcsCloseOperation(operation);
}

static void operations_have_ids_of_their_own(void)
{
    HCS_OPERATION one = HcsCreateOperation(NULL, NULL);
    HCS_OPERATION two = HcsCreateOperation(NULL, NULL);
    CHECK(one != two);
    CHECK(HcsGetOperationId(one) != HCS_INVALID_OPERATION_ID);
    CHECK(HcsGetOperationId(one) == HcsGetOperationId(one));
    CONFORMS("HcsGetOperationId/id", HcsGetOperationId(one) != HcsGetOperationId(two));
    HcsCloseOperation(one);
    HcsCloseOperation(two);
}

static void the_context_is_kept_and_replaced(void)
{
    int first = 0, second = 0, third = 0;
    HCS_OPERATION operation = HcsCreateOperation(&first, never);
    CONFORMS("HcsGetOperationContext/context", HcsGetOperationContext(operation) == &first);
    CONFORMS_HR("HcsSetOperationContext/S_OK", HcsSetOperationContext(operation, &second), S_OK);
    CHECK(HcsGetOperationContext(operation) == &second);
    CONFORMS_HR("HcsSetOperationCallback/S_OK", HcsSetOperationCallback(operation, &third, never), S_OK);
    CHECK(HcsGetOperationContext(operation) == &third);
    CHECK_HR(HcsSetOperationContext(operation, NULL), S_OK);
    CHECK(HcsGetOperationContext(operation) == NULL);
    CHECK_HR(HcsSetOperationCallback(operation, NULL, NULL), S_OK);
    HcsCloseOperation(operation);
}

/* What the functions with an HRESULT answer to a bad handle. */
struct refusals {
    HRESULT code;
    const struct answers *results;
    const char *set_context, *set_callback, *cancel;
};

static const struct refusals of_no_handle = {
    E_HANDLE, &no_handle, "HcsSetOperationContext/E_HANDLE", "HcsSetOperationCallback/E_HANDLE",
    "HcsCancelOperation/E_HANDLE",
};

static const struct refusals of_null = {
    E_INVALIDARG, &null_handle, "HcsSetOperationContext/E_INVALIDARG", "HcsSetOperationCallback/E_INVALIDARG",
    "HcsCancelOperation/E_INVALIDARG",
};

static void check_refused(HCS_OPERATION operation, const struct refusals *expected)
{
    static int context;
    CONFORMS("HcsGetOperationType/invalid", HcsGetOperationType(operation) == HcsOperationTypeNone);
    CONFORMS("HcsGetOperationId/HCS_INVALID_OPERATION_ID", HcsGetOperationId(operation) == HCS_INVALID_OPERATION_ID);
    CONFORMS("HcsGetOperationContext/NULL", HcsGetOperationContext(operation) == NULL);
    CONFORMS("HcsGetComputeSystemFromOperation/invalid", HcsGetComputeSystemFromOperation(operation) == NULL);
    CONFORMS("HcsGetProcessFromOperation/invalid", HcsGetProcessFromOperation(operation) == NULL);
    CONFORMS_HR(expected->set_context, HcsSetOperationContext(operation, &context), expected->code);
    CONFORMS_HR(expected->set_callback, HcsSetOperationCallback(operation, NULL, never), expected->code);
    CONFORMS_HR(expected->cancel, HcsCancelOperation(operation), CANCEL_RESULT(expected->code));
    check_results(operation, expected->results);
    HcsCloseOperation(operation);
}

static void a_closed_operation_is_refused(void)
{
    HCS_OPERATION operation = HcsCreateOperation(&never_used, never);
    HCS_OPERATION next;
    HcsCloseOperation(operation);
    CONFORMS("HcsCloseOperation/freed", HcsGetOperationId(operation) == HCS_INVALID_OPERATION_ID);
    check_refused(operation, &of_no_handle);
    /* Nor does its value come back with a later one. */
    next = HcsCreateOperation(NULL, NULL);
    CHECK(next != operation);
    check_refused(operation, &of_no_handle);
    CHECK(HcsGetOperationId(next) != HCS_INVALID_OPERATION_ID);
    HcsCloseOperation(next);
}

static void null_and_nonsense_are_refused(void)
{
    check_refused(NULL, &of_null);
    check_refused((HCS_OPERATION)(intptr_t)-1, &of_no_handle);
    check_refused((HCS_OPERATION)(intptr_t)4, &of_no_handle);
    check_refused((HCS_OPERATION)&never_used, &of_no_handle);
}

static void null_may_be_released(void)
{
    CONFORMS("LocalFree/NULL", LocalFree(NULL) == NULL);
    CoTaskMemFree(NULL);
    CONFORMS("CoTaskMemFree/NULL", 1);
}

static void many_operations_may_be_open(void)
{
    enum { MANY = 10000 };
    static HCS_OPERATION operations[MANY];
    int i;
    for (i = 0; i < MANY; i++) {
        operations[i] = HcsCreateOperation(&operations[i], NULL);
        CHECK(operations[i] != NULL);
    }
    for (i = 0; i < MANY; i++) {
        CHECK(HcsGetOperationContext(operations[i]) == &operations[i]);
        HcsCloseOperation(operations[i]);
        CHECK(HcsGetOperationContext(operations[i]) == NULL);
    }
}

#ifndef _WIN32
static void a_deadline_is_set_on_open_operations(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    CONFORMS_HR("HcsSetOperationDeadline/S_OK", HcsSetOperationDeadline(operation, 1000), S_OK);
    CHECK_HR(HcsSetOperationDeadline(operation, INFINITE), S_OK);
    HcsCloseOperation(operation);
    CONFORMS_HR("HcsSetOperationDeadline/E_HANDLE", HcsSetOperationDeadline(operation, 1000), E_HANDLE);
    CONFORMS_HR("HcsSetOperationDeadline/E_INVALIDARG", HcsSetOperationDeadline(NULL, 1000), E_INVALIDARG);
}
#endif

int main(void)
{
#ifndef _WIN32
    RUN(a_deadline_is_set_on_open_operations);
#endif
    RUN(a_fresh_operation_tracks_nothing);
    RUN(operations_have_ids_of_their_own);
    RUN(the_context_is_kept_and_replaced);
    RUN(a_closed_operation_is_refused);
    RUN(null_and_nonsense_are_refused);
    RUN(null_may_be_released);
    RUN(many_operations_may_be_open);
    return EXIT_STATUS;
}

/* Operations by themselves: no service is needed. */
#include "check.h"

static void CALLBACK never(HCS_OPERATION operation, void *context)
{
    (void)operation;
    (void)context;
    CHECK(!"a callback without a call");
}

/* All ways to ask for a result give `expected`, and leave nothing in the out-parameters. */
static void check_results(HCS_OPERATION operation, HRESULT expected)
{
    HCS_PROCESS_INFORMATION information, zeros;
    PWSTR document = (PWSTR)&zeros;
    memset(&zeros, 0, sizeof zeros);
    CHECK_HR(HcsGetOperationResult(operation, &document), expected);
    CHECK(document == NULL);
    document = (PWSTR)&zeros;
    CHECK_HR(HcsWaitForOperationResult(operation, INFINITE, &document), expected);
    CHECK(document == NULL);
    document = (PWSTR)&zeros;
    memset(&information, 0xFF, sizeof information);
    CHECK_HR(HcsGetOperationResultAndProcessInfo(operation, &information, &document), expected);
    CHECK(document == NULL && memcmp(&information, &zeros, sizeof zeros) == 0);
    document = (PWSTR)&zeros;
    memset(&information, 0xFF, sizeof information);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, 0, &information, &document), expected);
    CHECK(document == NULL && memcmp(&information, &zeros, sizeof zeros) == 0);
    CHECK_HR(HcsGetOperationResult(operation, NULL), expected);
    CHECK_HR(HcsWaitForOperationResult(operation, 0, NULL), expected);
    CHECK_HR(HcsGetOperationResultAndProcessInfo(operation, NULL, NULL), expected);
    CHECK_HR(HcsWaitForOperationResultAndProcessInfo(operation, INFINITE, NULL, NULL), expected);
}

static void a_fresh_operation_tracks_nothing(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    CHECK(operation != NULL);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeNone);
    CHECK(HcsGetComputeSystemFromOperation(operation) == NULL);
    CHECK(HcsGetProcessFromOperation(operation) == NULL);
    check_results(operation, HCS_E_OPERATION_NOT_STARTED);
    CHECK_HR(HcsCancelOperation(operation), HCS_E_OPERATION_NOT_STARTED);
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
    CHECK(HcsGetOperationId(one) != HcsGetOperationId(two));
    HcsCloseOperation(one);
    HcsCloseOperation(two);
}

static void the_context_is_kept_and_replaced(void)
{
    int first = 0, second = 0, third = 0;
    HCS_OPERATION operation = HcsCreateOperation(&first, never);
    CHECK(HcsGetOperationContext(operation) == &first);
    CHECK_HR(HcsSetOperationContext(operation, &second), S_OK);
    CHECK(HcsGetOperationContext(operation) == &second);
    CHECK_HR(HcsSetOperationCallback(operation, &third, never), S_OK);
    CHECK(HcsGetOperationContext(operation) == &third);
    CHECK_HR(HcsSetOperationContext(operation, NULL), S_OK);
    CHECK(HcsGetOperationContext(operation) == NULL);
    CHECK_HR(HcsSetOperationCallback(operation, NULL, NULL), S_OK);
    HcsCloseOperation(operation);
}

static void check_refused(HCS_OPERATION operation, HRESULT expected)
{
    PWSTR document;
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeNone);
    CHECK(HcsGetOperationId(operation) == HCS_INVALID_OPERATION_ID);
    CHECK(HcsGetOperationContext(operation) == NULL);
    CHECK(HcsGetComputeSystemFromOperation(operation) == NULL);
    CHECK(HcsGetProcessFromOperation(operation) == NULL);
    CHECK_HR(HcsSetOperationContext(operation, &document), expected);
    CHECK_HR(HcsSetOperationCallback(operation, NULL, never), expected);
    CHECK_HR(HcsCancelOperation(operation), expected);
    CHECK_HR(HcsGetOperationProperties(operation, W("{}"), &document), expected);
    CHECK(document == NULL);
    CHECK_HR(HcsAddResourceToOperation(operation, HcsResourceTypeFile, W("hcs:/x"), NULL), expected);
    check_results(operation, expected);
    HcsCloseOperation(operation);
}

static void a_closed_operation_is_refused(void)
{
    HCS_OPERATION operation = HcsCreateOperation(&check_failures, never);
    HCS_OPERATION next;
    HcsCloseOperation(operation);
    check_refused(operation, E_HANDLE);
    /* Nor does its value come back with a later one. */
    next = HcsCreateOperation(NULL, NULL);
    CHECK(next != operation);
    check_refused(operation, E_HANDLE);
    CHECK(HcsGetOperationId(next) != HCS_INVALID_OPERATION_ID);
    HcsCloseOperation(next);
}

static void null_and_nonsense_are_refused(void)
{
    check_refused(NULL, E_INVALIDARG);
    check_refused((HCS_OPERATION)(intptr_t)-1, E_HANDLE);
    check_refused((HCS_OPERATION)(intptr_t)4, E_HANDLE);
    check_refused((HCS_OPERATION)&check_failures, E_HANDLE);
}

static void null_may_be_released(void)
{
    CHECK(LocalFree(NULL) == NULL);
    CoTaskMemFree(NULL);
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

int main(void)
{
    RUN(a_fresh_operation_tracks_nothing);
    RUN(operations_have_ids_of_their_own);
    RUN(the_context_is_kept_and_replaced);
    RUN(a_closed_operation_is_refused);
    RUN(null_and_nonsense_are_refused);
    RUN(null_may_be_released);
    RUN(many_operations_may_be_open);
    return EXIT_STATUS;
}

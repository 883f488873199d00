/* What the functions answer when there is no service and none can be started ($HCS_DAEMON names no program). */
#include "check.h"

#define PATIENCE 60000

static void results_say_so(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = NULL;
    HCS_PROCESS process = NULL;
    PWSTR document = NULL;
    CHECK_HR(HcsEnumerateComputeSystems(NULL, operation), S_OK);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsCreateComputeSystem(W("x"), W("{}"), operation, NULL, &system), S_OK);
    CHECK(system != NULL);
    CHECK_HR(HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsGetOperationResult(operation, &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsCreateProcess(system, W("{}"), operation, NULL, &process), S_OK);
    CHECK(process != NULL);
    CHECK(FAILED(HcsWaitForOperationResultAndProcessInfo(operation, PATIENCE, NULL, &document)));
    LocalFree(document);
    CHECK(FAILED(HcsWaitForProcessExit(process, PATIENCE, NULL)));
    CHECK(FAILED(HcsWaitForComputeSystemExit(system, PATIENCE, NULL)));
    HcsCloseProcess(process);
    HcsCloseComputeSystem(system);
    HcsCloseOperation(operation);
}

static void waiting_functions_say_so(void)
{
    HCS_SYSTEM system = (HCS_SYSTEM)&check_failures;
    PWSTR document = NULL;
    CHECK_HR(HcsOpenComputeSystem(W("x"), GENERIC_ALL, &system), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK(system == NULL);
    CHECK_HR(HcsGetServiceProperties(NULL, &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsModifyServiceSettings(W("{}"), &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsSubmitWerReport(W("{}")), HCS_E_SERVICE_NOT_AVAILABLE);
}

int main(void)
{
    RUN(results_say_so);
    RUN(waiting_functions_say_so);
    return EXIT_STATUS;
}

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
    CONFORMS_HR("HcsEnumerateComputeSystems/result/HCS_E_SERVICE_NOT_AVAILABLE",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_HR(HcsCreateComputeSystem(W("x"), W("{}"), operation, NULL, &system), S_OK);
    CHECK(system != NULL);
    CONFORMS_HR("HcsCreateComputeSystem/result/HCS_E_SERVICE_NOT_AVAILABLE",
                HcsWaitForOperationResult(operation, PATIENCE, &document), HCS_E_SERVICE_NOT_AVAILABLE);
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
    CONFORMS_HR("HcsOpenComputeSystem/HCS_E_SERVICE_NOT_AVAILABLE", HcsOpenComputeSystem(W("x"), GENERIC_ALL, &system),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK(system == NULL);
    CONFORMS_HR("HcsGetServiceProperties/HCS_E_SERVICE_NOT_AVAILABLE", HcsGetServiceProperties(NULL, &document),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CHECK_ERROR(document, HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS_HR("HcsModifyServiceSettings/HCS_E_SERVICE_NOT_AVAILABLE", HcsModifyServiceSettings(W("{}"), &document),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS("HcsModifyServiceSettings/ResultError", is_error(document, HCS_E_SERVICE_NOT_AVAILABLE));
    CONFORMS_HR("HcsSubmitWerReport/HCS_E_SERVICE_NOT_AVAILABLE", HcsSubmitWerReport(W("{}")),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS_HR("HcsGrantVmAccess/HCS_E_SERVICE_NOT_AVAILABLE", HcsGrantVmAccess(W("x"), W("/")),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS_HR("HcsRevokeVmAccess/HCS_E_SERVICE_NOT_AVAILABLE", HcsRevokeVmAccess(W("x"), W("/")),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS_HR("HcsGrantVmGroupAccess/HCS_E_SERVICE_NOT_AVAILABLE", HcsGrantVmGroupAccess(W("/")),
                HCS_E_SERVICE_NOT_AVAILABLE);
    CONFORMS_HR("HcsRevokeVmGroupAccess/HCS_E_SERVICE_NOT_AVAILABLE", HcsRevokeVmGroupAccess(W("/")),
                HCS_E_SERVICE_NOT_AVAILABLE);
}

int main(void)
{
    RUN(results_say_so);
    RUN(waiting_functions_say_so);
    return EXIT_STATUS;
}

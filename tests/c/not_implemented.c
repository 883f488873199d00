/* Functions that Linux does not have yet: bad arguments are refused, good ones get E_NOTIMPL, never success. */
#include "check.h"

static PCWSTR const text = W("/tmp/x");
static HANDLE const handle = (HANDLE)&check_failures;

static void utilities_for_virtual_machines(void)
{
    PCWSTR out = (PCWSTR)&check_failures;
    CHECK_HR(HcsCreateEmptyGuestStateFile(text), E_NOTIMPL);
    CHECK_HR(HcsCreateEmptyGuestStateFile(NULL), E_INVALIDARG);
    CHECK_HR(HcsCreateEmptyRuntimeStateFile(text), E_NOTIMPL);
    CHECK_HR(HcsCreateEmptyRuntimeStateFile(NULL), E_INVALIDARG);
    CHECK_HR(HcsGrantVmAccess(text, text), E_NOTIMPL);
    CHECK_HR(HcsGrantVmAccess(NULL, text), E_INVALIDARG);
    CHECK_HR(HcsGrantVmAccess(text, NULL), E_INVALIDARG);
    CHECK_HR(HcsRevokeVmAccess(text, text), E_NOTIMPL);
    CHECK_HR(HcsRevokeVmAccess(NULL, text), E_INVALIDARG);
    CHECK_HR(HcsRevokeVmAccess(text, NULL), E_INVALIDARG);
    CHECK_HR(HcsGrantVmGroupAccess(text), E_NOTIMPL);
    CHECK_HR(HcsGrantVmGroupAccess(NULL), E_INVALIDARG);
    CHECK_HR(HcsRevokeVmGroupAccess(text), E_NOTIMPL);
    CHECK_HR(HcsRevokeVmGroupAccess(NULL), E_INVALIDARG);
    CHECK_HR(HcsGetProcessorCompatibilityFromSavedState(text, &out), E_NOTIMPL);
    CHECK(out == NULL);
    CHECK_HR(HcsGetProcessorCompatibilityFromSavedState(NULL, NULL), E_INVALIDARG);
}

static void layers(void)
{
    PWSTR out = (PWSTR)&check_failures;
    CHECK_HR(HcsImportLayer(text, text, text), E_NOTIMPL);
    CHECK_HR(HcsImportLayer(text, text, NULL), E_INVALIDARG);
    CHECK_HR(HcsExportLayer(text, text, text, text), E_NOTIMPL);
    CHECK_HR(HcsExportLayer(text, NULL, text, text), E_INVALIDARG);
    CHECK_HR(HcsExportLegacyWritableLayer(text, text, text, text), E_NOTIMPL);
    CHECK_HR(HcsExportLegacyWritableLayer(NULL, text, text, text), E_INVALIDARG);
    CHECK_HR(HcsDestroyLayer(text), E_NOTIMPL);
    CHECK_HR(HcsDestroyLayer(NULL), E_INVALIDARG);
    CHECK_HR(HcsSetupBaseOSLayer(text, handle, text), E_NOTIMPL);
    CHECK_HR(HcsSetupBaseOSLayer(text, NULL, text), E_INVALIDARG);
    CHECK_HR(HcsSetupBaseOSVolume(text, text, text), E_NOTIMPL);
    CHECK_HR(HcsSetupBaseOSVolume(text, NULL, text), E_INVALIDARG);
    CHECK_HR(HcsInitializeWritableLayer(text, text, NULL), E_NOTIMPL);
    CHECK_HR(HcsInitializeWritableLayer(text, NULL, NULL), E_INVALIDARG);
    CHECK_HR(HcsInitializeLegacyWritableLayer(text, text, text, NULL), E_NOTIMPL);
    CHECK_HR(HcsInitializeLegacyWritableLayer(text, text, NULL, NULL), E_INVALIDARG);
    CHECK_HR(HcsAttachLayerStorageFilter(text, text), E_NOTIMPL);
    CHECK_HR(HcsAttachLayerStorageFilter(NULL, text), E_INVALIDARG);
    CHECK_HR(HcsDetachLayerStorageFilter(text), E_NOTIMPL);
    CHECK_HR(HcsDetachLayerStorageFilter(NULL), E_INVALIDARG);
    CHECK_HR(HcsAttachOverlayFilter(text, text), E_NOTIMPL);
    CHECK_HR(HcsAttachOverlayFilter(text, NULL), E_INVALIDARG);
    CHECK_HR(HcsDetachOverlayFilter(text, text), E_NOTIMPL);
    CHECK_HR(HcsDetachOverlayFilter(NULL, text), E_INVALIDARG);
    CHECK_HR(HcsFormatWritableLayerVhd(handle), E_NOTIMPL);
    CHECK_HR(HcsFormatWritableLayerVhd(NULL), E_INVALIDARG);
    CHECK_HR(HcsGetLayerVhdMountPath(handle, &out), E_NOTIMPL);
    CHECK(out == NULL);
    CHECK_HR(HcsGetLayerVhdMountPath(NULL, &out), E_INVALIDARG);
    CHECK_HR(HcsGetLayerVhdMountPath(handle, NULL), E_INVALIDARG);
}

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
    (void)event;
    (void)context;
}

static void operations_and_namespaces(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = (HCS_SYSTEM)&check_failures;
    CHECK(HcsCreateOperationWithNotifications(HcsOperationOptionProgressUpdate, NULL, on_event) == NULL);
    CHECK_HR(HcsAddResourceToOperation(operation, HcsResourceTypeFile, W("hcs:/x"), handle), E_NOTIMPL);
    CHECK_HR(HcsAddResourceToOperation(operation, HcsResourceTypeFile, NULL, handle), E_INVALIDARG);
    CHECK_HR(HcsGetOperationProperties(operation, W("{}"), NULL), E_INVALIDARG);
    CHECK_HR(HcsCreateComputeSystemInNamespace(W("n"), W("id"), W("{}"), operation, NULL, &system), E_NOTIMPL);
    CHECK(system == NULL);
    CHECK_HR(HcsCreateComputeSystemInNamespace(NULL, W("id"), W("{}"), operation, NULL, &system), E_INVALIDARG);
    CHECK_HR(HcsCreateComputeSystemInNamespace(W("n"), NULL, W("{}"), operation, NULL, &system), E_INVALIDARG);
    CHECK_HR(HcsCreateComputeSystemInNamespace(W("n"), W("id"), NULL, operation, NULL, &system), E_INVALIDARG);
    CHECK_HR(HcsCreateComputeSystemInNamespace(W("n"), W("id"), W("{}"), NULL, NULL, &system), E_INVALIDARG);
    system = (HCS_SYSTEM)&check_failures;
    CHECK_HR(HcsOpenComputeSystemInNamespace(W("n"), W("id"), GENERIC_ALL, &system), E_NOTIMPL);
    CHECK(system == NULL);
    CHECK_HR(HcsOpenComputeSystemInNamespace(W("n"), W("id"), GENERIC_ALL, NULL), E_INVALIDARG);
    CHECK_HR(HcsEnumerateComputeSystemsInNamespace(W("n"), NULL, operation), E_NOTIMPL);
    CHECK_HR(HcsEnumerateComputeSystemsInNamespace(NULL, NULL, operation), E_INVALIDARG);
    CHECK_HR(HcsEnumerateComputeSystemsInNamespace(W("n"), NULL, NULL), E_INVALIDARG);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeNone);
    CHECK_HR(HcsGetOperationResult(operation, NULL), HCS_E_OPERATION_NOT_STARTED);
    HcsCloseOperation(operation);
}

int main(void)
{
    RUN(utilities_for_virtual_machines);
    RUN(layers);
    RUN(operations_and_namespaces);
    return EXIT_STATUS;
}

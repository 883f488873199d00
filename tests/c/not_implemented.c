/*
 * Functions of the reference that Linux does not have yet: bad arguments are refused, good ones get E_NOTIMPL, never
 * success.
 */
#include "check.h"

static PCWSTR const text = W("/tmp/x");
static HANDLE const handle = (HANDLE)&check_failures;

static void utilities_for_virtual_machines(void)
{
    PCWSTR out = (PCWSTR)&check_failures;
    CONFORMS_HR("HcsCreateEmptyGuestStateFile/E_NOTIMPL", HcsCreateEmptyGuestStateFile(text), E_NOTIMPL);
    CONFORMS_HR("HcsCreateEmptyGuestStateFile/E_INVALIDARG", HcsCreateEmptyGuestStateFile(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsCreateEmptyRuntimeStateFile/E_NOTIMPL", HcsCreateEmptyRuntimeStateFile(text), E_NOTIMPL);
    CONFORMS_HR("HcsCreateEmptyRuntimeStateFile/E_INVALIDARG", HcsCreateEmptyRuntimeStateFile(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmAccess/E_NOTIMPL", HcsGrantVmAccess(text, text), E_NOTIMPL);
    CONFORMS_HR("HcsGrantVmAccess/E_INVALIDARG", HcsGrantVmAccess(NULL, text), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmAccess/E_INVALIDARG", HcsGrantVmAccess(text, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmAccess/E_NOTIMPL", HcsRevokeVmAccess(text, text), E_NOTIMPL);
    CONFORMS_HR("HcsRevokeVmAccess/E_INVALIDARG", HcsRevokeVmAccess(NULL, text), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmAccess/E_INVALIDARG", HcsRevokeVmAccess(text, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmGroupAccess/E_NOTIMPL", HcsGrantVmGroupAccess(text), E_NOTIMPL);
    CONFORMS_HR("HcsGrantVmGroupAccess/E_INVALIDARG", HcsGrantVmGroupAccess(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmGroupAccess/E_NOTIMPL", HcsRevokeVmGroupAccess(text), E_NOTIMPL);
    CONFORMS_HR("HcsRevokeVmGroupAccess/E_INVALIDARG", HcsRevokeVmGroupAccess(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGetProcessorCompatibilityFromSavedState/E_NOTIMPL",
                HcsGetProcessorCompatibilityFromSavedState(text, &out), E_NOTIMPL);
    CHECK(out == NULL);
    CONFORMS_HR("HcsGetProcessorCompatibilityFromSavedState/E_INVALIDARG",
                HcsGetProcessorCompatibilityFromSavedState(NULL, NULL), E_INVALIDARG);
}

static void layers(void)
{
    PWSTR out = (PWSTR)&check_failures;
    CONFORMS_HR("HcsImportLayer/E_NOTIMPL", HcsImportLayer(text, text, text), E_NOTIMPL);
    CONFORMS_HR("HcsImportLayer/E_INVALIDARG", HcsImportLayer(text, text, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsExportLayer/E_NOTIMPL", HcsExportLayer(text, text, text, text), E_NOTIMPL);
    CONFORMS_HR("HcsExportLayer/E_INVALIDARG", HcsExportLayer(text, NULL, text, text), E_INVALIDARG);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_NOTIMPL", HcsExportLegacyWritableLayer(text, text, text, text),
                E_NOTIMPL);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_INVALIDARG", HcsExportLegacyWritableLayer(NULL, text, text, text),
                E_INVALIDARG);
    CONFORMS_HR("HcsDestroyLayer/E_NOTIMPL", HcsDestroyLayer(text), E_NOTIMPL);
    CONFORMS_HR("HcsDestroyLayer/E_INVALIDARG", HcsDestroyLayer(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_NOTIMPL", HcsSetupBaseOSLayer(text, handle, text), E_NOTIMPL);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_INVALIDARG", HcsSetupBaseOSLayer(text, NULL, text), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_NOTIMPL", HcsSetupBaseOSVolume(text, text, text), E_NOTIMPL);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_INVALIDARG", HcsSetupBaseOSVolume(text, NULL, text), E_INVALIDARG);
    CONFORMS_HR("HcsInitializeWritableLayer/E_NOTIMPL", HcsInitializeWritableLayer(text, text, NULL), E_NOTIMPL);
    CONFORMS_HR("HcsInitializeWritableLayer/E_INVALIDARG", HcsInitializeWritableLayer(text, NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/E_NOTIMPL", HcsInitializeLegacyWritableLayer(text, text, text, NULL),
                E_NOTIMPL);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/E_INVALIDARG",
                HcsInitializeLegacyWritableLayer(text, text, NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsAttachLayerStorageFilter/E_NOTIMPL", HcsAttachLayerStorageFilter(text, text), E_NOTIMPL);
    CONFORMS_HR("HcsAttachLayerStorageFilter/E_INVALIDARG", HcsAttachLayerStorageFilter(NULL, text), E_INVALIDARG);
    CONFORMS_HR("HcsDetachLayerStorageFilter/E_NOTIMPL", HcsDetachLayerStorageFilter(text), E_NOTIMPL);
    CONFORMS_HR("HcsDetachLayerStorageFilter/E_INVALIDARG", HcsDetachLayerStorageFilter(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsFormatWritableLayerVhd/E_NOTIMPL", HcsFormatWritableLayerVhd(handle), E_NOTIMPL);
    CONFORMS_HR("HcsFormatWritableLayerVhd/E_INVALIDARG", HcsFormatWritableLayerVhd(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_NOTIMPL", HcsGetLayerVhdMountPath(handle, &out), E_NOTIMPL);
    CHECK(out == NULL);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(NULL, &out), E_INVALIDARG);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(handle, NULL), E_INVALIDARG);
}

int main(void)
{
    RUN(utilities_for_virtual_machines);
    RUN(layers);
    return EXIT_STATUS;
}

/* Functions of the reference that Linux does not have yet. */
#include "absent.h"

ABSENT_CALL(HcsGetProcessorCompatibilityFromSavedState, given[0], NULL)

static const struct absent_function utilities[] = {
    {"HcsGetProcessorCompatibilityFromSavedState/E_NOTIMPL", "HcsGetProcessorCompatibilityFromSavedState/E_INVALIDARG",
     call_HcsGetProcessorCompatibilityFromSavedState, 1},
};

static void utilities_for_virtual_machines(void)
{
    PCWSTR out = (PCWSTR)&check_failures;
    CHECK_ABSENT(utilities);
    CHECK_HR(HcsGetProcessorCompatibilityFromSavedState(W("/tmp/x"), &out), E_NOTIMPL);
    CHECK(out == NULL);
}

ABSENT_CALL(HcsExportLegacyWritableLayer, given[0], given[1], given[2], given[3])
ABSENT_CALL(HcsSetupBaseOSLayer, given[0], ABSENT_FILE(given[1]), given[2])
ABSENT_CALL(HcsSetupBaseOSVolume, given[0], given[1], given[2])
ABSENT_CALL(HcsInitializeLegacyWritableLayer, given[0], given[1], given[2], NULL)
ABSENT_CALL(HcsFormatWritableLayerVhd, ABSENT_FILE(given[0]))

static const struct absent_function layers[] = {
    {"HcsExportLegacyWritableLayer/E_NOTIMPL", "HcsExportLegacyWritableLayer/E_INVALIDARG",
     call_HcsExportLegacyWritableLayer, 4},
    {"HcsSetupBaseOSLayer/E_NOTIMPL", "HcsSetupBaseOSLayer/E_INVALIDARG", call_HcsSetupBaseOSLayer, 3},
    {"HcsSetupBaseOSVolume/E_NOTIMPL", "HcsSetupBaseOSVolume/E_INVALIDARG", call_HcsSetupBaseOSVolume, 3},
    {"HcsInitializeLegacyWritableLayer/E_NOTIMPL", "HcsInitializeLegacyWritableLayer/E_INVALIDARG",
     call_HcsInitializeLegacyWritableLayer, 3},
    {"HcsFormatWritableLayerVhd/E_NOTIMPL", "HcsFormatWritableLayerVhd/E_INVALIDARG", call_HcsFormatWritableLayerVhd,
     1},
};

static void layers_of_storage(void)
{
    HANDLE file = (HANDLE)&check_failures;
    PWSTR out = (PWSTR)&check_failures;
    CHECK_ABSENT(layers);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_NOTIMPL", HcsGetLayerVhdMountPath(file, &out), E_NOTIMPL);
    CHECK(out == NULL);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(NULL, &out), E_INVALIDARG);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(file, NULL), E_INVALIDARG);
}

int main(void)
{
    RUN(utilities_for_virtual_machines);
    RUN(layers_of_storage);
    return EXIT_STATUS;
}

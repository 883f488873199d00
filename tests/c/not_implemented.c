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

int main(void)
{
    RUN(utilities_for_virtual_machines);
    return EXIT_STATUS;
}

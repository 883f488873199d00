/* A C++ exception that would leave a callback: the program has to end with its text. The argument says which callback. */
#include <ComputeCore.h>

#include <cstring>
#include <stdexcept>

#include <unistd.h>

static void CALLBACK on_completion(HCS_OPERATION, void *)
{
    throw std::runtime_error("thrown by a completion");
}

static void CALLBACK on_event(HCS_EVENT *, void *)
{
    throw std::runtime_error("thrown by an event");
}

int main(int count, char **arguments)
{
    if (count != 2) {
        return 2;
    }
    HCS_OPERATION operation = HcsCreateOperation(nullptr, nullptr);
    HCS_SYSTEM system = nullptr;
    if (std::strcmp(arguments[1], "completion") == 0) {
        HcsSetOperationCallback(operation, nullptr, on_completion);
        HcsEnumerateComputeSystems(nullptr, operation);
    } else {
        /* There is no such system, which is a completion, too. */
        HcsCreateComputeSystem(u"thrower", u"{", operation, nullptr, &system);
        HcsSetComputeSystemCallback(system, HcsEventOptionEnableOperationCallbacks, nullptr, on_event);
    }
    for (;;) {
        pause();
    }
}

/* A program with more rights than its caller: asks for the service and says what it was told. */
#include <ComputeCore.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    PWSTR result = NULL;
    HRESULT hr = HcsGetServiceProperties(NULL, &result);
    printf("user %d as %d: %08x ", (int)getuid(), (int)geteuid(), (unsigned)hr);
    for (PWSTR at = result; at != NULL && *at != 0; at++) {
        putchar(*at < 128 ? (int)*at : '?');
    }
    putchar('\n');
    LocalFree(result);
    return 0;
}

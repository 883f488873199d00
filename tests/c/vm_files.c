/* Files for virtual machines: state files that are made, and access that is granted to files and revoked. */
#include "check.h"

/* Where nothing is at first. */
static WCHAR *path;

static void a_state_file_is_made_once(void)
{
    CONFORMS_HR("HcsCreateEmptyGuestStateFile/S_OK", HcsCreateEmptyGuestStateFile(path), S_OK);
    CONFORMS_HR("HcsCreateEmptyGuestStateFile/ERROR_FILE_EXISTS", HcsCreateEmptyGuestStateFile(path),
                HRESULT_FROM_WIN32(80));
    CONFORMS_HR("HcsCreateEmptyRuntimeStateFile/ERROR_FILE_EXISTS", HcsCreateEmptyRuntimeStateFile(path),
                HRESULT_FROM_WIN32(80));
    CHECK(platform_remove(path));
    CONFORMS_HR("HcsCreateEmptyRuntimeStateFile/S_OK", HcsCreateEmptyRuntimeStateFile(path), S_OK);
    CONFORMS_HR("HcsCreateEmptyGuestStateFile/E_INVALIDARG", HcsCreateEmptyGuestStateFile(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsCreateEmptyRuntimeStateFile/E_INVALIDARG", HcsCreateEmptyRuntimeStateFile(NULL), E_INVALIDARG);
}

/* The machine need not be there. */
static void access_is_granted_and_revoked(void)
{
    int i;
    for (i = 0; i < 2; i++) {
        CONFORMS_HR("HcsGrantVmAccess/S_OK", HcsGrantVmAccess(W("no machine"), path), S_OK);
        CONFORMS_HR("HcsGrantVmGroupAccess/S_OK", HcsGrantVmGroupAccess(path), S_OK);
    }
    for (i = 0; i < 2; i++) {
        CONFORMS_HR("HcsRevokeVmAccess/S_OK", HcsRevokeVmAccess(W("no machine"), path), S_OK);
        CONFORMS_HR("HcsRevokeVmGroupAccess/S_OK", HcsRevokeVmGroupAccess(path), S_OK);
    }
}

static void what_cannot_be_granted_is_refused(void)
{
    const HRESULT missing = HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND);
    CHECK(platform_remove(path));
    CONFORMS_HR("HcsGrantVmAccess/ERROR_FILE_NOT_FOUND", HcsGrantVmAccess(W("x"), path), missing);
    CONFORMS_HR("HcsRevokeVmAccess/ERROR_FILE_NOT_FOUND", HcsRevokeVmAccess(W("x"), path), missing);
    CONFORMS_HR("HcsGrantVmGroupAccess/ERROR_FILE_NOT_FOUND", HcsGrantVmGroupAccess(path), missing);
    CONFORMS_HR("HcsRevokeVmGroupAccess/ERROR_FILE_NOT_FOUND", HcsRevokeVmGroupAccess(path), missing);
    CONFORMS_HR("HcsGrantVmAccess/E_INVALIDARG", HcsGrantVmAccess(NULL, path), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmAccess/E_INVALIDARG", HcsGrantVmAccess(W(""), path), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmAccess/E_INVALIDARG", HcsGrantVmAccess(W("x"), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmAccess/E_INVALIDARG", HcsRevokeVmAccess(NULL, path), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmAccess/E_INVALIDARG", HcsRevokeVmAccess(W("x"), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGrantVmGroupAccess/E_INVALIDARG", HcsGrantVmGroupAccess(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsRevokeVmGroupAccess/E_INVALIDARG", HcsRevokeVmGroupAccess(NULL), E_INVALIDARG);
    CHECK_HR(HcsGrantVmAccess(W("x"), W("/")), E_INVALIDARG);
}

int main(void)
{
    path = platform_unused_path();
    if (path == NULL) {
        return 2;
    }
    RUN(a_state_file_is_made_once);
    RUN(access_is_granted_and_revoked);
    RUN(what_cannot_be_granted_is_refused);
    free(path);
    return EXIT_STATUS;
}

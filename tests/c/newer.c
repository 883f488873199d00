/*
 * The functions that are newer than the reference: namespaces of ids, live migration, notifications and resources of
 * operations. HcsGetOperationProperties answers; for the others bad arguments are refused, good
 * ones get E_NOTIMPL, never success.
 */
#include "absent.h"

#define PATIENCE 60000

static HANDLE const handle = (HANDLE)&check_failures;

static void CALLBACK on_event(HCS_EVENT *event, void *context)
{
    (void)event;
    (void)context;
}

static void notifications_and_resources(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), closed = HcsCreateOperation(NULL, NULL);
    PCWSTR uri = W("hcs:/x");
    HcsCloseOperation(closed);
    CONFORMS("HcsCreateOperationWithNotifications/NULL",
             HcsCreateOperationWithNotifications(HcsOperationOptionProgressUpdate, NULL, on_event) == NULL);
    CONFORMS_HR("HcsAddResourceToOperation/E_NOTIMPL",
                HcsAddResourceToOperation(operation, HcsResourceTypeFile, uri, handle), E_NOTIMPL);
    CONFORMS_HR("HcsAddResourceToOperation/E_INVALIDARG",
                HcsAddResourceToOperation(NULL, HcsResourceTypeFile, uri, handle), E_INVALIDARG);
    CONFORMS_HR("HcsAddResourceToOperation/E_INVALIDARG",
                HcsAddResourceToOperation(operation, HcsResourceTypeFile, NULL, handle), E_INVALIDARG);
    CONFORMS_HR("HcsAddResourceToOperation/E_HANDLE",
                HcsAddResourceToOperation(closed, HcsResourceTypeFile, uri, handle), E_HANDLE);
    HcsCloseOperation(operation);
}

static void properties_of_an_operation(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL), closed = HcsCreateOperation(NULL, NULL);
    UINT64 id = HcsGetOperationId(operation);
    PWSTR document = (PWSTR)&id;
    char *text;
    HcsCloseOperation(closed);
    CONFORMS_HR("HcsGetOperationProperties/E_INVALIDARG", HcsGetOperationProperties(operation, W("{}"), NULL),
                E_INVALIDARG);
    CONFORMS_HR("HcsGetOperationProperties/E_INVALIDARG", HcsGetOperationProperties(NULL, W("{}"), &document),
                E_INVALIDARG);
    CHECK(document == NULL);
    document = (PWSTR)&id;
    CONFORMS_HR("HcsGetOperationProperties/E_HANDLE", HcsGetOperationProperties(closed, W("{}"), &document), E_HANDLE);
    CHECK(document == NULL);
    CHECK_HR(HcsGetOperationProperties(operation, W("{}"), &document), S_OK);
    text = take_text(document);
    CONFORMS("HcsGetOperationProperties/S_OK",
             json_number(text, "OperationId", -1) == (long)id && json_value(text, "OperationType") != NULL &&
                 json_value(text, "State") != NULL);
    free(text);
    HcsCloseOperation(operation);
}

static void namespaces_of_ids(void)
{
    HCS_OPERATION operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = (HCS_SYSTEM)&check_failures;
    PCWSTR n = W("n"), id = W("id"), document = W("{}");
    CONFORMS_HR("HcsCreateComputeSystemInNamespace/E_NOTIMPL",
                HcsCreateComputeSystemInNamespace(n, id, document, operation, NULL, &system), E_NOTIMPL);
    CHECK(system == NULL);
#define REFUSED(n, id, document, operation, system)                                                                    \
    CONFORMS_HR("HcsCreateComputeSystemInNamespace/E_INVALIDARG",                                                      \
                HcsCreateComputeSystemInNamespace(n, id, document, operation, NULL, system), E_INVALIDARG)
    REFUSED(NULL, id, document, operation, &system);
    REFUSED(n, NULL, document, operation, &system);
    REFUSED(n, id, NULL, operation, &system);
    REFUSED(n, id, document, NULL, &system);
    REFUSED(n, id, document, operation, NULL);
    system = (HCS_SYSTEM)&check_failures;
    CONFORMS_HR("HcsOpenComputeSystemInNamespace/E_NOTIMPL",
                HcsOpenComputeSystemInNamespace(n, id, GENERIC_ALL, &system), E_NOTIMPL);
    CHECK(system == NULL);
    CONFORMS_HR("HcsOpenComputeSystemInNamespace/E_INVALIDARG",
                HcsOpenComputeSystemInNamespace(NULL, id, GENERIC_ALL, &system), E_INVALIDARG);
    CONFORMS_HR("HcsOpenComputeSystemInNamespace/E_INVALIDARG",
                HcsOpenComputeSystemInNamespace(n, NULL, GENERIC_ALL, &system), E_INVALIDARG);
    CONFORMS_HR("HcsOpenComputeSystemInNamespace/E_INVALIDARG",
                HcsOpenComputeSystemInNamespace(n, id, GENERIC_ALL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsEnumerateComputeSystemsInNamespace/E_NOTIMPL",
                HcsEnumerateComputeSystemsInNamespace(n, NULL, operation), E_NOTIMPL);
    CONFORMS_HR("HcsEnumerateComputeSystemsInNamespace/E_INVALIDARG",
                HcsEnumerateComputeSystemsInNamespace(NULL, NULL, operation), E_INVALIDARG);
    CONFORMS_HR("HcsEnumerateComputeSystemsInNamespace/E_INVALIDARG",
                HcsEnumerateComputeSystemsInNamespace(n, NULL, NULL), E_INVALIDARG);
    CHECK(HcsGetOperationType(operation) == HcsOperationTypeNone);
    CHECK_HR(HcsGetOperationResult(operation, NULL), HCS_E_OPERATION_NOT_STARTED);
    HcsCloseOperation(operation);
}

typedef HRESULT(WINAPI *migration_call)(HCS_SYSTEM, HCS_OPERATION, PCWSTR);

static const struct {
    const char *null_row, *handle_row, *good_row;
    migration_call call;
} migration[] = {
    {"HcsInitializeLiveMigrationOnSource/E_INVALIDARG", "HcsInitializeLiveMigrationOnSource/E_HANDLE",
     "HcsInitializeLiveMigrationOnSource/E_NOTIMPL", HcsInitializeLiveMigrationOnSource},
    {"HcsStartLiveMigrationOnSource/E_INVALIDARG", "HcsStartLiveMigrationOnSource/E_HANDLE",
     "HcsStartLiveMigrationOnSource/E_NOTIMPL", HcsStartLiveMigrationOnSource},
    {"HcsStartLiveMigrationTransfer/E_INVALIDARG", "HcsStartLiveMigrationTransfer/E_HANDLE",
     "HcsStartLiveMigrationTransfer/E_NOTIMPL", HcsStartLiveMigrationTransfer},
    {"HcsFinalizeLiveMigration/E_INVALIDARG", "HcsFinalizeLiveMigration/E_HANDLE",
     "HcsFinalizeLiveMigration/E_NOTIMPL", HcsFinalizeLiveMigration},
    {"HcsCancelLiveMigration/E_INVALIDARG", "HcsCancelLiveMigration/E_HANDLE", "HcsCancelLiveMigration/E_NOTIMPL",
     HcsCancelLiveMigration},
};

/* The system is never made: its document is invalid. Its handle is as good as any. */
static void live_migration(void)
{
    HCS_OPERATION create = HcsCreateOperation(NULL, NULL), operation = HcsCreateOperation(NULL, NULL);
    HCS_SYSTEM system = NULL;
    size_t i;
    REQUIRE(HcsCreateComputeSystem(W("never-made"), W("nonsense"), create, NULL, &system) == S_OK);
    REQUIRE(FAILED(HcsWaitForOperationResult(create, PATIENCE, NULL)));
    for (i = 0; i < sizeof migration / sizeof migration[0]; i++) {
        CONFORMS_HR(migration[i].null_row, migration[i].call(NULL, operation, NULL), E_INVALIDARG);
        CONFORMS_HR(migration[i].null_row, migration[i].call(system, NULL, NULL), E_INVALIDARG);
        CONFORMS_HR(migration[i].handle_row, migration[i].call((HCS_SYSTEM)operation, operation, NULL), E_HANDLE);
        CONFORMS_HR(migration[i].handle_row, migration[i].call(system, (HCS_OPERATION)system, NULL), E_HANDLE);
        CHECK_HR(migration[i].call(system, operation, NULL), E_NOTIMPL);
        CONFORMS(migration[i].good_row, HcsGetOperationType(operation) == HcsOperationTypeNone);
    }
    HcsCloseComputeSystem(system);
    HcsCloseOperation(create);
    HcsCloseOperation(operation);
}

int main(void)
{
    RUN(notifications_and_resources);
    RUN(properties_of_an_operation);
    RUN(namespaces_of_ids);
    RUN(live_migration);
    return EXIT_STATUS;
}

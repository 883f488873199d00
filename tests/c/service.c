/* The functions about the service. */
#include "check.h"

static void the_basic_properties_name_the_schema_versions(void)
{
    PWSTR document = NULL;
    char *text;
    CONFORMS_HR("HcsGetServiceProperties/S_OK",
                HcsGetServiceProperties(W("{\"PropertyTypes\":[\"Basic\"]}"), &document), S_OK);
    text = take_text(document);
    CONFORMS("HcsGetServiceProperties/Basic", text != NULL && json_value(text, "SupportedSchemaVersions") != NULL);
    CHECK(json_number(text, "Major", -1) >= 1);
    free(text);
}

/* Of the property types of the page; what a host does not have is refused with a reason. */
static void other_properties_are_told_too(void)
{
    static const struct {
        const char *row;
        PCWSTR query;
        const char *property;
    } cases[] = {
        {"HcsGetServiceProperties/CpuGroup", W("{\"PropertyTypes\":[\"CpuGroup\"]}"), "CpuGroups"},
        {"HcsGetServiceProperties/ProcessorTopology", W("{\"PropertyTypes\":[\"ProcessorTopology\"]}"),
         "LogicalProcessorCount"},
        {"HcsGetServiceProperties/QoSCapabilities", W("{\"PropertyTypes\":[\"QoSCapabilities\"]}"),
         "ProcessorQoSSupported"},
    };
    PWSTR document = NULL;
    HRESULT result;
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text;
        CHECK_HR(HcsGetServiceProperties(cases[i].query, &document), S_OK);
        text = take_text(document);
        CONFORMS(cases[i].row, text != NULL && json_value(text, cases[i].property) != NULL);
        free(text);
    }
    result = HcsGetServiceProperties(W("{\"PropertyTypes\":[\"ContainerCredentialGuard\"]}"), &document);
    CONFORMS_HR("HcsGetServiceProperties/ContainerCredentialGuard", result, HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED));
    CHECK_ERROR(document, result);
}

/* Row C4: clients ask early whether guests can run virtual machines of their own. */
static void c4_the_processors_tell_their_features(void)
{
    PWSTR document = NULL;
    char *text;
    CHECK_HR(HcsGetServiceProperties(W("{\"PropertyQueries\":{\"ProcessorCapabilities\":{}}}"), &document), S_OK);
    text = take_text(document);
    CONFORMS("HcsGetServiceProperties/ProcessorCapabilities",
             text != NULL && json_value(text, "ProcessorFeatures") != NULL && json_value(text, "Error") == NULL);
    free(text);
}

static void no_query_asks_for_the_basic_property(void)
{
    const PCWSTR queries[] = {NULL, W(""), W("{}")};
    size_t i;
    for (i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        PWSTR document = NULL;
        char *text;
        CHECK_HR(HcsGetServiceProperties(queries[i], &document), S_OK);
        text = take_text(document);
        CONFORMS("HcsGetServiceProperties/no query", text != NULL && json_value(text, "SupportedSchemaVersions") != NULL);
        free(text);
    }
}

static void unknown_properties_are_refused(void)
{
    PWSTR document = NULL;
    CHECK_HR(HcsGetServiceProperties(W("{\"PropertyTypes\":[\"Nonsense\"]}"), &document), HCS_E_INVALID_JSON);
    CONFORMS("HcsGetServiceProperties/ResultError", is_error(document, HCS_E_INVALID_JSON));
}

static void settings_and_reports_are_read(void)
{
    PWSTR document = NULL;
    CONFORMS_HR("HcsModifyServiceSettings/HCS_E_INVALID_JSON", HcsModifyServiceSettings(W("{}"), &document),
                HCS_E_INVALID_JSON);
    CHECK(is_error(document, HCS_E_INVALID_JSON));
    CONFORMS_HR("HcsModifyServiceSettings/ContainerCredentialGuard",
                HcsModifyServiceSettings(W("{\"PropertyType\":\"ContainerCredentialGuard\"}"), &document),
                HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED));
    CHECK(is_error(document, HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)));
    CONFORMS_HR("HcsSubmitWerReport/HCS_E_INVALID_JSON", HcsSubmitWerReport(W("{\"CrashLog\":7}")), HCS_E_INVALID_JSON);
}

#define GROUP "\"GroupId\":\"5f0c4f0e-6a52-4c12-8b53-0d2f5b1c7a11\""
#define CHANGE(operation, details)                                                                                     \
    "\"PropertyType\":\"CpuGroup\",\"Settings\":{\"Operation\":\"" operation "\",\"OperationDetails\":{" details "}}}"

/* A host without the means for groups says so, with a reason, to both. */
static void settings_and_reports_are_taken(void)
{
    PWSTR document = NULL;
    HRESULT result = HcsModifyServiceSettings(
        W("{" CHANGE("CreateGroup", GROUP ",\"LogicalProcessorCount\":1,\"LogicalProcessors\":[0]")), &document);
    if (result == HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)) {
        CHECK(is_error(document, result));
        result = S_OK;
    } else {
        CHECK(document == NULL);
        CHECK_HR(HcsModifyServiceSettings(W("{" CHANGE("DeleteGroup", GROUP)), &document), S_OK);
    }
    CONFORMS_HR("HcsModifyServiceSettings/S_OK", result, S_OK);
    CONFORMS_HR("HcsSubmitWerReport/S_OK", HcsSubmitWerReport(W("{\"SystemId\":\"gone\"}")), S_OK);
}

int main(void)
{
    RUN(the_basic_properties_name_the_schema_versions);
    RUN(other_properties_are_told_too);
    RUN(c4_the_processors_tell_their_features);
    RUN(no_query_asks_for_the_basic_property);
    RUN(unknown_properties_are_refused);
    RUN(settings_and_reports_are_read);
    RUN(settings_and_reports_are_taken);
    return EXIT_STATUS;
}

/* shapes.c - what is answered without a service: parameters of a wrong shape, and functions that are not implemented. */
#include "check.h"

#define NOT_IMPLEMENTED 0x80004001u
#define INVALID 0x80070057u
#define NO_HANDLE 0x80070006u

static const GUID SOME = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};
static PCWSTR const NOTHING = u"{}";

static void HCS_CALLBACK_ told(DWORD type, void *context, HRESULT status, HCN_PCWSTR data)
{
    (void)type, (void)context, (void)status, (void)data;
}

static void of_wrong_shape(void)
{
    /* Out-parameters are emptied, whatever else is wrong. */
    HCN_NETWORK network = (void *)&network;
    PWSTR text = (PWSTR)(void *)&text;
    ANSWERS(INVALID, HcnCreateNetwork(NULL, NOTHING, &network, &record));
    CHECK(network == NULL);
    ANSWERS(INVALID, HcnCreateNetwork(&SOME, NULL, &network, &record));
    ANSWERS(INVALID, HcnCreateNetwork(&SOME, NOTHING, NULL, &record));
    CHECK(HcnCreateNetwork(&SOME, NOTHING, NULL, NULL) == (HRESULT)INVALID);
    ANSWERS(INVALID, HcnOpenNetwork(NULL, &network, &record));
    ANSWERS(INVALID, HcnDeleteEndpoint(NULL, &record));
    ANSWERS(INVALID, HcnEnumerateNetworks(NULL, NULL, &record));
    ANSWERS(INVALID, HcnQueryNetworkProperties(NULL, NULL, &text, &record));
    CHECK(text == NULL);
    ANSWERS(NO_HANDLE, HcnQueryNetworkProperties((HCN_NETWORK)8, NULL, &text, &record));
    ANSWERS(NO_HANDLE, HcnModifyNamespace((HCN_NAMESPACE)8, NOTHING, &record));
    ANSWERS(NO_HANDLE, HcnCreateEndpoint((HCN_NETWORK)8, &SOME, NOTHING, &network, &record));
    CHECK(HcnCloseNetwork((HCN_NETWORK)8) == (HRESULT)NO_HANDLE);
    CHECK(HcnCloseEndpoint(NULL) == (HRESULT)INVALID);
}

static void not_implemented(void)
{
    void *handle = &handle;
    PWSTR text = NULL, record = NULL;
    HCN_PORT_RANGE_RESERVATION range = {1, 2};
    HCN_PORT_RANGE_ENTRY *entries = NULL;
    uint32_t count = 7;
    ANSWERS(NOT_IMPLEMENTED, HcnEnumerateSdnRoutes(NULL, &text, &record));
    ANSWERS(NOT_IMPLEMENTED, HcnCreateSdnRoute(&SOME, NOTHING, &handle, &record));
    CHECK(handle == NULL);
    ANSWERS(INVALID, HcnCreateSdnRoute(&SOME, NOTHING, NULL, &record));
    ANSWERS(NOT_IMPLEMENTED, HcnDeleteSdnRoute(&SOME, &record));
    ANSWERS(INVALID, HcnQueryEndpointStats((HCN_ENDPOINT)8, NULL, NULL, &record));
    ANSWERS(NOT_IMPLEMENTED, HcnQueryEndpointAddresses((HCN_ENDPOINT)8, NULL, &text, &record));
    ANSWERS(NOT_IMPLEMENTED, HcnCreateGuestNetworkService(&SOME, NOTHING, &handle, &record));
    CHECK(HcnRegisterGuestNetworkServiceCallback(NULL, told, NULL, &handle) == (HRESULT)NOT_IMPLEMENTED);
    CHECK(HcnRegisterGuestNetworkServiceCallback(NULL, NULL, NULL, &handle) == (HRESULT)INVALID);
    CHECK(HcnReserveGuestNetworkServicePortRange(NULL, 2, &range, &handle) == (HRESULT)NOT_IMPLEMENTED);
    CHECK(range.startingPort == 0 && range.endingPort == 0);
    CHECK(HcnEnumerateGuestNetworkPortReservations(&count, &entries) == (HRESULT)NOT_IMPLEMENTED);
    CHECK(count == 0 && entries == NULL);
    HcnFreeGuestNetworkPortReservations(NULL);
    /* The record says why, as JSON. */
    CHECK(HcnOpenSdnRoute(&SOME, &handle, &record) == (HRESULT)NOT_IMPLEMENTED);
    const char *said = taken(record);
    CHECK(strstr(said, "\"Success\":false") && strstr(said, "\"ErrorCode\":2147500033") &&
          strstr(said, "HcnOpenSdnRoute"));
}

int main(void)
{
    of_wrong_shape();
    not_implemented();
    return 0;
}

/* hns.c - the API of version 1, by method and path, on the objects of the same service. */
#include "check.h"

#define INVALID 0x80070057u

#define NETWORK_ID "4F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A1"
#define ENDPOINT_ID "5F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A2"
#define NAMESPACE_ID "6F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A3"
#define BALANCER_ID "7F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A4"
#define WIDE_(text) u##text
#define WIDE(text) WIDE_(text)

static const GUID NETWORK = {0x4f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa1}};

/* What a request is answered with. */
static const char *said(PCWSTR method, PCWSTR path, PCWSTR request)
{
    PWSTR response = NULL;
    CHECK(HNSCall(method, path, request, &response) == S_OK);
    return taken(response);
}

static const char *succeeds(PCWSTR method, PCWSTR path, PCWSTR request)
{
    const char *text = said(method, path, request);
    if (strncmp(text, "{\"Success\":true", 15) != 0) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
    return text;
}

static void fails(PCWSTR method, PCWSTR path, PCWSTR request, const char *code, const char *words)
{
    const char *text = said(method, path, request);
    if (!strstr(text, "\"Success\":false") || !strstr(text, code) || !strstr(text, words)) {
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
}

static void of_wrong_shape(void)
{
    PWSTR response = (PWSTR)(void *)&response;
    CONFORMS("HNSCall/E_INVALIDARG",
             HNSCall(NULL, u"/networks/", NULL, &response) == (HRESULT)INVALID && response == NULL);
    response = (PWSTR)(void *)&response;
    CHECK(HNSCall(u"GET", NULL, NULL, &response) == (HRESULT)INVALID && response == NULL);
    CHECK(HNSCall(u"GET", u"/networks/", NULL, NULL) == (HRESULT)INVALID);
}

static void a_network(void)
{
    CONFORMS("HNSCall/version", !strcmp(succeeds(u"GET", u"/globals/version", u""), "{\"Success\":true,\"Output\":{\"Major\":9,\"Minor\":2}}"));
    CHECK(strstr(succeeds(u"GET", u"/networks/", NULL), "\"Output\":[]"));
    const char *made = succeeds(u"POST", u"/networks/",
                                u"{\"ID\":\"" NETWORK_ID "\",\"Name\":\"one\",\"Type\":\"NAT\",\"Subnets\":[{\"AddressPrefix\":"
                                u"\"10.77.0.0/24\",\"GatewayAddress\":\"10.77.0.1\"}]}");
    CHECK(strstr(made, "\"ID\":\"" NETWORK_ID "\"") && strstr(made, "\"GatewayAddress\":\"10.77.0.1\""));
    CHECK(strstr(succeeds(u"GET", u"/networks", NULL), "\"Name\":\"one\""));
    CHECK(strstr(succeeds(u"get", WIDE("/Networks/" NETWORK_ID "/"), NULL), "\"AddressPrefix\":\"10.77.0.0/24\""));
    fails(u"POST", u"/networks/", u"{\"Name\":\"one\",\"Type\":\"NAT\"}", "2151350288", "one");
    fails(u"POST", u"/networks/", u"{", "2151350299", "");
    fails(u"POST", u"/networks/", u"{\"Name\":\"two\",\"SourceMac\":\"00-15-5D-00-00-01\"}", "2151350293", "/SourceMac");
    /* It is the same network as that of version 2. */
    HCN_NETWORK network;
    ANSWERS(S_OK, HcnOpenNetwork(&NETWORK, &network, &record));
    CONFORMS("HNSCall/same objects", HcnCloseNetwork(network) == S_OK);
}

static void an_endpoint(void)
{
    const char *made =
        succeeds(u"POST", u"/endpoints/",
                 u"{\"ID\":\"" ENDPOINT_ID "\",\"Name\":\"web\",\"VirtualNetworkName\":\"one\",\"IPAddress\":\"10.77.0.9\","
                 u"\"Policies\":[{\"Type\":\"NAT\",\"Protocol\":\"TCP\",\"InternalPort\":80,\"ExternalPort\":8080}]}");
    CHECK(strstr(made, "\"IPAddress\":\"10.77.0.9\"") && strstr(made, "\"VirtualNetwork\":\"" NETWORK_ID "\""));
    CHECK(strstr(made, "\"State\":1"));
    fails(u"POST", u"/endpoints/", u"{\"Name\":\"web\"}", "2151350299", "/VirtualNetwork");
    fails(u"POST", u"/endpoints/", u"{\"VirtualNetworkName\":\"none\"}", "2151350273", "none");
    CHECK(strstr(succeeds(u"GET", u"/endpoints/", NULL), ENDPOINT_ID));
    CHECK(strstr(succeeds(u"GET", WIDE("/endpointstats/" ENDPOINT_ID), NULL), "\"BytesSent\":0"));
    /* No container is there, and the host has none of the endpoints. */
    fails(u"POST", WIDE("/endpoints/" ENDPOINT_ID "/attach"), u"{\"ContainerId\":\"c\",\"SystemType\":\"Container\"}",
          "2147943568", "Element not found.");
    fails(u"POST", WIDE("/endpoints/" ENDPOINT_ID "/detach"), u"{\"ContainerId\":\"c\",\"SystemType\":\"Container\"}",
          "2151350324", "is not in the container");
    fails(u"POST", WIDE("/endpoints/" ENDPOINT_ID "/attach"), u"{\"SystemType\":\"Host\"}", "2151350293", "/SystemType");
}

static void a_namespace(void)
{
    CHECK(strstr(succeeds(u"POST", u"/namespaces/", u"{\"ID\":\"" NAMESPACE_ID "\"}"), "\"CompartmentId\":"));
    PCWSTR endpoint = u"{\"Type\":\"Endpoint\",\"Data\":{\"Id\":\"" ENDPOINT_ID "\"}}";
    CHECK(strstr(succeeds(u"POST", WIDE("/namespaces/" NAMESPACE_ID "/addresource"), endpoint), ENDPOINT_ID));
    CHECK(strstr(succeeds(u"POST", WIDE("/namespaces/" NAMESPACE_ID "/addresource"),
                          u"{\"Type\":\"Container\",\"Data\":{\"Id\":\"c\"}}"),
                 "\"Container\""));
    const char *attached = succeeds(u"GET", WIDE("/endpoints/" ENDPOINT_ID), NULL);
    CHECK(strstr(attached, "\"SharedContainers\":[\"c\"]") && strstr(attached, "\"State\":2"));
    /* A container is found by what its namespace says. */
    PCWSTR container = u"{\"ContainerId\":\"c\",\"SystemType\":\"Container\"}";
    succeeds(u"POST", WIDE("/endpoints/" ENDPOINT_ID "/detach"), container);
    CHECK(!strstr(succeeds(u"GET", WIDE("/namespaces/" NAMESPACE_ID), NULL), ENDPOINT_ID));
    succeeds(u"POST", WIDE("/endpoints/" ENDPOINT_ID "/attach"), container);
    CHECK(strstr(succeeds(u"GET", WIDE("/namespaces/" NAMESPACE_ID), NULL), ENDPOINT_ID));
    succeeds(u"POST", WIDE("/namespaces/" NAMESPACE_ID "/removeresource"), endpoint);
    succeeds(u"DELETE", WIDE("/namespaces/" NAMESPACE_ID), NULL);
    fails(u"DELETE", WIDE("/namespaces/" NAMESPACE_ID), NULL, "2147943568", "Element not found.");
}

static void a_list_of_policies(void)
{
    const char *made = succeeds(u"POST", u"/policylists/",
                                u"{\"ID\":\"" BALANCER_ID "\",\"References\":[\"/endpoints/" ENDPOINT_ID "\"],\"Policies\":"
                                u"[{\"Type\":\"ELB\",\"Protocol\":6,\"InternalPort\":80,\"ExternalPort\":8090}]}");
    CHECK(strstr(made, "\"/endpoints/" ENDPOINT_ID "\"") && strstr(made, "\"Type\":\"ELB\""));
    CHECK(strstr(succeeds(u"GET", u"/policylists/", NULL), BALANCER_ID));
    fails(u"POST", u"/policylists/", u"{\"Policies\":[{\"Type\":\"ROUTE\"}]}", "2151350293", "/Policies/0/Type");
    succeeds(u"DELETE", WIDE("/policylists/" BALANCER_ID), NULL);
    fails(u"GET", WIDE("/policylists/" BALANCER_ID), NULL, "2147943568", BALANCER_ID);
}

static void what_has_no_meaning(void)
{
    fails(u"GET", u"/accelnet/", NULL, "2151350293", "/accelnet/");
    fails(u"GET", u"/plugins/", NULL, "2151350293", "/networks/");
    fails(u"PUT", u"/networks/", u"{}", "2151350293", "PUT");
    fails(u"GET", u"/networks/x", NULL, "2151350297", "GUID");
    fails(u"POST", WIDE("/endpoints/" ENDPOINT_ID), u"{}", "2151350293", "");
}

int main(void)
{
    of_wrong_shape();
    a_network();
    an_endpoint();
    a_namespace();
    a_list_of_policies();
    what_has_no_meaning();
    CONFORMS("HNSCall/refusal", strstr(said(u"GET", u"/accelnet/", NULL), "{\"Error\":\"") != NULL);
    succeeds(u"DELETE", WIDE("/endpoints/" ENDPOINT_ID), NULL);
    succeeds(u"DELETE", WIDE("/networks/" NETWORK_ID), NULL);
    fails(u"GET", WIDE("/networks/" NETWORK_ID), NULL, "2151350273", "");
    CONFORMS("HNSCall/S_OK", strstr(succeeds(u"GET", u"/endpoints/", NULL), "\"Output\":[]") != NULL);
    return 0;
}

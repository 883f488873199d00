/* conformance.c - what the reference and the header promise of each function, and what clients rely on, row by row. */
#include "check.h"

#define NOT_IMPLEMENTED 0x80004001u
#define INVALID 0x80070057u
#define NO_HANDLE 0x80070006u
#define NOT_FOUND 0x80070490u
#define NETWORK_NOT_FOUND 0x803B0001u
#define ENDPOINT_NOT_FOUND 0x803B0002u
#define POLICY_NOT_FOUND 0x803B0008u
#define INVALID_TYPE 0x803B000Bu
#define NETWORK_EXISTS 0x803B0010u
#define POLICY_EXISTS 0x803B0012u
#define PORT_EXISTS 0x803B0013u
#define UNSUPPORTED 0x803B0015u
#define INVALID_JSON 0x803B001Bu
#define IN_NAMESPACE 0x803B002Bu
#define REFERENCES 0x803B002Cu
#define RESERVED 0x803B002Fu
#define NOT_ATTACHED 0x803B0034u

#define V2 u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}"
#define ID_A "4F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A1"
#define ID_E "5F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A2"
#define ID_N "6F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A3"
#define ID_B "7F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A4"

static const GUID NONE = {0, 0, 0, {0}};
static const GUID A = {0x4f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa1}};
static const GUID E = {0x5f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa2}};
static const GUID N = {0x6f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa3}};
static const GUID B = {0x7f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa4}};
static const GUID OTHER = {0x8f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa5}};
static PCWSTR const SECOND = V2 u"}";

static HCN_NETWORK network;
static HCN_ENDPOINT endpoint;

/* What a query answers; it is never NULL. */
#define TOLD(call) \
    (__extension__({ \
        PWSTR text = NULL, record = NULL; \
        HRESULT found = (call); \
        answered(found, S_OK, record, __LINE__); \
        taken(text); \
    }))

/* A failure has a record with a sentence and the code as a number without sign. */
static void records(void)
{
    PWSTR record = NULL;
    HCN_NETWORK other;
    CHECK(HcnOpenNetwork(&OTHER, &other, &record) == (HRESULT)NETWORK_NOT_FOUND);
    const char *said = taken(record);
    CONFORMS("HcnOpenNetwork/record", strstr(said, "\"Success\":false") && strstr(said, "\"Error\":\"there is no network") &&
                                          strstr(said, "\"ErrorCode\":2151350273"));
}

static void creating_networks(void)
{
    HCN_NETWORK other = &other;
    CONFORMS_HR("HcnCreateNetwork/E_INVALIDARG", INVALID, HcnCreateNetwork(NULL, SECOND, &other, &record));
    CHECK(other == NULL);
    CONFORMS_HR("HcnCreateNetwork/S_OK", S_OK,
                HcnCreateNetwork(&A, V2 u",\"Name\":\"a\",\"Flags\":0,\"Ipams\":[{\"Subnets\":[{\"IpAddressPrefix\":"
                                        u"\"10.77.0.0/24\",\"Routes\":[{\"NextHop\":\"10.77.0.1\",\"DestinationPrefix\":"
                                        u"\"0.0.0.0/0\"}]}]}]}",
                                 &network, &record));
    CONFORMS_HR("HcnCreateNetwork/id taken", NETWORK_EXISTS,
                HcnCreateNetwork(&A, V2 u",\"Name\":\"b\"}", &other, &record));
    CONFORMS_HR("HcnCreateNetwork/name taken", NETWORK_EXISTS,
                HcnCreateNetwork(&OTHER, V2 u",\"Name\":\"a\"}", &other, &record));
    CONFORMS_HR("HcnCreateNetwork/HCN_E_INVALID_JSON", INVALID_JSON, HcnCreateNetwork(&OTHER, u"{]", &other, &record));
    CONFORMS_HR("HcnCreateNetwork/type", INVALID_TYPE,
                HcnCreateNetwork(&OTHER, V2 u",\"Type\":\"Infiniband\"}", &other, &record));
    CONFORMS_HR("HcnCreateNetwork/unsupported", UNSUPPORTED,
                HcnCreateNetwork(&OTHER, V2 u",\"Flags\":4}", &other, &record));
    CHECK(other == NULL);
    CONFORMS("HcnCreateNetwork/default type",
             !strstr(TOLD(HcnQueryNetworkProperties(network, SECOND, &text, &record)), "\"Type\":\"ICS\""));
    /* A number for a name, no id, no subnet. */
    ANSWERS(S_OK, HcnCreateNetwork(&NONE, V2 u",\"Name\":\"n\",\"Type\":0}", &other, &record));
    const char *made = TOLD(HcnQueryNetworkProperties(other, SECOND, &text, &record));
    CONFORMS("HcnCreateNetwork/id chosen", strstr(made, "\"ID\":\"") && !strstr(made, "00000000-0000-0000"));
    CONFORMS("HcnCreateNetwork/subnet chosen", strstr(made, "\"IpAddressPrefix\":\"") != NULL);
    CONFORMS("HcnCreateNetwork/numbers", strstr(made, "\"Type\":\"Private\"") == NULL);
    CHECK(HcnCloseNetwork(other) == S_OK);
    /* The id of the document, in any spelling. */
    ANSWERS(S_OK, HcnCreateNetwork(&NONE, V2 u",\"Name\":\"spelled\",\"Type\":\"Private\",\"ID\":"
                                              u"\"{8f1a6c52-93D0-4b7e-8a15-2d7c9e60b3a5}\"}",
                                   &other, &record));
    CHECK(HcnCloseNetwork(other) == S_OK);
    ANSWERS(S_OK, HcnOpenNetwork(&OTHER, &other, &record));
    made = TOLD(HcnQueryNetworkProperties(other, SECOND, &text, &record));
    CONFORMS("HcnCreateNetwork/id of the document", strstr(made, "\"ID\":\"8F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A5\"") != NULL);
    CHECK(HcnCloseNetwork(other) == S_OK);
    ANSWERS(S_OK, HcnDeleteNetwork(&OTHER, &record));
    /* Of version 1. */
    ANSWERS(S_OK, HcnCreateNetwork(&OTHER, u"{\"Name\":\"old\",\"Type\":\"ICS\",\"Subnets\":[{\"AddressPrefix\":"
                                           u"\"10.78.0.0/24\",\"GatewayAddress\":\"10.78.0.1\"}]}",
                                   &other, &record));
    made = TOLD(HcnQueryNetworkProperties(other, SECOND, &text, &record));
    CONFORMS("HcnCreateNetwork/version 1",
             strstr(made, "\"IpAddressPrefix\":\"10.78.0.0/24\"") && strstr(made, "\"NextHop\":\"10.78.0.1\""));
    CHECK(HcnCloseNetwork(other) == S_OK);
    ANSWERS(S_OK, HcnDeleteNetwork(&OTHER, &record));
}

static void asking_for_networks(void)
{
    PWSTR text;
    HCN_NETWORK other;
    CONFORMS_HR("HcnOpenNetwork/S_OK", S_OK, HcnOpenNetwork(&A, &other, &record));
    CONFORMS_HR("HcnOpenNetwork/HCN_E_NETWORK_NOT_FOUND", NETWORK_NOT_FOUND, HcnOpenNetwork(&OTHER, &other, &record));
    CONFORMS("HcnOpenNetwork/NULL", other == NULL);
    CONFORMS_HR("HcnOpenNetwork/E_INVALIDARG", INVALID, HcnOpenNetwork(NULL, &other, &record));
    CONFORMS("HcnQueryNetworkProperties/version 2",
             strstr(TOLD(HcnQueryNetworkProperties(network, SECOND, &text, &record)), "\"Ipams\":["));
    const char *first = TOLD(HcnQueryNetworkProperties(network, u"", &text, &record));
    CONFORMS("HcnQueryNetworkProperties/version 1",
             strstr(first, "\"Subnets\":[") && strstr(first, "\"AddressPrefix\":\"10.77.0.0/24\"") &&
                 strstr(first, "\"GatewayAddress\":\"10.77.0.1\""));
    CONFORMS_HR("HcnQueryNetworkProperties/HCN_E_INVALID_JSON", INVALID_JSON,
                HcnQueryNetworkProperties(network, u"{", &text, &record));
    CONFORMS_HR("HcnQueryNetworkProperties/E_INVALIDARG", INVALID,
                HcnQueryNetworkProperties(network, SECOND, NULL, &record));
    CONFORMS_HR("HcnQueryNetworkProperties/E_HANDLE", NO_HANDLE,
                HcnQueryNetworkProperties((HCN_NETWORK)8, SECOND, &text, &record));
    CONFORMS("HcnEnumerateNetworks/S_OK", strstr(TOLD(HcnEnumerateNetworks(NULL, &text, &record)), "\"" ID_A "\""));
    CONFORMS("HcnEnumerateNetworks/empty query",
             strstr(TOLD(HcnEnumerateNetworks(u"", &text, &record)), ID_A) &&
                 strstr(TOLD(HcnEnumerateNetworks(u"{}", &text, &record)), ID_A));
    CONFORMS("HcnEnumerateNetworks/filter",
             !strcmp(TOLD(HcnEnumerateNetworks(V2 u",\"Filter\":\"{\\\"Name\\\":\\\"a\\\"}\"}", &text, &record)),
                     "[\"" ID_A "\"]") &&
                 !strcmp(TOLD(HcnEnumerateNetworks(u"{\"Filter\":\"{\\\"Name\\\":\\\"x\\\"}\"}", &text, &record)), "[]"));
    CONFORMS_HR("HcnEnumerateNetworks/E_INVALIDARG", INVALID, HcnEnumerateNetworks(NULL, NULL, &record));
    CONFORMS_HR("HcnEnumerateNetworks/HCN_E_INVALID_JSON", INVALID_JSON, HcnEnumerateNetworks(u"[", &text, &record));
}

static void changing_networks(void)
{
    CONFORMS_HR("HcnModifyNetwork/S_OK", S_OK,
                HcnModifyNetwork(network,
                                 u"{\"ResourceType\":\"DNS\",\"RequestType\":\"Add\",\"Settings\":{\"Domain\":\"c.test\"}}",
                                 &record));
    CHECK(strstr(TOLD(HcnQueryNetworkProperties(network, SECOND, &text, &record)), "c.test"));
    CONFORMS_HR("HcnModifyNetwork/HCN_E_REQUEST_UNSUPPORTED", UNSUPPORTED,
                HcnModifyNetwork(network, u"{\"ResourceType\":\"Extension\",\"Settings\":{}}", &record));
    CONFORMS_HR("HcnModifyNetwork/HCN_E_INVALID_JSON", INVALID_JSON, HcnModifyNetwork(network, u"{", &record));
    CONFORMS_HR("HcnModifyNetwork/E_INVALIDARG", INVALID, HcnModifyNetwork(network, NULL, &record));
    CONFORMS_HR("HcnModifyNetwork/E_HANDLE", NO_HANDLE, HcnModifyNetwork((HCN_NETWORK)8, SECOND, &record));
}

#define WEB(port) \
    V2 u",\"Name\":\"web\",\"Policies\":[{\"Type\":\"PortMapping\",\"Settings\":{\"Protocol\":6,\"InternalPort\":80," \
       u"\"ExternalPort\":" port u"}}]}"

static void creating_endpoints(void)
{
    HCN_ENDPOINT other = &other;
    CONFORMS_HR("HcnCreateEndpoint/E_INVALIDARG", INVALID, HcnCreateEndpoint(network, NULL, SECOND, &other, &record));
    CHECK(other == NULL);
    CONFORMS_HR("HcnCreateEndpoint/E_HANDLE", NO_HANDLE,
                HcnCreateEndpoint((HCN_NETWORK)8, &E, SECOND, &other, &record));
    CONFORMS_HR("HcnCreateEndpoint/S_OK", S_OK, HcnCreateEndpoint(network, &E, WEB(u"8080"), &endpoint, &record));
    const char *made = TOLD(HcnQueryEndpointProperties(endpoint, SECOND, &text, &record));
    CONFORMS("HcnCreateEndpoint/address", strstr(made, "\"IpAddress\":\"10.77.0.") && strstr(made, "\"PrefixLength\":24"));
    const char *mac = strstr(made, "\"MacAddress\":\"00-15-5D-");
    CONFORMS("HcnCreateEndpoint/hardware address", mac != NULL && mac[31] == '"');
    CONFORMS("HcnCreateEndpoint/numbers", strstr(made, "\"Protocol\":6") != NULL);
    CONFORMS_HR("HcnCreateEndpoint/HCN_E_PORT_ALREADY_EXISTS", PORT_EXISTS,
                HcnCreateEndpoint(network, &NONE, WEB(u"8080"), &other, &record));
    CONFORMS_HR("HcnCreateEndpoint/address taken", RESERVED,
                HcnCreateEndpoint(network, &NONE, V2 u",\"IpConfigurations\":[{\"IpAddress\":\"10.77.0.1\"}]}", &other,
                                  &record));
    CONFORMS_HR("HcnCreateEndpoint/HCN_E_INVALID_JSON", INVALID_JSON,
                HcnCreateEndpoint(network, &NONE, u"{", &other, &record));
    CHECK(other == NULL);
    CONFORMS_HR("HcnCreateEndpoint/same name", S_OK,
                HcnCreateEndpoint(network, &OTHER, WEB(u"8081"), &other, &record));
    CHECK(HcnCloseEndpoint(other) == S_OK);
    ANSWERS(S_OK, HcnDeleteEndpoint(&OTHER, &record));
    ANSWERS(S_OK, HcnCreateEndpoint(network, &OTHER, u"{\"Name\":\"old\",\"IPAddress\":\"10.77.0.99\"}", &other, &record));
    made = TOLD(HcnQueryEndpointProperties(other, SECOND, &text, &record));
    CONFORMS("HcnCreateEndpoint/version 1", strstr(made, "\"IpAddress\":\"10.77.0.99\"") != NULL);
    CHECK(HcnCloseEndpoint(other) == S_OK);
    ANSWERS(S_OK, HcnDeleteEndpoint(&OTHER, &record));
}

static void asking_for_endpoints(void)
{
    PWSTR text;
    HCN_ENDPOINT other;
    CONFORMS_HR("HcnOpenEndpoint/S_OK", S_OK, HcnOpenEndpoint(&E, &other, &record));
    CHECK(HcnCloseEndpoint(other) == S_OK);
    CONFORMS_HR("HcnOpenEndpoint/HCN_E_ENDPOINT_NOT_FOUND", ENDPOINT_NOT_FOUND, HcnOpenEndpoint(&A, &other, &record));
    CONFORMS_HR("HcnOpenEndpoint/E_INVALIDARG", INVALID, HcnOpenEndpoint(NULL, &other, &record));
    CONFORMS("HcnQueryEndpointProperties/version 2",
             strstr(TOLD(HcnQueryEndpointProperties(endpoint, SECOND, &text, &record)), "\"IpConfigurations\":["));
    const char *first = TOLD(HcnQueryEndpointProperties(endpoint, NULL, &text, &record));
    CONFORMS("HcnQueryEndpointProperties/version 1",
             strstr(first, "\"IPAddress\":\"10.77.0.") && strstr(first, "\"PrefixLength\":24") &&
                 strstr(first, "\"GatewayAddress\":\"10.77.0.1\"") && strstr(first, "\"MacAddress\":\"") &&
                 strstr(first, "\"VirtualNetwork\":\"" ID_A "\"") && strstr(first, "\"VirtualNetworkName\":\"a\""));
    CONFORMS_HR("HcnQueryEndpointProperties/E_HANDLE", NO_HANDLE,
                HcnQueryEndpointProperties((HCN_ENDPOINT)8, SECOND, &text, &record));
    CONFORMS_HR("HcnQueryEndpointProperties/E_INVALIDARG", INVALID,
                HcnQueryEndpointProperties(endpoint, SECOND, NULL, &record));
    CONFORMS("HcnEnumerateEndpoints/S_OK", !strcmp(TOLD(HcnEnumerateEndpoints(NULL, &text, &record)), "[\"" ID_E "\"]"));
    CONFORMS("HcnEnumerateEndpoints/filter",
             !strcmp(TOLD(HcnEnumerateEndpoints(V2 u",\"Filter\":\"{\\\"VirtualNetwork\\\":"
                                                   u"\\\"4f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a1\\\"}\"}",
                                                &text, &record)),
                     "[\"" ID_E "\"]") &&
                 !strcmp(TOLD(HcnEnumerateEndpoints(V2 u",\"Filter\":\"{\\\"VirtualMachine\\\":\\\"x\\\"}\"}", &text, &record)),
                         "[]"));
    CONFORMS_HR("HcnEnumerateEndpoints/E_INVALIDARG", INVALID, HcnEnumerateEndpoints(NULL, NULL, &record));
    const char *counted = TOLD(HcnQueryEndpointStats(endpoint, NULL, &text, &record));
    CONFORMS("HcnQueryEndpointStats/S_OK", strstr(counted, "\"EndpointId\":\"" ID_E "\"") && strstr(counted, "\"BytesSent\":0"));
    CONFORMS_HR("HcnQueryEndpointStats/E_HANDLE", NO_HANDLE,
                HcnQueryEndpointStats((HCN_ENDPOINT)8, NULL, &text, &record));
    CONFORMS_HR("HcnQueryEndpointAddresses/E_NOTIMPL", NOT_IMPLEMENTED,
                HcnQueryEndpointAddresses(endpoint, NULL, &text, &record));
}

static void changing_endpoints(void)
{
#define POLICY(what, action) \
    u"{\"ResourceType\":\"Policy\",\"RequestType\":" what u",\"Settings\":{\"Policies\":[{\"Type\":\"ACL\",\"Settings\":" \
    u"{\"Action\":\"" action u"\",\"Direction\":\"In\",\"Priority\":7,\"Protocols\":\"6\"}}]}}"
    CONFORMS_HR("HcnModifyEndpoint/S_OK", S_OK, HcnModifyEndpoint(endpoint, POLICY(u"\"Add\"", u"Block"), &record));
    CHECK(strstr(TOLD(HcnQueryEndpointProperties(endpoint, SECOND, &text, &record)), "\"Block\""));
    CONFORMS_HR("HcnModifyEndpoint/numbers", S_OK, HcnModifyEndpoint(endpoint, POLICY(u"1", u"Block"), &record));
    CONFORMS_HR("HcnModifyEndpoint/HCN_E_POLICY_NOT_FOUND", POLICY_NOT_FOUND,
                HcnModifyEndpoint(endpoint, POLICY(u"\"Remove\"", u"Block"), &record));
    CONFORMS_HR("HcnModifyEndpoint/E_INVALIDARG", INVALID, HcnModifyEndpoint(endpoint, NULL, &record));
    CONFORMS_HR("HcnModifyEndpoint/E_HANDLE", NO_HANDLE, HcnModifyEndpoint((HCN_ENDPOINT)8, SECOND, &record));
}

static void namespaces(void)
{
#define MOVE(what) \
    u"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"" what u"\",\"Settings\":{\"EndpointId\":" \
    u"\"5f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a2\"}}"
    PWSTR text;
    HCN_NAMESPACE space, other;
    CONFORMS_HR("HcnCreateNamespace/E_INVALIDARG", INVALID, HcnCreateNamespace(NULL, SECOND, &space, &record));
    CONFORMS_HR("HcnCreateNamespace/S_OK", S_OK, HcnCreateNamespace(&N, SECOND, &space, &record));
    CONFORMS("HcnEnumerateNamespaces/S_OK", strstr(TOLD(HcnEnumerateNamespaces(NULL, &text, &record)), ID_N));
    CONFORMS_HR("HcnEnumerateNamespaces/E_INVALIDARG", INVALID, HcnEnumerateNamespaces(NULL, NULL, &record));
    CONFORMS_HR("HcnModifyNamespace/S_OK", S_OK, HcnModifyNamespace(space, MOVE(u"Add"), &record));
    CONFORMS_HR("HcnModifyNamespace/HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS", IN_NAMESPACE,
                HcnModifyNamespace(space, MOVE(u"Add"), &record));
    CONFORMS("HcnQueryNamespaceProperties/S_OK",
             strstr(TOLD(HcnQueryNamespaceProperties(space, SECOND, &text, &record)), ID_E));
    const char *first = TOLD(HcnQueryEndpointProperties(endpoint, NULL, &text, &record));
    CONFORMS("HcnQueryEndpointProperties/state", strstr(first, "\"State\":2") != NULL);
    CONFORMS_HR("HcnQueryNamespaceProperties/E_HANDLE", NO_HANDLE,
                HcnQueryNamespaceProperties((HCN_NAMESPACE)8, SECOND, &text, &record));
    ANSWERS(S_OK, HcnModifyNamespace(space, MOVE(u"Remove"), &record));
    CONFORMS_HR("HcnModifyNamespace/HCN_E_ENDPOINT_NOT_ATTACHED", NOT_ATTACHED,
                HcnModifyNamespace(space, MOVE(u"Remove"), &record));
    CONFORMS_HR("HcnModifyNamespace/E_HANDLE", NO_HANDLE, HcnModifyNamespace((HCN_NAMESPACE)8, SECOND, &record));
    CONFORMS_HR("HcnOpenNamespace/S_OK", S_OK, HcnOpenNamespace(&N, &other, &record));
    CONFORMS_HR("HcnCloseNamespace/S_OK", S_OK, HcnCloseNamespace(other));
    CONFORMS_HR("HcnOpenNamespace/not found", NOT_FOUND, HcnOpenNamespace(&A, &other, &record));
    CHECK(HcnCloseNamespace(other) == (HRESULT)INVALID);
    /* An endpoint that is deleted leaves its namespace. */
    HCN_ENDPOINT guest;
    ANSWERS(S_OK, HcnCreateEndpoint(network, &OTHER, SECOND, &guest, &record));
    ANSWERS(S_OK, HcnModifyNamespace(space,
                                     u"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"Add\",\"Settings\":{\"EndpointId\":"
                                     u"\"8f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a5\"}}",
                                     &record));
    CONFORMS_HR("HcnDeleteEndpoint/attached", S_OK, HcnDeleteEndpoint(&OTHER, &record));
    CHECK(!strstr(TOLD(HcnQueryNamespaceProperties(space, SECOND, &text, &record)), "8F1A6C52"));
    CONFORMS_HR("HcnQueryEndpointStats/HCN_E_ENDPOINT_NOT_FOUND", ENDPOINT_NOT_FOUND,
                HcnQueryEndpointStats(guest, NULL, &text, &record));
    CONFORMS_HR("HcnQueryEndpointProperties/HCN_E_ENDPOINT_NOT_FOUND", ENDPOINT_NOT_FOUND,
                HcnQueryEndpointProperties(guest, NULL, &text, &record));
    CONFORMS_HR("HcnDeleteEndpoint/HCN_E_ENDPOINT_NOT_FOUND", ENDPOINT_NOT_FOUND, HcnDeleteEndpoint(&OTHER, &record));
    CONFORMS_HR("HcnDeleteNamespace/S_OK", S_OK, HcnDeleteNamespace(&N, &record));
    CONFORMS_HR("HcnDeleteNamespace/not found", NOT_FOUND, HcnDeleteNamespace(&N, &record));
    CONFORMS_HR("HcnQueryNamespaceProperties/not found", NOT_FOUND,
                HcnQueryNamespaceProperties(space, SECOND, &text, &record));
    CHECK(HcnCloseNamespace(space) == S_OK);
    CONFORMS("HcnCloseNamespace/E_HANDLE", HcnCloseNamespace(space) == (HRESULT)NO_HANDLE);
}

#define BALANCED(port) \
    V2 u",\"HostComputeEndpoints\":[\"5f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a2\"],\"PortMappings\":[{\"Protocol\":6," \
       u"\"InternalPort\":80,\"ExternalPort\":" port u"}]}"

static void load_balancers(void)
{
    PWSTR text;
    HCN_LOADBALANCER balancer, other;
    CONFORMS_HR("HcnCreateLoadBalancer/E_INVALIDARG", INVALID, HcnCreateLoadBalancer(&B, NULL, &balancer, &record));
    CONFORMS_HR("HcnCreateLoadBalancer/S_OK", S_OK, HcnCreateLoadBalancer(&B, BALANCED(u"8090"), &balancer, &record));
    CONFORMS_HR("HcnCreateLoadBalancer/HCN_E_POLICY_ALREADY_EXISTS", POLICY_EXISTS,
                HcnCreateLoadBalancer(&B, BALANCED(u"8091"), &other, &record));
    CONFORMS_HR("HcnCreateLoadBalancer/HCN_E_PORT_ALREADY_EXISTS", PORT_EXISTS,
                HcnCreateLoadBalancer(&OTHER, BALANCED(u"8080"), &other, &record));
    CONFORMS("HcnEnumerateLoadBalancers/S_OK", strstr(TOLD(HcnEnumerateLoadBalancers(NULL, &text, &record)), ID_B));
    CONFORMS_HR("HcnEnumerateLoadBalancers/E_INVALIDARG", INVALID, HcnEnumerateLoadBalancers(NULL, NULL, &record));
    CONFORMS_HR("HcnOpenLoadBalancer/S_OK", S_OK, HcnOpenLoadBalancer(&B, &other, &record));
    CONFORMS_HR("HcnModifyLoadBalancer/S_OK", S_OK, HcnModifyLoadBalancer(other, BALANCED(u"8092"), &record));
    const char *told = TOLD(HcnQueryLoadBalancerProperties(balancer, SECOND, &text, &record));
    CONFORMS("HcnModifyLoadBalancer/whole", strstr(told, "8092") && !strstr(told, "8090"));
    CONFORMS("HcnQueryLoadBalancerProperties/S_OK", strstr(told, "\"HostComputeEndpoints\":[\"" ID_E "\"]") != NULL);
    CONFORMS_HR("HcnDeleteEndpoint/HCN_E_ENTITY_HAS_REFERENCES", REFERENCES, HcnDeleteEndpoint(&E, &record));
    CONFORMS_HR("HcnCloseLoadBalancer/S_OK", S_OK, HcnCloseLoadBalancer(other));
    CONFORMS_HR("HcnModifyLoadBalancer/E_HANDLE", NO_HANDLE, HcnModifyLoadBalancer(other, BALANCED(u"8093"), &record));
    CONFORMS("HcnCloseLoadBalancer/E_HANDLE", HcnCloseLoadBalancer(other) == (HRESULT)NO_HANDLE);
    CONFORMS_HR("HcnDeleteLoadBalancer/S_OK", S_OK, HcnDeleteLoadBalancer(&B, &record));
    CONFORMS_HR("HcnDeleteLoadBalancer/not found", NOT_FOUND, HcnDeleteLoadBalancer(&B, &record));
    CONFORMS_HR("HcnOpenLoadBalancer/not found", NOT_FOUND, HcnOpenLoadBalancer(&B, &other, &record));
    CONFORMS_HR("HcnQueryLoadBalancerProperties/not found", NOT_FOUND,
                HcnQueryLoadBalancerProperties(balancer, SECOND, &text, &record));
    CHECK(HcnCloseLoadBalancer(balancer) == S_OK);
}

static void ends(void)
{
    PWSTR text;
    HCN_ENDPOINT other;
    CONFORMS_HR("HcnCloseEndpoint/S_OK", S_OK, HcnCloseEndpoint(endpoint));
    CONFORMS("HcnCloseEndpoint/E_HANDLE", HcnCloseEndpoint(endpoint) == (HRESULT)NO_HANDLE);
    ANSWERS(S_OK, HcnOpenEndpoint(&E, &endpoint, &record));
    CONFORMS("HcnCloseEndpoint/stays", endpoint != NULL);
    ANSWERS(S_OK, HcnCreateEndpoint(network, &OTHER, SECOND, &other, &record));
    CONFORMS_HR("HcnDeleteEndpoint/S_OK", S_OK, HcnDeleteEndpoint(&OTHER, &record));
    CHECK(HcnCloseEndpoint(other) == S_OK);
    CONFORMS_HR("HcnCloseNetwork/S_OK", S_OK, HcnCloseNetwork(network));
    CONFORMS("HcnCloseNetwork/E_HANDLE", HcnCloseNetwork(network) == (HRESULT)NO_HANDLE);
    CONFORMS("HcnCloseNetwork/E_INVALIDARG", HcnCloseNetwork(NULL) == (HRESULT)INVALID);
    ANSWERS(S_OK, HcnOpenNetwork(&A, &network, &record));
    CONFORMS("HcnCloseNetwork/stays", network != NULL);
    CONFORMS_HR("HcnDeleteNetwork/S_OK", S_OK, HcnDeleteNetwork(&A, &record));
    ANSWERS(ENDPOINT_NOT_FOUND, HcnOpenEndpoint(&E, &other, &record));
    CONFORMS("HcnDeleteNetwork/endpoints", other == NULL);
    CONFORMS_HR("HcnDeleteNetwork/HCN_E_NETWORK_NOT_FOUND", NETWORK_NOT_FOUND, HcnDeleteNetwork(&A, &record));
    CONFORMS_HR("HcnDeleteNetwork/E_INVALIDARG", INVALID, HcnDeleteNetwork(NULL, &record));
    CONFORMS_HR("HcnQueryNetworkProperties/HCN_E_NETWORK_NOT_FOUND", NETWORK_NOT_FOUND,
                HcnQueryNetworkProperties(network, SECOND, &text, &record));
    CHECK(HcnCloseNetwork(network) == S_OK && HcnCloseEndpoint(endpoint) == S_OK);
}

static void HCS_CALLBACK_ told(DWORD type, void *context, HRESULT status, HCN_PCWSTR data)
{
    (void)type, (void)context, (void)status, (void)data;
}

/* What each of these answers is E_NOTIMPL. */
static void what_is_not_there(void)
{
    void *handle;
    PWSTR text;
    uint32_t count;
    HCN_PORT_RANGE_RESERVATION range;
    HCN_PORT_RANGE_ENTRY *entries;
    CONFORMS_HR("HcnEnumerateSdnRoutes/E_NOTIMPL", NOT_IMPLEMENTED, HcnEnumerateSdnRoutes(NULL, &text, &record));
    CONFORMS_HR("HcnCreateSdnRoute/E_NOTIMPL", NOT_IMPLEMENTED, HcnCreateSdnRoute(&B, SECOND, &handle, &record));
    CONFORMS_HR("HcnOpenSdnRoute/E_NOTIMPL", NOT_IMPLEMENTED, HcnOpenSdnRoute(&B, &handle, &record));
    CONFORMS_HR("HcnModifySdnRoute/E_NOTIMPL", NOT_IMPLEMENTED, HcnModifySdnRoute(NULL, SECOND, &record));
    CONFORMS_HR("HcnQuerySdnRouteProperties/E_NOTIMPL", NOT_IMPLEMENTED,
                HcnQuerySdnRouteProperties(NULL, NULL, &text, &record));
    CONFORMS_HR("HcnDeleteSdnRoute/E_NOTIMPL", NOT_IMPLEMENTED, HcnDeleteSdnRoute(&B, &record));
    CONFORMS("HcnCloseSdnRoute/E_NOTIMPL", HcnCloseSdnRoute(NULL) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS_HR("HcnCreateGuestNetworkService/E_NOTIMPL", NOT_IMPLEMENTED,
                HcnCreateGuestNetworkService(&B, SECOND, &handle, &record));
    CONFORMS_HR("HcnModifyGuestNetworkService/E_NOTIMPL", NOT_IMPLEMENTED,
                HcnModifyGuestNetworkService(NULL, SECOND, &record));
    CONFORMS_HR("HcnDeleteGuestNetworkService/E_NOTIMPL", NOT_IMPLEMENTED, HcnDeleteGuestNetworkService(&B, &record));
    CONFORMS("HcnCloseGuestNetworkService/E_NOTIMPL", HcnCloseGuestNetworkService(NULL) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnRegisterGuestNetworkServiceCallback/E_NOTIMPL",
             HcnRegisterGuestNetworkServiceCallback(NULL, told, NULL, &handle) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnUnregisterGuestNetworkServiceCallback/E_NOTIMPL",
             HcnUnregisterGuestNetworkServiceCallback(NULL) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnReserveGuestNetworkServicePort/E_NOTIMPL",
             HcnReserveGuestNetworkServicePort(NULL, HCN_PORT_PROTOCOL_TCP, HCN_PORT_ACCESS_SHARED, 80, &handle) ==
                 (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnReserveGuestNetworkServicePortRange/E_NOTIMPL",
             HcnReserveGuestNetworkServicePortRange(NULL, 2, &range, &handle) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnReleaseGuestNetworkServicePortReservationHandle/E_NOTIMPL",
             HcnReleaseGuestNetworkServicePortReservationHandle(NULL) == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnEnumerateGuestNetworkPortReservations/E_NOTIMPL",
             HcnEnumerateGuestNetworkPortReservations(&count, &entries) == (HRESULT)NOT_IMPLEMENTED);
    HcnFreeGuestNetworkPortReservations(entries);
    CONFORMS("HcnFreeGuestNetworkPortReservations/NULL", entries == NULL && count == 0);
}

/* Exported by the Windows library and declared by no header. */
extern HRESULT HCS_API HcnRegisterNetworkCallback(void);
extern HRESULT HCS_API HcnUnregisterNetworkCallback(void);
extern HRESULT HCS_API HcnQueryMetrics(void);
extern HRESULT HCS_API HcnQueryFeatures(void);
extern HRESULT HCS_API HcnOpenGuestNetworkService(void);
extern HRESULT HCS_API HcnEnumerateGuestNetworkServices(void);
extern HRESULT HCS_API HcnQueryGuestNetworkServiceProperties(void);

static void what_no_header_declares(void)
{
    CONFORMS("HcnRegisterNetworkCallback/E_NOTIMPL", HcnRegisterNetworkCallback() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnUnregisterNetworkCallback/E_NOTIMPL", HcnUnregisterNetworkCallback() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnQueryMetrics/E_NOTIMPL", HcnQueryMetrics() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnQueryFeatures/E_NOTIMPL", HcnQueryFeatures() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnOpenGuestNetworkService/E_NOTIMPL", HcnOpenGuestNetworkService() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnEnumerateGuestNetworkServices/E_NOTIMPL",
             HcnEnumerateGuestNetworkServices() == (HRESULT)NOT_IMPLEMENTED);
    CONFORMS("HcnQueryGuestNetworkServiceProperties/E_NOTIMPL",
             HcnQueryGuestNetworkServiceProperties() == (HRESULT)NOT_IMPLEMENTED);
}

static void strings(void)
{
    PWSTR text = NULL;
    ANSWERS(S_OK, HcnEnumerateNetworks(NULL, &text, &record));
    CONFORMS("LocalFree/document", LocalFree(text) == NULL);
    CONFORMS("LocalFree/NULL", LocalFree(NULL) == NULL);
    ANSWERS(S_OK, HcnEnumerateNetworks(NULL, &text, &record));
    CoTaskMemFree(text);
    CoTaskMemFree(NULL);
    CONFORMS("CoTaskMemFree/document", text != NULL);
}

int main(void)
{
    records();
    creating_networks();
    asking_for_networks();
    changing_networks();
    creating_endpoints();
    asking_for_endpoints();
    changing_endpoints();
    namespaces();
    load_balancers();
    ends();
    what_is_not_there();
    what_no_header_declares();
    strings();
    return 0;
}

/* networks.c - networks, endpoints and namespaces of a real service, from their creation to their end. */
#include "check.h"

#define NETWORK_NOT_FOUND 0x803B0001u
#define ENDPOINT_NOT_FOUND 0x803B0002u
#define NETWORK_EXISTS 0x803B0010u
#define PORT_EXISTS 0x803B0013u
#define INVALID_JSON 0x803B001Bu
#define NOT_FOUND 0x80070490u
#define NO_HANDLE 0x80070006u
#define NOT_IMPLEMENTED 0x80004001u

static const GUID NONE = {0, 0, 0, {0}};
static const GUID NETWORK = {0x4f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa1}};
static const GUID ENDPOINT = {0x5f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa2}};
static const GUID NAMESPACE = {0x6f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa3}};
static PCWSTR const SECOND = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}";
static PCWSTR const NAT = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Name\":\"c\",\"Type\":\"NAT\","
                          u"\"Ipams\":[{\"Subnets\":[{\"IpAddressPrefix\":\"10.77.0.0/24\"}]}]}";
static PCWSTR const WEB = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Name\":\"web\",\"Policies\":[{\"Type\":"
                          u"\"PortMapping\",\"Settings\":{\"Protocol\":6,\"InternalPort\":80,\"ExternalPort\":8080}}]}";

static void a_network(HCN_NETWORK *network)
{
    PWSTR text;
    HCN_NETWORK other;
    ANSWERS(S_OK, HcnCreateNetwork(&NETWORK, NAT, network, &record));
    ANSWERS(NETWORK_EXISTS, HcnCreateNetwork(&NONE, NAT, &other, &record));
    ANSWERS(INVALID_JSON, HcnCreateNetwork(&NONE, u"{", &other, &record));
    CHECK(other == NULL);
    ANSWERS(S_OK, HcnOpenNetwork(&NETWORK, &other, &record));
    CHECK(other != *network);
    ANSWERS(S_OK, HcnQueryNetworkProperties(other, SECOND, &text, &record));
    CHECK(strstr(taken(text), "\"IpAddressPrefix\":\"10.77.0.0/24\""));
    CHECK(HcnCloseNetwork(other) == S_OK);
    ANSWERS(NO_HANDLE, HcnQueryNetworkProperties(other, SECOND, &text, &record));
    /* Without a version the answer is of version 1. */
    ANSWERS(S_OK, HcnQueryNetworkProperties(*network, NULL, &text, &record));
    CHECK(strstr(taken(text), "\"AddressPrefix\":\"10.77.0.0/24\""));
    ANSWERS(S_OK, HcnEnumerateNetworks(u"{\"Filter\":\"{\\\"Name\\\":\\\"c\\\"}\"}", &text, &record));
    CHECK(!strcmp(taken(text), "[\"4F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A1\"]"));
    ANSWERS(NETWORK_NOT_FOUND, HcnOpenNetwork(&ENDPOINT, &other, &record));
}

static void an_endpoint(HCN_NETWORK network)
{
    PWSTR text;
    HCN_ENDPOINT endpoint, other;
    HCN_NAMESPACE space;
    ANSWERS(S_OK, HcnCreateEndpoint(network, &ENDPOINT, WEB, &endpoint, &record));
    ANSWERS(PORT_EXISTS, HcnCreateEndpoint(network, &NONE, WEB, &other, &record));
    ANSWERS(S_OK, HcnQueryEndpointProperties(endpoint, SECOND, &text, &record));
    const char *document = taken(text);
    CHECK(strstr(document, "\"IpAddress\":\"10.77.0.") && strstr(document, "\"MacAddress\":\""));
    ANSWERS(S_OK, HcnQueryEndpointStats(endpoint, NULL, &text, &record));
    CHECK(strstr(taken(text), "\"BytesSent\":0"));
    ANSWERS(S_OK, HcnCreateNamespace(&NAMESPACE, SECOND, &space, &record));
    ANSWERS(S_OK, HcnModifyNamespace(space,
                                     u"{\"ResourceType\":\"Endpoint\",\"RequestType\":\"Add\",\"Settings\":"
                                     u"{\"EndpointId\":\"5f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a2\"}}",
                                     &record));
    ANSWERS(S_OK, HcnQueryEndpointProperties(endpoint, SECOND, &text, &record));
    CHECK(strstr(taken(text), "\"HostComputeNamespace\":\"6F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A3\""));
    ANSWERS(S_OK, HcnQueryNamespaceProperties(space, SECOND, &text, &record));
    CHECK(strstr(taken(text), "5F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A2"));
    ANSWERS(S_OK, HcnDeleteNamespace(&NAMESPACE, &record));
    ANSWERS(NOT_FOUND, HcnOpenNamespace(&NAMESPACE, &space, &record));
    CHECK(HcnCloseEndpoint(endpoint) == S_OK);
}

/* Closing deletes nothing; deleting a network deletes its endpoints. */
static void the_end(HCN_NETWORK network)
{
    PWSTR text;
    HCN_ENDPOINT endpoint;
    CHECK(HcnCloseNetwork(network) == S_OK);
    ANSWERS(S_OK, HcnOpenEndpoint(&ENDPOINT, &endpoint, &record));
    ANSWERS(S_OK, HcnDeleteNetwork(&NETWORK, &record));
    ANSWERS(ENDPOINT_NOT_FOUND, HcnQueryEndpointStats(endpoint, NULL, &text, &record));
    ANSWERS(ENDPOINT_NOT_FOUND, HcnQueryEndpointProperties(endpoint, SECOND, &text, &record));
    CHECK(text == NULL);
    ANSWERS(NETWORK_NOT_FOUND, HcnDeleteNetwork(&NETWORK, &record));
    ANSWERS(S_OK, HcnEnumerateEndpoints(u"", &text, &record));
    CHECK(!strcmp(taken(text), "[]"));
}

int main(void)
{
    HCN_NETWORK network;
    a_network(&network);
    an_endpoint(network);
    the_end(network);
    return 0;
}

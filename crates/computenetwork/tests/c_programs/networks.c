/* networks.c - networks, endpoints, namespaces and load balancers of a real service, from their creation to their end. */
#include "check.h"

#define NETWORK_NOT_FOUND 0x803B0001u
#define ENDPOINT_NOT_FOUND 0x803B0002u
#define NETWORK_EXISTS 0x803B0010u
#define POLICY_EXISTS 0x803B0012u
#define PORT_EXISTS 0x803B0013u
#define INVALID_JSON 0x803B001Bu
#define REFERENCES 0x803B002Cu
#define NOT_FOUND 0x80070490u
#define NO_HANDLE 0x80070006u
#define NOT_IMPLEMENTED 0x80004001u

static const GUID NONE = {0, 0, 0, {0}};
static const GUID NETWORK = {0x4f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa1}};
static const GUID ENDPOINT = {0x5f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa2}};
static const GUID NAMESPACE = {0x6f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa3}};
static const GUID BALANCER = {0x7f1a6c52, 0x93d0, 0x4b7e, {0x8a, 0x15, 0x2d, 0x7c, 0x9e, 0x60, 0xb3, 0xa4}};
static PCWSTR const SECOND = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}";
static PCWSTR const NAT = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Name\":\"c\",\"Type\":\"NAT\","
                          u"\"Ipams\":[{\"Subnets\":[{\"IpAddressPrefix\":\"10.77.0.0/24\"}]}]}";
static PCWSTR const WEB = u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"Name\":\"web\",\"Policies\":[{\"Type\":"
                          u"\"PortMapping\",\"Settings\":{\"Protocol\":6,\"InternalPort\":80,\"ExternalPort\":8080}}]}";

#define BALANCED(port)                                                                                                 \
    u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0},\"HostComputeEndpoints\":[\"5f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a2\"],"  \
    u"\"PortMappings\":[{\"Protocol\":6,\"InternalPort\":80,\"ExternalPort\":" port u"}]}"

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

/* The whole document is replaced; what leads to an endpoint keeps it. */
static void a_load_balancer(void)
{
    PWSTR text;
    HCN_LOADBALANCER balancer, other;
    ANSWERS(PORT_EXISTS, HcnCreateLoadBalancer(&BALANCER, BALANCED(u"8080"), &balancer, &record));
    ANSWERS(S_OK, HcnCreateLoadBalancer(&BALANCER, BALANCED(u"8090"), &balancer, &record));
    ANSWERS(POLICY_EXISTS, HcnCreateLoadBalancer(&BALANCER, BALANCED(u"8091"), &other, &record));
    CHECK(other == NULL);
    ANSWERS(S_OK, HcnEnumerateLoadBalancers(NULL, &text, &record));
    CHECK(!strcmp(taken(text), "[\"7F1A6C52-93D0-4B7E-8A15-2D7C9E60B3A4\"]"));
    ANSWERS(REFERENCES, HcnDeleteEndpoint(&ENDPOINT, &record));
    ANSWERS(S_OK, HcnOpenLoadBalancer(&BALANCER, &other, &record));
    ANSWERS(S_OK, HcnModifyLoadBalancer(other, BALANCED(u"8092"), &record));
    ANSWERS(S_OK, HcnQueryLoadBalancerProperties(balancer, SECOND, &text, &record));
    CHECK(strstr(taken(text), "\"ExternalPort\":8092"));
    CHECK(HcnCloseLoadBalancer(other) == S_OK);
    ANSWERS(NO_HANDLE, HcnModifyLoadBalancer(other, BALANCED(u"8093"), &record));
    ANSWERS(S_OK, HcnDeleteLoadBalancer(&BALANCER, &record));
    ANSWERS(NOT_FOUND, HcnQueryLoadBalancerProperties(balancer, SECOND, &text, &record));
    CHECK(HcnCloseLoadBalancer(balancer) == S_OK);
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
    a_load_balancer();
    the_end(network);
    return 0;
}

/*
 * ComputeNetwork.h - the functions of the Host Compute Network API: networks, the endpoints in them, and the namespaces
 * that endpoints are in.
 *
 * Names, parameters and values are those of the Windows header of the same name. The functions live in
 * libcomputenetwork (pkg-config computenetwork). The documents are those of the HCN schema, of version 2, or of version
 * 1 where they name no SchemaVersion; docs/COVERAGE.md says which functions do something on Linux.
 *
 * Rules that hold for every function:
 *
 * Calls return when their work is done. Every function may be called from every thread.
 *
 * ErrorRecord. The last parameter receives a document about a failure, {"Success":false,"Error":"...","ErrorCode":...},
 * to be released by the caller; NULL after a success. It may be NULL itself.
 *
 * Shape errors: E_INVALIDARG for NULL where it is not allowed (a NULL handle included), E_HANDLE for a handle that is
 * closed, or of another kind, or never was one.
 *
 * Ids. One with all digits zero leaves the choice to the document, and then to the service. A query may be NULL or "";
 * one with SchemaVersion.Major 2 is answered with documents of version 2, any other with those of version 1.
 *
 * Strings are UTF-16, whether or not HCS_WIDE is defined: with it, they are of the types HCN_PCWSTR and HCN_PWSTR all
 * the same, and are written u"...". Those that are received belong to the caller, who releases each with CoTaskMemFree
 * or LocalFree. Out-parameters are NULL whenever the call gives nothing.
 *
 * Closing a handle deletes nothing. Objects live until they are deleted; a network takes its endpoints along.
 *
 * The service is found and started as ComputeCore.h says. Only that of root has networks.
 */
#ifndef COMPUTECORE_COMPUTENETWORK_H
#define COMPUTECORE_COMPUTENETWORK_H

#include "ComputeDefs.h"

#ifndef __cplusplus
#include <uchar.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* An id. */
#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID
{
    uint32_t Data1;
    uint16_t Data2;
    uint16_t Data3;
    uint8_t Data4[8];
} GUID;
#endif
#ifndef _REFGUID_DEFINED
#define _REFGUID_DEFINED
#ifdef __cplusplus
#define REFGUID const GUID &
#else
#define REFGUID const GUID *
#endif
#endif

/* Strings of these functions: UTF-16. */
#ifdef HCS_WIDE
typedef const char16_t *HCN_PCWSTR;
typedef char16_t *HCN_PWSTR;
#else
typedef PCWSTR HCN_PCWSTR;
typedef PWSTR HCN_PWSTR;
#endif

/* Handles. */
typedef void *HCN_NETWORK;
typedef HCN_NETWORK *PHCN_NETWORK;
typedef void *HCN_ENDPOINT;
typedef HCN_ENDPOINT *PHCN_ENDPOINT;
typedef void *HCN_NAMESPACE;
typedef HCN_NAMESPACE *PHCN_NAMESPACE;
typedef void *HCN_LOADBALANCER;
typedef HCN_LOADBALANCER *PHCN_LOADBALANCER;
typedef void *HCN_SDNROUTE;
typedef void *HCN_GUESTNETWORKSERVICE;
typedef HCN_GUESTNETWORKSERVICE *PHCN_GUESTNETWORKSERVICE;
typedef void *HCN_CALLBACK;
typedef HCN_CALLBACK *PHCN_CALLBACK;

/* What a callback tells. */
typedef enum tagHCN_NOTIFICATIONS
{
    HcnNotificationInvalid = 0x00000000,
    HcnNotificationNetworkPreCreate = 0x00000001,
    HcnNotificationNetworkCreate = 0x00000002,
    HcnNotificationNetworkPreDelete = 0x00000003,
    HcnNotificationNetworkDelete = 0x00000004,
    HcnNotificationNamespaceCreate = 0x00000005,
    HcnNotificationNamespaceDelete = 0x00000006,
    HcnNotificationGuestNetworkServiceCreate = 0x00000007,
    HcnNotificationGuestNetworkServiceDelete = 0x00000008,
    HcnNotificationNetworkEndpointAttached = 0x00000009,
    HcnNotificationNetworkEndpointDetached = 0x00000010,
    HcnNotificationGuestNetworkServiceStateChanged = 0x00000011,
    HcnNotificationGuestNetworkServiceInterfaceStateChanged = 0x00000012,
    HcnNotificationServiceDisconnect = 0x01000000,
    HcnNotificationFlagsReserved = 0x70000000
} HCN_NOTIFICATIONS;

/* A program's function that is told; the data are a document. */
typedef void(HCS_CALLBACK_ *HCN_NOTIFICATION_CALLBACK)(DWORD notificationType, void *context,
                                                       HRESULT notificationStatus, HCN_PCWSTR notificationData);

typedef enum tagHCN_PORT_PROTOCOL
{
    HCN_PORT_PROTOCOL_TCP = 0x01,
    HCN_PORT_PROTOCOL_UDP = 0x02,
    HCN_PORT_PROTOCOL_BOTH = 0x03
} HCN_PORT_PROTOCOL;

typedef enum tagHCN_PORT_ACCESS
{
    HCN_PORT_ACCESS_EXCLUSIVE = 0x01,
    HCN_PORT_ACCESS_SHARED = 0x02
} HCN_PORT_ACCESS;

/* Both ends belong to the range. */
typedef struct tagHCN_PORT_RANGE_RESERVATION
{
    uint16_t startingPort;
    uint16_t endingPort;
} HCN_PORT_RANGE_RESERVATION;

typedef struct tagHCN_PORT_RANGE_ENTRY
{
    GUID OwningPartitionId;
    GUID TargetPartitionId;
    HCN_PORT_PROTOCOL Protocol;
    UINT64 Priority;
    uint32_t ReservationType;
    uint32_t SharingFlags;
    uint32_t DeliveryMode;
    uint16_t StartingPort;
    uint16_t EndingPort;
} HCN_PORT_RANGE_ENTRY, *PHCN_PORT_RANGE_ENTRY;

/* What calls answer beside S_OK and the codes of ComputeDefs.h. */
#ifndef HCN_E_NETWORK_NOT_FOUND
#define HCN_E_NETWORK_NOT_FOUND ((HRESULT)0x803B0001u)
#endif
#ifndef HCN_E_ENDPOINT_NOT_FOUND
#define HCN_E_ENDPOINT_NOT_FOUND ((HRESULT)0x803B0002u)
#endif
#ifndef HCN_E_LAYER_NOT_FOUND
#define HCN_E_LAYER_NOT_FOUND ((HRESULT)0x803B0003u)
#endif
#ifndef HCN_E_SWITCH_NOT_FOUND
#define HCN_E_SWITCH_NOT_FOUND ((HRESULT)0x803B0004u)
#endif
#ifndef HCN_E_SUBNET_NOT_FOUND
#define HCN_E_SUBNET_NOT_FOUND ((HRESULT)0x803B0005u)
#endif
#ifndef HCN_E_ADAPTER_NOT_FOUND
#define HCN_E_ADAPTER_NOT_FOUND ((HRESULT)0x803B0006u)
#endif
#ifndef HCN_E_PORT_NOT_FOUND
#define HCN_E_PORT_NOT_FOUND ((HRESULT)0x803B0007u)
#endif
#ifndef HCN_E_POLICY_NOT_FOUND
#define HCN_E_POLICY_NOT_FOUND ((HRESULT)0x803B0008u)
#endif
#ifndef HCN_E_VFP_PORTSETTING_NOT_FOUND
#define HCN_E_VFP_PORTSETTING_NOT_FOUND ((HRESULT)0x803B0009u)
#endif
#ifndef HCN_E_INVALID_NETWORK
#define HCN_E_INVALID_NETWORK ((HRESULT)0x803B000Au)
#endif
#ifndef HCN_E_INVALID_NETWORK_TYPE
#define HCN_E_INVALID_NETWORK_TYPE ((HRESULT)0x803B000Bu)
#endif
#ifndef HCN_E_INVALID_ENDPOINT
#define HCN_E_INVALID_ENDPOINT ((HRESULT)0x803B000Cu)
#endif
#ifndef HCN_E_INVALID_POLICY
#define HCN_E_INVALID_POLICY ((HRESULT)0x803B000Du)
#endif
#ifndef HCN_E_INVALID_POLICY_TYPE
#define HCN_E_INVALID_POLICY_TYPE ((HRESULT)0x803B000Eu)
#endif
#ifndef HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION
#define HCN_E_INVALID_REMOTE_ENDPOINT_OPERATION ((HRESULT)0x803B000Fu)
#endif
#ifndef HCN_E_NETWORK_ALREADY_EXISTS
#define HCN_E_NETWORK_ALREADY_EXISTS ((HRESULT)0x803B0010u)
#endif
#ifndef HCN_E_LAYER_ALREADY_EXISTS
#define HCN_E_LAYER_ALREADY_EXISTS ((HRESULT)0x803B0011u)
#endif
#ifndef HCN_E_POLICY_ALREADY_EXISTS
#define HCN_E_POLICY_ALREADY_EXISTS ((HRESULT)0x803B0012u)
#endif
#ifndef HCN_E_PORT_ALREADY_EXISTS
#define HCN_E_PORT_ALREADY_EXISTS ((HRESULT)0x803B0013u)
#endif
#ifndef HCN_E_ENDPOINT_ALREADY_ATTACHED
#define HCN_E_ENDPOINT_ALREADY_ATTACHED ((HRESULT)0x803B0014u)
#endif
#ifndef HCN_E_REQUEST_UNSUPPORTED
#define HCN_E_REQUEST_UNSUPPORTED ((HRESULT)0x803B0015u)
#endif
#ifndef HCN_E_MAPPING_NOT_SUPPORTED
#define HCN_E_MAPPING_NOT_SUPPORTED ((HRESULT)0x803B0016u)
#endif
#ifndef HCN_E_DEGRADED_OPERATION
#define HCN_E_DEGRADED_OPERATION ((HRESULT)0x803B0017u)
#endif
#ifndef HCN_E_SHARED_SWITCH_MODIFICATION
#define HCN_E_SHARED_SWITCH_MODIFICATION ((HRESULT)0x803B0018u)
#endif
#ifndef HCN_E_GUID_CONVERSION_FAILURE
#define HCN_E_GUID_CONVERSION_FAILURE ((HRESULT)0x803B0019u)
#endif
#ifndef HCN_E_REGKEY_FAILURE
#define HCN_E_REGKEY_FAILURE ((HRESULT)0x803B001Au)
#endif
#ifndef HCN_E_INVALID_JSON
#define HCN_E_INVALID_JSON ((HRESULT)0x803B001Bu)
#endif
#ifndef HCN_E_INVALID_JSON_REFERENCE
#define HCN_E_INVALID_JSON_REFERENCE ((HRESULT)0x803B001Cu)
#endif
#ifndef HCN_E_ENDPOINT_SHARING_DISABLED
#define HCN_E_ENDPOINT_SHARING_DISABLED ((HRESULT)0x803B001Du)
#endif
#ifndef HCN_E_INVALID_IP
#define HCN_E_INVALID_IP ((HRESULT)0x803B001Eu)
#endif
#ifndef HCN_E_SWITCH_EXTENSION_NOT_FOUND
#define HCN_E_SWITCH_EXTENSION_NOT_FOUND ((HRESULT)0x803B001Fu)
#endif
#ifndef HCN_E_MANAGER_STOPPED
#define HCN_E_MANAGER_STOPPED ((HRESULT)0x803B0020u)
#endif
#ifndef HCN_E_ICS_DISABLED
#define HCN_E_ICS_DISABLED ((HRESULT)0x803B002Au)
#endif
#ifndef HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS
#define HCN_E_ENDPOINT_NAMESPACE_ALREADY_EXISTS ((HRESULT)0x803B002Bu)
#endif
#ifndef HCN_E_ENTITY_HAS_REFERENCES
#define HCN_E_ENTITY_HAS_REFERENCES ((HRESULT)0x803B002Cu)
#endif
#ifndef HCN_E_INVALID_INTERNAL_PORT
#define HCN_E_INVALID_INTERNAL_PORT ((HRESULT)0x803B002Du)
#endif
#ifndef HCN_E_NAMESPACE_ATTACH_FAILED
#define HCN_E_NAMESPACE_ATTACH_FAILED ((HRESULT)0x803B002Eu)
#endif
#ifndef HCN_E_ADDR_INVALID_OR_RESERVED
#define HCN_E_ADDR_INVALID_OR_RESERVED ((HRESULT)0x803B002Fu)
#endif
#ifndef HCN_E_INVALID_PREFIX
#define HCN_E_INVALID_PREFIX ((HRESULT)0x803B0030u)
#endif
#ifndef HCN_E_OBJECT_USED_AFTER_UNLOAD
#define HCN_E_OBJECT_USED_AFTER_UNLOAD ((HRESULT)0x803B0031u)
#endif
#ifndef HCN_E_INVALID_SUBNET
#define HCN_E_INVALID_SUBNET ((HRESULT)0x803B0032u)
#endif
#ifndef HCN_E_INVALID_IP_SUBNET
#define HCN_E_INVALID_IP_SUBNET ((HRESULT)0x803B0033u)
#endif
#ifndef HCN_E_ENDPOINT_NOT_ATTACHED
#define HCN_E_ENDPOINT_NOT_ATTACHED ((HRESULT)0x803B0034u)
#endif
#ifndef HCN_E_ENDPOINT_NOT_LOCAL
#define HCN_E_ENDPOINT_NOT_LOCAL ((HRESULT)0x803B0035u)
#endif
#ifndef HCN_E_INTERFACEPARAMETERS_ALREADY_APPLIED
#define HCN_E_INTERFACEPARAMETERS_ALREADY_APPLIED ((HRESULT)0x803B0036u)
#endif
#ifndef HCN_E_VFP_NOT_ALLOWED
#define HCN_E_VFP_NOT_ALLOWED ((HRESULT)0x803B0037u)
#endif

/* ---- Networks ---------------------------------------------------------------------------------------------------- */

/** Tells the ids of the networks that a HostComputeQuery lets through, as a JSON array. */
HRESULT HCS_API HcnEnumerateNetworks(_In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Ids,
                                       _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/**
 * Creates a network from its document; HCN_E_NETWORK_ALREADY_EXISTS when its id or name is taken.
 *
 * @param Network Receives a handle, to be closed with HcnCloseNetwork.
 */
HRESULT HCS_API HcnCreateNetwork(_In_ REFGUID Id, _In_ HCN_PCWSTR Settings, _Out_ HCN_NETWORK *Network,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Opens a network that is there; the handle is closed with HcnCloseNetwork. */
HRESULT HCS_API HcnOpenNetwork(_In_ REFGUID Id, _Out_ HCN_NETWORK *Network, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Changes a network by a request, such as {"ResourceType":"Policy","RequestType":"Add","Settings":...}. */
HRESULT HCS_API HcnModifyNetwork(_In_ HCN_NETWORK Network, _In_ HCN_PCWSTR Settings,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Tells the document of a network, of the version that the query names. */
HRESULT HCS_API HcnQueryNetworkProperties(_In_ HCN_NETWORK Network, _In_opt_ HCN_PCWSTR Query,
                                      _Outptr_ HCN_PWSTR *Properties, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Deletes a network, whichever program made it. */
HRESULT HCS_API HcnDeleteNetwork(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Closes a handle; the network stays. */
HRESULT HCS_API HcnCloseNetwork(_In_ HCN_NETWORK Network);

/* ---- Endpoints --------------------------------------------------------------------------------------------------- */

/** Tells the ids of the endpoints that a HostComputeQuery lets through, as a JSON array. */
HRESULT HCS_API HcnEnumerateEndpoints(_In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Ids,
                                       _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/**
 * Creates an endpoint in a network; what its document leaves open, addresses for example, the network gives.
 *
 * @param Endpoint Receives a handle, to be closed with HcnCloseEndpoint.
 */
HRESULT HCS_API HcnCreateEndpoint(_In_ HCN_NETWORK Network, _In_ REFGUID Id, _In_ HCN_PCWSTR Settings,
                                  _Out_ HCN_ENDPOINT *Endpoint, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Opens a endpoint that is there; the handle is closed with HcnCloseEndpoint. */
HRESULT HCS_API HcnOpenEndpoint(_In_ REFGUID Id, _Out_ HCN_ENDPOINT *Endpoint, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Changes a endpoint by a request, such as {"ResourceType":"Policy","RequestType":"Add","Settings":...}. */
HRESULT HCS_API HcnModifyEndpoint(_In_ HCN_ENDPOINT Endpoint, _In_ HCN_PCWSTR Settings,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Tells the document of a endpoint, of the version that the query names. */
HRESULT HCS_API HcnQueryEndpointProperties(_In_ HCN_ENDPOINT Endpoint, _In_opt_ HCN_PCWSTR Query,
                                      _Outptr_ HCN_PWSTR *Properties, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Deletes a endpoint, whichever program made it. */
HRESULT HCS_API HcnDeleteEndpoint(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Closes a handle; the endpoint stays. */
HRESULT HCS_API HcnCloseEndpoint(_In_ HCN_ENDPOINT Endpoint);

/** Tells the counters of an endpoint: EndpointId, BytesReceived, BytesSent, PacketsReceived, PacketsSent,
 *  DroppedPacketsIncoming and DroppedPacketsOutgoing. All are 0 while the endpoint is in no running system. */
HRESULT HCS_API HcnQueryEndpointStats(_In_ HCN_ENDPOINT Endpoint, _In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Stats,
                                      _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: addresses that an endpoint was seen with. */
HRESULT HCS_API HcnQueryEndpointAddresses(_In_ HCN_ENDPOINT Endpoint, _In_opt_ HCN_PCWSTR Query,
                                          _Outptr_ HCN_PWSTR *Addresses, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/* ---- Namespaces -------------------------------------------------------------------------------------------------- */

/** Tells the ids of the namespaces that a HostComputeQuery lets through, as a JSON array. */
HRESULT HCS_API HcnEnumerateNamespaces(_In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Ids,
                                       _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/**
 * Creates a namespace from its document; containers join it by its id.
 *
 * @param Namespace Receives a handle, to be closed with HcnCloseNamespace.
 */
HRESULT HCS_API HcnCreateNamespace(_In_ REFGUID Id, _In_ HCN_PCWSTR Settings, _Out_ HCN_NAMESPACE *Namespace,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Opens a namespace that is there; the handle is closed with HcnCloseNamespace. */
HRESULT HCS_API HcnOpenNamespace(_In_ REFGUID Id, _Out_ HCN_NAMESPACE *Namespace, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Changes a namespace by a request, such as {"ResourceType":"Policy","RequestType":"Add","Settings":...}. */
HRESULT HCS_API HcnModifyNamespace(_In_ HCN_NAMESPACE Namespace, _In_ HCN_PCWSTR Settings,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Tells the document of a namespace, of the version that the query names. */
HRESULT HCS_API HcnQueryNamespaceProperties(_In_ HCN_NAMESPACE Namespace, _In_opt_ HCN_PCWSTR Query,
                                      _Outptr_ HCN_PWSTR *Properties, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Deletes a namespace, whichever program made it. */
HRESULT HCS_API HcnDeleteNamespace(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Closes a handle; the namespace stays. */
HRESULT HCS_API HcnCloseNamespace(_In_ HCN_NAMESPACE Namespace);

/* ---- LoadBalancers ----------------------------------------------------------------------------------------------- */

/** Tells the ids of load balancers that a HostComputeQuery lets through, as a JSON array. */
HRESULT HCS_API HcnEnumerateLoadBalancers(_In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Ids,
                                       _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/**
 * Creates a load balancer from its document. Connections to its FrontendVIPs, or where there are none to all addresses
 * of the host, are led to one of its endpoints, of networks of type NAT and ICS.
 *
 * @param LoadBalancer Receives a handle, to be closed with HcnCloseLoadBalancer.
 */
HRESULT HCS_API HcnCreateLoadBalancer(_In_ REFGUID Id, _In_ HCN_PCWSTR Settings, _Out_ HCN_LOADBALANCER *LoadBalancer,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Opens a load balancer that is there; the handle is closed with HcnCloseLoadBalancer. */
HRESULT HCS_API HcnOpenLoadBalancer(_In_ REFGUID Id, _Out_ HCN_LOADBALANCER *LoadBalancer,
                                    _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Replaces a load balancer by that of a document. */
HRESULT HCS_API HcnModifyLoadBalancer(_In_ HCN_LOADBALANCER LoadBalancer, _In_ HCN_PCWSTR Settings,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Tells the document of a load balancer. */
HRESULT HCS_API HcnQueryLoadBalancerProperties(_In_ HCN_LOADBALANCER LoadBalancer, _In_opt_ HCN_PCWSTR Query,
                                      _Outptr_ HCN_PWSTR *Properties, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Deletes a load balancer, whichever program made it. */
HRESULT HCS_API HcnDeleteLoadBalancer(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Closes a handle; the load balancer stays. */
HRESULT HCS_API HcnCloseLoadBalancer(_In_ HCN_LOADBALANCER LoadBalancer);

/* ---- SdnRoutes --------------------------------------------------------------------------------------------------- */

/** Not implemented: tells the ids of routes of software networks. */
HRESULT HCS_API HcnEnumerateSdnRoutes(_In_opt_ HCN_PCWSTR Query, _Outptr_ HCN_PWSTR *Ids,
                                       _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/**
 * Not implemented: creates a route of a software network from its document; answers E_NOTIMPL.
 *
 * @param SdnRoute Receives a handle, to be closed with HcnCloseSdnRoute.
 */
HRESULT HCS_API HcnCreateSdnRoute(_In_ REFGUID Id, _In_ HCN_PCWSTR Settings, _Out_ HCN_SDNROUTE *SdnRoute,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: opens a route of a software network that is there; the handle is closed with HcnCloseSdnRoute. */
HRESULT HCS_API HcnOpenSdnRoute(_In_ REFGUID Id, _Out_ HCN_SDNROUTE *SdnRoute, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: changes a route of a software network by a request. */
HRESULT HCS_API HcnModifySdnRoute(_In_ HCN_SDNROUTE SdnRoute, _In_ HCN_PCWSTR Settings,
                                  _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: tells the document of a route of a software network, of the version that the query names. */
HRESULT HCS_API HcnQuerySdnRouteProperties(_In_ HCN_SDNROUTE SdnRoute, _In_opt_ HCN_PCWSTR Query,
                                      _Outptr_ HCN_PWSTR *Properties, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: deletes a route of a software network, whichever program made it. */
HRESULT HCS_API HcnDeleteSdnRoute(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: closes a handle; the route of a software network stays. */
HRESULT HCS_API HcnCloseSdnRoute(_In_ HCN_SDNROUTE SdnRoute);

/* ---- Callbacks --------------------------------------------------------------------------------------------------- */

/**
 * Has a function of the program called for what happens to networks and namespaces from now on, whichever program
 * brings it about: in the order in which it happens, one call at a time, by a thread of the library that holds no lock.
 * The function may block and call every function, HcnUnregisterServiceCallback included; it delays no other callback.
 *
 * NetworkPreCreate and NetworkPreDelete come before the change, which the host may still refuse; the others come when
 * it is made. The data are {"ID":...,"Flags":0,"Data":...} with the object's id; for an endpoint that is attached or
 * detached, Data is the text {"NamespaceID":...}. They are released when the function returns.
 *
 * ServiceDisconnect, without data, says that something may have happened that is not told, and why: the status is
 * HCS_E_SERVICE_DISCONNECT where the service was lost, and 0x8007049D (ERROR_JOURNAL_ENTRY_DELETED) where the function
 * was so slow that what comes next is not kept any more. The program then asks what there is. The callback stays
 * registered, and what happens afterwards is told as before.
 *
 * @param CallbackHandle Receives a handle, to be given to HcnUnregisterServiceCallback.
 */
HRESULT HCS_API HcnRegisterServiceCallback(_In_ HCN_NOTIFICATION_CALLBACK Callback, _In_opt_ void *Context,
                                           _Out_ HCN_CALLBACK *CallbackHandle);

/** Ends that. Where the function runs, waits until it has returned, unless called from within it. */
HRESULT HCS_API HcnUnregisterServiceCallback(_In_ HCN_CALLBACK CallbackHandle);

/* ---- The API of version 1 ---------------------------------------------------------------------------------------- */

/**
 * Makes a request of version 1 on the same objects: GET, POST (with the document of a new object) and DELETE of
 * /networks/, /endpoints/, /namespaces/ and /policylists/ (load balancers), with an id behind where it is about one;
 * POST /endpoints/ID/attach and /detach with {"ContainerId":...,"SystemType":"Container"}; POST
 * /namespaces/ID/addresource and /removeresource with {"Type":"Endpoint","Data":{"Id":...}}; GET /endpointstats/ID and
 * /globals/version. On Windows it is a function of vmcompute.
 *
 * @param Response Receives {"Success":true,"Output":...} or {"Success":false,"Error":"...","ErrorCode":...}, also for
 *                 what has no meaning here. It is NULL when the function does not return S_OK: for a parameter that is
 *                 NULL, and where the service cannot be reached.
 */
HRESULT HCS_API HNSCall(_In_ HCN_PCWSTR Method, _In_ HCN_PCWSTR Path, _In_opt_ HCN_PCWSTR Request,
                        _Outptr_ HCN_PWSTR *Response);

/* ---- The guest network service ----------------------------------------------------------------------------------- */

/** Not implemented: has the networks of guests follow the host. */
HRESULT HCS_API HcnCreateGuestNetworkService(_In_ REFGUID Id, _In_ HCN_PCWSTR Settings,
                                             _Out_ HCN_GUESTNETWORKSERVICE *GuestNetworkService,
                                             _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: changes it. */
HRESULT HCS_API HcnModifyGuestNetworkService(_In_ HCN_GUESTNETWORKSERVICE GuestNetworkService, _In_ HCN_PCWSTR Settings,
                                             _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: deletes it. */
HRESULT HCS_API HcnDeleteGuestNetworkService(_In_ REFGUID Id, _Outptr_opt_ HCN_PWSTR *ErrorRecord);

/** Not implemented: closes a handle of it. */
HRESULT HCS_API HcnCloseGuestNetworkService(_In_ HCN_GUESTNETWORKSERVICE GuestNetworkService);

/** Not implemented: has a function of the program called for what happens to it. */
HRESULT HCS_API HcnRegisterGuestNetworkServiceCallback(_In_ HCN_GUESTNETWORKSERVICE GuestNetworkService,
                                                       _In_ HCN_NOTIFICATION_CALLBACK Callback,
                                                       _In_opt_ void *Context, _Out_ HCN_CALLBACK *CallbackHandle);

/** Not implemented: ends that. */
HRESULT HCS_API HcnUnregisterGuestNetworkServiceCallback(_In_ HCN_CALLBACK CallbackHandle);

/** Not implemented: reserves a port of the host for guests. */
HRESULT HCS_API HcnReserveGuestNetworkServicePort(_In_ HCN_GUESTNETWORKSERVICE GuestNetworkService,
                                                  _In_ HCN_PORT_PROTOCOL Protocol, _In_ HCN_PORT_ACCESS Access,
                                                  _In_ uint16_t Port, _Out_ HANDLE *PortReservationHandle);

/** Not implemented: reserves ports that follow each other. */
HRESULT HCS_API HcnReserveGuestNetworkServicePortRange(_In_ HCN_GUESTNETWORKSERVICE GuestNetworkService,
                                                       _In_ uint16_t PortCount,
                                                       _Out_ HCN_PORT_RANGE_RESERVATION *PortRangeReservation,
                                                       _Out_ HANDLE *PortReservationHandle);

/** Not implemented: gives a reservation back. */
HRESULT HCS_API HcnReleaseGuestNetworkServicePortReservationHandle(_In_ HANDLE PortReservationHandle);

/** Not implemented: tells the reservations. */
HRESULT HCS_API HcnEnumerateGuestNetworkPortReservations(_Out_ uint32_t *ReturnCount,
                                                         _Out_ HCN_PORT_RANGE_ENTRY **PortEntries);

/** Releases what HcnEnumerateGuestNetworkPortReservations gave, which is nothing. */
void HCS_API HcnFreeGuestNetworkPortReservations(_In_opt_ HCN_PORT_RANGE_ENTRY *PortEntries);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* COMPUTECORE_COMPUTENETWORK_H */

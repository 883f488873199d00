//! What is not implemented: routes of software networks, callbacks of one network, the guest network service and its
//! ports.

use super::absent::absent;
use crate::abi::HCN_PORT_RANGE_ENTRY;

absent! {
    "no public document says what such a route does; an endpoint has its routes in its document (Routes) and its policies \
     (SDNRoute)";
    fn HcnEnumerateSdnRoutes(query: text, routes: text_out), record;
    fn HcnCreateSdnRoute(id: id, settings: text, route: handle_out), record;
    fn HcnOpenSdnRoute(id: id, route: handle_out), record;
    fn HcnModifySdnRoute(route: handle, settings: text), record;
    fn HcnQuerySdnRouteProperties(route: handle, query: text, properties: text_out), record;
    fn HcnDeleteSdnRoute(id: id), record;
    fn HcnCloseSdnRoute(route: handle);
}

absent! {
    "no public document says what it answers; HcnQueryEndpointProperties tells the addresses of an endpoint";
    fn HcnQueryEndpointAddresses(endpoint: handle, query: text, addresses: text_out), record;
}

absent! {
    "no public header declares it; HcnRegisterServiceCallback tells of all networks";
    fn HcnRegisterNetworkCallback();
    fn HcnUnregisterNetworkCallback();
}

absent! {
    "no public document says what it answers";
    fn HcnQueryMetrics();
    fn HcnQueryFeatures();
}

absent! {
    "no guest of Linux takes its network from a service of Windows";
    fn HcnCreateGuestNetworkService(id: id, settings: text, guest_network_service: handle_out), record;
    fn HcnModifyGuestNetworkService(guest_network_service: handle, settings: text), record;
    fn HcnDeleteGuestNetworkService(id: id), record;
    fn HcnCloseGuestNetworkService(guest_network_service: handle);
    fn HcnRegisterGuestNetworkServiceCallback(
        guest_network_service: handle,
        callback: callback,
        context: context,
        callback_handle: handle_out,
    );
    fn HcnUnregisterGuestNetworkServiceCallback(callback_handle: handle);
    fn HcnOpenGuestNetworkService();
    fn HcnEnumerateGuestNetworkServices();
    fn HcnQueryGuestNetworkServiceProperties();
}

absent! {
    "ports of Linux are reserved by the program that listens there";
    fn HcnReserveGuestNetworkServicePort(
        guest_network_service: handle,
        protocol: number,
        access: number,
        port: port,
        reservation: handle_out,
    );
    fn HcnReserveGuestNetworkServicePortRange(
        guest_network_service: handle,
        count: port,
        range: range_out,
        reservation: handle_out,
    );
    fn HcnReleaseGuestNetworkServicePortReservationHandle(reservation: handle);
    fn HcnEnumerateGuestNetworkPortReservations(count: count_out, entries: entries_out);
}

/// See `ComputeNetwork.h`. No call gives entries, so there are none to release.
#[unsafe(no_mangle)]
pub(crate) const extern "C" fn HcnFreeGuestNetworkPortReservations(
    _entries: *mut HCN_PORT_RANGE_ENTRY,
) {
}

//! [`NetworkAdapter`].

use crate::{
    documents::{IovSettings, StateOverride},
    shape::format::{Guid, MacAddress},
};

document! {
    /// A network adapter of a virtual machine.
    NetworkAdapter {
        /// The endpoint of the host's network service it plugs into.
        endpoint_id: String as Guid = "EndpointId", 2.0;
        /// Its hardware address.
        mac_address: String as MacAddress = "MacAddress", 2.0;
        /// GUID by which the guest knows it.
        instance_id: String as Guid = "InstanceId", 2.4;
        /// Whether each packet interrupts at once: faster answers for more work.
        disable_interrupt_batching: bool = "DisableInterruptBatching", 2.4;
        /// The work that the hardware takes over.
        iov_settings: IovSettings = "IovSettings", 2.4;
        /// Whether the cable is in.
        connection_state: StateOverride = "ConnectionState", 2.4;
        /// Whether the cable is in.
        is_connected: bool = "IsConnected", 2.7;
        /// The virtual switch.
        switch_id: String as Guid = "SwitchId", 2.7;
        /// The port of the switch.
        port_id: String as Guid = "PortId", 2.7;
    }
}

//! What all objects share: [`object!`], and the small documents in them.

use hcs_schema::document;
use serde_json::Value;

/// An object of the network service: a [`document!`] with the properties that all of them have.
macro_rules! object {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $($body:tt)* }
    ) => {
        hcs_schema::document! {
            $(#[doc = $doc])+
            $name {
                /// Its id.
                id: String as hcs_schema::shape::format::LooseGuid = "ID", 2.0;
                /// The client that made it, as it calls itself.
                owner: String = "Owner", 2.0;
                /// Its name.
                name: String = "Name", 2.0;
                /// Counts its changes.
                version: u64 = "Version", 2.0;
                /// Free for the client's use.
                additional_params: serde_json::Value = "AdditionalParams", 2.0;
                /// How it is.
                health: $crate::documents::Health = "Health", 2.0;
                /// The version of the schema that the document is written in.
                schema_version: hcs_schema::documents::Version = "SchemaVersion", 2.0;
                /// Free for the service's use.
                telemetry: $crate::documents::Telemetry = "Telemetry", 2.0;
                /// Its state, as a number.
                state: u16 = "State", 2.0;
                $($body)*
            }
        }
    };
}

pub(super) use object;

document! {
    /// How an object is.
    Health {
        /// Free text.
        data: Value = "Data", 2.0;
        /// What carries the object.
        extra: ExtraHealth = "Extra", 2.0;
    }
}

document! {
    /// What carries an object.
    ExtraHealth {
        /// The parts that were made for it.
        resources: Value = "Resources", 2.0;
        /// Containers that share it.
        shared_containers: Value = "SharedContainers", 2.0;
        /// The object below.
        layered_on: String = "LayeredOn", 2.0;
        /// Its switch.
        switch_guid: String = "SwitchGuid", 2.0;
        /// The utility machine that has it.
        utility_vm: String = "UtilityVM", 2.0;
        /// The machine that has it.
        virtual_machine: String = "VirtualMachine", 2.0;
    }
}

document! {
    /// Free for the service's use.
    Telemetry {
        /// Free text.
        data: Value = "Data", 2.0;
    }
}

document! {
    /// How names are resolved.
    Dns {
        /// The domain of the endpoint.
        domain: String = "Domain", 2.0;
        /// Domains to try for names without one.
        search: Vec<String> = "Search", 2.0;
        /// Servers, by address.
        server_list: Vec<String> = "ServerList", 2.0;
        /// Options of the resolver.
        options: Vec<String> = "Options", 2.0;
    }
}

document! {
    /// A route.
    Route {
        /// The router.
        next_hop: String = "NextHop", 2.0;
        /// Where it leads.
        destination_prefix: String = "DestinationPrefix", 2.0;
        /// Its metric.
        metric: u16 = "Metric", 2.0;
    }
}

//! [`HostComputeNamespace`].

use hcs_schema::{document, schema_enum};

use super::base::object;

object! {
    /// The network of one or more containers.
    HostComputeNamespace {
        /// Its number.
        namespace_id: u32 = "NamespaceId", 2.0;
        /// Its id in the guest.
        namespace_guid: String as hcs_schema::shape::format::LooseGuid = "NamespaceGuid", 2.0;
        /// Its type; Host where it is left out.
        kind: NamespaceType = "Type", 2.0;
        /// What is in it.
        resources: Vec<NamespaceResource> = "Resources", 2.0;
    }
}

schema_enum! {
    /// The type of a namespace.
    NamespaceType, numbered true {
        /// For containers of this host.
        Host = "Host", 2.0;
        /// That of the host itself.
        HostDefault = "HostDefault", 2.0;
        /// For containers in a machine.
        Guest = "Guest", 2.0;
        /// That of a machine itself.
        GuestDefault = "GuestDefault", 2.0;
    }
}

document! {
    /// What is in a namespace.
    NamespaceResource {
        /// Its type.
        kind: NamespaceResourceType = "Type", 2.0;
        /// Which.
        data: NamespaceResourceData = "Data", 2.0;
    }
}

schema_enum! {
    /// The type of what is in a namespace.
    NamespaceResourceType, numbered true {
        /// A container.
        Container = "Container", 2.0;
        /// An endpoint.
        Endpoint = "Endpoint", 2.0;
    }
}

document! {
    /// The id of what is in a namespace.
    NamespaceResourceData {
        /// The id.
        id: String = "Id", 2.0;
    }
}

//! What modifies objects: a resource, what to do with it, and its settings, whose shape depends on the resource.

use hcs_schema::{
    Document as _, document,
    fault::{Faults, Path},
    schema_enum,
    shape::Shape,
};
use serde_json::Value;

use super::{Dns, EndpointPolicy, NetworkPolicy, Subnet};

schema_enum! {
    /// What to do.
    RequestType, numbered true {
        /// Add to what is there.
        Add = "Add", 2.0;
        /// Take away.
        Remove = "Remove", 2.0;
        /// Replace what is there.
        Update = "Update", 2.0;
        /// Apply again.
        Refresh = "Refresh", 2.0;
        /// Go back to the beginning.
        Reset = "Reset", 2.0;
    }
}

document! {
    /// Modifies a network.
    ModifyNetworkRequest, checked by network_settings {
        /// Where the resource is.
        resource_uri: String = "ResourceUri", 2.0;
        /// The kind of resource.
        resource_type: NetworkResourceType = "ResourceType", 2.0;
        /// What to do; Add where it is left out.
        request_type: RequestType = "RequestType", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// What of a network can be modified.
    NetworkResourceType, numbered true {
        /// Its policies.
        Policy = "Policy", 2.0;
        /// How names are resolved.
        Dns = "DNS", 2.0;
        /// Extensions of its switch.
        Extension = "Extension", 2.0;
        /// Its subnets.
        Subnet = "Subnet", 2.6;
        /// Parts of its subnets.
        IpSubnet = "IPSubnet", 2.6;
    }
}

document! {
    /// Policies of a network.
    NetworkPolicyRequest {
        /// The policies.
        policies: Vec<NetworkPolicy> = "Policies", 2.0;
    }
}

document! {
    /// Subnets of a network.
    SubnetRequest {
        /// The subnets.
        subnets: Vec<Subnet> = "Subnets", 2.6;
    }
}

document! {
    /// Modifies an endpoint.
    ModifyEndpointRequest, checked by endpoint_settings {
        /// Where the resource is.
        resource_uri: String = "ResourceUri", 2.0;
        /// The kind of resource.
        resource_type: EndpointResourceType = "ResourceType", 2.0;
        /// What to do; Add where it is left out.
        request_type: RequestType = "RequestType", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// What of an endpoint can be modified.
    EndpointResourceType, numbered true {
        /// The port of the switch that it is at.
        Port = "Port", 2.0;
        /// Its policies.
        Policy = "Policy", 2.0;
    }
}

document! {
    /// Policies of an endpoint.
    EndpointPolicyRequest {
        /// The policies.
        policies: Vec<EndpointPolicy> = "Policies", 2.0;
    }
}

document! {
    /// Modifies a namespace.
    ModifyNamespaceRequest, checked by namespace_settings {
        /// Where the resource is.
        resource_uri: String = "ResourceUri", 2.0;
        /// The kind of resource.
        resource_type: NamespaceResourceKind = "ResourceType", 2.0;
        /// What to do; Add where it is left out.
        request_type: RequestType = "RequestType", 2.0;
        /// Its settings.
        settings: Value = "Settings", 2.0;
    }
}

schema_enum! {
    /// What of a namespace can be modified.
    NamespaceResourceKind, numbered true {
        /// The containers in it.
        Container = "Container", 2.0;
        /// The endpoints in it.
        Endpoint = "Endpoint", 2.0;
    }
}

document! {
    /// An endpoint that goes into a namespace or out of it.
    NamespaceEndpointRequest {
        /// Its id.
        endpoint_id: String as hcs_schema::shape::format::LooseGuid = "EndpointId", 2.0;
    }
}

document! {
    /// A container that goes into a namespace or out of it.
    ContainerRequest {
        /// Its id.
        container_id: String = "ContainerId", 2.0;
    }
}

fn network_settings(request: &ModifyNetworkRequest, path: &Path<'_>, faults: &mut Faults) {
    let shape = request.resource_type.and_then(|kind| match kind {
        NetworkResourceType::Policy => Some(NetworkPolicyRequest::shape()),
        NetworkResourceType::Dns => Some(Dns::shape()),
        NetworkResourceType::Subnet => Some(SubnetRequest::shape()),
        NetworkResourceType::Extension | NetworkResourceType::IpSubnet => None,
    });
    let known = request.resource_type.is_some();
    settings(known, shape, request.settings.as_ref(), path, faults);
}

fn endpoint_settings(request: &ModifyEndpointRequest, path: &Path<'_>, faults: &mut Faults) {
    let shape = request.resource_type.and_then(|kind| match kind {
        EndpointResourceType::Policy => Some(EndpointPolicyRequest::shape()),
        EndpointResourceType::Port => None,
    });
    let known = request.resource_type.is_some();
    settings(known, shape, request.settings.as_ref(), path, faults);
}

fn namespace_settings(request: &ModifyNamespaceRequest, path: &Path<'_>, faults: &mut Faults) {
    let shape = request.resource_type.map(|kind| match kind {
        NamespaceResourceKind::Endpoint => NamespaceEndpointRequest::shape(),
        NamespaceResourceKind::Container => ContainerRequest::shape(),
    });
    let known = shape.is_some();
    settings(known, shape, request.settings.as_ref(), path, faults);
}

/// A request names a resource, and its settings have that resource's shape.
fn settings(
    known: bool,
    shape: Option<&'static Shape>,
    settings: Option<&Value>,
    path: &Path<'_>,
    faults: &mut Faults,
) {
    if !known {
        faults.missing(path, "ResourceType");
    }
    match (shape, settings) {
        (Some(shape), Some(value)) => {
            hcs_schema::parse::check_shape(shape, value, &path.key("Settings"), faults);
        }
        (Some(_), None) => faults.missing(path, "Settings"),
        (None, _) => {}
    }
}

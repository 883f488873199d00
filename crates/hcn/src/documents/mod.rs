//! The documents of schema 2 and of version 1, made with the macros of `hcs_schema`.
//!
//! 1. `base` has what all objects share; then a file per object: `network`, `endpoint`, `namespace`,
//!    `load_balancer`, `route`. 2. `policy` has their policies: a type, and settings whose shape depends on it;
//!    `fabric` has those of what a network stands on, `rules` those for packets beside ACL. 3. `request` has what
//!    modifies objects, `query` what asks for them. 4. `version1` has the documents of the API before this one.
//!
//! Enumerations are read as names or numbers, flags and protocols are numbers: clients send them so, whatever the
//! reference says.

mod base;
mod endpoint;
pub mod fabric;
mod load_balancer;
mod namespace;
mod network;
pub mod policy;
mod query;
mod request;
mod route;
pub mod rules;
pub mod version1;

pub use base::{Dns, ExtraHealth, Health, Route, Telemetry};
pub use endpoint::{HostComputeEndpoint, IpConfiguration};
pub use load_balancer::{DistributionType, HostComputeLoadBalancer, LoadBalancerPortMapping};
pub use namespace::{
    HostComputeNamespace, NamespaceResource, NamespaceResourceData, NamespaceResourceType,
    NamespaceType,
};
pub use network::{
    HostComputeNetwork, IpSubnet, Ipam, IpamType, MacPool, MacRange, NetworkType, Subnet,
};
pub use policy::{
    EndpointPolicy, EndpointPolicyType, NetworkPolicy, NetworkPolicyType, SubnetPolicy,
    SubnetPolicyType,
};
pub use query::{HostComputeQuery, QueryFilter};
pub use request::{
    ContainerRequest, EndpointPolicyRequest, EndpointResourceType, ModifyEndpointRequest,
    ModifyNamespaceRequest, ModifyNetworkRequest, NamespaceEndpointRequest, NamespaceResourceKind,
    NetworkPolicyRequest, NetworkResourceType, RequestType, SubnetRequest,
};
pub use route::HostComputeRoute;

//! [`CpuGroupConfig`].

use crate::{
    documents::{CpuGroupAffinity, CpuGroupProperty},
    shape::format::Guid,
};

document! {
    /// A group of host processors.
    CpuGroupConfig {
        /// Its id.
        group_id: String as Guid = "GroupId", 2.1;
        /// Its processors.
        affinity: CpuGroupAffinity = "Affinity", 2.1;
        /// Its properties.
        group_properties: Vec<CpuGroupProperty> = "GroupProperties", 2.1;
        /// Its id in the hypervisor.
        hypervisor_group_id: u64 = "HypervisorGroupId", 2.5;
    }
}

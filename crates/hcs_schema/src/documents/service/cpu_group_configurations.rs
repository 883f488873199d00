//! [`CpuGroupConfigurations`].

use crate::documents::CpuGroupConfig;

document! {
    /// The groups of host processors.
    CpuGroupConfigurations {
        /// All of them.
        cpu_groups: Vec<CpuGroupConfig> = "CpuGroups", 2.1;
    }
}

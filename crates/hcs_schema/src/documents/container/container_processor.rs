//! [`ContainerProcessor`], `Container_Processor` in the schema.

use crate::documents::CpuGroup;

document! {
    /// How much of the processors a container may use: at most one of the three properties is given.
    ContainerProcessor = "Container_Processor", checked by crate::rules::system::processor {
        /// Whole processors that it may keep busy.
        count: u32 = "Count", 2.0;
        /// Its share, 0 to 10000, against other containers when processors are short.
        weight: i64 = "Weight", 2.0;
        /// Ten-thousandths of the whole machine's processor time that it may use, 1 to 10000.
        maximum: i64 = "Maximum", 2.0;
        /// The group of host processors that it runs on.
        cpu_group: CpuGroup = "CpuGroup", "extension";
    }
}

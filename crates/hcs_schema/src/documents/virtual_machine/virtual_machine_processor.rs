//! [`VirtualMachineProcessor`], `VirtualMachine_Processor` in the schema.

use crate::documents::{CpuGroup, NumaProcessors, ProcessorFeatureSet};

document! {
    /// Processors of a virtual machine.
    VirtualMachineProcessor = "VirtualMachine_Processor" {
        /// How many.
        count: u32 = "Count", 2.0;
        /// Most processor time, in ten-thousandths of them.
        limit: u64 = "Limit", 2.1;
        /// Weight against other machines.
        weight: u64 = "Weight", 2.1;
        /// Processor time that is kept for it, in ten-thousandths.
        reservation: u64 = "Reservation", 2.4;
        /// Highest frequency, in MHz.
        maximum_frequency_mhz: u32 = "MaximumFrequencyMHz", 2.4;
        /// Whether the guest may run machines of its own.
        expose_virtualization_extensions: bool = "ExposeVirtualizationExtensions", 2.0;
        /// Whether the guest may count processor events.
        enable_perfmon_pmu: bool = "EnablePerfmonPmu", 2.2;
        /// Whether the guest may sample processor events precisely.
        enable_perfmon_pebs: bool = "EnablePerfmonPebs", 2.2;
        /// Whether the guest may record branches.
        enable_perfmon_lbr: bool = "EnablePerfmonLbr", 2.2;
        /// Whether the guest may trace instructions.
        enable_perfmon_ipt: bool = "EnablePerfmonIpt", 2.2;
        /// The group of host processors it runs on.
        cpu_group: CpuGroup = "CpuGroup", 2.5;
        /// Whether the guest may count the architecture's events; dropped from the schema.
        enable_perfmon_arch_pmu: bool = "EnablePerfmonArchPmu", 2.5 until 2.5;
        /// How processors are spread over NUMA nodes.
        numa_processors_settings: NumaProcessors = "NumaProcessorsSettings", 2.7;
        /// Whether large pages are split against a flaw of some processors.
        enable_page_shattering: bool = "EnablePageShattering", 2.5;
        /// Whether the guest goes without defences against speculation attacks.
        disable_speculation_controls: bool = "DisableSpeculationControls", 2.5;
        /// Processor features the guest is to see.
        processor_feature_set: ProcessorFeatureSet = "ProcessorFeatureSet", 2.5;
    }
}

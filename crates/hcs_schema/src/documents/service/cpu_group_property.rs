//! [`CpuGroupProperty`].

document! {
    /// A property of a group of host processors.
    CpuGroupProperty {
        /// Which property: 0x10000 is the cap, 0x20000 the priority, 0x30000 the processors held back.
        property_code: u32 = "PropertyCode", 2.1;
        /// Its value.
        property_value: u64 = "PropertyValue", 2.1;
    }
}

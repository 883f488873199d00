//! [`SystemType`].

schema_enum! {
    /// A kind of compute system.
    SystemType {
        /// A container.
        Container = "Container", 2.1;
        /// A virtual machine.
        VirtualMachine = "VirtualMachine", 2.1;
        /// The host itself; dropped from the schema.
        Host = "Host", 2.1 until 2.3;
    }
}

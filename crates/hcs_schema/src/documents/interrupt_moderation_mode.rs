//! [`InterruptModerationMode`].

schema_enum! {
    /// How a network adapter gathers interrupts.
    InterruptModerationMode {
        /// As the adapter likes.
        Default = "Default", 2.4;
        /// By load.
        Adaptive = "Adaptive", 2.4;
        /// Not at all.
        Off = "Off", 2.4;
        /// A little.
        Low = "Low", 2.4;
        /// More.
        Medium = "Medium", 2.4;
        /// Most.
        High = "High", 2.4;
    }
}

//! [`IovSettings`], [`InterruptModerationMode`].

document! {
    /// How much of a network adapter's work the hardware takes over.
    IovSettings {
        /// Weight against other adapters; 0 is none.
        offload_weight: u32 = "OffloadWeight", 2.4;
        /// Queue pairs wanted.
        queue_pairs_requested: u32 = "QueuePairsRequested", 2.4;
        /// How interrupts are gathered.
        interrupt_moderation: InterruptModerationMode = "InterruptModeration", 2.4;
    }
}

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

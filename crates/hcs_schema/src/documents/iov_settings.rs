//! [`IovSettings`].

use crate::documents::InterruptModerationMode;

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

//! [`Heartbeat`].

document! {
    /// The guest's heartbeat service.
    Heartbeat {}
}

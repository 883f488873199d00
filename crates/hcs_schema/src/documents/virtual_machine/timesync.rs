//! [`Timesync`].

document! {
    /// The guest's clock service.
    Timesync {}
}

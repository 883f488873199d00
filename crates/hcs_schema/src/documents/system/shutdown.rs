//! [`Shutdown`].

document! {
    /// The guest's shutdown service.
    Shutdown {}
}

//! [`Mouse`].

document! {
    /// A mouse of a virtual machine.
    Mouse {}
}

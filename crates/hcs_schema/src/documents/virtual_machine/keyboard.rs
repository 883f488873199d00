//! [`Keyboard`].

document! {
    /// A keyboard of a virtual machine.
    Keyboard {}
}

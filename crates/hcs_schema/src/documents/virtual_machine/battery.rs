//! [`Battery`].

document! {
    /// A battery that a virtual machine sees.
    Battery {}
}

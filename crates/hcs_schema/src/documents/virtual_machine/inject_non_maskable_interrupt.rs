//! [`InjectNonMaskableInterrupt`].

document! {
    /// A client injected a non-maskable interrupt.
    InjectNonMaskableInterrupt {}
}

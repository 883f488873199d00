//! [`ConsoleImageQuery`].

document! {
    /// Asks for a picture of a virtual machine's screen.
    ConsoleImageQuery {
        /// Width wanted, in pixels.
        width: u16 = "Width", 2.5;
        /// Height wanted, in pixels.
        height: u16 = "Height", 2.5;
        /// Flags that choose the picture's format.
        flags: u32 = "Flags", 2.5;
    }
}

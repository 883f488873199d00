//! [`VirtioSerialPort`].

document! {
    /// A virtio serial port.
    VirtioSerialPort {
        /// The host's end.
        named_pipe: String = "NamedPipe", 2.2;
        /// Name that the guest sees.
        name: String = "Name", 2.2;
        /// Whether the guest may use it as console.
        console_support: bool = "ConsoleSupport", 2.6;
    }
}

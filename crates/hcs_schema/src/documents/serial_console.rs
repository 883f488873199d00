//! [`SerialConsole`].

schema_enum! {
    /// Where firmware writes.
    SerialConsole {
        /// Where it likes.
        Default = "Default", 2.0;
        /// Nowhere.
        Disabled = "Disabled", 2.0;
        /// The first serial port.
        ComPort1 = "ComPort1", 2.0;
        /// The second serial port.
        ComPort2 = "ComPort2", 2.0;
    }
}

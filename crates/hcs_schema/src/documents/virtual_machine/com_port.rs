//! [`ComPort`].

document! {
    /// A serial port of a virtual machine.
    ComPort {
        /// The host's end; empty means unplugged.
        named_pipe: String = "NamedPipe", 2.1;
        /// Whether it is tuned for a kernel debugger.
        optimize_for_debugger: bool = "OptimizeForDebugger", 2.1;
    }
}

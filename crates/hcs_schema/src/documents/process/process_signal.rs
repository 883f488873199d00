//! [`ProcessSignal`].

schema_enum! {
    /// The signals of the schema, which are those of a Windows console.
    ProcessSignal {
        /// Interrupt from the keyboard. On Linux `SIGINT`.
        CtrlC = "CtrlC", 2.1;
        /// Break from the keyboard. On Linux `SIGQUIT`.
        CtrlBreak = "CtrlBreak", 2.1;
        /// The console was closed. On Linux `SIGHUP`.
        CtrlClose = "CtrlClose", 2.1;
        /// The user logs off. On Linux `SIGHUP`.
        CtrlLogOff = "CtrlLogOff", 2.1;
        /// The system shuts down. On Linux `SIGTERM`.
        CtrlShutdown = "CtrlShutdown", 2.1;
    }
}

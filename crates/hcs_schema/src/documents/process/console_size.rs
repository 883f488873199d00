//! [`ConsoleSize`].

document! {
    /// Size of a terminal, in characters.
    ConsoleSize {
        /// Rows.
        height: u16 = "Height", 2.0;
        /// Columns.
        width: u16 = "Width", 2.0;
    }
}

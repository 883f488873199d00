//! [`VirtualPMemImageFormat`].

schema_enum! {
    /// Format of a disk image.
    VirtualPMemImageFormat {
        /// VHDX.
        Vhdx = "Vhdx", 2.0;
        /// VHD.
        Vhd1 = "Vhd1", 2.0;
    }
}

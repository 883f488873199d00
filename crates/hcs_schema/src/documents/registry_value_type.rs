//! [`RegistryValueType`].

schema_enum! {
    /// A type of registry value.
    RegistryValueType {
        /// None.
        None = "None", 2.0;
        /// Text.
        String = "String", 2.0;
        /// Text with names of environment variables.
        ExpandedString = "ExpandedString", 2.0;
        /// Several texts.
        MultiString = "MultiString", 2.0;
        /// Bytes.
        Binary = "Binary", 2.0;
        /// A number of 32 bits.
        DWord = "DWord", 2.0;
        /// A number of 64 bits.
        QWord = "QWord", 2.0;
        /// Another one, by number.
        CustomType = "CustomType", 2.0;
    }
}

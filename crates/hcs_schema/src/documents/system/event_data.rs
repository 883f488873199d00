//! [`EventData`], [`EventDataType`].

document! {
    /// One fact behind an error message.
    EventData {
        /// The kind of value.
        r#type: EventDataType = "Type", 2.1;
        /// The value, as text.
        value: String = "Value", 2.1;
    }
}

schema_enum! {
    /// A kind of value.
    EventDataType {
        /// None.
        Empty = "Empty", 2.1;
        /// Text.
        String = "String", 2.1;
        /// Text in the system's code page.
        AnsiString = "AnsiString", 2.1;
        /// A number from -128 to 127.
        SByte = "SByte", 2.1;
        /// A number from 0 to 255.
        Byte = "Byte", 2.1;
        /// A signed number of 16 bits.
        Int16 = "Int16", 2.1;
        /// An unsigned number of 16 bits.
        UInt16 = "UInt16", 2.1;
        /// A signed number of 32 bits.
        Int32 = "Int32", 2.1;
        /// An unsigned number of 32 bits.
        UInt32 = "UInt32", 2.1;
        /// A signed number of 64 bits.
        Int64 = "Int64", 2.1;
        /// An unsigned number of 64 bits.
        UInt64 = "UInt64", 2.1;
        /// A floating point number of 32 bits.
        Single = "Single", 2.1;
        /// A floating point number of 64 bits.
        Double = "Double", 2.1;
        /// True or false.
        Boolean = "Boolean", 2.1;
        /// Bytes.
        Binary = "Binary", 2.1;
        /// A GUID.
        Guid = "Guid", 2.1;
    }
}
